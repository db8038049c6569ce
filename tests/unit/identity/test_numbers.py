"""The life of a number: which state follows which, why, and by whose hand."""

import itertools

import pytest

from mdm.errors import IdentityError
from mdm.identity.commands import ChangeNumber
from mdm.identity.events import EventKind
from mdm.identity.numbers import BY_HAND, LIVE, TRANSITIONS, NumberState, Reason, check_transition
from tests.unit.identity.scenario import SSN, World

ACTIVE, SUSPENDED, SUPERSEDED = NumberState.ACTIVE, NumberState.SUSPENDED, NumberState.SUPERSEDED
DECEASED, CANCELLED, RESERVED = NumberState.DECEASED, NumberState.CANCELLED, NumberState.RESERVED
PAIRS = list(itertools.product(NumberState, repeat=2))


def allowed(before, after, reason):
    try:
        check_transition(before, after, reason)
    except IdentityError:
        return False
    return True


@pytest.mark.parametrize(("before", "after"), PAIRS)
def test_every_pair_of_states_is_allowed_as_the_table_says(before, after):
    found = {reason for reason in Reason if allowed(before, after, reason)}
    assert found == set(TRANSITIONS.get((before, after), ()))


def test_the_table_is_the_one_agreed_on():
    """Written out again, so that nobody opens a way by accident."""
    assert set(TRANSITIONS) == {
        (RESERVED, ACTIVE),
        (RESERVED, CANCELLED),
        (ACTIVE, SUSPENDED),
        (ACTIVE, DECEASED),
        (ACTIVE, SUPERSEDED),
        (ACTIVE, CANCELLED),
        (SUSPENDED, ACTIVE),
        (SUSPENDED, DECEASED),
        (SUSPENDED, SUPERSEDED),
        (SUSPENDED, CANCELLED),
        (DECEASED, ACTIVE),
        (DECEASED, SUPERSEDED),
        (SUPERSEDED, ACTIVE),
        (SUPERSEDED, SUSPENDED),
        (SUPERSEDED, DECEASED),
    }


def test_only_undoing_a_merge_brings_a_superseded_number_back():
    ways = {reasons for (before, _), reasons in TRANSITIONS.items() if before == SUPERSEDED}
    assert ways == {frozenset({Reason.UNMERGE})}
    elsewhere = [key for key, reasons in TRANSITIONS.items() if Reason.UNMERGE in reasons]
    assert {before for before, _ in elsewhere} == {SUPERSEDED}


def test_a_cancelled_number_stays_cancelled():
    assert not [after for before, after in TRANSITIONS if before == CANCELLED]
    with pytest.raises(IdentityError, match="cannot become active") as caught:
        check_transition(CANCELLED, ACTIVE, Reason.COURT_ORDER)
    assert "final" in caught.value.hint


def test_a_refusal_says_what_would_be_possible():
    with pytest.raises(IdentityError) as caught:
        check_transition(DECEASED, SUSPENDED, Reason.INVESTIGATION)
    assert caught.value.hint == "From deceased it can become active, superseded."
    with pytest.raises(IdentityError) as caught:
        check_transition(ACTIVE, SUSPENDED, Reason.DEATH)
    assert caught.value.hint == "Reasons: court_order, investigation."


# --- by hand ---------------------------------------------------------------------------------------------------------


def number_in(state):
    """A world with one number of A, brought into a state by what brings it there."""
    made = World()
    made.form("A", 1)
    made.form("B", 2)
    if state is SUPERSEDED:
        made.issue("A", "S1")
        made.issue("B", "S2")
        made.merge("B", "A", survivor="B")
    elif state is RESERVED:
        data = {"kind": SSN, "number": "S1", "reason": Reason.RESERVATION, "sequence": 0}
        made.append(EventKind.NUMBER_ISSUED, None, data)
    else:
        made.issue("A", "S1", state)
    assert made.state.numbers["S1"].state == state
    return made


@pytest.mark.parametrize(("before", "after"), PAIRS)
def test_a_person_can_set_what_the_table_allows_but_superseded(before, after):
    reasons = TRANSITIONS.get((before, after), frozenset())
    may = after in BY_HAND and before != SUPERSEDED and not (before == RESERVED and after in LIVE)
    for reason in Reason:
        made = number_in(before)
        command = ChangeNumber(number="S1", state=after, reason=reason)
        if may and reason in reasons:
            made.do(command)
            found = made.state.numbers["S1"]
            assert (found.state, found.reason) == (after, reason)
        else:
            with pytest.raises(IdentityError):
                made.do(command)
            assert made.state.numbers["S1"].state == before


@pytest.mark.parametrize("state", sorted(BY_HAND))
def test_a_superseded_number_is_left_to_merges(state):
    made = number_in(SUPERSEDED)
    with pytest.raises(IdentityError, match="Only merges supersede") as caught:
        made.change_number("S1", state, Reason.COURT_ORDER)
    assert caught.value.hint == "Merge or unmerge the entities."


def test_a_reserved_number_is_not_made_live_without_a_holder():
    made = number_in(RESERVED)
    with pytest.raises(IdentityError, match="no holder"):
        made.change_number("S1", ACTIVE, Reason.ANCHORED)


def test_a_change_keeps_the_holder():
    made = number_in(ACTIVE)
    made.change_number("S1", SUSPENDED, Reason.INVESTIGATION)
    assert made.state.numbers["S1"].holder == "A"
    assert made.log[-1][2] == "A"


def test_a_number_that_never_was_is_refused():
    with pytest.raises(IdentityError, match="no such number"):
        number_in(ACTIVE).change_number("S9", SUSPENDED, Reason.INVESTIGATION)


def test_merges_and_their_undoing_go_by_the_table_too():
    for mine, other in itertools.product(sorted(LIVE), repeat=2):
        made = World()
        for name, number, state in (("A", "S1", mine), ("B", "S2", other)):
            made.form(name, len(made.log) + 1)
            made.issue(name, number, state)
        event = made.merge("A", "B", survivor="A")
        made.unmerge(event)
        for _, _, _, data in made.log[event - 1 :]:
            for change in data["numbers"]:
                check_transition(
                    change["before"]["state"], change["after"]["state"], change["after"]["reason"]
                )
