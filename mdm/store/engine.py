"""Connections to the store: SQLAlchemy for single changes, ADBC for columns of them.

Each of the two brings an SQLite of its own. POSIX gives a process's locks on a file up when any of its handles on the
file is closed, so the two must never have one file open at once in one process: what one holds, the other's closing
would unlock (sqlite.org/howtocorrupt.html, section 2.2.1). `_Guard` sees to it.
"""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import adbc_driver_manager
import adbc_driver_postgresql.dbapi
import adbc_driver_sqlite.dbapi
import pyarrow as pa
from sqlalchemy import NullPool, create_engine, event

from mdm.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Connection, Engine

    from mdm.settings import Settings

_SQLITE_CACHE_KIB = 200_000
WRITES = "mdm_writes"
"""Execution option of a connection that will write: SQLite then takes its write lock at once, so what was read stays true."""


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


def make_engine(settings: Settings) -> Engine:
    if settings.is_sqlite:
        engine = create_engine(
            f"sqlite:///{settings.store_file}", connect_args={"timeout": 30}, poolclass=NullPool
        )
        path = settings.store_file.absolute()

        @event.listens_for(engine, "connect")
        def _opens(*_: Any) -> None:
            _guard.opens(path, "sqlalchemy")

        @event.listens_for(engine, "close")
        def _closes(*_: Any) -> None:
            _guard.closes(path)

        @event.listens_for(engine, "connect")
        def _pragmas(connection: sqlite3.Connection, _: Any) -> None:
            connection.isolation_level = None  # transactions begin below, not where the driver thinks
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.execute("PRAGMA busy_timeout=30000")

        @event.listens_for(engine, "begin")
        def _begin(connection: Connection) -> None:
            writes = connection.get_execution_options().get(WRITES, False)
            connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

        return engine
    return create_engine(
        settings.store.replace("postgresql://", "postgresql+psycopg://", 1), pool_pre_ping=True
    )


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

    def append(self, table: str, rows: pa.Table) -> int:
        """Adds rows by column name; columns that are absent become null."""
        if rows.num_rows == 0:
            return 0
        with self._connection.cursor() as cursor:
            cursor.adbc_ingest(table, _plain(rows), mode="append")
        return int(rows.num_rows)

    def stage(self, name: str, rows: pa.Table) -> None:
        """Puts rows into a temporary table of this connection, for a join or an update from it."""
        self.execute(f"DROP TABLE IF EXISTS {name}")
        with self._connection.cursor() as cursor:
            cursor.adbc_ingest(name, _plain(rows), mode="create", temporary=True)

    def execute(self, sql: str) -> None:
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
def bulk(settings: Settings) -> Iterator[Bulk]:
    """Opens a transaction for columns of rows; commits at the end, rolls back on any error."""
    try:
        connection = _connect(settings)
    except adbc_driver_manager.Error as error:
        raise _unreachable(settings, error) from error
    try:
        try:
            yield Bulk(connection, sqlite=settings.is_sqlite)
            connection.adbc_connection.commit()
        except BaseException:
            connection.adbc_connection.rollback()
            raise
    finally:
        connection.close()
        if settings.is_sqlite:
            _guard.closes(settings.store_file.absolute())


def _connect(settings: Settings) -> Any:
    if not settings.is_sqlite:
        return adbc_driver_postgresql.dbapi.connect(settings.store)
    path = settings.store_file.absolute()
    _guard.opens(path, "adbc")
    try:
        connection = adbc_driver_sqlite.dbapi.connect(str(path), autocommit=True)
    except BaseException:
        _guard.closes(path)
        raise
    with connection.cursor() as cursor:  # pragmas, before a transaction begins
        cursor.execute("PRAGMA busy_timeout=30000")
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=NORMAL")
        cursor.execute(f"PRAGMA cache_size=-{_SQLITE_CACHE_KIB}")
    connection.adbc_connection.set_autocommit(False)
    return connection


def _plain(rows: pa.Table) -> pa.Table:
    """Dictionary columns are decoded: the drivers take plain ones."""
    columns = [
        column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
        for column in rows.columns
    ]
    return pa.table(dict(zip(rows.column_names, columns, strict=True)))


def _unreachable(settings: Settings, error: Exception) -> StoreError:
    where = str(settings.store_file) if settings.is_sqlite else "PostgreSQL"
    return StoreError(
        f"The store cannot be opened ({type(error).__name__}).",
        where=where,
        hint="Check --store or MDM_STORE; `mdm init` creates a store.",
    )
