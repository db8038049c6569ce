"""Accounts of people for a small installation that has no identity provider. Passwords are kept as argon2id hashes."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import orjson
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from mdm.access.principal import check_roles
from mdm.errors import InputError
from mdm.identity.clock import utc_now
from mdm.store.access import add_account, all_accounts, change_account, find_account
from mdm.store.engine import looking, writing

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy import Engine

ACTIVE, DISABLED = "active", "disabled"
SHORTEST, LONGEST = 12, 256
_NAME = re.compile(r"[a-z][a-z0-9._-]{0,39}")
_AT_ONCE = threading.BoundedSemaphore(2)
"""Each computation of a hash takes 64 MiB."""


@dataclass(frozen=True)
class Account:
    name: str
    roles: list[str]
    state: str
    version: int
    created_at: str
    changed_at: str
    changed_by: str


def add(
    engine: Engine,
    name: str,
    password: str,
    roles: Collection[str],
    *,
    registries: Collection[str],
    by: str,
) -> None:
    """Raises InputError: a name that is taken or malformed, a password that is too short, a role that is not known."""
    if not _NAME.fullmatch(name):
        raise InputError(
            "this is no name for an account",
            hint="Up to 40 of a-z, 0-9, dot, dash and underscore; a letter first.",
        )
    now = utc_now()
    row = {
        "name": name,
        "password": _hashed(password, name),
        "roles": orjson.dumps(check_roles(roles, registries=registries)).decode(),
        "state": ACTIVE,
        "version": 1,
        "created_at": now,
        "changed_at": now,
        "changed_by": by,
    }
    with writing(engine) as connection:
        add_account(connection, row)


def set_password(engine: Engine, name: str, password: str, *, by: str) -> None:
    """Also ends the sessions of the account."""
    _change(engine, name, by=by, password=_hashed(password, name))


def set_state(engine: Engine, name: str, state: str, *, by: str) -> None:
    """Disabling ends the sessions of the account."""
    _change(engine, name, by=by, state=state)


def listed(engine: Engine) -> list[Account]:
    with looking(engine) as connection:
        rows = all_accounts(connection)
    return [
        Account(
            **{n: row[n] for n in ("name", "state", "version", "created_at", "changed_at", "changed_by")},
            roles=orjson.loads(row["roles"]),
        )
        for row in rows
    ]


def signed_in(engine: Engine, name: str, password: str) -> Account | None:
    """The active account whose password it is. It takes as long where there is none of the name."""
    with looking(engine) as connection:
        row = find_account(connection, name)
    fits = _fits(row["password"] if row else _nobodys_hash(), password)
    return standing(engine, name) if row is not None and fits else None


def standing(engine: Engine, name: str) -> Account | None:
    """The account of the name if it is active."""
    with looking(engine) as connection:
        row = find_account(connection, name)
    if row is None or row["state"] != ACTIVE:
        return None
    return Account(
        **{n: row[n] for n in ("name", "state", "version", "created_at", "changed_at", "changed_by")},
        roles=orjson.loads(row["roles"]),
    )


def _change(engine: Engine, name: str, *, by: str, **changed: str) -> None:
    with writing(engine) as connection:
        change_account(connection, name, {**changed, "changed_at": utc_now(), "changed_by": by})


def _hashed(password: str, name: str) -> str:
    if len(password) < SHORTEST or len(password) > LONGEST or name in password.lower():
        raise InputError(
            "this password is too easy to guess",
            hint=f"Take {SHORTEST} to {LONGEST} letters, and not the name.",
        )
    with _AT_ONCE:
        return PasswordHasher().hash(password)


def _fits(kept: str, password: str) -> bool:
    try:
        with _AT_ONCE:
            return PasswordHasher().verify(kept, password[:LONGEST])
    except (VerificationError, InvalidHashError):
        return False


@cache
def _nobodys_hash() -> str:
    return PasswordHasher().hash("nobody has this password")
