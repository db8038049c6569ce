"""Golden records, aliases and edges: each as the event that began it told, ended by the event that ended it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mdm.identity.events import EventKind
from mdm.identity.tally import tally_sql
from mdm.pipeline.checks.opened import Found, Opened, columns
from mdm.store.aliases import ALIAS_TALLY
from mdm.store.edges import EDGE_TALLY
from mdm.store.golden import GOLDEN_TALLY
from mdm.store.rosters import DEAD

if TYPE_CHECKING:
    from collections.abc import Sequence

_AT_ONCE = 1 << 16
"""Golden records that are in memory together with their values."""


def golden(opened: Opened) -> Found:
    count, wrong = _read_golden(opened)
    wrong = (
        wrong
        or _told(opened, "golden", EventKind.GOLDEN_COMPUTED, GOLDEN_TALLY)
        or opened.first(
            "SELECT 'entity ' || e.entity_id || ' is not active and has a golden record' FROM golden AS g JOIN entity AS e USING (entity_key)"
            " WHERE g.until_event IS NULL AND e.status <> 'active' ORDER BY 1"
        )
        or _overlap(opened, "golden", "entity_key")
    )
    return count, wrong


def _read_golden(opened: Opened) -> Found:
    """Table `golden`, without what its hash covers: that is looked at in ranges and not kept, but for whether it tells of a death."""
    whole, texts = ["golden_id", "entity_key", "from_event", "until_event"], ["hash", "policy", "as_of"]
    schema = columns(whole=whole, texts=[*texts, "values", "provenance"])
    opened.put("golden", columns(whole=whole, texts=texts).empty_table())
    opened.connection.execute("ALTER TABLE golden ADD COLUMN dead BOOLEAN")
    listed = ", ".join(f'"{name}"' for name in schema.names)
    last, wrong = int(opened.store.scalar("SELECT COALESCE(MAX(golden_id), 0) FROM golden")), None
    for start in range(0, last + 1, _AT_ONCE):
        rows = opened.store.read(
            f"SELECT {listed} FROM golden WHERE golden_id >= {start} AND golden_id < {start + _AT_ONCE}",
            schema,
        )
        opened.connection.register("arriving", rows)
        wrong = wrong or opened.first(
            """SELECT 'golden record ' || golden_id || ' is not as it was computed' FROM arriving
            WHERE hash IS DISTINCT FROM sha256("values" || chr(10) || provenance) ORDER BY golden_id"""
        )
        opened.connection.execute(
            f'INSERT INTO golden BY NAME SELECT * EXCLUDE ("values", provenance), {DEAD} AS dead FROM arriving'
        )
        opened.connection.unregister("arriving")
    return opened.count("golden"), wrong


def aliases(opened: Opened) -> Found:
    schema = columns(whole=["alias_id", "entity_key", "from_event", "until_event"], texts=["scheme", "value"])
    count = opened.read("alias", schema)
    return count, _told(opened, "alias", EventKind.ALIASES_CHANGED, ALIAS_TALLY) or _overlap(
        opened, "alias", "entity_key, scheme, value"
    )


def edges(opened: Opened) -> Found:
    whole, texts = ["record_l", "record_r", "from_event"], ["conflict", "model"]
    count = opened.read("edge", columns(whole=whole, texts=texts, real=["weight"]))
    count += opened.read("edge_past", columns(whole=[*whole, "until_event"], texts=texts, real=["weight"]))
    opened.connection.execute(
        "CREATE OR REPLACE VIEW every_edge AS SELECT * FROM edge_past UNION ALL BY NAME FROM edge"
    )
    wrong = _told(opened, "every_edge", EventKind.EDGES_SCORED, EDGE_TALLY) or opened.first(
        "SELECT 'edge ' || record_l || ', ' || record_r || ': its model was never kept' FROM every_edge"
        " ANTI JOIN model ON model.hash = every_edge.model ORDER BY record_l, record_r"
    )
    return count, wrong


def _told(opened: Opened, table: str, kind: EventKind, covered: Sequence[str]) -> str | None:
    """Rows by the event that began them, and by the one that ended them, against the tallies in the events."""
    for name, column in (("begun", "from_event"), ("ended", "until_event")):
        opened.connection.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE told_tally AS
            SELECT seq, CAST(data ->> '$.{name}.count' AS BIGINT) AS count, data ->> '$.{name}.sum' AS sum
            FROM told WHERE kind = '{kind}' AND CAST(data ->> '$.{name}.count' AS BIGINT) > 0;
            CREATE OR REPLACE TEMP TABLE kept_tally AS
            SELECT {column} AS seq, {tally_sql(covered)} FROM {table} WHERE {column} IS NOT NULL GROUP BY {column}
            """
        )
        wrong = opened.difference(
            "told_tally",
            "kept_tally",
            key=["seq"],
            values=["count", "sum"],
            says=f"'{table}: what event ' || seq || ' has {name} is not as told'",
        )
        if wrong:
            return wrong
    return None


def _overlap(opened: Opened, table: str, key: str) -> str | None:
    return opened.first(
        f"SELECT '{table}: two rows hold for the same at event ' || from_event FROM ("
        f" SELECT from_event, lag(COALESCE(until_event, 9223372036854775807)) OVER (PARTITION BY {key} ORDER BY from_event) AS former FROM {table}"
        f") WHERE former > from_event ORDER BY from_event"
    )
