"""Which true pairs blocking brings together: each rule, each alone, and what none does."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

from matching.blocking import make_keys
from mdm.pipeline.evaluation.result import Blocking, RuleRecall
from mdm.pipeline.workspace import discard, workspace
from mdm.registries.attributes import load_attributes

if TYPE_CHECKING:
    import duckdb

    from matching.model import Model
    from mdm.settings import Settings

_PERSON = "person"


def blocking_recall(settings: Settings, judged: duckdb.DuckDBPyConnection, model: Model) -> Blocking:
    """`judged` has a table of that name: record_id and person, null where it is not known."""
    known = judged.sql("SELECT record_id, person FROM judged WHERE person IS NOT NULL").to_arrow_table()
    name = f"evaluate-{uuid4()}"
    try:
        with workspace(settings, name) as work:
            attributes = load_attributes(settings.attributes_file)
            work.load_records(_PERSON, attributes)
            columns = sorted({column for rule in model.blocking for column in rule.columns})
            work.make_features(_PERSON, columns, attributes)
            make_keys(work.connection, model, records=_PERSON, into="key")
            work.put("known", known)
            return _measured(work.connection, model)
    finally:
        discard(settings, name)


def _measured(connection: duckdb.DuckDBPyConnection, model: Model) -> Blocking:
    connection.execute(
        f"""
        CREATE TABLE true_key AS
        SELECT k.rule, k.key, k.record_id, t.person, size <= {model.largest_block} AS small
        FROM (SELECT *, COUNT(*) OVER (PARTITION BY rule, key) AS size FROM key) AS k JOIN known AS t USING (record_id);
        CREATE TABLE brought AS
        SELECT l.record_id AS one, r.record_id AS other, l.rule, bool_or(l.small) AS small
        FROM true_key AS l JOIN true_key AS r
            ON l.person = r.person AND l.rule = r.rule AND l.key = r.key AND l.record_id < r.record_id
        GROUP BY ALL;
        CREATE TABLE brought_pair AS
        SELECT one, other, COUNT(*) FILTER (small) AS rules, min(rule) FILTER (small) AS rule FROM brought GROUP BY ALL
        """
    )
    (true,) = connection.execute(
        "SELECT COALESCE(SUM(n * (n - 1) // 2), 0) FROM (SELECT COUNT(*) AS n FROM known GROUP BY person)"
    ).fetchall()[0]
    seen, compared = connection.execute(
        "SELECT COUNT(*), COUNT(*) FILTER (rules > 0) FROM brought_pair"
    ).fetchall()[0]
    found = dict(connection.execute("SELECT rule, COUNT(*) FROM brought WHERE small GROUP BY 1").fetchall())
    alone = dict(
        connection.execute("SELECT rule, COUNT(*) FROM brought_pair WHERE rules = 1 GROUP BY 1").fetchall()
    )
    return Blocking(
        true=int(true),
        lost=int(true) - int(seen),
        capped=int(seen) - int(compared),
        rules=[
            RuleRecall(rule.name, int(found.get(place, 0)), int(alone.get(place, 0)))
            for place, rule in enumerate(model.blocking)
        ],
    )
