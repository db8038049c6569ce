"""Connections to the store: SQLAlchemy for single changes, ADBC for columns of them."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import adbc_driver_manager
import adbc_driver_postgresql.dbapi
import adbc_driver_sqlite.dbapi
import pyarrow as pa
from sqlalchemy import create_engine, event

from mdm.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

    from mdm.settings import Settings

_SQLITE_CACHE_KIB = 200_000


def make_engine(settings: Settings) -> Engine:
    if settings.is_sqlite:
        engine = create_engine(f"sqlite:///{settings.store_file}", connect_args={"timeout": 30})

        @event.listens_for(engine, "connect")
        def _pragmas(connection: sqlite3.Connection, _: Any) -> None:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.execute("PRAGMA busy_timeout=30000")

        return engine
    return create_engine(
        settings.store.replace("postgresql://", "postgresql+psycopg://", 1), pool_pre_ping=True
    )


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


def _connect(settings: Settings) -> Any:
    if not settings.is_sqlite:
        return adbc_driver_postgresql.dbapi.connect(settings.store)
    # pragmas cannot run inside a transaction, and ADBC opens one at connect
    with sqlite3.connect(settings.store_file, timeout=30) as plain:
        plain.execute("PRAGMA journal_mode=WAL")
    plain.close()
    connection = adbc_driver_sqlite.dbapi.connect(str(settings.store_file), autocommit=True)
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA busy_timeout=30000")
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
