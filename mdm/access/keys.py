"""Keys of machines: a secret of 256 bits, shown once and kept as its SHA-256."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import orjson

from mdm.access.principal import Principal, check_roles, principal_of
from mdm.errors import InputError
from mdm.identity.clock import utc_now
from mdm.store.access import add_key, all_keys, end_key, find_key
from mdm.store.engine import looking, writing

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy import Engine

MARK = "mdm_"
_KEY = re.compile(rf"{MARK}(?P<prefix>[a-z0-9]{{10}})_(?P<secret>[A-Za-z0-9_-]{{43}})")
_NAME = re.compile(r"[a-z][a-z0-9._-]{0,39}")


@dataclass(frozen=True)
class Key:
    name: str
    prefix: str
    roles: list[str]
    created_at: str
    created_by: str
    expires_at: str | None
    revoked_at: str | None


def add(
    engine: Engine,
    name: str,
    roles: Collection[str],
    *,
    registries: Collection[str],
    by: str,
    days: int | None = None,
) -> str:
    """The key, which nobody can read again. It ends after `days`, or when it is revoked.

    Raises:
        InputError: the name is taken or has other signs than a-z, 0-9, dot, dash and underscore; a role is not known.
    """
    if not _NAME.fullmatch(name):
        raise InputError(
            "this is no name for a key",
            hint="Up to 40 of a-z, 0-9, dot, dash and underscore; a letter first.",
        )
    prefix, secret = secrets.token_hex(5), secrets.token_urlsafe(32)
    now = datetime.now(UTC)
    row = {
        "prefix": prefix,
        "name": name,
        "hash": _hash(secret),
        "roles": orjson.dumps(check_roles(roles, registries=registries)).decode(),
        "created_at": utc_now(),
        "created_by": by,
        "expires_at": None if days is None else _text(now + timedelta(days=days)),
    }
    with writing(engine) as connection:
        add_key(connection, row)
    return f"{MARK}{prefix}_{secret}"


def listed(engine: Engine) -> list[Key]:
    with looking(engine) as connection:
        rows = all_keys(connection)
    return [
        Key(
            name=row["name"],
            prefix=row["prefix"],
            roles=orjson.loads(row["roles"]),
            created_at=row["created_at"],
            created_by=row["created_by"],
            expires_at=row["expires_at"],
            revoked_at=row["revoked_at"],
        )
        for row in rows
    ]


def revoke(engine: Engine, name: str, *, by: str) -> None:
    with writing(engine) as connection:
        end_key(connection, name, at=utc_now(), by=by)


def holder(engine: Engine, given: str) -> Principal | None:
    """Whose key it is; None for one that is unknown, revoked or expired."""
    found = _KEY.fullmatch(given)
    if found is None:
        return None
    with looking(engine) as connection:
        row = find_key(connection, found["prefix"])
    if row is None or not hmac.compare_digest(row["hash"], _hash(found["secret"])):
        return None
    if row["revoked_at"] is not None or (row["expires_at"] is not None and row["expires_at"] <= utc_now()):
        return None
    return principal_of(f"key:{row['name']}", orjson.loads(row["roles"]))


def _hash(secret: str) -> str:
    """No slow hash is needed: the secret is random, not chosen by a person."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds")
