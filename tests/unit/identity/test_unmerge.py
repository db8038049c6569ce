"""Undoing merges and splitting: the membership change is inverted, not the data."""

import itertools

import pytest

from mdm.errors import IdentityError
from mdm.identity.commands import Split, Unmerge
from mdm.identity.events import EventKind
from mdm.identity.journeys import Arrival, taken_out
from mdm.identity.numbers import NumberState, Reason
from tests.unit.identity.scenario import CANNOT, MUST, World

MERGED, UNMERGED, SPLIT = EventKind.ENTITY_MERGED, EventKind.ENTITY_UNMERGED, EventKind.ENTITY_SPLIT


def four(*, numbers=()):
    """A, B, C, D with two records each: A 10 and 11, B 20 and 21, ..."""
    made = World()
    for place, name in enumerate("ABCD", start=1):
        made.form(name, 10 * place, 10 * place + 1)
    for name, number in numbers:
        made.issue(name, number)
    return made


def refused(made, event, match):
    before = made.canonical()
    with pytest.raises(IdentityError, match=match) as caught:
        made.unmerge(event)
    assert made.canonical() == before
    return caught.value


# --- nothing has changed since ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("survivor", ["A", "B"])
@pytest.mark.parametrize(
    "numbers",
    [
        (),
        [("A", "S1")],
        [("B", "T1")],
        [("A", "S1"), ("B", "S2")],
        [("A", "S1"), ("B", "T1")],
        [("A", "T1"), ("B", "T2")],
    ],
)
def test_an_undone_merge_leaves_the_state_byte_for_byte_as_it_was(numbers, survivor):
    made = four(numbers=numbers)
    before = made.canonical()
    event = made.merge("A", "B", survivor=survivor)
    assert made.canonical() != before
    made.unmerge(event)
    assert made.canonical() == before


def test_the_two_sides_are_kept_apart_from_then_on():
    made = four()
    made.unmerge(made.merge("A", "B"))
    assert sorted(made.state.decisions) == [(10, 20), (10, 21), (11, 20), (11, 21)]
    assert {d.kind for d in made.state.decisions.values()} == {CANNOT}
    with pytest.raises(IdentityError, match="apart"):
        made.merge("A", "B")


def test_a_merge_is_undone_once():
    made = four()
    event = made.merge("A", "B")
    made.unmerge(event)
    refused(made, event, f"merge of event {event} is undone already")


def test_an_event_that_is_no_merge_is_refused():
    made = four()
    refused(made, 1, "is no merge")


def test_the_same_two_merged_again_are_undone_by_the_later_event_only():
    """Undoing the first one twice would bring back the numbers as they were then."""
    made = four()
    first = made.merge("A", "B")
    made.unmerge(first)
    made.revoke_between("A", "B")
    made.issue("B", "T1")
    second = made.merge("A", "B")
    refused(made, first, "undone already")
    made.unmerge(second)
    assert made.numbers()["T1"] == ("B", "active", None)


# --- chains ----------------------------------------------------------------------------------------------------------


def chain(numbers):
    """A into B into C, and the state before each merge."""
    made = four(numbers=numbers)
    start = made.canonical()
    first = made.merge("B", "A", survivor="B")
    between = made.canonical()
    second = made.merge("C", "B", survivor="C")
    return made, first, second, start, between


NUMBERS = [
    [],
    *([("A", f"{a}1"), ("B", f"{b}2"), ("C", f"{c}3")] for a, b, c in itertools.product("ST", repeat=3)),
]
NUMBERS += [[("A", "S1")], [("B", "S2")], [("A", "T1")], [("B", "T2")], [("C", "S3")]]


@pytest.mark.parametrize("numbers", NUMBERS, ids=str)
def test_a_chain_undone_from_its_end_comes_back_step_by_step(numbers):
    made, first, second, start, between = chain(numbers)
    made.unmerge(second)
    assert made.canonical() == between
    made.unmerge(first)
    assert made.canonical() == start


@pytest.mark.parametrize("numbers", NUMBERS, ids=str)
def test_an_inner_merge_is_undone_first_or_refused_naming_what_blocks_it(numbers):
    made, first, second, start, _ = chain(numbers)
    shared = {c["number"] for c in made.log[first - 1][3]["numbers"]} & {
        c["number"] for c in made.log[second - 1][3]["numbers"]
    }
    if shared:
        error = refused(made, first, f"changed again by event {second}")
        assert "Undo that one first" in error.hint
        made.unmerge(second)
        made.unmerge(first)
    else:
        made.unmerge(first)
        made.unmerge(second)
    assert made.canonical() == start


def test_an_inner_merge_undone_first_takes_its_records_out_of_the_end_of_the_chain():
    made, first, second, start, _ = chain([])
    made.unmerge(first)
    assert made.members() == {"A": {10, 11}, "C": {20, 21, 30, 31}, "D": {40, 41}}
    assert made.state.entities["B"].superseded_by == "C"
    made.unmerge(second)
    assert made.canonical() == start


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_three_merges_are_undone_in_any_order(order):
    made = four()
    start = made.canonical()
    events = [
        made.merge("B", "A", survivor="B"),
        made.merge("C", "B", survivor="C"),
        made.merge("D", "C", survivor="D"),
    ]
    for place in order:
        made.unmerge(events[place])
    assert made.canonical() == start


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_three_merges_into_one_are_undone_in_any_order(order):
    made = four(numbers=[("B", "T2"), ("C", "S3"), ("D", "S4"), ("A", "S1")])
    start = made.canonical()
    events = [made.merge("A", name, survivor="A") for name in "BCD"]
    for place in order:
        made.unmerge(events[place])
    assert made.canonical() == start


def test_records_that_went_back_and_came_again_stay_with_their_own():
    """Undoing B into C must not take A's records along: they went back to A, and A came into C by itself."""
    made = four()
    inner = made.merge("B", "A", survivor="B")
    outer = made.merge("C", "B", survivor="C")
    made.unmerge(inner)
    made.revoke_between("A", "C")
    made.merge("C", "A", survivor="C")
    plan = made.plan(Unmerge(event=outer))
    assert plan.left_since == [10, 11]
    made.unmerge(outer)
    assert made.members() == {"B": {20, 21}, "C": {10, 11, 30, 31}, "D": {40, 41}}


def test_a_record_split_off_and_merged_again_belongs_to_the_new_entity():
    made = four()
    event = made.merge("A", "B")
    new = made.split("A", 21)
    made.revoke_between("A", new)
    again = made.merge("A", new)
    made.unmerge(event)
    assert made.members() == {"A": {10, 11, 21}, "B": {20}, "C": {30, 31}, "D": {40, 41}}
    made.unmerge(again)
    assert made.members()[new] == {21}


@pytest.mark.parametrize(
    ("later", "out"),
    [
        ([], False),
        ([(5, MERGED, None)], False),
        ([(5, MERGED, None), (6, UNMERGED, 5)], False),
        ([(5, MERGED, None), (6, MERGED, None), (7, UNMERGED, 5)], False),
        ([(5, MERGED, None), (6, MERGED, None), (7, UNMERGED, 6), (8, UNMERGED, 5)], False),
        ([(5, MERGED, None), (6, UNMERGED, 4)], True),
        ([(5, MERGED, None), (6, UNMERGED, 4), (7, MERGED, None)], True),
        ([(5, UNMERGED, 2)], True),  # of a merge before this one
        ([(5, SPLIT, None)], True),
        ([(5, SPLIT, None), (6, MERGED, None)], True),
        ([(5, EventKind.RECORDS_LINKED, None)], True),  # a run took it out and put it somewhere
        ([(5, EventKind.ENTITY_FORMED, None)], True),
    ],
)
def test_what_takes_a_record_out_of_a_merge(later, out):
    """Of the merge of event 4."""
    assert taken_out(4, [Arrival(1, *event) for event in later]) == ({1} if out else set())


# --- changes since ---------------------------------------------------------------------------------------------------


def test_a_record_that_joined_since_stays_with_the_survivor_and_is_named():
    made = four()
    event = made.merge("A", "B")
    made.link("A", 90)
    assert made.plan(Unmerge(event=event)).joined_since == [90]
    made.unmerge(event)
    assert made.members() == {"A": {10, 11, 90}, "B": {20, 21}, "C": {30, 31}, "D": {40, 41}}


def test_a_record_that_left_since_does_not_come_back_and_is_named():
    made = four()
    event = made.merge("A", "B")
    new = made.split("A", 21)
    assert made.plan(Unmerge(event=event)).left_since == [21]
    made.unmerge(event)
    assert made.members() == {"A": {10, 11}, "B": {20}, "C": {30, 31}, "D": {40, 41}, new: {21}}


@pytest.mark.parametrize("records", [(20, 21), (10, 11)])
def test_where_one_side_is_gone_there_is_nothing_to_undo(records):
    made = four()
    event = made.merge("A", "B", by_hand=False)
    made.split("A", *records)
    error = refused(made, event, "Nothing is left to take apart")
    assert "Split" in error.hint


def test_a_number_that_changed_since_blocks_and_its_event_is_named():
    made = four(numbers=[("A", "T1"), ("B", "S2")])
    event = made.merge("A", "B", survivor="A")
    change = made.change_number("S2", NumberState.SUSPENDED, Reason.COURT_ORDER)
    refused(made, event, f"event {change}")


def test_what_became_of_the_survivors_own_number_does_not_block():
    made = four(numbers=[("A", "S1"), ("B", "S2")])
    event = made.merge("A", "B", survivor="A")
    made.change_number("S1", NumberState.SUSPENDED, Reason.COURT_ORDER)
    made.unmerge(event)
    assert made.numbers() == {"S1": ("A", "suspended", None), "S2": ("B", "active", None)}


def test_a_number_issued_since_stays_with_the_survivor():
    made = four()
    event = made.merge("A", "B")
    made.issue("A", "T1")
    made.unmerge(event)
    assert made.numbers() == {"T1": ("A", "active", None)}


def test_a_temporary_number_anchored_since_is_not_brought_back():
    made = four(numbers=[("B", "T1")])
    event = made.merge("A", "B", survivor="A")
    made.issue("A", "S1")
    anchored = made.anchor("T1", "S1")
    refused(made, event, f"event {anchored}")


def test_a_must_link_across_the_sides_must_be_revoked_first():
    made = four()
    event = made.merge("A", "B")
    made.decide(MUST, 11, 21)
    error = refused(made, event, "both sides are one person")
    assert "Revoke" in error.hint
    made.revoke(11, 21)
    made.unmerge(event)
    assert made.state.decisions[11, 21].kind is CANNOT


def test_the_tie_of_the_merge_itself_goes_with_it():
    made = four()
    event = made.merge("A", "B")
    assert made.state.decisions[10, 20].kind is MUST
    made.unmerge(event)
    assert made.state.decisions[10, 20].kind is CANNOT


def test_a_tie_that_was_revoked_before_does_not_hinder():
    made = four()
    event = made.merge("A", "B")
    made.revoke(10, 20)
    made.unmerge(event)
    assert made.members()["B"] == {20, 21}


def test_a_must_link_across_by_way_of_a_record_of_neither_side_counts_too():
    made = four()
    event = made.merge("A", "B")
    made.decide(MUST, 10, 30)
    made.decide(MUST, 20, 30)
    refused(made, event, "one person")


def test_an_undoing_that_would_part_a_third_entity_by_way_of_must_links_is_refused():
    """10 is 30 and 20 is 31, and 30 and 31 are one entity: 10 and 20 cannot be kept apart."""
    made = four()
    made.decide(MUST, 10, 30)
    made.decide(MUST, 20, 31)
    event = made.merge("A", "B", by_hand=False)
    error = refused(made, event, "one entity now: C")
    assert "revoke" in error.hint
    with pytest.raises(IdentityError, match="one entity now: C"):
        made.plan(Split(entity="A", records=(20,)))
    made.revoke(20, 31)
    made.unmerge(event)


def test_an_undone_merge_knows_the_merge_and_all_that_it_restores():
    made = four(numbers=[("A", "S1"), ("B", "S2")])
    event = made.merge("A", "B", survivor="A")
    undone = made.unmerge(event)
    _, kind, entity, data = made.log[undone - 1]
    assert (kind, entity, data["merge"], data["restored"]) == (UNMERGED, "A", event, "B")
    assert data["cannot_link"] == {"left": [10, 11], "right": [20, 21]}
    (change,) = data["numbers"]
    assert (change["number"], change["before"]["state"], change["after"]["state"]) == (
        "S2",
        "superseded",
        "active",
    )
    assert change["after"]["reason"] == Reason.UNMERGE


# --- split -----------------------------------------------------------------------------------------------------------


def test_a_split_takes_records_into_a_new_entity_and_keeps_the_sides_apart():
    made = four(numbers=[("A", "S1")])
    new = made.split("A", 11)
    assert made.members() == {"A": {10}, "B": {20, 21}, "C": {30, 31}, "D": {40, 41}, new: {11}}
    assert made.numbers() == {"S1": ("A", "active", None)}
    assert made.state.entities[new].status == "active"
    with pytest.raises(IdentityError, match="apart"):
        made.merge("A", new)


def test_a_split_that_was_wrong_is_mended_by_revoking_and_merging():
    made = four()
    before = made.members()
    new = made.split("A", 11)
    made.revoke(10, 11)
    made.merge("A", new, survivor="A")
    assert made.members() == before


@pytest.mark.parametrize(
    ("records", "match"),
    [
        ((10, 11), "at least one record"),
        ((10, 20), "Record 20 does not belong"),
        ((99,), "Record 99 does not belong"),
    ],
)
def test_splits_that_cannot_be(records, match):
    made = four()
    with pytest.raises(IdentityError, match=match):
        made.plan(Split(entity="A", records=records))


def test_a_superseded_entity_is_not_split():
    made = four()
    made.merge("A", "B")
    with pytest.raises(IdentityError, match="It is A now"):
        made.plan(Split(entity="B", records=(20,)))


@pytest.mark.parametrize("words", [[(MUST, 10, 11)], [(MUST, 10, 30), (MUST, 11, 30)]])
def test_a_split_does_not_divide_what_a_person_said_is_one(words):
    made = four()
    for word in words:
        made.decide(*word)
    with pytest.raises(IdentityError, match="one person"):
        made.plan(Split(entity="A", records=(11,)))


# --- a household -----------------------------------------------------------------------------------------------------


def test_a_household_whose_head_leaves_stays_the_same_household():
    made = World()
    formed = made.form("H", 1, 2, 3, kind="household")
    made.detach("H", 1)
    made.form("K", 1, kind="household")
    household = made.state.entities["H"]
    assert (household.status, household.formed, made.members()) == ("active", formed, {"H": {2, 3}, "K": {1}})
    assert household.version == 2
