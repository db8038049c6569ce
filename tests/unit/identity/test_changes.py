"""Merging: who survives, what becomes of the numbers, what is refused."""

import itertools

import pytest

from mdm.errors import ApprovalNeededError, IdentityError, StaleVersionError
from mdm.identity.commands import Merge
from mdm.identity.decisions import Decision
from mdm.identity.events import EventKind
from mdm.identity.merging import verified_apart
from mdm.identity.numbers import LIVE, NumberState
from tests.unit.identity.scenario import CANNOT, MUST, SSN, TEMPORARY, WAYS, World


def world(**entities):
    """Entities formed in the order given: name=(records) or name=(records, numbers)."""
    made = World()
    for name, (records, *numbers) in entities.items():
        made.form(name, *records)
        for number in numbers:
            made.issue(name, number)
    return made


def merged(made, left="A", right="B", **choice):
    """Survivor and merged entity."""
    seq = made.merge(left, right, **choice)
    _, kind, survivor, data = made.log[seq - 1]
    assert kind is EventKind.ENTITY_MERGED
    return survivor, data["merged"]


# --- who survives ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [("A", "B"), ("B", "A")])
def test_the_caller_chooses_the_survivor_before_every_rule(order):
    assert merged(world(A=([1], "S1"), B=([2],)), *order, survivor="B") == ("B", "A")


@pytest.mark.parametrize("order", [("A", "B"), ("B", "A")])
def test_without_a_choice_the_entity_with_a_social_security_number_survives(order):
    assert merged(world(A=([1],), B=([2], "S1")), *order) == ("B", "A")
    assert merged(world(A=([1], "T1"), B=([2], "S1")), *order) == ("B", "A")


@pytest.mark.parametrize("state", sorted(LIVE))
def test_a_number_that_is_suspended_or_of_a_dead_person_counts(state):
    made = world(A=([1],), B=([2],))
    made.issue("B", "S1", state)
    assert merged(made) == ("B", "A")


def test_a_cancelled_number_does_not_count():
    made = world(A=([1],), B=([2],))
    made.issue("B", "S1", NumberState.CANCELLED)
    assert merged(made) == ("A", "B")


@pytest.mark.parametrize("order", [("A", "B"), ("B", "A")])
@pytest.mark.parametrize("numbers", [(), ("S",), ("T",)])
def test_then_the_older_entity_survives(order, numbers):
    """Formed first, whatever its ID."""
    made = world(B=([2], *(f"{n}1" for n in numbers)), A=([1], *(f"{n}2" for n in numbers)))
    assert merged(made, *order) == ("B", "A")


@pytest.mark.parametrize("order", [("A", "B"), ("B", "A")])
def test_then_the_lower_id_survives(order):
    """Entities of one age: a test's own, for each event forms one."""
    made = World()
    made.form("B", 2)
    made.state.apply(1, EventKind.ENTITY_FORMED, "A", {"kind": "person", "records": [1]})
    assert made.state.entities["A"].formed == made.state.entities["B"].formed
    assert made.plan(Merge(left=order[0], right=order[1]), by_hand=False).events[0][1] == "A"


def test_the_survivor_must_be_one_of_the_two():
    with pytest.raises(IdentityError, match="one of the two"):
        world(A=([1],), B=([2],), C=([3],)).merge("A", "B", survivor="C")


# --- what a merge does -----------------------------------------------------------------------------------------------


def test_a_merge_moves_the_records_and_leaves_a_redirect():
    made = world(A=([1, 2],), B=([3],), C=([4],))
    made.merge("A", "B")
    assert made.members() == {"A": {1, 2, 3}, "C": {4}}
    assert (made.state.entities["B"].status, made.state.entities["B"].superseded_by) == ("superseded", "A")
    assert [made.state.resolve(name) for name in "ABC"] == ["A", "A", "C"]


def test_a_redirect_follows_a_chain_to_its_end():
    made = world(A=([1], "S1"), B=([2], "S2"), C=([3], "S3"))
    made.merge("B", "A", survivor="B")
    made.merge("C", "B", survivor="C")
    assert {made.state.resolve(name) for name in "ABC"} == {"C"}
    assert {made.state.resolve_number(number) for number in ("S1", "S2", "S3")} == {"S3"}


def test_a_merge_holds_all_that_was_before():
    made = world(A=([1, 2], "S1"), B=([3], "T1"), C=([4],))
    made.decide(CANNOT, 3, 4)
    made.decide(MUST, 1, 2)
    (event,) = made.plan(Merge(left="A", right="B")).events
    assert event[2]["before"] == {
        "A": {
            "decisions": [["must_link", 1, 2]],
            "golden": {"hash": "golden of [1, 2]"},
            "kind": "person",
            "numbers": {
                "S1": {"holder": "A", "reason": "anchored", "state": "active", "superseded_by": None}
            },
            "records": [1, 2],
            "version": 1,
        },
        "B": {
            "decisions": [["cannot_link", 3, 4]],
            "golden": {"hash": "golden of [3]"},
            "kind": "person",
            "numbers": {
                "T1": {"holder": "B", "reason": "not_anchored", "state": "active", "superseded_by": None}
            },
            "records": [3],
            "version": 1,
        },
    }


def test_a_merge_by_hand_ties_a_record_of_each_side():
    """So that the next run leaves them together."""
    made = world(A=([5, 1],), B=([4, 2],), C=([3],))
    made.merge("A", "B")
    assert made.state.decisions == {(1, 2): Decision(MUST, 1, 2)}
    made.merge("A", "C", survivor="C")
    assert set(made.state.decisions) == {
        (1, 2),
        (1, 3),
    }  # not 2: undoing the first merge leaves the second whole


def test_a_merge_by_a_run_ties_nothing():
    made = world(A=([1],), B=([2],))
    made.merge("A", "B", by_hand=False)
    assert made.state.decisions == {}


def test_a_tie_that_a_person_made_before_is_left_to_that_person():
    made = world(A=([1],), B=([2],))
    said = made.decide(MUST, 1, 2)
    event = made.merge("A", "B")
    assert "must_link" not in made.log[event - 1][3]
    with pytest.raises(IdentityError, match="one person"):
        made.unmerge(event)
    assert said < event


def test_a_tie_that_would_part_a_third_entity_refuses_the_merge():
    """1 is kept from 3; 2 is 4; 3 and 4 are one entity: 1 cannot be 2."""
    made = world(A=([1],), B=([2],), C=([3, 4],))
    made.decide(CANNOT, 1, 3)
    made.decide(MUST, 2, 4)
    refused(made, "A", "B", "one entity now: C")


def test_both_sides_get_a_new_version():
    made = world(A=([1],), B=([2],), C=([3],))
    made.merge("A", "B")
    assert {name: made.state.entities[name].version for name in "ABC"} == {"A": 2, "B": 2, "C": 1}


HOLDERS = [("A", "S1"), ("A", "T1"), ("B", "S2"), ("B", "T2")]
STATES = [None, *sorted(WAYS)]
"""A number's state, or no number at all."""


@pytest.mark.parametrize("survivor", ["A", "B"])
def test_numbers_of_every_combination(survivor):
    """S1 and T1 of A, S2 and T2 of B, each in any state or absent."""
    gone = "B" if survivor == "A" else "A"
    order = ("S1", "S2", "T1", "T2") if survivor == "A" else ("S2", "S1", "T2", "T1")
    for held in itertools.product(STATES, repeat=4):
        made = world(A=([1],), B=([2],))
        for (name, number), state in zip(HOLDERS, held, strict=True):
            if state is not None:
                made.issue(name, number, state)
        before, unmerged = made.numbers(), made.state.canonical(["A", "B"], {})
        live = {number for number, (_, state, _) in before.items() if state in LIVE}
        heir = next((number for number in order if number in live), None)

        seq = made.merge("A", "B", survivor=survivor)

        expected = {}
        for number, (holder, state, pointer) in before.items():
            if number not in live:
                expected[number] = (holder, state, pointer)
            elif number == heir:
                expected[number] = (survivor, state, None)
            else:
                expected[number] = (holder, "superseded", heir)
        assert made.numbers() == expected, held
        assert made.state.live_number(gone, SSN) is made.state.live_number(gone, TEMPORARY) is None, held
        made.unmerge(seq)
        assert made.state.canonical(["A", "B"], {}) == unmerged, held


# --- a second person -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("states", list(itertools.product(sorted(WAYS), repeat=2)))
def test_two_live_social_security_numbers_need_a_second_person(states):
    made = world(A=([1],), B=([2],))
    for name, number, state in zip("AB", ("S1", "S2"), states, strict=True):
        made.issue(name, number, state)
    if set(states) <= LIVE:
        with pytest.raises(ApprovalNeededError, match="second person"):
            made.plan(Merge(left="A", right="B"))
        (event,) = made.plan(Merge(left="A", right="B"), approved_by="Lan").events
        assert event[2]["approved_by"] == "Lan"
    else:
        (event,) = made.plan(Merge(left="A", right="B")).events
        assert "approved_by" not in event[2]


@pytest.mark.parametrize("numbers", [("S1", "T1"), ("T1", "T2"), ("S1", None), ("T1", None), (None, None)])
def test_other_merges_need_none(numbers):
    made = world(A=([1],), B=([2],))
    for name, number in zip("AB", numbers, strict=True):
        if number:
            made.issue(name, number)
    assert len(made.plan(Merge(left="A", right="B")).events) == 1


def test_a_refusal_comes_before_the_question_for_a_second_person():
    made = world(A=([1], "S1"), B=([2], "S2"))
    made.decide(CANNOT, 1, 2)
    with pytest.raises(IdentityError, match="keeps records 1 and 2 apart"):
        made.plan(Merge(left="A", right="B"))


# --- refusals --------------------------------------------------------------------------------------------------------


def refused(made, left, right, match, **more):
    before = made.canonical()
    with pytest.raises(IdentityError, match=match) as caught:
        made.plan(Merge(left=left, right=right, **more), approved_by="a second person")
    assert made.canonical() == before
    return caught.value


def test_an_entity_cannot_be_merged_into_itself():
    refused(world(A=([1],)), "A", "A", "into itself")


def test_an_entity_that_never_was_is_refused():
    refused(world(A=([1],)), "A", "X", "no entity X")


def test_a_person_and_a_household_cannot_be_merged():
    made = world(A=([1],))
    made.form("H", 2, kind="household")
    refused(made, "A", "H", "person and a household")


def test_a_superseded_entity_is_refused_and_its_heir_is_named():
    made = world(A=([1],), B=([2],), C=([3],), D=([4],))
    made.merge("B", "A", survivor="B")
    made.merge("C", "B", survivor="C")
    error = refused(made, "A", "D", "is superseded. It is C now")
    assert "present ID" in error.hint


def test_a_retired_entity_is_refused():
    made = world(A=([1],), B=([2],))
    made.detach("A", 1)
    made.append(EventKind.ENTITY_RETIRED, "A", {})
    refused(made, "A", "B", "is retired")


def test_a_stale_version_is_refused_and_the_present_one_told():
    made = world(A=([1],), B=([2],))
    made.link("A", 3)
    error = refused(made, "A", "B", "at version 2, not 1", expected={"A": 1, "B": 1})
    assert isinstance(error, StaleVersionError)
    assert made.plan(Merge(left="A", right="B", expected={"A": 2, "B": 1})).events


def test_a_cannot_link_across_is_refused():
    made = world(A=([1, 2],), B=([3, 4],))
    made.decide(CANNOT, 2, 3)
    error = refused(made, "A", "B", "keeps records 2 and 3 apart")
    assert "Revoke" in error.hint
    made.revoke(2, 3)
    assert merged(made) == ("A", "B")


@pytest.mark.parametrize(
    "words",
    [
        [(MUST, 1, 8), (CANNOT, 8, 2)],
        [(MUST, 2, 8), (CANNOT, 1, 8)],
        [(MUST, 1, 8), (MUST, 8, 9), (CANNOT, 9, 2)],
        [(MUST, 1, 8), (MUST, 2, 9), (CANNOT, 8, 9)],
    ],
)
def test_a_cannot_link_holds_over_must_links_to_records_of_neither(words):
    made = world(A=([1],), B=([2],), C=([8],), D=([9],))
    for decision, left, right in words:
        made.decide(decision, left, right)
    refused(made, "A", "B", "keeps records . and . apart")
    made.revoke(*words[-1][1:])
    assert merged(made) == ("A", "B")


def test_a_cannot_link_to_a_third_entity_does_not_hinder():
    made = world(A=([1],), B=([2],), C=([3],))
    made.decide(CANNOT, 1, 3)
    made.decide(CANNOT, 2, 3)
    assert merged(made) == ("A", "B")
    refused(made, "A", "C", "apart")


def test_two_verified_personal_ids_are_refused():
    made = world(A=([1],), B=([2],))
    made.verified = {"A": {"001"}, "B": {"002"}}
    error = refused(made, "A", "B", "different personal IDs")
    assert "re-established" in error.hint
    assert "001" not in f"{error} {error.hint}"  # a personal ID is personal data


def test_a_re_established_personal_id_is_not_a_different_one():
    made = world(A=([1],), B=([2],))
    made.verified = {"A": {"001"}, "B": {"003"}}
    made.replaced = {"001": "002", "002": "003"}
    assert merged(made) == ("A", "B")


@pytest.mark.parametrize(
    ("left", "right", "replaced", "apart"),
    [
        (set(), set(), {}, False),
        ({"1"}, set(), {}, False),
        ({"1"}, {"1"}, {}, False),
        ({"1"}, {"2"}, {}, True),
        ({"1", "2"}, {"2", "3"}, {}, False),
        ({"1"}, {"2"}, {"1": "2"}, False),
        ({"1"}, {"2"}, {"2": "1"}, False),
        ({"1"}, {"2"}, {"1": "3", "2": "3"}, False),
        ({"1"}, {"2"}, {"1": "3"}, True),
        ({"1"}, {"2"}, {"1": "2", "2": "1"}, True),  # offices that replaced each by the other: nobody knows
        ({"1"}, {"9"}, {"1": "2", "2": "3", "3": "1"}, True),
    ],
)
def test_verified_ids_are_compared_by_what_they_are_today(left, right, replaced, apart):
    assert verified_apart(left, right, replaced) is apart
    assert verified_apart(right, left, replaced) is apart
