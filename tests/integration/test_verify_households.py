"""One value of a household changed anywhere in the store, and `verify` finds it and says whose."""

import random

import orjson
import pyarrow as pa
import pytest

from mdm.duck import open_duckdb
from mdm.identity.commands import Merge
from mdm.pipeline import run as runs
from mdm.pipeline.checks.opened import Opened
from mdm.pipeline.run import run
from mdm.pipeline.verify import CHECKS, verify
from mdm.stewardship.service import Identity
from mdm.store.engine import bulk
from mdm.store.tables import metadata
from tests.integration.job import rows, scalar
from tests.integration.meddling import change_one, rewrite_golden, rewrite_version

TEXT, WHOLE = pa.string(), pa.int64()
ENTITIES = "(SELECT entity_key FROM entity WHERE kind = 'household')"
RECORDS = "(SELECT record_id FROM record WHERE kind = 'household')"
OF_HOUSEHOLDS = {
    "entity": "kind = 'household'",
    "golden": f"entity_key IN {ENTITIES}",
    "membership": f"entity_key IN {ENTITIES}",
    "record": "kind = 'household'",
    "record_version": f"record_id IN {RECORDS}",
    "edge": f"record_l IN {RECORDS}",
}
COLUMNS = [(table, column.name) for table in OF_HOUSEHOLDS for column in metadata.tables[table].columns]
NAMED = {
    ("membership", "record_id"): ("membership", "record "),
    ("membership", "entity_key"): ("membership", "record "),
}
WHO = """
    SELECT g.golden_id AS golden, e.entity_id AS entity, g."values" AS said, m.record_id AS record, r.registry AS registry, r.local_id AS local_id
    FROM golden AS g JOIN entity AS e ON e.entity_key = g.entity_key
    JOIN membership AS m ON m.entity_key = e.entity_key AND m.until_event IS NULL JOIN record AS r ON r.record_id = m.record_id
    WHERE g.until_event IS NULL AND e.kind = 'household' AND r.status = 'active' ORDER BY g.golden_id, m.record_id
"""


def households(settings):
    """Golden records that stand, a row for each of their records."""
    schema = pa.schema(
        [
            ("golden", WHOLE),
            ("entity", TEXT),
            ("said", TEXT),
            ("record", WHOLE),
            ("registry", TEXT),
            ("local_id", TEXT),
        ]
    )
    return [{**row, "said": orjson.loads(row["said"])} for row in rows(settings, WHO, schema)]


def check_of(settings, name="household values"):
    (check,) = (check for check in verify(settings) if check.name == name)
    return check


def wrong_of_each(settings):
    """Every check, also after one that found something."""
    with bulk(settings) as store, open_duckdb() as connection:
        opened = Opened(settings, store, connection)
        return {name: wrong for name, check in CHECKS.items() if (wrong := check(opened)[1])}


def not_what_they_say(entity):
    return f"entity {entity}: its golden record is not what its records say"


def test_every_golden_household_that_stands_is_computed_anew(lived_in, finished, story):
    for settings in (lived_in, finished, story.settings):
        check = check_of(settings)
        standing = scalar(
            settings, f"SELECT COUNT(*) FROM golden WHERE until_event IS NULL AND entity_key IN {ENTITIES}"
        )
        assert check.examined >= standing > 100
        assert (check.wrong, check.notes) == (None, ())


def test_golden_households_that_began_by_hand_are_computed_as_of_then(lived_in):
    step = "SELECT MAX(detail) AS detail FROM run_step WHERE step = 'household_golden' AND run_id = (SELECT run_id FROM run ORDER BY finished_at DESC LIMIT 1)"
    (told,) = rows(lived_in, step, pa.schema([("detail", TEXT)]))
    moment = orjson.loads(told["detail"])["moment"]
    later = f"SELECT COUNT(*) FROM golden WHERE until_event IS NULL AND from_event > {moment['event']} AND entity_key IN {ENTITIES}"
    assert scalar(lived_in, later) >= 3
    stood = f"SELECT COUNT(*) FROM golden WHERE from_event <= {moment['event']} AND (until_event IS NULL OR until_event > {moment['event']}) AND entity_key IN {ENTITIES}"
    assert check_of(lived_in).examined == scalar(lived_in, stood) + scalar(lived_in, later)


def test_people_merged_in_the_midst_of_a_run_stand_on_their_lists_as_one(
    finished, engine, tmp_path, monkeypatch
):
    settings = engine.copy(finished, tmp_path)
    household = next(row for row in households(settings) if len(row["said"].get("members", ())) > 1)
    # anchored people are merged by two; these are not
    held = "SELECT e.entity_id AS entity FROM entity AS e JOIN ssn AS s ON s.entity_key = e.entity_key WHERE s.kind = 'temporary' AND s.state = 'active' ORDER BY 1"
    temporary = [row["entity"] for row in rows(settings, held, pa.schema([("entity", TEXT)]))]
    member, other = household["said"]["members"][0], temporary[0]
    if member == other:
        other = temporary[1]

    def merge(_):
        identity = Identity(settings)
        try:
            identity.carry_out(Merge(left=other, right=member, survivor=None), actor="an", reason="seen")
        finally:
            identity.close()

    monkeypatch.setitem(runs._BEFORE, "household_golden", merge)
    run(settings, force=True)
    gone = {other, member} & {
        row["entity"]
        for row in rows(
            settings,
            "SELECT entity_id AS entity FROM entity WHERE status = 'superseded'",
            pa.schema([("entity", TEXT)]),
        )
    }
    assert len(gone) == 1
    assert not any(gone & set(row["said"].get("members", ())) for row in households(settings))
    assert wrong_of_each(settings) == {}


def flip(place):
    def flipped(text):
        at = int(place * (len(text) - 1))
        return text[:at] + ("b" if text[at] == "a" else "a") + text[at + 1 :]

    return flipped


@pytest.mark.parametrize("column", ["values", "provenance"])
@pytest.mark.parametrize("place", [0.0, 0.3, 1.0])
def test_a_byte_of_a_golden_household_is_found_by_name(lived_in, engine, tmp_path, column, place):
    settings = engine.copy(lived_in, tmp_path)
    number = change_one(settings, "golden", column, where=OF_HOUSEHOLDS["golden"], by=flip(place))
    assert [(check.name, check.wrong) for check in verify(settings) if check.wrong] == [
        ("golden records", f"golden record {number} is not as it was computed")
    ]


@pytest.mark.parametrize("what", ["members", "head_person"])
def test_a_golden_household_rewritten_with_all_its_digests_is_found_by_name(lived_in, engine, tmp_path, what):
    """By someone who has the keys. Of the last run, and of a change by hand."""
    for place in (0, -1):
        folder = tmp_path / str(place)
        folder.mkdir()
        settings = engine.copy(lived_in, folder)
        household = [row for row in households(settings) if what in row["said"]][place]
        said = household["said"][what]
        rewrite_golden(settings, household["golden"], **{what: said[1:] if isinstance(said, list) else "1"})
        assert wrong_of_each(settings) == {"household values": not_what_they_say(household["entity"])}


def test_a_household_record_rewritten_with_all_its_digests_is_found_by_name(lived_in, engine, tmp_path):
    settings = engine.copy(lived_in, tmp_path)
    household = next(row for row in households(settings) if row["registry"] == "health_insurance")
    rewrite_version(settings, household["record"], insurance_household_no="9999999999")
    assert wrong_of_each(settings) == {"household values": not_what_they_say(household["entity"])}


def test_a_person_put_on_another_list_is_found_by_the_household(lived_in, engine, tmp_path):
    settings = engine.copy(lived_in, tmp_path)
    named = """
        SELECT r.record_id AS record, v.attributes AS said FROM record AS r
        JOIN record_version AS v ON v.record_id = r.record_id AND v.version = r.version
        WHERE r.kind = 'person' AND r.status = 'active' AND r.registry = '{registry}' AND v.attributes LIKE '%"household_ref":"{local_id}"%' ORDER BY 1
    """
    schema = pa.schema([("record", WHOLE), ("said", TEXT)])
    for household in households(settings):
        alone = [row for row in households(settings) if row["entity"] == household["entity"]]
        on_it = rows(settings, named.format(**household), schema)
        if len(alone) == 1 and len(on_it) > 1 and len(household["said"].get("members", ())) > 1:
            break
    rewrite_version(settings, on_it[0]["record"], household_ref="nowhere")
    found = wrong_of_each(settings)
    assert found["household values"] == not_what_they_say(household["entity"])


def test_a_death_that_was_taken_out_is_found_by_the_household(lived_in, engine, tmp_path):
    """Of a person's golden record, rewritten with its digests: the person's check finds it, and the household's too."""
    settings = engine.copy(lived_in, tmp_path)
    living = {member for row in households(settings) for member in row["said"].get("members", ())}
    people = "SELECT g.golden_id AS golden, e.entity_id AS entity FROM golden AS g JOIN entity AS e ON e.entity_key = g.entity_key WHERE g.until_event IS NULL AND e.kind = 'person' ORDER BY 1"
    told = rows(settings, people, pa.schema([("golden", WHOLE), ("entity", TEXT)]))
    dying = next(row for row in told if row["entity"] in living)
    rewrite_golden(settings, dying["golden"], death_date="2025-01-01")
    found = wrong_of_each(settings)
    assert found["golden values"] == not_what_they_say(dying["entity"])
    assert found["household values"] in {
        not_what_they_say(row["entity"])
        for row in households(settings)
        if dying["entity"] in row["said"].get("members", ())
    }


def check_change_is_found(engine, lived_in, tmp_path, table, column):
    settings = engine.copy(lived_in, tmp_path)
    key = change_one(settings, table, column, where=OF_HOUSEHOLDS[table])
    if key is None:
        return
    name, wrong = next((check.name, check.wrong) for check in verify(settings) if check.wrong)
    expected, said = NAMED.get((table, column), (name, ""))
    assert name == expected
    assert wrong.startswith(said.format(key))


SOME = sorted(random.Random(3).sample(COLUMNS, 3))


@pytest.mark.parametrize(("table", "column"), sorted({*SOME, *NAMED}))
def test_a_changed_value_of_a_household_is_found(engine, lived_in, tmp_path, table, column):
    check_change_is_found(engine, lived_in, tmp_path, table, column)


@pytest.mark.nightly
@pytest.mark.parametrize(("table", "column"), COLUMNS)
def test_any_changed_value_of_a_household_is_found(engine, lived_in, tmp_path, table, column):
    check_change_is_found(engine, lived_in, tmp_path, table, column)
