"""The secret key of the SSN permutation: a file of the installation, made once, never in the store."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

import pyarrow as pa

from mdm.errors import ConfigurationError
from mdm.identity.clock import utc_now
from mdm.identity.events import EventKind, Stamp
from mdm.identity.ssn import NumberPlan
from mdm.store.log import append_event

if TYPE_CHECKING:
    from mdm.settings import Settings
    from mdm.store.engine import Bulk

_FINGERPRINT = "ssn_key_fingerprint"


def make_key(settings: Settings) -> bool:
    """Creates the key file if there is none; returns whether it did."""
    path = settings.key_file
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return False
    with os.fdopen(handle, "w") as file:
        file.write(secrets.token_hex(32) + "\n")
    return True


def number_plan(settings: Settings, store: Bulk) -> NumberPlan:
    """The plan of this installation; refuses a key other than the one the store's numbers were issued with."""
    path = settings.key_file
    try:
        plan = NumberPlan(bytes.fromhex(path.read_text(encoding="ascii").strip()))
    except FileNotFoundError as error:
        raise ConfigurationError(
            "The SSN key file is missing.",
            where=str(path),
            hint="`mdm init` makes one for a new store; for an existing store restore it from your backup.",
        ) from error
    except ValueError as error:
        raise ConfigurationError(
            "The SSN key file must hold 64 hexadecimal digits.", where=str(path)
        ) from error
    known = store.scalar(f"SELECT value FROM meta WHERE name = '{_FINGERPRINT}'")
    if known is None:
        store.append("meta", pa.table({"name": [_FINGERPRINT], "value": [plan.fingerprint]}))
        stamp = Stamp(at=utc_now(), actor="mdm")
        append_event(store, EventKind.KEY_BOUND, {_FINGERPRINT: plan.fingerprint}, stamp=stamp)
    elif known != plan.fingerprint:
        raise ConfigurationError(
            "This SSN key is not the one that the store's numbers were issued with.",
            where=str(path),
            hint="Restore the right key file, or set MDM_SSN_KEY_FILE.",
        )
    return plan
