"""Which true pairs blocking brings together: each rule, each alone, and what none does."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

from matching.blocking import make_keys, make_pairs
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
            work.make_features(_PERSON, model.feature_columns, attributes)
            work.put("known", known)
            return _measured(work.connection, model)
    finally:
        discard(settings, name)


def _measured(connection: duckdb.DuckDBPyConnection, model: Model) -> Blocking:
    """Each rule blocks by itself, as the run's own code does it, and the true pairs among its pairs are kept."""
    connection.execute(
        """
        CREATE TABLE true_pair AS
        SELECT a.record_id AS one, b.record_id AS other FROM known AS a JOIN known AS b ON a.person = b.person AND a.record_id < b.record_id;
        CREATE TABLE brought (rule INTEGER, one BIGINT, other BIGINT);
        CREATE TABLE met (one BIGINT, other BIGINT)
        """
    )
    for place, rule in enumerate(model.blocking):
        alone = model.model_copy(update={"blocking": [rule]})
        make_keys(connection, alone, records=_PERSON, into="key")
        make_pairs(connection, alone, keys="key", into="pair")
        connection.execute(
            f"""
            INSERT INTO brought SELECT {place}, one, other FROM true_pair SEMI JOIN pair ON one = join_key_l AND other = join_key_r;
            INSERT INTO met SELECT DISTINCT l.record_id, r.record_id
            FROM (FROM key JOIN known USING (record_id)) AS l JOIN (FROM key JOIN known USING (record_id)) AS r
                ON l.person = r.person AND l.key = r.key AND l.record_id < r.record_id
            """
        )
    return Blocking(
        true=_count(connection, "true_pair"),
        lost=_count(connection, "true_pair ANTI JOIN met USING (one, other)"),
        capped=_count(
            connection, "(SELECT DISTINCT one, other FROM met) ANTI JOIN brought USING (one, other)"
        ),
        rules=[
            RuleRecall(
                rule.name,
                found=_count(connection, f"brought WHERE rule = {place}"),
                alone=_count(
                    connection,
                    f"(SELECT min(rule) AS rule FROM brought GROUP BY one, other HAVING COUNT(*) = 1) WHERE rule = {place}",
                ),
            )
            for place, rule in enumerate(model.blocking)
        ],
    )


def _count(connection: duckdb.DuckDBPyConnection, of: str) -> int:
    return int(connection.execute(f"SELECT COUNT(*) FROM {of}").fetchall()[0][0])
