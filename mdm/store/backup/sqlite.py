"""Backup and restore of an SQLite store.

A snapshot is made by `VACUUM INTO`, which reads in one transaction while others write. A restore copies into the present file by
SQLite's backup API, which is one transaction: after a kill the next one to open the file finds the old store.
Replacing the file instead would leave its log (`-wal`) behind, to be read into the new one.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import NullPool, create_engine
from sqlalchemy.exc import DBAPIError

from mdm.errors import StoreError
from mdm.store.backup.facts import GIVE_UP_RUNS, StoreFacts, read_facts
from mdm.store.backup.file import sync_folder
from mdm.store.engine import sqlite_connection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from mdm.settings import Settings

CONTENT = "store.sqlite"
_AT_ONCE = 1 << 20
_PAGES_AT_ONCE = 2_000
_IN_USE = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


@contextmanager
def snapshot(settings: Settings, *, beside: Path) -> Iterator[tuple[StoreFacts | None, Iterator[bytes]]]:
    """What the store held at one instant, from a copy in a temporary folder beside the backup."""
    with tempfile.TemporaryDirectory(dir=beside.parent, prefix=f".{beside.name}.") as folder:
        copy = Path(folder) / CONTENT
        with _told(settings), sqlite_connection(settings) as store:
            store.execute("VACUUM INTO ?", [str(copy)])
        with copy.open("rb") as file:
            yield _facts(copy), iter(lambda: file.read(_AT_ONCE), b"")


def present(settings: Settings) -> bool:
    store = settings.store_file
    for left in (store.with_name(store.name + ending) for ending in ("-wal", "-journal")):
        if left.exists() and not store.exists():
            raise StoreError(
                "The file of a store that is gone would be read into the restored one.",
                where=str(left),
                hint="Move it away.",
            )
    return store.exists()


def put(
    settings: Settings,
    content: Iterable[bytes],
    facts: StoreFacts,
    *,
    event: Mapping[str, Any],
    tell: Callable[[float, str], None],
) -> None:
    """Makes the store what the content is, and one more event; the present one stays until all of it is there.

    Raises:
        StoreError: the content is not what `facts` say; or the present store is in use or damaged.
    """
    store = settings.store_file
    store.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=store.parent, prefix=f".{store.name}.restore-") as folder:
        fresh = Path(folder) / CONTENT
        fresh.touch(mode=0o600)
        with fresh.open("wb") as file:
            for block in content:
                file.write(block)
            file.flush()
            os.fsync(file.fileno())
        _check(fresh, facts, event)
        if store.exists():
            _copy_into(settings, fresh, tell)
        else:
            fresh.replace(store)
            sync_folder(store.parent)


def _facts(copy: Path) -> StoreFacts | None:
    engine = create_engine(
        "sqlite://",
        creator=lambda: sqlite3.connect(f"{copy.absolute().as_uri()}?mode=ro", uri=True),
        poolclass=NullPool,
    )
    with engine.connect() as connection:
        return read_facts(connection)


def _check(fresh: Path, facts: StoreFacts, event: Mapping[str, Any]) -> None:
    try:
        found = _facts(fresh)
        with closing(sqlite3.connect(fresh)) as connection, connection:
            connection.execute(GIVE_UP_RUNS.format(run="run", run_step="run_step"))
            if found == facts:
                names = ", ".join(f":{name}" for name in event)
                connection.execute(f"INSERT INTO event ({', '.join(event)}) VALUES ({names})", dict(event))
    except (DBAPIError, sqlite3.Error) as error:
        raise StoreError("The backup holds no readable store.", hint="Take an older backup.") from error
    if found != facts:
        raise StoreError("The backup holds another store than its manifest says.", hint="Take an older one.")


def _copy_into(settings: Settings, fresh: Path, tell: Callable[[float, str], None]) -> None:
    with (
        _told(settings),
        sqlite_connection(settings) as store,
        closing(sqlite3.connect(f"{fresh.absolute().as_uri()}?mode=ro", uri=True)) as source,
    ):
        store.execute("PRAGMA busy_timeout=5000")
        store.execute("PRAGMA synchronous=FULL")
        # without a log of its own, and nobody else let in until it is closed
        store.execute("PRAGMA locking_mode=EXCLUSIVE")
        store.execute("PRAGMA journal_mode=DELETE")
        store.execute("BEGIN EXCLUSIVE")
        store.execute("COMMIT")
        source.backup(
            store,
            pages=_PAGES_AT_ONCE,
            progress=lambda _, remaining, total: tell(1 - remaining / total, "restoring"),
        )


@contextmanager
def _told(settings: Settings) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        where, code = str(settings.store_file), getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in _IN_USE:
            raise StoreError(
                "The store is in use.", where=where, hint="Stop what works with it, then try again."
            ) from error
        if code == sqlite3.SQLITE_FULL:
            raise StoreError("The disk is full.", where=where, hint="Make room, then try again.") from error
        raise StoreError(
            f"SQLite cannot work with the store (error {code}).",
            where=where,
            hint="If it is damaged, move it away with its -wal and -shm files and restore a backup in its place.",
        ) from error
