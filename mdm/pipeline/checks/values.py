"""Golden records, aliases and edges: each as the event that began it told, ended by the event that ended it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mdm.identity.events import EventKind
from mdm.identity.tally import tally_sql
from mdm.pipeline.checks.opened import Found, Opened, columns
from mdm.store.aliases import ALIAS_TALLY
from mdm.store.edges import EDGE_TALLY
from mdm.store.golden import GOLDEN_TALLY

if TYPE_CHECKING:
    from collections.abc import Sequence


def golden(opened: Opened) -> Found:
    schema = columns(
        whole=["golden_id", "entity_key", "from_event", "until_event"],
        texts=["values", "provenance", "hash", "policy", "as_of"],
    )
    count = opened.read("golden", schema)
    wrong = (
        opened.first(
            """SELECT 'golden record ' || golden_id || ' is not as it was computed' FROM golden
            WHERE hash <> sha256("values" || chr(10) || provenance) ORDER BY golden_id"""
        )
        or _told(opened, "golden", EventKind.GOLDEN_COMPUTED, GOLDEN_TALLY)
        or opened.first(
            "SELECT 'entity ' || e.entity_id || ' is not active and has a golden record' FROM golden AS g JOIN entity AS e USING (entity_key)"
            " WHERE g.until_event IS NULL AND e.status <> 'active' ORDER BY 1"
        )
        or _overlap(opened, "golden", "entity_key")
    )
    return count, wrong


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
