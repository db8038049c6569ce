"""Scored pairs in the store. An edge that is scored anew keeps what it was; one event tells of all that changed.

The event carries tallies of the edges that begin and end with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from mdm.identity.events import EventKind, Stamp
from mdm.identity.tally import tally_sql, told
from mdm.store.log import append_event

if TYPE_CHECKING:
    import duckdb

    from mdm.store.engine import Bulk

EDGES = pa.schema(
    [
        ("record_l", pa.int64()),
        ("record_r", pa.int64()),
        ("weight", pa.float64()),
        ("conflict", pa.string()),
        ("model", pa.string()),
        ("from_event", pa.int64()),
    ]
)
EDGE_TALLY = ("record_l", "record_r", "weight", "conflict", "model")
"""What an event's tally of begun or ended edges covers."""


@dataclass(frozen=True)
class EdgeChanges:
    added: int
    removed: int


def write_edges(
    bulk: Bulk,
    connection: duckdb.DuckDBPyConnection,
    *,
    scored: str,
    model: str,
    stamp: Stamp,
    of: str | None,
) -> EdgeChanges:
    """Makes the store's edges those of table `scored` (record_l, record_r, weight, conflict); afterwards `scored` holds all edges that stand.

    Args:
        bulk: the transaction.
        connection: where `scored` is.
        scored: the edges as they are now.
        model: hash of the model that scored them.
        stamp: who and when.
        of: table of records (record_id) whose edges `scored` holds completely; None where it holds all edges there are.
    """
    standing = bulk.read("SELECT record_l, record_r, weight, conflict, model, from_event FROM edge", EDGES)
    connection.register("standing_edge", standing)
    concerned = "" if of is None else f" WHERE record_l IN (FROM {of}) OR record_r IN (FROM {of})"
    differs = f"n.weight IS DISTINCT FROM s.weight OR n.conflict IS DISTINCT FROM s.conflict OR s.model <> '{model}'"
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE edge_gone AS
        SELECT s.* FROM (FROM standing_edge{concerned}) AS s
        LEFT JOIN {scored} AS n USING (record_l, record_r) WHERE {differs};
        CREATE OR REPLACE TEMP TABLE edge_new AS
        SELECT n.record_l, n.record_r, n.weight, n.conflict, '{model}' AS model FROM {scored} AS n
        LEFT JOIN standing_edge AS s USING (record_l, record_r) WHERE {differs} OR s.model IS NULL
        """
    )
    data = {
        name: told(*connection.execute(f"SELECT {tally_sql(EDGE_TALLY)} FROM {table}").fetchall()[0])
        for name, table in (("begun", "edge_new"), ("ended", "edge_gone"))
    }
    added, removed = int(data["begun"]["count"]), int(data["ended"]["count"])
    if added or removed:
        seq = append_event(bulk, EventKind.EDGES_SCORED, {**data, "model": model}, stamp=stamp)
        _replace(bulk, connection, seq, removed=bool(removed))
    if of is not None:
        connection.execute(
            f"""
            CREATE OR REPLACE TABLE {scored} AS
            SELECT record_l, record_r, weight, conflict FROM standing_edge ANTI JOIN edge_gone USING (record_l, record_r)
            UNION ALL SELECT record_l, record_r, weight, conflict FROM edge_new
            """
        )
    connection.unregister("standing_edge")
    connection.execute("DROP TABLE edge_gone; DROP TABLE edge_new")
    return EdgeChanges(added=added, removed=removed)


def read_edges(bulk: Bulk) -> pa.Table:
    """The edges that stand, as a scoring left them: record_l, record_r, weight, conflict."""
    schema = pa.schema([EDGES.field(name) for name in ("record_l", "record_r", "weight", "conflict")])
    return bulk.read(
        "SELECT record_l, record_r, weight, conflict FROM edge ORDER BY record_l, record_r", schema
    )


def _replace(bulk: Bulk, connection: duckdb.DuckDBPyConnection, seq: int, *, removed: bool) -> None:
    if removed:
        gone = connection.sql(
            f"SELECT *, CAST({seq} AS BIGINT) AS until_event FROM edge_gone ORDER BY record_l, record_r"
        ).to_arrow_table()
        bulk.append("edge_past", gone)
        bulk.stage("edge_gone", gone.select(["record_l", "record_r"]))
        bulk.execute(
            "DELETE FROM edge WHERE (record_l, record_r) IN (SELECT record_l, record_r FROM edge_gone)"
        )
    bulk.append(
        "edge",
        connection.sql(
            f"SELECT *, CAST({seq} AS BIGINT) AS from_event FROM edge_new ORDER BY record_l, record_r"
        ).to_arrow_table(),
    )
