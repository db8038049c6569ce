"""What stewards do from the command line, on a store with real questions."""

import json

import pytest
from sqlalchemy import select

from mdm.pipeline.verify import verify
from mdm.store.engine import reading
from mdm.store.tables import alias, entity, membership, record, ssn
from tests.engines import environment
from tests.integration.test_commands import mdm


@pytest.fixture
def store(engine, finished, tmp_path):
    return engine.copy(finished, tmp_path)


def is_sound(store):
    return [check for check in verify(store) if check.wrong] == []


@pytest.fixture
def at(store):
    return {**environment(store), "MDM_ACTOR": "lan"}


def asked(*arguments, **environment):
    return json.loads(mdm(*arguments, "--json", **environment).stdout)


def rows(store, statement):
    with reading(store) as connection:
        return list(connection.execute(statement).all())


def pair_question(store, at):
    """A question about two records of two people, of whom one is not in the population database."""
    strangers = {name for name, _ in people(store, "temporary", None)}
    told = asked("review", "list", "--reason", "match.possible", "--limit", 500, "--include-sealed", **at)
    for question in told["questions"]:
        homes = {held["entity_id"] for held in question["records"]}
        if len(homes) == 2 and homes & strangers:
            return question
    raise AssertionError("the country raises such a question")


def people(store, kind, count):
    """IDs and numbers of people with a live number of a kind."""
    wanted = (
        select(entity.c.entity_id, ssn.c.number)
        .join(ssn, ssn.c.entity_key == entity.c.entity_key)
        .where(ssn.c.kind == kind, ssn.c.state == "active")
        .order_by(entity.c.entity_key)
    )
    return rows(store, wanted)[:count]


def test_a_question_is_shown_previewed_and_answered(store, at):
    question = pair_question(store, at)
    number, (left, right) = question["review"], (held["entity_id"] for held in question["records"])
    text = mdm("review", "show", number, **at).output
    assert all(held["record"]["local_id"] in text for held in question["records"])
    seen = asked("review", "decide", number, "same", "--reason", "papers", "--preview", **at)
    assert {left, right} == set(seen["records"])
    assert all("full_name" in values for values in seen["golden_before"].values())
    assert asked("review", "show", number, **at)["state"] == "open"
    done = asked("review", "decide", number, "same", "--reason", "papers", "--version", 1, **at)
    assert done["approval"] is None
    told = asked("review", "show", number, **at)
    assert (told["state"], told["version"], told["decided"]["actor"]) == ("same", 2, "lan")
    assert len({held["entity_id"] for held in told["records"]}) == 1
    refused = mdm("review", "decide", number, "different", "--reason", "no", status=6, **at)
    assert "answered already" in refused.stderr
    assert is_sound(store)


def test_two_people_stay_two(store, at):
    question = pair_question(store, at)
    asked("review", "decide", question["review"], "different", "--reason", "brothers", **at)
    left, right = (f"{h['record']['registry']}/{h['record']['local_id']}" for h in question["records"])
    refused = mdm("merge", left, right, "--reason", "one after all", status=6, **at)
    assert "keeps records" in refused.stderr
    asked("withdraw", left, right, "--reason", "error of mine", **at)
    assert len(asked("merge", left, right, "--reason", "one after all", **at)["entities"]) == 2


def test_a_merge_is_undone_by_its_event(store, at):
    (left, number), (right, other) = people(store, "temporary", 2)
    done = asked("merge", left, right, "--reason", "one person", "--survivor", right, "--key", "k", **at)
    again = asked("merge", left, right, "--reason", "one person", "--survivor", right, "--key", "k", **at)
    assert (again["events"], again["repeated"]) == (done["events"], True)
    assert asked("entity", "show", number, **at)["entity_id"] == right
    refused = mdm("merge", left, right, "--reason", "again", "--expect", f"{right}=1", status=6, **at)
    assert "version" in refused.stderr
    asked("unmerge", done["events"][0], "--reason", "two people", **at)
    assert asked("entity", "show", number, **at)["entity_id"] == left
    assert asked("entity", "show", other, **at)["entity_id"] == right
    assert is_sound(store)


def test_two_numbers_need_two_people(store, at):
    papers = select(alias.c.entity_key).where(alias.c.scheme == "personal_id")
    wanted = (
        select(entity.c.entity_id)
        .join(ssn, ssn.c.entity_key == entity.c.entity_key)
        .where(ssn.c.kind == "ssn", ssn.c.state == "active", entity.c.entity_key.not_in(papers))
        .order_by(entity.c.entity_key)
    )
    (left,), (right,), *_ = rows(store, wanted)
    asked_for = asked("merge", left, right, "--reason", "one person", **at)
    assert asked_for["entities"] == {}
    (request,) = asked("approval", "list", **at)
    assert (request["approval"], request["requested_by"]) == (asked_for["approval"], "lan")
    alone = mdm("approval", "approve", request["approval"], status=6, **at)
    assert "another" in alone.stderr
    assert set(asked("approval", "approve", request["approval"], "--actor", "binh", **at)["entities"]) == {
        left,
        right,
    }
    assert asked("approval", "list", **at) == []
    assert is_sound(store)


def test_records_are_split_off(store, at):
    homes = select(entity.c.entity_id, record.c.registry, record.c.local_id).select_from(
        membership.join(entity, membership.c.entity_key == entity.c.entity_key).join(
            record, record.c.record_id == membership.c.record_id
        )
    )
    members: dict[str, list[str]] = {}
    for name, registry, local_id in rows(store, homes.order_by(record.c.record_id)):
        members.setdefault(name, []).append(f"{registry}/{local_id}")
    name = next(name for name, its in members.items() if len(its) > 2)
    done = asked("split", name, members[name][-1], "--reason", "another's card", **at)
    (new,) = set(done["entities"]) - {name}
    assert asked("entity", "show", members[name][-1], "--include-sealed", **at)["entity_id"] == new


def test_a_number_is_reserved_and_cancelled(store, at):
    first, second = asked("number", "reserve", 2, "--reason", "maternity ward", **at)["numbers"]
    (person, temporary), *_ = people(store, "temporary", 1)
    unknown = mdm("number", "assign", first, person, "--reason", "born", status=6, **at)
    assert "population database" in unknown.stderr
    asked("number", "change", first, "cancelled", "issued_in_error", "--reason", "ward closed", **at)
    states = dict(
        rows(store, select(ssn.c.number, ssn.c.state).where(ssn.c.number.in_([first, second, temporary])))
    )
    assert is_sound(store)
    assert states == {first: "cancelled", second: "reserved", temporary: "active"}


def test_sealed_registries_are_only_counted(at):
    told = asked("review", "list", "--limit", 10_000, **at)
    everything = asked("review", "list", "--limit", 10_000, "--include-sealed", **at)
    assert told["total"] == everything["total"] == len(told["questions"])
    hidden = {
        one["review"]: [held for held in one["records"] if held["record"]["registry"] == "social_evils"]
        for one in everything["questions"]
    }
    assert any(hidden.values())
    for one in told["questions"]:
        assert one["hidden_records"] == len(hidden[one["review"]])
        assert all(held["record"]["registry"] != "social_evils" for held in one["records"])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("merge", "nonsense", "nobody", "--reason", "x"), "names no entity"),
        (("decide", "must_link", "no-slash", "tax/1", "--reason", "x"), "REGISTRY/LOCAL_ID"),
        (("decide", "must_link", "tax/absent", "tax/1", "--reason", "x"), "no such record"),
        (("unmerge", "1", "--reason", "x"), "no merge"),
        (("review", "decide", "999999", "same", "--reason", "x"), "no question"),
        (("approval", "approve", "77"), "no request"),
    ],
)
def test_mistakes_are_told(store, at, arguments, says):
    result = mdm(*arguments, status=None, **at)
    assert result.exit_code not in {0, 1}
    assert says in result.stderr
