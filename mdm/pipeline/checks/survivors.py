"""Golden records computed anew from record versions, members and what is declared, and held against those that stand.

Two kinds of moments are asked about. The golden step of the last finished run says of every entity of its kind that the golden
record is that of the members then: all are computed as of its end. A golden record that began later (a change by hand, or a run
that did not come to its end) is computed as of the event that began it.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import orjson
import pyarrow as pa

from golden_record.batch import survive_all
from mdm.identity.events import EventKind
from mdm.pipeline.checks.opened import Found, Opened, columns
from mdm.pipeline.golden_step import trust_table
from mdm.pipeline.steps import PERSON
from mdm.pipeline.workspace import json_columns
from mdm.registries.attributes import load_attributes
from mdm.registries.declaration import load_registries
from mdm.store.golden import load_rules

if TYPE_CHECKING:
    from collections.abc import Callable

    from mdm.registries.attributes import Attributes
    from mdm.store.golden import GoldenRules

MADE = "made_for_record"
"""Of `computed_anew`: what is made for a record beside what it says itself; columns asked, record, and attributes."""
_MOMENT = columns(whole=["event", "batch"], texts=["rules", "as_of"])


def survivors(opened: Opened) -> Found:
    """Of people."""
    return computed_anew(opened, PERSON, step="golden")


def computed_anew(
    opened: Opened, kind: str, *, step: str, make: Callable[[Opened], None] | None = None
) -> Found:
    """Of entities of a kind. Notes those that cannot be computed because other rules were declared when they were, or none are now.

    `step` is the run's that makes them; `make` makes table MADE for the rows of table `asked` (see `_ask`).
    """
    settings = opened.settings
    attributes = load_attributes(settings.attributes_file)
    registries = load_registries(settings.registries_folder, attributes=attributes)
    rules = load_rules(settings, registries, attributes).get(kind)
    _ask(opened, kind, step)
    _note_other_rules(opened, rules)
    if rules is None:
        return 0, None
    opened.connection.execute(f"DELETE FROM asked WHERE rules <> '{rules.hash}'")
    if make is not None:
        make(opened)
    for (as_of,) in opened.rows("SELECT DISTINCT as_of FROM asked ORDER BY as_of"):
        _compute(opened, kind, rules, attributes, as_of=as_of, made=make is not None)
        wrong = opened.first(
            f"""
            SELECT 'entity ' || e.entity_id || ': its golden record is not what its records say'
            FROM (FROM asked WHERE as_of = '{as_of}') AS a JOIN entity AS e USING (entity_key) LEFT JOIN golden_anew AS n ON n.entity = a.asked
            WHERE n.hash IS DISTINCT FROM a.hash ORDER BY a.asked
            """
        )
        if wrong:
            return opened.count("asked"), wrong
    return opened.count("asked WHERE hash IS NOT NULL"), None


def held(of: str, moment: str) -> str:
    """SQL: the interval `of` holds at the event of `moment`."""
    return f"{of}.from_event <= {moment}.event AND ({of}.until_event IS NULL OR {of}.until_event > {moment}.event)"


def said(version: str, moment: str) -> str:
    """SQL: the version, of version_said, is the record's as of the delivery of `moment`."""
    return f"{version}.batch_id <= {moment}.batch AND ({version}.until_batch IS NULL OR {version}.until_batch > {moment}.batch)"


def _ask(opened: Opened, kind: str, step: str) -> None:
    """Table `asked`: which entities' golden records, as of which event and delivery, by which rules, and their hashes as they stand.

    The hash is null for an entity that had members and no golden record.
    """
    run = opened.rows(
        "SELECT detail FROM run_step SEMI JOIN (FROM run WHERE finished_at IS NOT NULL ORDER BY finished_at DESC LIMIT 1)"
        f" USING (run_id) WHERE step = '{step}'"
    )
    told = [moment for (detail,) in run if (moment := orjson.loads(detail).get("moment"))]
    opened.put("golden_moment", pa.Table.from_pylist(told, schema=_MOMENT))
    of_kind = f"SEMI JOIN (FROM entity WHERE kind = '{kind}') USING (entity_key)"
    opened.connection.execute(
        f"""
        CREATE OR REPLACE TABLE landed AS
        SELECT seq, CAST(data ->> '$.batch_id' AS BIGINT) AS batch FROM told WHERE kind = '{EventKind.BATCH_LANDED}';
        CREATE OR REPLACE TABLE golden_event AS
        SELECT t.seq, COALESCE(CAST(t.data ->> '$.batch' AS BIGINT), l.batch, 0) AS batch, t.data ->> '$.rules' AS rules
        FROM (FROM told WHERE kind = '{EventKind.GOLDEN_COMPUTED}') AS t ASOF LEFT JOIN landed AS l ON t.seq >= l.seq;
        CREATE OR REPLACE TABLE asked AS
        WITH of_kind AS (FROM golden {of_kind}),
        member AS (SELECT DISTINCT entity_key FROM membership AS m {of_kind}, golden_moment AS a WHERE {held("m", "a")}),
        stood AS (SELECT entity_key, hash FROM of_kind AS g, golden_moment AS a WHERE {held("g", "a")}),
        later AS (
            SELECT g.entity_key, g.hash, e.rules, g.as_of, e.seq AS event, e.batch FROM of_kind AS g JOIN golden_event AS e ON e.seq = g.from_event
            WHERE g.until_event IS NULL AND g.from_event > COALESCE((SELECT event FROM golden_moment), 0)
        )
        SELECT row_number() OVER (ORDER BY event, entity_key) AS asked, * FROM (
            SELECT entity_key, s.hash, m.rules, m.as_of, m.event, m.batch FROM member FULL JOIN stood AS s USING (entity_key) CROSS JOIN golden_moment AS m
            UNION ALL BY NAME FROM later
        )
        """
    )


def _note_other_rules(opened: Opened, rules: GoldenRules | None) -> None:
    now = "" if rules is None else rules.hash
    other = opened.rows(
        f"SELECT rules, COUNT(*) FROM asked WHERE rules <> '{now}' AND hash IS NOT NULL GROUP BY rules ORDER BY rules"
    )
    declared = f"than are declared now ({now[:12]})" if now else "and none are declared now"
    for made_under, count in other:
        opened.notes.append(
            f"{count:,} golden records were made under other rules ({made_under[:12]}) {declared}: not computed anew"
        )


def _compute(
    opened: Opened, kind: str, rules: GoldenRules, attributes: Attributes, *, as_of: str, made: bool
) -> None:
    """Table `golden_anew`, by the executor of the golden step; its entity is `asked`."""
    structure, _ = json_columns(attributes, kind)
    connection = opened.connection
    connection.execute(
        f"""
        CREATE OR REPLACE TABLE contribution AS
        SELECT a.asked AS entity, v.record_id AS record, CAST(v.version AS INTEGER) AS version, v.registry,
            CAST(v.observed_on AS DATE) AS observed_on, v.issues, UNNEST(json_transform(v.attributes, '{structure}'))
            {", made.* EXCLUDE (asked, record)" if made else ""}
        FROM (FROM asked WHERE as_of = '{as_of}') AS a
        JOIN membership AS m ON m.entity_key = a.entity_key AND {held("m", "a")}
        JOIN version_said AS v ON v.record_id = m.record_id AND {said("v", "a")}
        {f"JOIN {MADE} AS made ON made.asked = a.asked AND made.record = v.record_id" if made else ""}
        WHERE v.status = 'active'
        """
    )
    connection.register("trust", trust_table(rules))
    survive_all(
        connection,
        policy=rules.policy,
        contributions="contribution",
        trust="trust",
        as_of=date.fromisoformat(as_of),
        into="golden_anew",
    )
    connection.unregister("trust")
    connection.execute("DROP TABLE contribution")
