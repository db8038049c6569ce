"""A run over what changed finds what a run over everything finds."""

import orjson
import pyarrow as pa
import pytest

from mdm.identity.commands import Decide, Merge, Revoke, Unmerge
from mdm.pipeline.ingest import Ingest
from mdm.pipeline.run import run
from mdm.pipeline.verify import verify
from mdm.stewardship.service import Identity
from tests.integration.job import rows

TEXT = pa.string()
RECORD = "r.registry || '/' || r.kind || '/' || r.local_id"
OUTCOMES = {
    "edges": (
        "SELECT CAST(record_l AS TEXT) AS a, CAST(record_r AS TEXT) AS b, CAST(ROUND(weight * 1000000) AS TEXT) AS c FROM edge"
    ),
    "golden": (
        f"SELECT MIN({RECORD}) AS a, g.hash AS b, g.as_of AS c FROM golden AS g JOIN membership AS m ON m.entity_key = g.entity_key AND m.until_event IS NULL"
        " JOIN record AS r ON r.record_id = m.record_id WHERE g.until_event IS NULL AND r.kind = 'person' GROUP BY g.golden_id, g.hash, g.as_of"
    ),
    "aliases": (
        f"SELECT MIN({RECORD}) AS a, x.scheme AS b, x.value AS c FROM alias AS x JOIN membership AS m ON m.entity_key = x.entity_key AND m.until_event IS NULL"
        " JOIN record AS r ON r.record_id = m.record_id WHERE x.until_event IS NULL GROUP BY x.alias_id, x.scheme, x.value"
    ),
    "numbers": (
        f"SELECT MIN({RECORD}) AS a, s.kind AS b, s.state AS c FROM ssn AS s JOIN membership AS m ON m.entity_key = s.entity_key AND m.until_event IS NULL"
        " JOIN record AS r ON r.record_id = m.record_id GROUP BY s.number, s.kind, s.state"
    ),
    "questions": "SELECT subject AS a, reason AS b, state AS c FROM review",
}


def partition(settings):
    found = {}
    sql = f"SELECT CAST(m.entity_key AS TEXT) AS e, {RECORD} AS r FROM membership AS m JOIN record AS r ON r.record_id = m.record_id WHERE m.until_event IS NULL"
    for row in rows(settings, sql, pa.schema([("e", TEXT), ("r", TEXT)])):
        found.setdefault(row["e"], set()).add(row["r"])
    return {frozenset(group) for group in found.values()}


def outcome(settings):
    schema = pa.schema([(name, TEXT) for name in "abc"])
    found = {name: sorted(map(str, rows(settings, sql, schema))) for name, sql in OUTCOMES.items()}
    return found | {"partition": partition(settings), "households": households(settings)}


def households(settings):
    """Golden records of households; people are named by their first record, for IDs differ from store to store."""
    sql = (
        f'SELECT e.entity_id AS a, MIN({RECORD}) AS b, g."values" AS c FROM entity AS e JOIN membership AS m ON m.entity_key = e.entity_key'
        " AND m.until_event IS NULL JOIN record AS r ON r.record_id = m.record_id LEFT JOIN golden AS g ON g.entity_key = e.entity_key"
        f" AND g.until_event IS NULL AND e.kind = 'household' GROUP BY e.entity_id, g.\"values\""
    )
    told = rows(settings, sql, pa.schema([(name, TEXT) for name in "abc"]))
    named = {row["a"]: row["b"] for row in told}

    def renamed(value):
        return sorted(map(renamed, value)) if isinstance(value, list) else named.get(value, value)

    values = {row["b"]: orjson.loads(row["c"]) for row in told if row["c"]}
    return {
        record: {name: renamed(value) for name, value in found.items()} for record, found in values.items()
    }


def check_same(delta, full):
    one, other = outcome(delta), outcome(full)
    for name in one:
        assert one[name] == other[name], name
    assert [check.wrong for settings in (delta, full) for check in verify(settings) if check.wrong] == []


def scored(report):
    return report.detail("score")["changed"]


@pytest.fixture
def twice(engine, finished, tmp_path):
    """The same store two times."""
    for name in ("delta", "full"):
        (tmp_path / name).mkdir()
    return engine.copy(finished, tmp_path / "delta"), engine.copy(finished, tmp_path / "full")


def test_a_second_delivery(twice, country):
    delta, full = twice
    for settings in twice:
        Ingest(settings).folder(country.files / "delivery-2")
    changed = run(delta)
    assert 0 < scored(changed) < 500  # of two thousand, with those who stand beside them
    assert 0 < changed.detail("cluster")["clusters"] < 300
    assert scored(run(full, force=True)) is None
    check_same(delta, full)


def test_nothing_but_a_persons_decisions(twice):
    """What a steward joined stays joined, what was taken apart stays apart, and revoking lets the model speak again."""
    delta, full = twice
    sql = (
        "SELECT e.entity_id AS a, s.kind AS b, CAST(MIN(m.record_id) AS TEXT) AS c FROM entity AS e JOIN ssn AS s ON s.entity_key = e.entity_key"
        " JOIN membership AS m ON m.entity_key = e.entity_key WHERE s.kind = 'temporary' GROUP BY e.entity_id, s.kind ORDER BY MIN(e.entity_key)"
    )
    people = rows(delta, sql, pa.schema([(name, TEXT) for name in "abc"]))[:8]
    said = {"actor": "an", "reason": "papers"}
    for settings in twice:
        identity = Identity(settings)
        identity.carry_out(Merge(left=people[0]["a"], right=people[1]["a"]), **said)
        merged = identity.carry_out(Merge(left=people[2]["a"], right=people[3]["a"]), **said)
        identity.carry_out(Unmerge(event=merged.events[0]), **said)
        pair = sorted(int(people[n]["c"]) for n in (4, 5))
        identity.carry_out(Decide(decision="must_link", left=pair[0], right=pair[1]), **said)
        other = sorted(int(people[n]["c"]) for n in (6, 7))
        identity.carry_out(Decide(decision="cannot_link", left=other[0], right=other[1]), **said)
        identity.carry_out(Revoke(left=other[0], right=other[1]), **said)
        identity.close()
    assert scored(run(delta)) > 0
    run(full, force=True)
    check_same(delta, full)
    together = [group for group in partition(delta) if len(group) > 1]
    named = {
        row["r"]: row["n"]
        for row in rows(
            delta,
            f"SELECT {RECORD} AS r, record_id AS n FROM record AS r",
            pa.schema([("r", TEXT), ("n", pa.int64())]),
        )
    }
    groups = [{named[r] for r in group} for group in together]
    assert any({int(people[0]["c"]), int(people[1]["c"])} <= group for group in groups)
    assert not any({int(people[2]["c"]), int(people[3]["c"])} <= group for group in groups)
    assert any(set(pair) <= group for group in groups)
    assert run(delta).nothing_to_do
