"""One value changed anywhere in the store, and `verify` finds it."""

import hashlib
import random
import re
import shutil

import orjson
import pyarrow as pa
import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from mdm.duck import open_duckdb
from mdm.identity.commands import Decide, Merge, Split, Unmerge
from mdm.identity.events import canonical_json, leaf_hash
from mdm.pipeline.checks.deliveries import rebuilt_digests
from mdm.pipeline.checks.opened import Opened
from mdm.pipeline.ingest import Ingest
from mdm.pipeline.run import run
from mdm.pipeline.verify import CHECKS, verify
from mdm.settings import Settings
from mdm.stewardship.service import Identity
from mdm.store.engine import bulk, make_engine
from mdm.store.proofs import checkpoint
from mdm.store.tables import metadata
from tests.engines import change
from tests.integration.job import rows, scalar
from tests.sharing import once

COLUMNS = [(table.name, column.name) for table in metadata.sorted_tables for column in table.columns]
SOME = sorted(random.Random(5).sample(COLUMNS, 12))
PEOPLE = pa.schema([("entity", pa.string()), ("kind", pa.string()), ("records", pa.int64())])


@pytest.fixture(scope="session")
def lived_in(tmp_path_factory, shared_folder, country, engine, finished):
    """A store in which every table but a few has rows: two deliveries, and stewards at work."""

    def make(folder):
        made = engine.copy(finished, folder)
        Ingest(made).folder(country.files / "delivery-2")
        run(made)
        work_on(made)
        (folder / "store").write_text(made.model_dump_json())

    folder = once(shared_folder / f"lived-in-{engine.name}", make)
    made = Settings.model_validate_json((folder / "store").read_text())
    return engine.copy(made, tmp_path_factory.mktemp("lived-in"))


def work_on(settings):
    """What stewards do."""
    people = rows(
        settings,
        "SELECT e.entity_id AS entity, MIN(s.kind) AS kind, COUNT(DISTINCT m.record_id) AS records FROM entity AS e"
        " JOIN ssn AS s ON s.entity_key = e.entity_key AND s.state = 'active'"
        " JOIN membership AS m ON m.entity_key = e.entity_key AND m.until_event IS NULL"
        " WHERE e.status = 'active' GROUP BY e.entity_id ORDER BY MIN(e.entity_key)",
        PEOPLE,
    )
    temporary = [p["entity"] for p in people if p["kind"] == "temporary"]
    anchored = [p["entity"] for p in people if p["kind"] == "ssn" and p["records"] > 2]
    identity = Identity(settings)
    steward = {"actor": "an", "reason": "seen the papers"}
    identity.carry_out(Merge(left=anchored[0], right=temporary[0]), **steward)
    merged = identity.carry_out(Merge(left=temporary[1], right=temporary[2]), **steward, key="k1")
    identity.carry_out(Unmerge(event=merged.events[0]), **steward)
    with_records = identity.preview(Merge(left=anchored[1], right=temporary[3])).records
    identity.carry_out(Split(entity=anchored[1], records=(max(with_records[anchored[1]][:-1]),)), **steward)
    left, right = (
        identity.preview(Merge(left=anchored[n], right=temporary[4])).records[anchored[n]][0] for n in (2, 3)
    )
    identity.carry_out(Decide(decision="cannot_link", left=left, right=right), **steward)
    identity.close()


def test_a_store_that_is_well_is_said_to_be(lived_in):
    checks = verify(lived_in)
    assert [(check.name, check.wrong) for check in checks] == [(name, None) for name in CHECKS]
    assert all(check.examined > 0 for check in checks if check.name != "approvals")


def test_a_store_is_sound_after_each_thing_that_can_happen_to_a_person(story):
    assert len(story.steps) > 10
    assert {name: step.wrong for name, step in story.steps.items() if step.wrong} == {}


def golden_values(settings):
    (check,) = (check for check in verify(settings) if check.name == "golden values")
    return check


def test_every_golden_record_that_stands_is_computed_anew(lived_in, finished):
    for settings in (lived_in, finished):
        check = golden_values(settings)
        assert check.examined >= scalar(settings, "SELECT COUNT(*) FROM golden WHERE until_event IS NULL")
        assert (check.wrong, check.notes) == (None, ())


def test_a_past_that_was_rewritten_with_all_its_digests_is_found(engine, lived_in, tmp_path):
    """By someone who has the keys: what a record says, every digest over it, the event, and the log signed anew."""
    settings = engine.copy(lived_in, tmp_path)
    schema = pa.schema([(name, pa.int64()) for name in ("version_id", "record_id", "batch_id", "entity_key")])
    told = rows(
        settings,
        "SELECT v.version_id, r.record_id, v.batch_id, m.entity_key FROM record AS r"
        " JOIN record_version AS v ON v.record_id = r.record_id AND v.version = r.version"
        " JOIN membership AS m ON m.record_id = r.record_id AND m.until_event IS NULL"
        " WHERE r.status = 'active' AND r.registry = 'population' ORDER BY r.record_id LIMIT 1",
        schema,
    )[0]
    (found,) = rows(
        settings,
        f"SELECT attributes FROM record_version WHERE version_id = {told['version_id']}",
        pa.schema([("attributes", pa.string())]),
    )
    said = canonical_json({**orjson.loads(found["attributes"]), "full_name": "Trần Thị Không Ai"})
    content = hashlib.sha256(f"active\x1f{said}".encode()).hexdigest()
    change(
        settings,
        "UPDATE record_version SET attributes = ?, content_hash = ? WHERE version_id = ?",
        said,
        content,
        told["version_id"],
    )
    change(settings, "UPDATE record SET content_hash = ? WHERE record_id = ?", content, told["record_id"])
    with bulk(settings) as store, open_duckdb() as connection:
        digest = rebuilt_digests(Opened(settings, store, connection))[told["batch_id"]]
    change(settings, "UPDATE batch SET digest = ? WHERE batch_id = ?", digest, told["batch_id"])
    event = pa.schema([("seq", pa.int64()), ("body", pa.string())])
    for row in rows(settings, "SELECT seq, body FROM event WHERE kind = 'batch.landed'", event):
        body = orjson.loads(row["body"])
        if body["data"]["batch_id"] == told["batch_id"]:
            body["data"]["digest"] = digest
            text = canonical_json(body)
            change(
                settings,
                "UPDATE event SET body = ?, leaf = ? WHERE seq = ?",
                text,
                leaf_hash(text),
                row["seq"],
            )
    change(settings, "DELETE FROM checkpoint")
    change(settings, "DELETE FROM log_node")
    checkpoint(settings)
    (name, wrong) = next((check.name, check.wrong) for check in verify(settings) if check.wrong)
    entity = pa.schema([("id", pa.string())])
    (of,) = rows(settings, f"SELECT entity_id FROM entity WHERE entity_key = {told['entity_key']}", entity)
    assert (name, wrong) == (
        "golden values",
        f"entity {of['id']}: its golden record is not what its records say",
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
    standing = scalar(settings, "SELECT COUNT(*) FROM golden WHERE until_event IS NULL")
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


def changed(value):
    if not isinstance(value, str):
        return value + 1
    place = len(value) // 2
    return value[:place] + ("b" if value[place : place + 1] == "a" else "a") + value[place + 1 :]


def change_one(settings, table, column):
    """Changes the value in one row, if any row has one; returns whether."""
    declared = metadata.tables[table]
    key, target = list(declared.primary_key), declared.columns[column]
    engine = make_engine(settings)
    try:
        with engine.connect() as connection:
            last = select(*key, target.label("value")).where(target.is_not(None))
            row = connection.execute(last.order_by(*(part.desc() for part in key)).limit(1)).first()
        if row is None:
            return False
        here = update(declared).where(*(part == row[place] for place, part in enumerate(key)))
        try:
            with engine.begin() as connection:
                connection.execute(here.values({column: changed(row.value)}))
        except IntegrityError:  # the schema itself refuses a value that another row has
            with engine.begin() as connection:
                free = row.value + 10**6 if isinstance(row.value, int) else f"zz{row.value}"
                connection.execute(here.values({column: free}))
        return True
    finally:
        engine.dispose()


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
