"""One value changed anywhere in the store, and `verify` finds it."""

import random
import re
import shutil

import pyarrow as pa
import pytest

from mdm.pipeline.run import run
from mdm.pipeline.verify import CHECKS, verify
from mdm.store.tables import metadata
from tests.engines import change
from tests.integration.job import KEY, finished_job, rows, scalar
from tests.integration.meddling import change_one, rewrite_version
from tests.integration.stewards import work_on
from tests.integration.story import VERIFIED, tell_story

COLUMNS = [(table.name, column.name) for table in metadata.sorted_tables for column in table.columns]
SOME = sorted(random.Random(5).sample(COLUMNS, 12))
STANDING = (
    "SELECT COUNT(*) FROM golden AS g JOIN entity AS e ON e.entity_key = g.entity_key"
    " WHERE g.until_event IS NULL AND e.kind = 'person'"
)


def test_a_store_that_is_well_is_said_to_be(lived_in):
    checks = verify(lived_in)
    assert [(check.name, check.wrong) for check in checks] == [(name, None) for name in CHECKS]
    assert all(check.examined > 0 for check in checks if check.name != "approvals")


def test_a_store_is_sound_after_all_that_can_happen_to_a_person(story):
    assert len(story.steps) > 10
    assert [story.steps[name].wrong for name in VERIFIED] == [[]] * len(VERIFIED)


@pytest.mark.nightly
def test_a_store_is_sound_after_each_step(engine, country, tmp_path):
    told = tell_story(finished_job(engine, tmp_path, country, key=KEY), country, tmp_path, verified=None)
    assert len(told.steps) > 10
    assert {name: step.wrong for name, step in told.steps.items()} == {name: [] for name in told.steps}


def golden_values(settings):
    (check,) = (check for check in verify(settings) if check.name == "golden values")
    return check


def test_every_golden_record_that_stands_is_computed_anew(lived_in, finished):
    for settings in (lived_in, finished):
        check = golden_values(settings)
        assert check.examined >= scalar(settings, STANDING)
        assert (check.wrong, check.notes) == (None, ())


def test_a_past_that_was_rewritten_with_all_its_digests_is_found(engine, lived_in, tmp_path):
    """By someone who has the keys: what a record says, every digest over it, the event, and the log signed anew."""
    settings = engine.copy(lived_in, tmp_path)
    told = rows(
        settings,
        "SELECT r.record_id, e.entity_id FROM record AS r"
        " JOIN membership AS m ON m.record_id = r.record_id AND m.until_event IS NULL"
        " JOIN entity AS e ON e.entity_key = m.entity_key"
        " WHERE r.status = 'active' AND r.registry = 'population' AND r.kind = 'person' ORDER BY r.record_id LIMIT 1",
        pa.schema([("record", pa.int64()), ("entity", pa.string())]),
    )[0]
    rewrite_version(settings, told["record"], full_name="Trần Thị Không Ai")
    (name, wrong) = next((check.name, check.wrong) for check in verify(settings) if check.wrong)
    assert (name, wrong) == (
        "golden values",
        f"entity {told['entity']}: its golden record is not what its records say",
    )


def test_golden_records_of_other_rules_are_told_and_not_computed_anew(engine, finished, tmp_path):
    settings = engine.copy(finished, tmp_path)
    configs = tmp_path / "configs"
    shutil.copytree(settings.configs, configs)
    policy = configs / settings.person_policy_file.relative_to(settings.configs)
    policy.write_text(policy.read_text() + "\n# another one\n")
    registry = configs / "registries" / "tax.yaml"
    trusted = registry.read_text()
    registry.write_text(re.sub(r"default: [0-9.]+", "default: 0.123", trusted, count=1))
    assert registry.read_text() != trusted
    other = settings.model_copy(update={"configs": configs})
    standing = scalar(settings, STANDING)
    check = golden_values(other)
    assert (check.examined, check.wrong) == (0, None)
    (note,) = check.notes
    assert note.startswith(f"{standing:,} golden records were made under other rules")
    work_on(other)
    check = golden_values(other)
    assert check.wrong is None
    assert 0 < check.examined < standing
    assert len(check.notes) == 1
    assert golden_values(settings).examined >= standing  # and the other way round
    run(other, force=True)
    check = golden_values(other)
    assert (check.wrong, check.notes) == (None, ())
    assert check.examined > standing - 10


def check_change_is_found(engine, lived_in, tmp_path, table, column):
    settings = engine.copy(lived_in, tmp_path)
    if change_one(settings, table, column):
        assert [check.wrong for check in verify(settings) if check.wrong], f"{table}.{column}"


@pytest.mark.parametrize(("table", "column"), SOME)
def test_a_changed_value_is_found(engine, lived_in, tmp_path, table, column):
    check_change_is_found(engine, lived_in, tmp_path, table, column)


@pytest.mark.nightly
@pytest.mark.parametrize(("table", "column"), COLUMNS)
def test_any_changed_value_is_found(engine, lived_in, tmp_path, table, column):
    check_change_is_found(engine, lived_in, tmp_path, table, column)


@pytest.mark.parametrize(
    "table", ["event", "record_version", "membership", "golden", "ssn", "edge", "review"]
)
def test_a_missing_row_is_found(engine, lived_in, tmp_path, table):
    settings = engine.copy(lived_in, tmp_path)
    key = next(iter(metadata.tables[table].primary_key)).name
    middle = f"SELECT {key} FROM {table} ORDER BY {key} LIMIT 1 OFFSET (SELECT COUNT(*) / 2 FROM {table})"
    assert change(settings, f"DELETE FROM {table} WHERE {key} = ({middle})") > 0
    assert [check.wrong for check in verify(settings) if check.wrong]


@pytest.mark.parametrize("instead", [None, "another"])
def test_a_record_on_another_list_than_its_version_says_is_found(engine, lived_in, tmp_path, instead):
    settings = engine.copy(lived_in, tmp_path)
    record = scalar(settings, "SELECT MIN(record_id) FROM record WHERE household_ref IS NOT NULL")
    change(settings, "UPDATE record SET household_ref = ? WHERE record_id = ?", instead, record)
    assert f"record {record}: it is not at its last version" in [check.wrong for check in verify(settings)]


def test_a_row_too_many_is_found(engine, lived_in, tmp_path):
    settings = engine.copy(lived_in, tmp_path)
    added = change(
        settings,
        "INSERT INTO alias (alias_id, scheme, value, entity_key, from_event)"
        " SELECT MAX(alias_id) + 1, 'cmnd', '000000000', MAX(entity_key), MAX(from_event) FROM alias",
    )
    assert added == 1
    assert [check.wrong for check in verify(settings) if check.wrong]


def test_a_wrong_number_is_not_told(engine, lived_in, tmp_path):
    settings = engine.copy(lived_in, tmp_path)
    change_one(settings, "ssn", "number")
    (wrong,) = [check.wrong for check in verify(settings) if check.wrong]
    numbers = rows(settings, "SELECT number FROM ssn", pa.schema([("number", pa.string())]))
    assert not any(row["number"] in wrong for row in numbers)
