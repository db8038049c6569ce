"""Households: linked after the people, golden records with members, on both engines."""

import csv
import dataclasses
import json

import orjson
import pyarrow as pa
import pytest

from golden_record.provenance import golden_hash
from mdm.identity.commands import Merge, Split, Unmerge
from mdm.pipeline.evaluation.households import evaluate_households
from mdm.pipeline.export import export
from mdm.pipeline.run import run
from mdm.pipeline.verify import verify
from mdm.pipeline.workspace import workspace
from mdm.registries.attributes import load_attributes
from mdm.registries.declaration import load_registries
from mdm.stewardship.service import Identity
from mdm.store.engine import bulk, make_engine
from mdm.store.golden import contributions_of, goldens_of, last_as_of, load_rules
from mdm.store.unit_of_work import unit_of_work
from tests.engines import environment
from tests.integration.job import rows, scalar
from tests.integration.test_commands import mdm
from tests.village import Village, village_settings

TEXT = pa.string()
MEMBERS = (
    "SELECT m.entity_key AS entity, r.record_id AS record, r.registry AS registry, r.local_id AS local_id, v.attributes AS attributes"
    " FROM membership AS m JOIN record AS r ON r.record_id = m.record_id"
    " JOIN record_version AS v ON v.record_id = r.record_id AND v.version = r.version"
    " WHERE m.until_event IS NULL AND r.status = 'active' AND r.kind = '{kind}' ORDER BY r.record_id"
)
GOLDEN = (
    'SELECT e.entity_id AS entity, e.entity_key AS "key", g."values" AS said, g.provenance AS provenance, g.hash AS hash'
    " FROM golden AS g JOIN entity AS e ON e.entity_key = g.entity_key WHERE g.until_event IS NULL AND e.kind = '{kind}' ORDER BY 1"
)


def members(settings, kind="household"):
    schema = pa.schema(
        [
            ("entity", pa.int64()),
            ("record", pa.int64()),
            *((n, TEXT) for n in ("registry", "local_id", "attributes")),
        ]
    )
    return [
        {**row, "attributes": orjson.loads(row["attributes"])}
        for row in rows(settings, MEMBERS.format(kind=kind), schema)
    ]


def goldens(settings, kind="household"):
    schema = pa.schema(
        [("entity", TEXT), ("key", pa.int64()), *((n, TEXT) for n in ("said", "provenance", "hash"))]
    )
    return {
        row["entity"]: {
            **row,
            "said": orjson.loads(row["said"]),
            "provenance": orjson.loads(row["provenance"]),
        }
        for row in rows(settings, GOLDEN.format(kind=kind), schema)
    }


def wrong(settings):
    return [check for check in verify(settings) if check.wrong]


def households(settings):
    found = {}
    for row in members(settings):
        found.setdefault(row["entity"], []).append(row)
    return found


def entity_id(settings, key):
    return next(entity for entity, row in goldens(settings).items() if row["key"] == key)


def test_every_record_of_a_household_belongs_to_one(finished):
    found = members(finished)
    assert len(found) == scalar(
        finished, "SELECT COUNT(*) FROM record WHERE kind = 'household' AND status = 'active'"
    )
    assert {row["attributes"]["household_kind"] for row in found} == {
        "residence",
        "insurance_list",
        "poverty_list",
    }
    several = [h for h in households(finished).values() if len({r["registry"] for r in h}) > 1]
    assert len(several) > 50
    kinds = "SELECT COUNT(*) FROM membership AS m JOIN entity AS e ON e.entity_key = m.entity_key JOIN record AS r ON r.record_id = m.record_id WHERE e.kind <> r.kind"
    assert scalar(finished, kinds) == 0
    assert (
        scalar(
            finished,
            "SELECT COUNT(*) FROM ssn AS s JOIN entity AS e ON e.entity_key = s.entity_key WHERE e.kind = 'household'",
        )
        == 0
    )
    assert wrong(finished) == []


def test_two_records_of_one_list_and_year_are_two_households(finished):
    for records in households(finished).values():
        lists = [(r["registry"], r["attributes"].get("reference_year")) for r in records]
        assert len(lists) == len(set(lists))


def test_a_golden_household_says_who_is_in_it_and_where_that_stands(finished):
    of = {row["local_id"]: row for row in members(finished)}
    by_record = {row["record"]: row for row in of.values()}
    people = goldens(finished, "person")
    dead = {entity for entity, person in people.items() if "death_date" in person["said"]}
    keys = {person["key"]: entity for entity, person in people.items()}
    told = {}
    for row in members(finished, "person"):
        ref = row["attributes"].get("household_ref")
        if (home := of.get(ref)) is not None and home["registry"] == row["registry"]:
            told.setdefault(home["record"], set()).add(keys[row["entity"]])
    found = goldens(finished)
    assert len(found) == len(households(finished))
    for entity in found.values():
        records = {record for record, row in by_record.items() if row["entity"] == entity["key"]}
        expected = set().union(*(told.get(record, set()) for record in records)) - dead
        assert set(entity["said"].get("members", [])) == expected
        assert entity["said"].get("head_person", "nobody") in expected | {"nobody"}
        why = entity["provenance"].get("members", {})
        chosen = why.get("chosen", [why] if why else [])
        assert {source["record"] for source in chosen} <= records
    assert sum("head_person" in entity["said"] for entity in found.values()) > 0.7 * len(found)


def test_class_and_year_come_from_one_list_and_every_year_is_kept(story):
    both = 0
    for entity in goldens(story.settings).values():
        said = entity["said"]
        assert ("poverty_class" in said) == ("reference_year" in said) == ("poverty_years" in said)
        if "poverty_years" in said:
            latest = max(said["poverty_years"])
            assert f"{said['reference_year']} {said['poverty_class']}" == latest
            both += len(said["poverty_years"]) > 1
    assert both > 0
    assert wrong(story.settings) == []


def test_households_by_themselves_get_the_bytes_of_the_run(finished, engine, tmp_path):
    settings = engine.copy(finished, tmp_path)
    attributes = load_attributes(settings.attributes_file)
    rules = load_rules(
        settings, load_registries(settings.registries_folder, attributes=attributes), attributes
    )
    kept = list(goldens(settings).items())[:40]
    database = make_engine(settings)
    try:
        with unit_of_work(database) as work:
            work.load(name for name, _ in kept)
            contributions = contributions_of(work, [name for name, _ in kept], rules)
            again = goldens_of(work, contributions, rules, as_of=last_as_of(work))
            assert {name: golden_hash(found) for name, found in again.items()} == {
                name: row["hash"] for name, row in kept
            }
            work.forget()
    finally:
        database.dispose()


def test_what_a_steward_says_of_households_holds(finished, engine, tmp_path):
    settings = engine.copy(finished, tmp_path)
    joined = next(h for h in households(settings).values() if len(h) == 2)
    one, two = [name for name, row in goldens(settings).items() if row["key"] != joined[0]["entity"]][:2]
    said = {"actor": "an", "reason": "seen"}
    identity = Identity(settings)
    try:
        parted = sorted(row["record"] for row in joined)
        identity.carry_out(
            Split(entity=entity_id(settings, joined[0]["entity"]), records=(parted[1],)), **said
        )
        merged = identity.carry_out(Merge(left=one, right=two, survivor=one), **said)
        assert set(goldens(settings)) & {one, two} == {one}
        run(settings)
        assert set(goldens(settings)) & {one, two} == {one}
        apart = {row["record"]: row["entity"] for row in members(settings)}
        assert apart[parted[0]] != apart[parted[1]]
        identity.carry_out(Unmerge(event=merged.events[0]), **said)
        assert {one, two} <= set(goldens(settings))
        run(settings)
        assert {one, two} <= set(goldens(settings))
        assert run(settings).nothing_to_do
    finally:
        identity.close()
    assert wrong(settings) == []


def test_a_later_delivery_keeps_households_and_a_second_look_changes_nothing(story, engine, tmp_path):
    before, after = (
        {
            member["record"]: name
            for name, told in story.steps[step].people.items()
            for member in told["members"]
            if told["kind"] == "household"
        }
        for step in ("run", "second run")
    )
    assert len(after) > len(before)
    kept = [after[record] == entity for record, entity in before.items() if record in after]
    assert sum(kept) > 0.95 * len(kept)
    again = run(engine.copy(story.settings, tmp_path), force=True)
    assert again.detail("household")["trained"] is False
    assert again.detail("household")["added"] == again.detail("household")["removed"] == 0
    assert all(
        again.detail("household_reconcile")[name] == 0 for name in ("formed", "linked", "merged", "moved")
    )
    assert again.detail("household_golden")["changed"] == 0


def test_households_against_the_truth(story, country):
    found = evaluate_households(story.settings, country.truth)
    assert found.records > 200
    assert found.pairs.f1 > 0.93
    assert found.pairs.precision > 0.97
    parts = [dataclasses.astuple(pairs) for pairs in found.lists.values()]
    assert tuple(map(sum, zip(*parts, strict=True))) == dataclasses.astuple(found.pairs)
    assert found.as_dict()["clusters"]["households"] == found.clusters.people


@pytest.mark.parametrize("moment", [None, "now"])
def test_the_export_has_a_row_for_each_household(finished, tmp_path, moment):
    attributes = load_attributes(finished.attributes_file)
    registries = load_registries(finished.registries_folder, attributes=attributes)
    path = tmp_path / "households.csv"
    as_of = None if moment is None else str(scalar(finished, "SELECT MAX(seq) FROM event"))
    export(finished, "households", path, attributes=attributes, registries=registries, as_of=as_of)
    with path.open(encoding="utf-8", newline="") as file:
        written = {row["entity_id"]: row for row in csv.DictReader(file)}
    found = goldens(finished)
    assert written.keys() == found.keys()
    listed = {f"{row['registry']}/{row['local_id']}" for row in members(finished)}
    assert {record for row in written.values() for record in row["records"].split(";")} == listed
    for entity, row in written.items():
        assert row["member_entities"] == ";".join(found[entity]["said"].get("members", []))
        assert int(row["member_records"]) >= len(found[entity]["said"].get("members", []))


def test_a_household_is_shown_and_its_history_and_lineage_told(lived_in):
    at = environment(lived_in)
    entity = max(households(lived_in).values(), key=len)
    golden = next(row for row in goldens(lived_in).values() if row["key"] == entity[0]["entity"])
    shown, history, lineage = (
        json.loads(mdm("entity", command, golden["entity"], "--json", **at).stdout)
        for command in ("show", "history", "lineage")
    )
    assert (shown["kind"], shown["golden"]["values"]) == ("household", golden["said"])
    assert {(m["registry"], m["local_id"]) for m in shown["members"]} == {
        (row["registry"], row["local_id"]) for row in entity
    }
    assert {"entity.formed", "golden.computed"} <= {e["event"]["kind"] for e in history["events"]}
    assert [value["attribute"] for value in lineage["values"]] == sorted(golden["provenance"])
    assert all(member["stays"] for member in lineage["members"])
    assert any(stay["edges"] for member in lineage["members"] for stay in member["stays"])
    (members,) = (value for value in lineage["values"] if value["attribute"] == "members")
    assert [one["value"] for one in members["chosen"]] == golden["said"]["members"]
    assert {one["source"]["record"]["record"] for one in members["chosen"]} <= {r["record"] for r in entity}
    for row in entity:
        told = json.loads(
            mdm("entity", "lineage", f"{row['registry']}/{row['local_id']}", "--json", **at).stdout
        )
        assert [m["record"]["record"] for m in told["members"]] == [row["record"]]


def test_a_household_is_parted_by_the_names_of_its_records(finished, engine, tmp_path):
    settings = engine.copy(finished, tmp_path)
    at = environment(settings)
    entity = next(h for h in households(settings).values() if len(h) == 2)
    one, other = (f"{row['registry']}/{row['local_id']}" for row in entity)
    said = ("--reason", "asked at the door", "--actor", "an")
    mdm("split", one, other, *said, **at)
    parted = {row["record"]: row["entity"] for row in members(settings)}
    assert len({parted[row["record"]] for row in entity}) == 2
    assert wrong(settings) == []
    assert "mdm entity lineage" in " ".join(mdm("explain", one, other, status=6, **at).output.split())


def test_a_later_landed_delivery_is_not_read_in_the_midst_of_a_run(engine, tmp_path):
    """All kinds of records are read as of the delivery that was the last when the first kind was."""
    village = Village(village_settings(engine, tmp_path))
    try:
        village.deliver("tax", a={"full_name": "An"}, b={"full_name": "Bình"}, c={"full_name": "Chi"})
        attributes = load_attributes(village.settings.attributes_file)
        with workspace(village.settings, "one") as work:
            read = "SELECT * FROM person_record ORDER BY record"
            work.load_records("person", attributes)
            before, landed = work.connection.execute(read).fetchall(), work.landed
            village.deliver("tax", a={"full_name": "Anh"}, b=None, d={"full_name": "Dung"})
            assert work.load_records("person", attributes) == 3
            assert (work.connection.execute(read).fetchall(), work.landed) == (before, landed)
        with workspace(village.settings, "two") as work:
            assert work.load_records("person", attributes) == 3
            assert work.connection.execute(read).fetchall() != before
            assert work.landed == landed + 1
    finally:
        village.close()


def test_a_household_without_a_record_has_no_golden_record(finished, engine, tmp_path):
    settings = engine.copy(finished, tmp_path)
    standing = len(goldens(settings))
    with bulk(settings) as store:
        store.execute("UPDATE record SET status = 'withdrawn' WHERE kind = 'household'")
        store.execute(
            "UPDATE record_version SET status = 'withdrawn' WHERE record_id IN (SELECT record_id FROM record WHERE kind = 'household')"
        )
    done = run(settings, force=True)
    assert standing > 100
    assert goldens(settings) == {}
    assert done.detail("household_golden")["moment"]["event"] > 0
