"""A golden value is traced to the row of the file it came from; a membership to what led to it."""

import csv
import hashlib
from functools import cache

import orjson
import pytest
from sqlalchemy import func, select, update

from mdm.errors import IdentityError
from mdm.identity.events import EventKind
from mdm.registries.declaration import load_registries
from mdm.registries.delivery import delivery_file, file_rows
from mdm.registries.reading import ROW
from mdm.store.engine import make_engine, reading
from mdm.store.history import entity_at
from mdm.store.lineage import value_lineage, value_lineages
from mdm.store.membership_lineage import membership_lineage
from mdm.store.references import find_record
from mdm.store.tables import edge, entity, golden, membership, model
from tests.integration.story import CHIEF, STEWARD


@pytest.fixture(scope="module")
def registries(finished):
    return load_registries(finished.registries_folder)


MADE = {"members", "head_person", "poverty_years"}
"""Of a household: told by who stands on its list, so in no cell of its own row."""
DECLARED = {"household_kind"}
"""The registry's declaration tells it, the same of every row."""


@pytest.fixture(scope="module")
def lineages(finished, registries):
    """Of all golden values of every fifth person after the first run."""
    with reading(finished) as connection:
        names = connection.scalars(select(entity.c.entity_id).order_by(entity.c.entity_key)).all()[::5]
        return [
            lineage for name in names for lineage in value_lineages(connection, name, registries=registries)
        ]


@pytest.fixture
def connection(story):
    with reading(story.settings) as connection:
        yield connection


def sources_of(lineages):
    return [chosen.source for lineage in lineages for chosen in lineage.chosen]


@pytest.fixture(scope="module")
def read_again(country, registries):
    """Rows of a delivered file by number, as its reader gives them now."""

    @cache
    def rows(registry, file):
        path = country.files / "delivery-1" / registry / file
        found = {}
        for source in registries[registry].sources:
            if any(path.match(glob) for glob in source.files):
                for chunk in file_rows(delivery_file(source, path), source):
                    for row in chunk.columns.to_pylist():
                        found.setdefault(row.pop(ROW), []).append(row)
        return found

    return rows


def test_the_raw_row_is_the_row_of_that_number_in_the_file(lineages, read_again):
    seen = set()
    for source in sources_of(lineages):
        record = source.record
        seen.add(record.registry)
        candidates = read_again(record.registry, record.delivery.file)[record.row_number]
        # columns of a look-up stand in the row beside its own
        assert any(
            {name: record.raw.get(name) for name in row} == row
            or {name: text for name, text in row.items() if text is not None}.items() <= record.raw.items()
            for row in candidates
        ), (record.registry, record.row_number)
    assert len(seen) > 10


def test_the_delivery_is_the_file_of_that_hash(lineages, country):
    deliveries = {source.record.delivery for source in sources_of(lineages)}
    for delivery in deliveries:
        path = country.files / "delivery-1" / delivery.registry / delivery.file
        assert hashlib.sha256(path.read_bytes()).hexdigest() == delivery.sha256
        assert delivery.landed_at.endswith("+00:00")


def test_a_number_in_the_population_file_is_the_golden_one(lineages, country):
    """Read without the engine's own reader: line n of the file is row n."""
    checked = 0
    for lineage in lineages:
        source = lineage.chosen[0].source
        if lineage.attribute != "personal_id" or source.record.registry != "population":
            continue
        path = country.files / "delivery-1" / "population" / source.record.delivery.file
        with path.open(encoding="utf-8-sig", newline="") as file:
            dialect = csv.Sniffer().sniff(file.readline())
            file.seek(0)
            lines = list(csv.reader(file, dialect))
        told = dict(zip(lines[0], lines[source.record.row_number - 1], strict=True))
        assert source.cells == {"SoDinhDanh": told["SoDinhDanh"]}
        assert lineage.value == told["SoDinhDanh"]
        checked += 1
    assert checked > 20


def test_the_cells_are_told_of_every_value_and_are_the_raw_ones(lineages):
    for lineage in lineages:
        for chosen in lineage.chosen:
            cells = chosen.source.cells
            if lineage.attribute in {*MADE, *DECLARED}:
                assert cells is None
                continue
            assert cells, (lineage.attribute, chosen.source.record.registry)
            assert cells == {column: chosen.source.record.raw.get(column) for column in cells}
            assert any(cells.values())
            assert not chosen.source.declaration_changed


def test_the_golden_value_is_the_canonical_value_of_its_source(lineages):
    for lineage in lineages:
        for chosen in lineage.chosen:
            said = chosen.source.value
            if isinstance(lineage.value, list):
                assert chosen.value in lineage.value
            if lineage.attribute in MADE:
                assert said is None
                continue
            assert chosen.value == said or chosen.value in said
            assert chosen.agree >= 1
            assert chosen.source.record.standardiser


def test_a_runner_up_has_its_own_source_and_the_reason_it_lost(lineages):
    lost = [(lineage, rival) for lineage in lineages for rival in lineage.runners_up]
    assert len(lost) > 50
    for lineage, rival in lost:
        assert rival.source.value == rival.value or rival.value in rival.source.value
        assert rival.value != lineage.value
        assert rival.criterion
        assert rival.why.vi != rival.why.en
        assert lineage.rule


def test_a_lineage_names_policy_and_the_event_and_run_that_made_it(lineages, finished):
    lineage = lineages[0]
    assert lineage.event.kind == "golden.computed"
    assert lineage.event.run
    with reading(finished) as connection:
        kept = entity_at(connection, lineage.entity_id).golden
    assert (lineage.policy, lineage.hash, lineage.event.seq) == (kept.policy, kept.hash, kept.since)
    assert "record" in lineage.why.en


def test_a_member_of_a_group_comes_with_its_group(lineages, finished, registries):
    whole = next(lineage for lineage in lineages if lineage.attribute == "address")
    with reading(finished) as connection:
        one = value_lineage(connection, whole.entity_id, "address_unit", registries=registries)
    assert (one.subject, one.attribute) == ("address", "address_unit")
    assert one.value == whole.value["address_unit"]
    assert one.chosen[0].source.cells == whole.chosen[0].source.cells
    assert one.chosen[0].value == one.chosen[0].source.value


def test_a_value_that_is_not_there_is_refused(lineages, finished, registries):
    with reading(finished) as connection, pytest.raises(IdentityError, match="has no `nothing`"):
        value_lineage(connection, lineages[0].entity_id, "nothing", registries=registries)


def test_a_stewards_word_is_told_as_such(engine, finished, registries, tmp_path):
    settings = engine.copy(finished, tmp_path)
    opened = make_engine(settings)
    with opened.begin() as connection:
        name, key = connection.execute(select(entity.c.entity_id, entity.c.entity_key).limit(1)).one()
        kept = connection.execute(
            select(golden.c["values"], golden.c.provenance).where(golden.c.entity_key == key)
        ).one()
        values, provenance = orjson.loads(kept[0]), orjson.loads(kept[1])
        source = provenance["sex"].get("chosen", [provenance["sex"]])[0]
        rival = {"value": values["sex"], "agree": 1, "criterion": "override", **source}
        provenance["sex"] = {
            "at": "2026-01-01T00:00:00.000000Z",
            "by": STEWARD,
            "chosen": [{"agree": 0}],
            "criterion": "override",
            "rule": "lasting",
            "runners_up": [rival],
        }
        connection.execute(
            update(golden)
            .where(golden.c.entity_key == key)
            .values(provenance=orjson.dumps(provenance).decode())
        )
    opened.dispose()
    with reading(settings) as connection:
        told = value_lineage(connection, name, "sex", registries=registries)
    assert (told.override.by, told.override.at) == (STEWARD, "2026-01-01T00:00:00.000000Z")
    assert told.chosen[0].source is None
    assert told.runners_up[0].source.value == values["sex"]
    assert STEWARD in told.why.en


def test_another_declaration_than_that_of_the_day_is_told(lineages, finished, registries):
    lineage = next(found for found in lineages if found.chosen[0].source.record.registry == "population")
    changed = registries["population"].model_copy(update={"legal_basis": "another law"})
    with reading(finished) as connection:
        told = value_lineage(
            connection, lineage.entity_id, lineage.attribute, registries={"population": changed}
        )
        without = value_lineage(connection, lineage.entity_id, lineage.attribute, registries={})
    assert told.chosen[0].source.declaration_changed
    assert told.chosen[0].source.cells == lineage.chosen[0].source.cells
    assert without.chosen[0].source.cells is None


def test_hidden_registries_are_no_sources(lineages, finished, registries):
    lineage = next(found for found in lineages if found.runners_up)
    hidden = {lineage.runners_up[0].source.record.registry}
    with reading(finished) as connection:
        told = value_lineage(
            connection, lineage.entity_id, lineage.attribute, registries=registries, hidden=hidden
        )
    shown = [c.source for c in told.chosen if c.source] + [r.source for r in told.runners_up]
    assert hidden.isdisjoint(source.record.registry for source in shown)
    assert len(told.runners_up) < len(lineage.runners_up)


def test_a_correction_is_traced_to_the_delivery_that_brought_it(story, connection, registries):
    before, after = (story.steps[step] for step in ("death", "second run"))
    traced = 0
    for name, person in before.people.items():
        then, now = person["golden"], after.people[name]["golden"]
        if then is None or now is None or then["values"].get("phone") == now["values"].get("phone"):
            continue
        for step, values in ((before, then["values"]), (after, now["values"])):
            if "phone" in values:
                told = value_lineage(connection, name, "phone", step.moment, registries=registries)
                assert told.value == values["phone"]
                assert all(c.source.record.delivery.batch <= step.moment.batch for c in told.chosen)
        traced += 1
    assert traced > 0


# --- memberships -----------------------------------------------------------------------------------------------------


def test_a_record_of_the_batch_has_the_edges_that_led_to_it(story, connection):
    record = story.records["split"]
    told = membership_lineage(connection, record, story.steps["run"].moment)
    (stay,) = told.stays
    assert told.entity_id == stay.entity_id == story.cast["anchored"]
    assert (stay.since.kind, stay.act, stay.until) == ("entity.formed", None, None)
    members = {m["record"] for m in story.steps["run"].people[told.entity_id]["members"]}
    assert stay.edges
    assert {found.other.record for found in stay.edges} <= members - {record}
    assert [found.weight for found in stay.edges] == sorted((e.weight for e in stay.edges), reverse=True)
    trained = connection.scalar(select(model.c.hash).where(model.c.name == "person"))
    for found in stay.edges:
        assert found.model == trained
        assert found.since < stay.since.seq


def test_edges_are_those_of_the_time_of_joining(finished):
    """All members of an entity that was just formed: what is told of each is the whole of the edge table among them."""
    with reading(finished) as connection:
        name = connection.scalar(
            select(entity.c.entity_id)
            .join(membership, membership.c.entity_key == entity.c.entity_key)
            .group_by(entity.c.entity_id)
            .having(func.count() >= 5)
            .limit(1)
        )
        members = {member.record for member in entity_at(connection, name).members}
        told = {
            (min(record, found.other.record), max(record, found.other.record), found.weight)
            for record in members
            for found in membership_lineage(connection, record).stays[-1].edges
        }
        rows = connection.execute(
            select(edge.c.record_l, edge.c.record_r, edge.c.weight).where(
                edge.c.record_l.in_(members), edge.c.record_r.in_(members)
            )
        )
        assert told == {tuple(row) for row in rows}
        assert told


def test_a_merge_its_undoing_and_who_did_them_are_told_in_order(story, connection):
    told = membership_lineage(connection, story.records["stray"])
    assert [(stay.since.kind, stay.entity_id) for stay in told.stays][:3] == [
        ("entity.formed", story.cast["stray"]),
        ("entity.merged", story.cast["anchored"]),
        ("entity.unmerged", story.cast["stray"]),
    ]
    _, merged, unmerged = told.stays[:3]
    assert merged.act.other == story.cast["stray"]
    assert (merged.since.actor, merged.since.reason) == (STEWARD, "same person")
    assert merged.until == unmerged.since
    assert unmerged.act.other == story.cast["anchored"]
    assert unmerged.act.undone == merged.since.seq
    # the undoing forbids what it takes apart, from itself on
    assert [(word.kind, word.since.seq) for word in merged.decisions] == [("must_link", merged.since.seq)]
    assert {word.kind for word in unmerged.decisions} == {"cannot_link"}
    assert {word.since.seq for word in unmerged.decisions} == {unmerged.since.seq}


def test_a_split_and_a_decision_are_told(story, connection):
    told = membership_lineage(connection, story.records["split"])
    split = next(stay for stay in told.stays if stay.since.kind == EventKind.ENTITY_SPLIT)
    assert split.act.other == story.cast["anchored"]
    seen = next(word for word in split.decisions if word.reason == "seen both")
    assert (seen.author, seen.other.record, seen.until) == (STEWARD, story.records["dying"], None)
    before = membership_lineage(connection, story.records["split"], story.steps["split"].moment)
    assert "seen both" not in {word.reason for stay in before.stays for word in stay.decisions}


def test_an_approved_merge_names_both_people(story, connection):
    moved = membership_lineage(connection, story.records["old"]).stays[-1]
    other = membership_lineage(connection, story.records["older"]).stays[-1]
    (merged,) = (stay for stay in (moved, other) if stay.act is not None)
    assert (merged.since.actor, merged.act.approved_by) == (STEWARD, CHIEF)


def test_evidence_is_asked_for_each_edge(story, connection):
    asked = []

    def evidence(record_l, record_r, *, model):
        asked.append((record_l, record_r, model))
        return {"full_name": "exact"}

    told = membership_lineage(
        connection, story.records["split"], story.steps["run"].moment, evidence=evidence
    )
    edges = told.stays[0].edges
    assert len(asked) == len(edges)
    assert all(left < right for left, right, _ in asked)
    assert {tuple(found.evidence) for found in edges} == {("full_name",)}


def test_hidden_records_are_on_no_other_side(story, connection):
    record, moment = story.records["split"], story.steps["run"].moment
    whole = membership_lineage(connection, record, moment).stays[0].edges
    hidden = {whole[0].other.registry}
    left = membership_lineage(connection, record, moment, hidden=hidden).stays[0].edges
    assert left == [found for found in whole if found.other.registry not in hidden]


def test_a_record_is_found_by_its_registry_and_key(story, connection):
    member = story.steps["run"].people[story.cast["anchored"]]["members"][0]
    assert find_record(connection, member["registry"], member["local_id"]) == member["record"]
    with pytest.raises(IdentityError, match="no such record"):
        find_record(connection, member["registry"], "nobody")
    with pytest.raises(IdentityError, match="no record 0"):
        membership_lineage(connection, 0)
