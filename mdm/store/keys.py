"""The secret keys of the installation, for SSN numbers, checkpoints of the log and webhooks: files, made once, never in the store.

Of each the store knows only by what to recognise it: fingerprints of the SSN and webhook keys, the public half of the log key.
"""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

import pyarrow as pa
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from mdm.errors import ConfigurationError, StoreError
from mdm.identity.checkpoint import origin_of, public_key
from mdm.identity.clock import utc_now
from mdm.identity.events import EventKind, Stamp
from mdm.identity.ssn import NumberPlan
from mdm.store.engine import bulk
from mdm.store.log import append_event
from mdm.store.rows import Rows

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Connection

    from mdm.settings import Settings
    from mdm.store.engine import Bulk
    from mdm.store.rows import Readable

SSN_KEY_FINGERPRINT = "ssn_key_fingerprint"
LOG_PUBLIC_KEY = "log_public_key"


def make_key(settings: Settings) -> bool:
    """Creates the SSN key file if there is none; returns whether it did."""
    return write_secret(settings.key_file, secrets.token_hex(32) + "\n")


def number_plan(settings: Settings, store: Bulk) -> NumberPlan:
    """The plan of this installation; refuses a key other than the one the store's numbers were issued with."""
    known = store.scalar(f"SELECT value FROM meta WHERE name = '{SSN_KEY_FINGERPRINT}'")
    plan = number_plan_of(settings, fingerprint=known)
    if known is None:
        _bind(store, SSN_KEY_FINGERPRINT, plan.fingerprint)
    return plan


def number_plan_of(settings: Settings, *, fingerprint: str | None) -> NumberPlan:
    """The plan by the key file; refuses a key of another fingerprint, unless there is none yet."""
    path = settings.key_file
    plan = NumberPlan(
        _hex_key(
            path,
            "SSN key",
            hint="`mdm init` makes one for a new store; for an existing store restore it from your backup.",
        )
    )
    if fingerprint not in {None, plan.fingerprint}:
        raise ConfigurationError(
            "This SSN key is not the one that the store's numbers were issued with.",
            where=str(path),
            hint="Restore the right key file, or set MDM_SSN_KEY_FILE.",
        )
    return plan


def require_keys(settings: Settings, connection: Connection) -> None:
    """Raises ConfigurationError where a key file is missing or is not the store's."""
    rows = Rows(connection)
    known = rows.scalar(f"SELECT value FROM meta WHERE name = '{SSN_KEY_FINGERPRINT}'")
    number_plan_of(settings, fingerprint=known)
    log_key(settings, rows)


def make_log_key(settings: Settings) -> bool:
    """Creates the log key file for a store that has none; returns whether it did.

    A store whose log key is known gets no other one: its checkpoints must stay under one key.
    """
    with bulk(settings) as store:
        if store.scalar(f"SELECT value FROM meta WHERE name = '{LOG_PUBLIC_KEY}'") is not None:
            return False
        key = Ed25519PrivateKey.generate()
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        made = write_secret(settings.log_key_file, pem.decode())
        known = str(public_key(_read_log_key(settings), log_origin(store)))
        _bind(store, LOG_PUBLIC_KEY, known)
    return made


def log_key(settings: Settings, store: Readable) -> Ed25519PrivateKey:
    """The key that signs checkpoints; refuses one other than the store's."""
    known = store.scalar(f"SELECT value FROM meta WHERE name = '{LOG_PUBLIC_KEY}'")
    if known is None:
        raise ConfigurationError("The store has no log key yet.", hint="Make one: mdm init.")
    return log_key_of(settings, log_origin(store), public=known)


def log_key_of(settings: Settings, origin: str, *, public: str) -> Ed25519PrivateKey:
    """The key in the key file; refuses one whose public half is another."""
    key = _read_log_key(settings)
    if public != str(public_key(key, origin)):
        raise ConfigurationError(
            "This log key is not the one that the store's checkpoints are signed with.",
            where=str(settings.log_key_file),
            hint="Restore the right key file, or set MDM_LOG_SIGNING_KEY_FILE.",
        )
    return key


def log_public_key(settings: Settings, store: Readable) -> str:
    """The key by which checkpoints are verified, as text.

    It comes from the key file. Where that is not at hand the store's own word is taken, which whoever can write to the store
    could have replaced: an auditor keeps a copy.
    """
    if settings.log_key_file.exists():
        return str(public_key(log_key(settings, store), log_origin(store)))
    known = store.scalar(f"SELECT value FROM meta WHERE name = '{LOG_PUBLIC_KEY}'")
    if known is None:
        raise ConfigurationError("The store has no log key yet.", hint="Make one: mdm init.")
    return str(known)


def log_origin(store: Readable) -> str:
    store_id = store.scalar("SELECT value FROM meta WHERE name = 'store_id'")
    if store_id is None:
        raise StoreError("The store has no ID.", hint="Create it first: mdm init.")
    return origin_of(store_id)


def make_webhook_key(settings: Settings) -> bool:
    """Creates the webhook key file if there is none; returns whether it did."""
    return write_secret(settings.webhook_key_file, secrets.token_hex(32) + "\n")


def webhook_key(settings: Settings) -> bytes:
    """32 bytes."""
    return _hex_key(
        settings.webhook_key_file,
        "webhook key",
        hint="Restore it from your backup, or set MDM_WEBHOOK_SIGNING_KEY_FILE.",
    )


def _hex_key(path: Path, what: str, *, hint: str) -> bytes:
    """32 bytes."""
    try:
        key = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except OSError as error:
        raise ConfigurationError(
            f"The {what} file is missing or cannot be read.", where=str(path), hint=hint
        ) from error
    except ValueError:
        key = b""
    if len(key) != 32:
        raise ConfigurationError(f"The {what} file must hold 64 hexadecimal digits.", where=str(path))
    return key


def _read_log_key(settings: Settings) -> Ed25519PrivateKey:
    path = settings.log_key_file
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except FileNotFoundError as error:
        raise ConfigurationError(
            "The log key file is missing.",
            where=str(path),
            hint="`mdm init` makes one for a new store; for an existing store restore it from your backup.",
        ) from error
    except OSError as error:
        raise ConfigurationError("The log key file cannot be read.", where=str(path)) from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigurationError(
            "The log key file must hold an Ed25519 key in PEM.", where=str(path)
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigurationError("The log key file must hold an Ed25519 key in PEM.", where=str(path))
    return key


def write_secret(path: Path, text: str) -> bool:
    """Creates the file, for its owner only, if there is none; returns whether it did."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return False
    with os.fdopen(handle, "w") as file:
        file.write(text)
    return True


def _bind(store: Bulk, name: str, value: str) -> None:
    """Notes which key belongs to the store, with an event that tells."""
    store.append("meta", pa.table({"name": [name], "value": [value]}))
    append_event(store, EventKind.KEY_BOUND, {name: value}, stamp=Stamp(at=utc_now(), actor="mdm"))
