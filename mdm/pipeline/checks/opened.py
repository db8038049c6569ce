"""A store opened for checking: its rows are read once, in columns, and compared in DuckDB."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Sequence

    import duckdb

    from mdm.settings import Settings
    from mdm.store.engine import Bulk

Found = tuple[int, str | None]
"""How many rows a check examined, and the first thing that is wrong, or None."""


def columns(*, whole: Sequence[str] = (), texts: Sequence[str] = (), real: Sequence[str] = ()) -> pa.Schema:
    return pa.schema(
        [(name, pa.int64()) for name in whole]
        + [(name, pa.string()) for name in texts]
        + [(name, pa.float64()) for name in real]
    )


@dataclass(frozen=True)
class Opened:
    settings: Settings
    store: Bulk
    connection: duckdb.DuckDBPyConnection
    notes: list[str] = field(default_factory=list)
    """What a check could not examine, for its reader."""

    def read(self, table: str, schema: pa.Schema, *, into: str | None = None, where: str = "") -> int:
        """Brings columns of a table into DuckDB under its own name or `into`; returns the number of rows."""
        listed = ", ".join(f'"{name}"' for name in schema.names)
        rows = self.store.read(f"SELECT {listed} FROM {table} {where}", schema)
        self.put(into or table, rows)
        return int(rows.num_rows)

    def put(self, name: str, rows: pa.Table) -> None:
        self.connection.register("arriving", rows)
        self.connection.execute(f"CREATE OR REPLACE TABLE {name} AS FROM arriving")
        self.connection.unregister("arriving")

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self.connection.execute(sql).fetchall()

    def count(self, table: str) -> int:
        return int(self.rows(f"SELECT COUNT(*) FROM {table}")[0][0])

    def first(self, sql: str) -> str | None:
        """The text of the first row, if there is one."""
        found = self.rows(f"{sql} LIMIT 1")
        return str(found[0][0]) if found else None

    def gap(self, table: str, key: str) -> str | None:
        """Keys run from 1 without gaps: nothing is ever deleted. The table itself, not a copy of it, is asked."""
        count, least, most = (
            self.store.scalar(f"SELECT {what} FROM {table}")
            for what in ("COUNT(*)", f"COALESCE(MIN({key}), 1)", f"COALESCE(MAX({key}), 0)")
        )
        return None if (least, most) == (1, count) else f"{table}: a row is missing or has another key"

    def difference(
        self, expected: str, present: str, *, key: Sequence[str], values: Sequence[str], says: str
    ) -> str | None:
        """The first row, by key, that is in one of two tables only or has another value in the other.

        `says` is an SQL text over the columns of the key.
        """
        on = " AND ".join(f"e.{name} IS NOT DISTINCT FROM p.{name}" for name in key)
        named = ", ".join(f"COALESCE(e.{name}, p.{name}) AS {name}" for name in key)
        unlike = " OR ".join(
            [f"e.{key[0]} IS NULL", f"p.{key[0]} IS NULL", *(f"e.{v} IS DISTINCT FROM p.{v}" for v in values)]
        )
        joined = f"SELECT {named} FROM {expected} AS e FULL JOIN {present} AS p ON {on} WHERE {unlike}"
        return self.first(f"SELECT {says} FROM ({joined}) ORDER BY {', '.join(key)}")
