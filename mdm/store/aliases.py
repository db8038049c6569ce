"""Numbers by which people are known beside the SSN: personal ID, CMND, BHXH, health card, tax code, passport.

An alias holds from one event until another. It is no key: offices cancel and re-establish numbers, and errors make two
people share one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from mdm.identity.events import EventKind, Stamp
from mdm.store.log import append_event

if TYPE_CHECKING:
    from collections.abc import Mapping

    import duckdb

    from mdm.store.engine import Bulk

_STANDING = pa.schema(
    [("alias_id", pa.int64()), ("scheme", pa.string()), ("value", pa.string()), ("entity_key", pa.int64())]
)
ALIAS_SUM = "CAST(COALESCE(SUM(md5_number_lower(concat_ws(':', scheme, value, entity_key))), 0) % 18446744073709551616 AS VARCHAR)"
"""DuckDB: a sum over rows that any changed, added or missing row changes (modulo 2^64)."""


def write_aliases(
    bulk: Bulk,
    connection: duckdb.DuckDBPyConnection,
    *,
    contributions: str,
    columns: Mapping[str, str],
    stamp: Stamp,
    of: str | None = None,
) -> int:
    """Makes the standing aliases those of the contributions; returns how many began or ended.

    Args:
        bulk: the transaction.
        connection: where the contributions are.
        contributions: entity and attribute columns, of all entities or of those in `of`.
        columns: column to scheme; a column may hold lists.
        stamp: who and when.
        of: table of entities (entity) that the contributions cover completely; None for all.
    """
    types = {name: str(kind) for name, kind, *_ in connection.execute(f"DESCRIBE {contributions}").fetchall()}
    parts = [
        f"SELECT entity, '{scheme}' AS scheme, {f'unnest({column})' if types[column].endswith('[]') else column} AS value"
        f" FROM {contributions} WHERE {column} IS NOT NULL"
        for column, scheme in columns.items()
        if column in types
    ]
    standing = bulk.read(
        "SELECT alias_id, scheme, value, entity_key FROM alias WHERE until_event IS NULL", _STANDING
    )
    connection.register("standing_alias", standing)
    concerned = "" if of is None else f" WHERE entity_key IN (FROM {of})"
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE alias_now AS
        SELECT DISTINCT entity AS entity_key, scheme, value FROM ({" UNION ALL ".join(parts)}) WHERE value <> '';
        CREATE OR REPLACE TEMP TABLE alias_ended AS
        SELECT alias_id FROM (FROM standing_alias{concerned}) ANTI JOIN alias_now USING (entity_key, scheme, value);
        CREATE OR REPLACE TEMP TABLE alias_begun AS
        FROM alias_now ANTI JOIN standing_alias USING (entity_key, scheme, value)
        """
    )
    begun, ended = (
        int(connection.execute(f"SELECT COUNT(*) FROM {name}").fetchall()[0][0])
        for name in ("alias_begun", "alias_ended")
    )
    if begun or ended:
        count, total = connection.execute(
            f"""
            SELECT COUNT(*), {ALIAS_SUM} FROM (
                SELECT scheme, value, entity_key FROM standing_alias ANTI JOIN alias_ended USING (alias_id)
                UNION ALL BY NAME FROM alias_begun
            )
            """
        ).fetchall()[0]
        data = {"begun": begun, "ended": ended, "standing": {"count": count, "sum": total}}
        _write(bulk, connection, append_event(bulk, EventKind.ALIASES_CHANGED, data, stamp=stamp))
    connection.unregister("standing_alias")
    connection.execute("DROP TABLE alias_now; DROP TABLE alias_ended; DROP TABLE alias_begun")
    return begun + ended


def _write(bulk: Bulk, connection: duckdb.DuckDBPyConnection, seq: int) -> None:
    ended = connection.sql("FROM alias_ended").to_arrow_table()
    if ended.num_rows:
        bulk.stage("ended_alias", ended)
        bulk.execute(
            f"UPDATE alias SET until_event = {seq} FROM ended_alias AS e WHERE alias.alias_id = e.alias_id"
        )
    first = bulk.next_id("alias", "alias_id")
    bulk.append(
        "alias",
        connection.sql(
            f"""
            SELECT {first} - 1 + row_number() OVER (ORDER BY entity_key, scheme, value) AS alias_id,
                scheme, value, entity_key, CAST({seq} AS BIGINT) AS from_event
            FROM alias_begun ORDER BY entity_key, scheme, value
            """
        ).to_arrow_table(),
    )
