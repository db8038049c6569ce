"""Connections to the store: SQLAlchemy for single changes, ADBC for columns of them.

Each of the two brings an SQLite of its own. POSIX gives a process's locks on a file up when any of its handles on the
file is closed, so the two must never have one file open at once in one process: what one holds, the other's closing
would unlock (sqlite.org/howtocorrupt.html, section 2.2.1). `_Guard` sees to it.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import defaultdict
from contextlib import closing, contextmanager, nullcontext, suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import adbc_driver_manager.dbapi
import adbc_driver_postgresql
import adbc_driver_sqlite.dbapi
import psycopg
import pyarrow as pa
from sqlalchemy import NullPool, QueuePool, create_engine, event

from mdm.store import sqlite
from mdm.store.faults import faults_told

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Connection, Engine

    from mdm.settings import Settings

_SQLITE_CACHE_KIB = 200_000
_SQLITE_MAP_BYTES = 2**31 - 2**16
"""The most that SQLite maps."""
_KEPT_OPEN = 20
"""Connections of a process that serves: more than its threads."""
TAKE_TURN = "UPDATE meta SET value = value WHERE name = 'store_id'"
"""On PostgreSQL the row that every writer locks first: one writes after the other, as SQLite's write lock has it. A
transaction that reads the store as of one moment is refused here if another has written since (SQLSTATE 40001)."""
PATIENCE = "SET LOCAL lock_timeout = '30s'"
SETTINGS = "mdm_settings"
"""Execution option of an engine: the settings it was made of."""


class _Guard:
    """Which driver has which SQLite file open in this process, and how often."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[Path, tuple[str, int]] = {}

    def opens(self, path: Path, driver: str) -> None:
        with self._lock:
            present, count = self._open.get(path, (driver, 0))
            if present != driver:
                raise RuntimeError(f"{driver} would open a store that {present} has open in this process")
            self._open[path] = (driver, count + 1)

    def closes(self, path: Path) -> None:
        with self._lock:
            driver, count = self._open.pop(path)
            if count > 1:
                self._open[path] = (driver, count - 1)


_guard = _Guard()
_turns: dict[Path, threading.Lock] = defaultdict(threading.Lock)


def make_engine(settings: Settings, *, keep_open: bool = False) -> Engine:
    """Connections to an SQLite file are closed after each use, so that `bulk` may have it, unless they are to be kept open.

    The last one that is closed writes the whole log of the database back, which costs a change as much as its commit.
    """
    pool: dict[str, Any] = {"pool_size": _KEPT_OPEN, "pool_use_lifo": True} if keep_open else {}
    if settings.is_sqlite:
        path = settings.store_file.absolute()
        # a server does not make an empty store where its own was taken away
        address = f"{path.as_uri()}?mode={'rw' if keep_open else 'rwc'}"
        engine = create_engine(
            sqlite.URL,
            creator=lambda: sqlite3.connect(
                address, uri=True, timeout=30, check_same_thread=False, factory=sqlite.Opened
            ),
            poolclass=QueuePool if keep_open else NullPool,
            **pool,
            hide_parameters=True,
            execution_options={SETTINGS: settings},
        )

        @event.listens_for(engine, "connect")
        def _opens(connection: sqlite3.Connection, _: Any) -> None:
            _guard.opens(path, "sqlalchemy")
            try:
                connection.isolation_level = None  # transactions do not begin where the driver thinks
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute("PRAGMA synchronous=NORMAL")
                connection.execute("PRAGMA busy_timeout=30000")
                if keep_open:  # another connection's commit empties this one's cache, but not the map
                    connection.execute(f"PRAGMA mmap_size={_SQLITE_MAP_BYTES}")
            except BaseException:
                _guard.closes(path)
                raise

        @event.listens_for(engine, "close")
        def _closes(*_: Any) -> None:
            _guard.closes(path)

        return engine
    # the address is read by PostgreSQL's own library, as the other driver reads it
    return create_engine(
        "postgresql+psycopg://",
        creator=lambda: psycopg.connect(settings.store),
        pool_pre_ping=True,
        **pool,
        hide_parameters=True,
        execution_options={SETTINGS: settings},
    )


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A transaction: commits at the end, rolls back on any error.

    On SQLite the threads of this process come one after the other, as SQLite asks for its lock only after pauses and may never find it
    free: who is in one must not open another.

    Raises:
        StoreBusyError: another has not ended within 30 seconds.
        StoreError: as in `bulk`.
    """
    settings: Settings = engine.get_execution_options()[SETTINGS]
    turn = _turns[settings.store_file.absolute()] if settings.is_sqlite else nullcontext()
    with turn, to_write(engine) as connection:
        yield connection
        connection.commit()


@contextmanager
def to_write(engine: Engine) -> Iterator[Connection]:
    """A connection for transactions that write, and are committed by whoever asked; errors as in `writing`.

    On SQLite each takes the write lock as it begins. On PostgreSQL the first waits for a lock no longer than SQLite does.
    """
    with looking(engine) as connection:
        opened = connection.connection.dbapi_connection
        if not isinstance(opened, sqlite.Opened):
            connection.exec_driver_sql(PATIENCE)
            yield connection
            return
        opened.writes = True
        try:
            yield connection
        finally:
            opened.writes = False


@contextmanager
def looking(engine: Engine) -> Iterator[Connection]:
    """A connection for reads; StoreError as in `bulk`."""
    with faults_told(engine.get_execution_options()[SETTINGS]), engine.connect() as connection:
        yield connection


@contextmanager
def reading(settings: Settings) -> Iterator[Connection]:
    """A connection for reads only, closed with its engine."""
    engine = make_engine(settings)
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


@contextmanager
def sqlite_connection(settings: Settings) -> Iterator[sqlite3.Connection]:
    """The standard library's connection to an SQLite store that exists, for what only SQLite itself can do (backup)."""
    path = settings.store_file.absolute()
    _guard.opens(path, "sqlalchemy")
    try:
        with closing(
            sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, timeout=30, isolation_level=None)
        ) as connection:
            yield connection
    finally:
        _guard.closes(path)


class Bulk:
    """One transaction on an ADBC connection. Everything in it is kept together or not at all."""

    def __init__(self, connection: Any, *, sqlite: bool) -> None:
        self._connection = connection
        self.sqlite = sqlite
        self._has_turn = False

    def append(self, table: str, rows: pa.Table) -> int:
        """Adds rows by column name; columns that are absent become null."""
        if rows.num_rows == 0:
            return 0
        self.take_turn()
        with self._connection.cursor() as cursor:
            cursor.adbc_ingest(table, _plain(rows), mode="append")
        return int(rows.num_rows)

    def stage(self, name: str, rows: pa.Table) -> None:
        """Puts rows into a temporary table of this connection, for a join or an update from it."""
        self._execute(f"DROP TABLE IF EXISTS {name}")
        with self._connection.cursor() as cursor:
            cursor.adbc_ingest(name, _plain(rows), mode="create", temporary=True)

    def execute(self, sql: str) -> None:
        self.take_turn()
        self._execute(sql)

    def take_turn(self) -> None:
        """Waits until no other transaction writes to the store; the first write does it by itself."""
        if not self._has_turn:
            self._has_turn = True
            if not self.sqlite:
                self._execute(PATIENCE)
            self._execute(TAKE_TURN)

    def pin(self) -> None:
        """From here on all that is read is the store as it is now."""
        if self.sqlite:
            self.scalar("SELECT COUNT(*) FROM sqlite_master")
        else:
            self._execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            self.scalar("SELECT 1")

    def _execute(self, sql: str) -> None:
        with self._connection.cursor() as cursor:
            cursor.execute(sql)

    def read(self, sql: str, schema: pa.Schema) -> pa.Table:
        """Rows of a query, in the given types.

        SQLite's driver guesses a column's type from its first batch, so a column that begins with many nulls would
        come back with the wrong one: the schema says what is meant, and one batch holds all.
        """
        with self._connection.cursor() as cursor:
            if self.sqlite:
                cursor.adbc_statement.set_options(**{"adbc.sqlite.query.batch_rows": str(1 << 30)})
            cursor.execute(sql)
            return cursor.fetch_arrow_table().rename_columns(schema.names).cast(schema)

    def scalar(self, sql: str) -> Any:
        with self._connection.cursor() as cursor:
            cursor.execute(sql)
            row = cursor.fetchone()
        return row[0] if row else None

    def next_id(self, table: str, column: str) -> int:
        return int(self.scalar(f"SELECT COALESCE(MAX({column}), 0) FROM {table}")) + 1


@contextmanager
def bulk(settings: Settings, *, writes: bool = False) -> Iterator[Bulk]:
    """Opens a transaction for columns of rows; commits at the end, rolls back on any error.

    It reads the store as it was when it was opened, and is refused when it comes to write after another has written
    since. One that is opened with `writes` waits for its turn before it reads anything.

    Raises:
        StoreBusyError: another has written since, or has not ended within 30 seconds.
        StoreError: what the reader can do something about: no server, a refused login, no room.
    """
    with faults_told(settings):
        connection = _connect(settings)
        try:
            store = Bulk(connection, sqlite=settings.is_sqlite)
            if writes:
                store.take_turn()
            else:
                store.pin()
            yield store
            connection.adbc_connection.commit()
        except BaseException:
            with suppress(adbc_driver_manager.Error):  # a connection that broke has rolled back already
                connection.adbc_connection.rollback()
            raise
        finally:
            connection.close()
            if settings.is_sqlite:
                _guard.closes(settings.store_file.absolute())


class _Kept:
    """Stands for a database that is not closed with a connection to it."""

    def close(self) -> None:
        pass


@lru_cache(maxsize=1)
def _postgresql(address: str) -> Any:
    """The driver's database. Opening it reads all types of the server, which takes ten times as long as connecting."""
    return adbc_driver_postgresql.connect(address)


def _connect(settings: Settings) -> Any:
    if not settings.is_sqlite:
        kept: Any = _Kept()
        opened = adbc_driver_manager.AdbcConnection(_postgresql(settings.store))
        return adbc_driver_manager.dbapi.Connection(kept, opened)
    path = settings.store_file.absolute()
    _guard.opens(path, "adbc")
    connection = None
    try:
        connection = adbc_driver_sqlite.dbapi.connect(str(path), autocommit=True)
        with connection.cursor() as cursor:  # pragmas, before a transaction begins
            cursor.execute("PRAGMA busy_timeout=30000")
            cursor.execute("PRAGMA journal_mode=WAL")
            cursor.execute("PRAGMA synchronous=NORMAL")
            cursor.execute(f"PRAGMA cache_size=-{_SQLITE_CACHE_KIB}")
        connection.adbc_connection.set_autocommit(False)
    except BaseException:
        if connection is not None:
            connection.close()
        _guard.closes(path)
        raise
    return connection


def _plain(rows: pa.Table) -> pa.Table:
    """Dictionaries are decoded, and numbers as wide as the store's: PostgreSQL's driver sends a value as wide as it is."""
    return pa.table(
        {
            name: column.cast(_wide(column.type))
            for name, column in zip(rows.column_names, rows.columns, strict=True)
        }
    )


def _wide(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_dictionary(kind):
        return _wide(kind.value_type)
    if pa.types.is_integer(kind):
        return pa.int64()
    return pa.float64() if pa.types.is_floating(kind) else kind
