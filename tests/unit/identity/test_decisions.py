"""People's decisions on two records, and what follows from them."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdm.errors import IdentityError
from mdm.identity.commands import Decide
from mdm.identity.decisions import Decision, Decisions, across, ordered
from mdm.identity.events import EventKind
from tests.unit.identity.scenario import CANNOT, MUST, World


def people(*sizes):
    """Entities A, B, ... with records 1, 2, 3, ... in order."""
    made, following = World(), 1
    for name, size in zip("ABCDEFGH", sizes, strict=False):
        made.form(name, *range(following, following + size))
        following += size
    return made


def refused(made, decision, left, right, match):
    before = dict(made.state.decisions)
    with pytest.raises(IdentityError, match=match) as caught:
        made.plan(Decide(decision=decision, left=left, right=right))
    assert made.state.decisions == before
    return caught.value


# --- closure ---------------------------------------------------------------------------------------------------------

records = st.integers(1, 7)
words = st.lists(
    st.builds(
        lambda kind, pair: Decision(kind, *sorted(pair)),
        st.sampled_from([MUST, CANNOT]),
        st.sets(records, min_size=2, max_size=2),
    ),
    max_size=8,
)


def same_by_hand(decisions):
    """Records reachable over must-links, found the slow way."""
    same = {r: {r} for r in range(1, 8)}
    for _ in range(8):
        for d in decisions:
            if d.kind is MUST:
                union = same[d.left] | same[d.right]
                for r in union:
                    same[r] = same[r] | union
    return same


@given(words, st.sets(records, min_size=1), st.sets(records, min_size=1))
def test_cannot_link_is_closed_over_must_link(decisions, left, right):
    same = same_by_hand(decisions)
    apart = any(
        {d.left, d.right} & same[one] and {d.left, d.right} & same[two] and one_side(d, same[one], same[two])
        for d in decisions
        if d.kind is CANNOT
        for one in left
        for two in right
    )
    assert (Decisions(decisions).forbidding(left, right) is not None) is apart
    assert (Decisions(decisions).forbidding(right, left) is not None) is apart


def one_side(decision, left, right):
    return (decision.left in left and decision.right in right) or (
        decision.left in right and decision.right in left
    )


@given(words, st.sets(records, min_size=1), st.sets(records, min_size=1))
def test_must_link_divides_two_sides_if_a_group_has_records_on_both(decisions, left, right):
    same = same_by_hand(decisions)
    assert (Decisions(decisions).dividing(left, right) is not None) is any(same[r] & right for r in left)


@given(words)
def test_a_contradiction_is_a_cannot_link_inside_a_group(decisions):
    same = same_by_hand(decisions)
    inside = any(d.kind is CANNOT and d.right in same[d.left] for d in decisions)
    assert (Decisions(decisions).contradiction() is not None) is inside


@given(words, st.randoms(use_true_random=False))
def test_the_order_of_decisions_does_not_matter(decisions, draw):
    shuffled = list(decisions)
    draw.shuffle(shuffled)
    one, two = Decisions(decisions), Decisions(shuffled)
    for left, right in itertools.combinations(range(1, 8), 2):
        assert one.group(left) == two.group(left)
        assert bool(one.forbidding({left}, {right})) == bool(two.forbidding({left}, {right}))


@given(st.sets(st.integers(1, 200), min_size=2, max_size=140), st.integers(1, 199))
def test_pairs_between_two_sides_reach_every_record_of_both(both, place):
    left, right = set(sorted(both)[: place % len(both)]), set(sorted(both)[place % len(both) :])
    pairs = across(left, right)
    assert pairs == sorted(set(pairs))
    assert all(a < b and (a in left) != (b in left) for a, b in pairs)
    if left and right:
        assert {record for pair in pairs for record in pair} == both
    if len(left) * len(right) <= 2_000:
        assert len(pairs) == len(left) * len(right)
    else:
        assert len(pairs) < len(both)


def test_pairs_are_ordered():
    assert ordered(2, 1) == ordered(1, 2) == (1, 2)
    assert across([], [1]) == across([1], []) == []


# --- deciding --------------------------------------------------------------------------------------------------------


def test_a_decision_stands_until_it_is_revoked():
    made = people(1, 1)
    made.decide(CANNOT, 2, 1)
    assert made.state.decisions == {(1, 2): Decision(CANNOT, 1, 2)}
    made.revoke(2, 1)
    assert made.state.decisions == {}


def test_the_same_decision_twice_is_refused():
    made = people(1, 1)
    made.decide(CANNOT, 1, 2)
    refused(made, CANNOT, 2, 1, "stands already")


def test_the_other_decision_on_the_same_records_replaces_the_first():
    made = people(1, 1)
    made.decide(CANNOT, 1, 2)
    made.decide(MUST, 1, 2)
    assert made.state.decisions[1, 2].kind is MUST
    assert [kind for _, kind, _, _ in made.log[-2:]] == [EventKind.DECISION_REVOKED, EventKind.DECISION_MADE]


def test_what_does_not_stand_cannot_be_revoked():
    with pytest.raises(IdentityError, match="No decision stands on records 1 and 2"):
        people(1, 1).revoke(2, 1)


def test_a_decision_is_about_two_known_records():
    made = people(1, 1)
    refused(made, MUST, 1, 1, "two records")
    assert "mdm run" in refused(made, MUST, 1, 9, "Record 9 belongs to no entity").hint


def test_records_that_are_one_entity_are_not_kept_apart_by_a_word():
    error = refused(people(2), CANNOT, 1, 2, "are one entity now")
    assert "Split" in error.hint


def test_what_is_must_linked_cannot_be_kept_apart():
    made = people(1, 1, 1)
    made.decide(MUST, 1, 2)
    made.decide(MUST, 2, 3)
    refused(made, CANNOT, 1, 3, "contradicts")


def test_what_is_kept_apart_cannot_be_must_linked():
    made = people(1, 1, 1)
    made.decide(MUST, 1, 2)
    made.decide(CANNOT, 2, 3)
    assert "Revoke" in refused(made, MUST, 1, 3, "decision on records 2 and 3").hint


def test_a_cannot_link_that_reaches_into_an_entity_is_refused():
    """1 is 2, 2 and 3 are one entity: to keep 1 from 3 is to keep 2 from 3."""
    made = people(1, 2)
    made.decide(MUST, 1, 2)
    error = refused(made, CANNOT, 1, 3, "one entity now: B")
    assert "Split that one" in error.hint


def test_a_must_link_that_would_keep_members_of_an_entity_apart_is_refused():
    """1 is kept from 2; 2 and 3 are one entity: to say that 1 is 3 keeps 3 from 2."""
    made = people(1, 2)
    made.decide(CANNOT, 1, 2)
    refused(made, MUST, 1, 3, "one entity now: B")


def test_it_does_not_matter_over_how_many_others_it_reaches():
    made = people(1, 2, 1, 1)
    made.decide(MUST, 4, 5)
    made.decide(MUST, 1, 4)
    made.decide(MUST, 5, 2)
    refused(made, CANNOT, 1, 3, "one entity now: B")


def test_a_must_link_alone_merges_nothing():
    """A run or a person does; the numbers and verified IDs are looked at then."""
    made = people(1, 1)
    made.decide(MUST, 1, 2)
    assert made.members() == {"A": {1}, "B": {2}}
