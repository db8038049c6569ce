"""Numbers by which people are known beside the SSN: personal ID, CMND, BHXH, health card, tax code, passport.

An alias holds from one event until another. It is no key: offices cancel and re-establish numbers, and errors make two
people share one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from mdm.identity.events import EventKind, Stamp
from mdm.identity.tally import tally_sql, told
from mdm.store.log import append_event

if TYPE_CHECKING:
    from collections.abc import Mapping

    import duckdb

    from mdm.store.engine import Bulk

_STANDING = pa.schema(
    [("alias_id", pa.int64()), ("scheme", pa.string()), ("value", pa.string()), ("entity_key", pa.int64())]
)
ALIAS_TALLY = ("alias_id", "scheme", "value", "entity_key")
"""What an event's tally of begun or ended aliases covers."""


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
    ] or ["SELECT NULL::BIGINT AS entity, NULL::VARCHAR AS scheme, NULL::VARCHAR AS value WHERE false"]
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
        FROM (FROM standing_alias{concerned}) ANTI JOIN alias_now USING (entity_key, scheme, value);
        CREATE OR REPLACE TEMP TABLE alias_begun AS
        SELECT {bulk.next_id("alias", "alias_id")} - 1 + row_number() OVER (ORDER BY entity_key, scheme, value) AS alias_id, *
        FROM alias_now ANTI JOIN standing_alias USING (entity_key, scheme, value)
        """
    )
    data = {
        name: told(*connection.execute(f"SELECT {tally_sql(ALIAS_TALLY)} FROM alias_{name}").fetchall()[0])
        for name in ("begun", "ended")
    }
    changed = int(data["begun"]["count"] + data["ended"]["count"])
    if changed:
        _write(bulk, connection, append_event(bulk, EventKind.ALIASES_CHANGED, data, stamp=stamp))
    connection.unregister("standing_alias")
    connection.execute("DROP TABLE alias_now; DROP TABLE alias_ended; DROP TABLE alias_begun")
    return changed


def _write(bulk: Bulk, connection: duckdb.DuckDBPyConnection, seq: int) -> None:
    ended = connection.sql("SELECT alias_id FROM alias_ended").to_arrow_table()
    if ended.num_rows:
        bulk.stage("ended_alias", ended)
        bulk.execute(
            f"UPDATE alias SET until_event = {seq} FROM ended_alias AS e WHERE alias.alias_id = e.alias_id"
        )
    bulk.append(
        "alias",
        connection.sql(
            f"SELECT *, CAST({seq} AS BIGINT) AS from_event FROM alias_begun ORDER BY alias_id"
        ).to_arrow_table(),
    )
