"""What a database's driver says, told as a StoreError: what is wrong, where, what to do.

The driver's own words are not passed on: they may hold a part of a password that was not quoted, or values of a row.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import adbc_driver_manager
import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import PGconn, Ping
from sqlalchemy.exc import DBAPIError

from mdm.errors import StoreBusyError, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mdm.settings import Settings

_PING_SECONDS = "5"
_SAFE = re.compile(r"[\w.:/-]*", re.ASCII)


class _Told(NamedTuple):
    message: str
    hint: str
    kind: type[StoreError] = StoreError


_AGAIN = "Give the same command again: what was finished is kept."
_BUSY = _Told("Somebody else is writing to the store", _AGAIN, StoreBusyError)
_CHANGED = _Told("Somebody else changed the store while this was worked out", _AGAIN, StoreBusyError)
_FULL = _Told("There is no room left for the store", f"Make room. {_AGAIN}")
_READ_ONLY = _Told("The store can only be read", "Is it a copy, a standby server, or another user's file?")
_NO_RIGHT = _Told(
    "This user may not do that in this database",
    "Make it the owner, as a superuser: ALTER DATABASE name OWNER TO user.",
)
_NO_STORE = _Told(
    "This file is no store, or it is damaged", "Check --store or MDM_STORE, or restore a backup."
)
_NO_FILE = _Told("The store cannot be opened", "Check --store or MDM_STORE, and the rights to its folder.")

_BY_SQLITE: Mapping[str, _Told] = {
    "locked": _BUSY,
    "disk is full": _FULL,
    "readonly": _READ_ONLY,
    "not a database": _NO_STORE,
    "malformed": _NO_STORE,
    "unable to open|failed to open": _NO_FILE,
}
"""By words of SQLite's messages (sqlite3_errstr)."""
_BY_STATE: Mapping[str, _Told] = {
    "25006": _READ_ONLY,
    "40": _CHANGED,
    "42501": _NO_RIGHT,
    "53": _FULL,
    "53300": _Told("The server has no connection left", "Try again later, or raise its max_connections."),
    "55P03": _BUSY,
}
"""By SQLSTATE or its class (PostgreSQL manual, appendix A); the longest that fits counts."""

_OUR_FAULT = "08P01"
"""Protocol violation: rows in a form that the table does not have."""

_ADDRESS = _Told(
    "The store's address cannot be read",
    "It is postgresql://USER:PASSWORD@HOST:PORT/DATABASE; in a password write @ as %40, : as %3A, / as %2F.",
)
_SILENT = _Told("No server answers", "Start it, or correct host and port in --store or MDM_STORE.")
_NOT_YET = _Told("The server starts, stops or recovers", f"Wait a little. {_AGAIN}")
_NO_DATABASE = _Told(
    "There is no such database",
    "Correct its name in --store or MDM_STORE, or create it: createdb --encoding=UTF8 --template=template0 NAME.",
)
_PASSWORD = _Told(
    "The server refuses this user or password", "Give the password in PGPASSWORD or in ~/.pgpass."
)
_NOT_FROM_HERE = _Told(
    "The server refuses this user, database or machine", "Its administrator lets them in in pg_hba.conf."
)
_REFUSED_OR_LOST = _Told(
    "The server refused the connection or broke it off",
    f"Check database, user and password (PGPASSWORD or ~/.pgpass). If they are right: {_AGAIN[0].lower()}{_AGAIN[1:]}",
)
_BY_REFUSAL: Mapping[str, _Told] = {
    r"database \S* does not exist": _NO_DATABASE,
    r"password|role \S* does not exist|authentication failed": _PASSWORD,
    "pg_hba.conf|permission denied for database": _NOT_FROM_HERE,
}
"""By words of a refused connection, which has no SQLSTATE; a server that speaks another language is told less well."""


@contextmanager
def faults_told(settings: Settings) -> Iterator[None]:
    """Raises StoreError for what the reader can do something about; other faults of a driver are ours and go through."""
    try:
        yield
    except (adbc_driver_manager.Error, DBAPIError) as error:
        told = _told(settings, error)
        if told is None:
            raise
        raise told.kind(f"{told.message}.", where=place(settings), hint=told.hint) from None


def place(settings: Settings) -> str:
    """The store's file; or database and server, without user and password."""
    if settings.is_sqlite:
        return str(settings.store_file)
    try:
        given = conninfo_to_dict(settings.store)
    except psycopg.ProgrammingError:
        return "PostgreSQL"
    database, host, port = (str(given.get(name) or "") for name in ("dbname", "host", "port"))
    if not all(_SAFE.fullmatch(part) for part in (database, host, port)):  # a password that was not quoted
        return "PostgreSQL"
    server = " on " + ":".join(part for part in (host, port) if part) if host or port else ""
    return f"PostgreSQL database {database}{server}" if database else f"PostgreSQL{server}"


def _told(settings: Settings, error: adbc_driver_manager.Error | DBAPIError) -> _Told | None:
    cause = error.orig if isinstance(error, DBAPIError) else error
    if settings.is_sqlite:
        return _first(_BY_SQLITE, str(cause))
    state = getattr(cause, "sqlstate", None) or ""
    lost = isinstance(cause, (psycopg.OperationalError, adbc_driver_manager.OperationalError))
    unread = isinstance(cause, psycopg.ProgrammingError)
    if (state.startswith(("08", "57P")) and state != _OUR_FAULT) or ((lost or unread) and not state):
        return _unreachable(settings, str(cause))
    fitting = [key for key in _BY_STATE if state.startswith(key)]
    return _BY_STATE[max(fitting, key=len)] if fitting else None


def _unreachable(settings: Settings, said: str) -> _Told:
    if settings.store.count("@") > 1:
        return _ADDRESS
    try:
        conninfo = make_conninfo(settings.store, connect_timeout=_PING_SECONDS)
    except psycopg.ProgrammingError:
        return _ADDRESS
    answer = Ping(PGconn.ping(conninfo.encode()))
    if answer is Ping.OK:
        return _first(_BY_REFUSAL, said) or _REFUSED_OR_LOST
    return {Ping.NO_RESPONSE: _SILENT, Ping.REJECT: _NOT_YET}.get(answer, _ADDRESS)


def _first(known: Mapping[str, _Told], said: str) -> _Told | None:
    return next((told for words, told in known.items() if re.search(words, said)), None)
