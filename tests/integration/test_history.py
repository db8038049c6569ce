"""What the store says of the past is what it said then, and everything that happened is told."""

import csv
import io
from itertools import pairwise

import pytest
from sqlalchemy import select

from mdm.errors import IdentityError, InputError
from mdm.pipeline.export import export
from mdm.registries.attributes import load_attributes
from mdm.registries.declaration import load_registries
from mdm.store.engine import reading
from mdm.store.history import entity_at, history
from mdm.store.moments import read_moment
from mdm.store.resolving import Name, parse_name, resolve, resolve_one
from mdm.store.tables import alias, entity, event, golden, membership, record, ssn
from tests.integration.story import CHIEF, EXPORTS, STEWARD, everyone, exported, plain

STEPS = (
    "run",
    "merged",
    "unmerged",
    "chain begun",
    "chain",
    "split",
    "decided",
    "approved",
    "death",
    "delivered",
    "second run",
)


@pytest.fixture
def connection(story):
    with reading(story.settings) as connection:
        yield connection


def at(story, connection, step, name):
    return plain(entity_at(connection, story.cast[name], story.steps[step].moment))


@pytest.mark.parametrize("step", STEPS)
def test_everyone_is_as_of_a_step_what_they_were_at_it(story, step):
    told = story.steps[step]
    assert everyone(story.settings, told.moment) == told.people


@pytest.mark.parametrize("step", STEPS)
def test_exports_as_of_a_step_are_the_files_of_that_step(story, step, tmp_path):
    told = story.steps[step]
    again = exported(story.settings, tmp_path, as_of=str(told.moment.seq))
    assert {name: again[name] == told.files[name] for name in EXPORTS} == dict.fromkeys(EXPORTS, True)


def test_the_present_is_what_stands_in_the_tables(story):
    """Asked another way: by what has not ended, and by the present version of a record."""
    standing = {
        name: {
            "status": person["status"],
            "version": person["version"],
            "members": {(m["record"], m["version"], m["status"]) for m in person["members"]},
            "golden": person["golden"] and (person["golden"]["hash"], person["golden"]["since"]),
            "numbers": {(n["number"], n["state"], n["superseded_by"]) for n in person["numbers"]},
            "aliases": {(known["scheme"], known["value"]) for known in person["aliases"]},
        }
        for name, person in story.steps["second run"].people.items()
    }
    with reading(story.settings) as connection:
        ids = dict(connection.execute(select(entity.c.entity_key, entity.c.entity_id)).all())
        plainly = {
            row.entity_id: {
                "status": row.status,
                "version": row.version,
                "members": set(),
                "golden": None,
                "numbers": set(),
                "aliases": set(),
            }
            for row in connection.execute(select(entity))
        }
        members = select(membership.c.entity_key, record.c.record_id, record.c.version, record.c.status)
        for key, *member in connection.execute(
            members.join(record, record.c.record_id == membership.c.record_id).where(
                membership.c.until_event.is_(None)
            )
        ):
            plainly[ids[key]]["members"].add(tuple(member))
        for row in connection.execute(select(golden).where(golden.c.until_event.is_(None))):
            plainly[ids[row.entity_key]]["golden"] = (row.hash, row.from_event)
        for row in connection.execute(select(ssn)):
            plainly[ids[row.entity_key]]["numbers"].add((row.number, row.state, row.superseded_by))
        for row in connection.execute(select(alias).where(alias.c.until_event.is_(None))):
            plainly[ids[row.entity_key]]["aliases"].add((row.scheme, row.value))
    assert standing == plainly


def test_steps_differ_so_that_their_equality_says_something(story):
    people = [story.steps[step].people for step in STEPS if step != "decided"]
    assert all(before != after for before, after in pairwise(people))
    assert story.steps["run"].files["households"] != story.steps["second run"].files["households"]


def test_the_people_of_the_first_run_are_the_rows_of_its_crosswalk(story):
    """But for the records of a sealed registry, which neither shows."""
    told = story.steps["run"]
    rows = list(csv.DictReader(io.StringIO(told.files["crosswalk"].decode())))
    members = [
        (member["registry"], member["local_id"], name)
        for name, person in told.people.items()
        for member in person["members"]
        if person["kind"] == "person" and member["registry"] != "social_evils"
    ]
    assert len(members) > 1_000
    assert sorted((row["registry"], row["local_id"], row["entity_id"]) for row in rows) == sorted(members)
    numbers = {name: {n["number"] for n in person["numbers"]} for name, person in told.people.items()}
    assert all(row["ssn"] in numbers[row["entity_id"]] for row in rows)


def test_an_unmerge_brings_everything_back_but_the_versions(story):
    for name in ("anchored", "stray"):
        before, after = (story.steps[step].people[story.cast[name]] for step in ("run", "unmerged"))
        same = ("kind", "status", "superseded_by", "formed")
        assert [before[part] for part in same] == [after[part] for part in same]
        assert after["version"] == before["version"] + 2
        for part, identity in (
            ("members", ("record", "version")),
            ("numbers", ("number", "state", "superseded_by")),
            ("aliases", ("scheme", "value")),
        ):
            sides = [[[row[i] for i in identity] for row in side[part]] for side in (before, after)]
            assert sides[0] == sides[1], part
        assert before["golden"]["hash"] == after["golden"]["hash"]


def test_a_merged_entity_has_no_records_or_golden_record_and_its_number_leads_on(story, connection):
    stray = at(story, connection, "merged", "stray")
    assert (stray["status"], stray["superseded_by"]) == ("superseded", story.cast["anchored"])
    assert (stray["members"], stray["golden"], stray["aliases"]) == ([], None, [])
    (number,) = stray["numbers"]
    assert (number["state"], number["superseded_by"]) == ("superseded", story.numbers["anchored"])


def test_between_a_merge_and_its_golden_record_the_log_says_so(story, connection):
    """As of a single event is as of that event, also in the middle of a command."""
    merge = story.steps["merged"].events[0]
    survivor = entity_at(connection, story.cast["anchored"], read_moment(connection, merge))
    assert story.records["stray"] in {member.record for member in survivor.members}
    before = story.steps["run"].people[story.cast["anchored"]]["golden"]
    assert survivor.golden is not None
    assert survivor.golden.hash == before["hash"]
    for name, seq in (("stray", merge), ("a", story.steps["chain begun"].events[0])):
        told = [
            entity_at(connection, story.cast[name], read_moment(connection, at)).status
            for at in (seq - 1, seq)
        ]
        assert told == ["active", "superseded"]


def test_a_correction_shows_from_its_delivery_on_and_in_the_golden_record_from_its_run_on(story):
    before, delivered, after = (story.steps[step].people for step in ("death", "delivered", "second run"))
    corrected = changed = 0
    for name, person in before.items():
        versions, then = (
            {m["record"]: m["version"] for m in side[name]["members"]} for side in (before, delivered)
        )
        assert versions.keys() == then.keys()
        assert delivered[name]["golden"] == person["golden"]
        if versions != then:
            corrected += 1
            changed += after[name]["golden"] != person["golden"]
    assert corrected > 10
    assert 0 < changed <= corrected


def test_a_death_shows_in_the_state_of_the_number(story, connection):
    for step, state in (("approved", "active"), ("death", "deceased"), ("second run", "deceased")):
        (number,) = at(story, connection, step, "dying")["numbers"]
        assert number["state"] == state
    decided, after = (
        {
            held["number"]
            for person in story.steps[step].people.values()
            for held in person["numbers"]
            if held["state"] == "deceased"
        }
        for step in ("approved", "death")
    )
    assert after - decided == {story.numbers["dying"]}


def test_a_name_leads_to_whom_it_led_then(story, connection):
    cast, numbers = story.cast, story.numbers
    for step, end in (("unmerged", "a"), ("chain begun", "b"), ("chain", "c")):
        moment = story.steps[step].moment
        for name in (parse_name(cast["a"]), parse_name(numbers["a"])):
            assert resolve_one(connection, name, moment).entity_id == cast[end]
    now = resolve_one(connection, parse_name(numbers["a"]))
    assert [(link.kind, link.name) for link in now.chain[:3]] == [
        ("number", numbers["a"]),
        ("number", numbers["b"]),
        ("number", numbers["c"]),
    ]
    assert now.chain[-1].name == story.heir("c")
    by_id = resolve_one(connection, parse_name(cast["a"]))
    assert [link.name for link in by_id.chain[:3]] == [cast["a"], cast["b"], cast["c"]]
    assert by_id.chain[0].since == story.steps["chain begun"].events[0]


def test_a_record_and_an_alias_lead_to_the_entity_that_had_them_then(story, connection):
    merged, now = story.steps["merged"].moment, read_moment(connection)
    before = story.steps["run"].people
    stray = before[story.cast["stray"]]["members"][0]
    record = parse_name(f"{stray['registry']}/{stray['local_id']}")
    assert resolve_one(connection, record, merged).entity_id == story.cast["anchored"]
    assert resolve_one(connection, record, now).entity_id == story.cast["stray"]
    assert resolve_one(connection, record, story.steps["run"].moment).entity_id == story.cast["stray"]
    for known in before[story.cast["anchored"]]["aliases"]:
        found = resolve(connection, Name("alias", known["value"], known["scheme"]), merged)
        assert story.cast["anchored"] in {resolved.entity_id for resolved in found}


def test_an_alias_that_several_share_gives_all_of_them(story, connection):
    people = story.steps["run"].people
    holders: dict[tuple[str, str], set[str]] = {}
    for name, person in people.items():
        for known in person["aliases"]:
            holders.setdefault((known["scheme"], known["value"]), set()).add(name)
    (scheme, value), sharing = max(holders.items(), key=lambda item: len(item[1]))
    assert len(sharing) > 1
    name, moment = Name("alias", value, scheme), story.steps["run"].moment
    assert {r.entity_id for r in resolve(connection, name, moment)} == sharing
    with pytest.raises(IdentityError, match="share this number") as caught:
        resolve_one(connection, name, moment)
    assert value not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ("nothing", InputError, "names no entity"),
        ("200000000014", InputError, "check digit"),
        ("200000000013", IdentityError, "no such number"),
        ("population/nobody", IdentityError, "belongs to no entity"),
        ("personal_id:0", IdentityError, "Nobody is known"),
        ("00000000-0000-7000-8000-000000000000", IdentityError, "There is no entity"),
    ],
)
def test_what_names_nobody_is_refused_without_repeating_it(connection, text, error, said):
    with pytest.raises(error, match=said) as caught:
        resolve(connection, parse_name(text))
    assert len(text) > 30 or text not in str(caught.value)


def test_nobody_was_there_before_the_first_run(story, connection):
    first = next(iter(story.steps["run"].people.values()))["formed"]
    with pytest.raises(IdentityError, match="none then"):
        entity_at(connection, story.cast["a"], read_moment(connection, first - 1))


def test_a_history_tells_what_was_done_by_whom_and_why(story, connection):
    told = history(connection, story.cast["anchored"])
    assert [one.event.seq for one in told] == sorted({one.event.seq for one in told})
    of_stewards = [one for one in told if one.event.actor == STEWARD]
    kinds = [one.event.kind for one in of_stewards if one.event.kind.startswith("entity.")]
    assert kinds == ["entity.merged", "entity.unmerged", "entity.split"]
    merge = next(one for one in told if one.event.kind == "entity.merged")
    assert merge.event.reason == "same person"
    assert story.cast["stray"] in merge.words.en
    assert story.cast["stray"] in merge.words.vi
    stray = story.steps["run"].people[story.cast["stray"]]["members"]
    assert [ref.record for ref in merge.records] == [member["record"] for member in stray]
    assert {one.event.seq for one in told} >= {
        seq for step in ("merged", "unmerged", "split") for seq in story.steps[step].events[:2]
    }


def test_a_history_has_every_event_that_changed_what_is_said_of_an_entity(story, connection):
    """Of everyone: a step that changed a person's standing, golden record, numbers or aliases left an event in the history."""
    names = sorted(story.steps["run"].people)
    for before, after in pairwise(STEPS):
        first, last = (story.steps[step] for step in (before, after))
        for name in names:
            then, now = (dict(side.people[name]) for side in (first, last))
            for side in (then, now):  # versions land with a delivery, of which a history does not tell
                side["members"] = [(m["record"], m["since"]) for m in side["members"]]
            if then != now:
                told = [one.event.seq for one in history(connection, name, last.moment)]
                assert any(first.moment.seq < seq <= last.moment.seq for seq in told), (after, name)


def test_the_end_of_a_golden_record_and_of_an_alias_is_told(story, connection):
    merged = story.steps["merged"]
    told = {one.event.seq: one for one in history(connection, story.cast["stray"], merged.moment)}
    assert "The golden record ended" in {told[seq].words.en for seq in merged.events if seq in told}
    known = next(
        name
        for name, person in story.steps["run"].people.items()
        if len(person["aliases"]) > len(story.steps["second run"].people[name]["aliases"])
    )
    assert any("o longer known by" in one.words.en for one in history(connection, known))


def test_a_history_ends_at_its_moment(story, connection):
    moment = story.steps["merged"].moment
    told = history(connection, story.cast["anchored"], moment)
    whole = history(connection, story.cast["anchored"])
    assert told == whole[: len(told)]
    assert told[-1].event.seq <= moment.seq < whole[len(told)].event.seq


def test_a_history_says_who_approved_and_which_values_changed(story, connection):
    attributes = load_attributes(story.settings.attributes_file).person
    pair = [history(connection, story.cast[name], attributes=attributes) for name in ("old", "older")]
    for told in pair:
        (merge,) = (one for one in told if one.event.kind == "entity.merged")
        assert (merge.event.actor, merge.approved_by) == (STEWARD, CHIEF)
    changed = [one for told in pair for one in told if one.words.en.startswith("The golden record changed: ")]
    labels = {attribute.en for attribute in attributes.values()}
    assert changed
    assert {label for one in changed for label in one.words.en.split(": ")[1].split(", ")} <= labels


def test_a_decision_is_told_to_both_sides(story, connection):
    (seq,) = story.steps["decided"].events
    for role in ("split", "dying"):
        holder = next(
            name
            for name, person in story.steps["decided"].people.items()
            if story.records[role] in {member["record"] for member in person["members"]}
        )
        told = {one.event.seq: one for one in history(connection, holder)}
        assert told[seq].event.reason == "seen both"
        assert "two people" in told[seq].words.en


def test_hidden_registries_are_in_no_member_list_and_no_history(story, connection):
    hidden = {"health_insurance"}
    name = next(
        name
        for name, person in story.steps["second run"].people.items()
        if {m["registry"] for m in person["members"]} > hidden
    )
    shown = entity_at(connection, name, hidden=hidden)
    assert hidden.isdisjoint(member.registry for member in shown.members)
    told = history(connection, name, hidden=hidden)
    assert hidden.isdisjoint(ref.registry for one in told for ref in one.records)
    assert len(told) <= len(history(connection, name))


def test_a_time_leads_to_the_same_moment_as_its_event(story, connection):
    """Of those whose moments the clock gave, in order."""
    for step in STEPS[1:]:
        moment = story.steps[step].moment
        time = connection.scalar(select(event.c.at).where(event.c.seq == moment.seq))
        assert read_moment(connection, time) == moment


def test_the_quarantine_has_no_past(story, tmp_path):
    attributes = load_attributes(story.settings.attributes_file)
    registries = load_registries(story.settings.registries_folder, attributes=attributes)
    with pytest.raises(InputError, match="as it is now"):
        export(
            story.settings,
            "quarantine",
            tmp_path / "q.csv",
            attributes=attributes,
            registries=registries,
            as_of="1",
        )
