"""Columns of few rows on a connection of SQLAlchemy.

A server keeps the store open by SQLAlchemy, so that `bulk` cannot have an SQLite file in its process; what reads or adds few
rows takes either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa
from sqlalchemy import insert

from mdm.store.tables import metadata

if TYPE_CHECKING:
    from sqlalchemy import Connection


class Readable(Protocol):
    """A transaction that reads: `Bulk`, or `Rows`."""

    def read(self, sql: str, schema: pa.Schema) -> pa.Table: ...

    def scalar(self, sql: str) -> Any: ...


class Writable(Readable, Protocol):
    def append(self, table: str, rows: pa.Table) -> int: ...


class Rows:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def append(self, table: str, rows: pa.Table) -> int:
        if rows.num_rows:
            self._connection.execute(insert(metadata.tables[table]), rows.to_pylist())
        return int(rows.num_rows)

    def read(self, sql: str, schema: pa.Schema) -> pa.Table:
        found = self._connection.exec_driver_sql(sql).all()
        columns = zip(*found, strict=True) if found else ((),) * len(schema)
        return pa.table([pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)

    def scalar(self, sql: str) -> Any:
        return self._connection.exec_driver_sql(sql).scalar()
