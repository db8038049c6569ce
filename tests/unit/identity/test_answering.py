"""What a steward's answer to a question does."""

import pytest

from mdm.errors import ApprovalNeededError, IdentityError, StaleVersionError
from mdm.identity.changes import plan
from mdm.identity.commands import DecideReview, Verdict
from mdm.identity.plans import Facts, OpenQuestion
from tests.unit.identity.scenario import CANNOT, MUST, World


@pytest.fixture
def world():
    made = World()
    made.form("P", 1, 2)
    made.form("Q", 3, 4)
    made.form("R", 5)
    return made


def answer(world, verdict, records, *, state="open", version=None, approved_by=None, survivor=None):
    command = DecideReview(review=9, verdict=verdict, version=version, survivor=survivor)
    question = OpenQuestion(9, state, 1, records)
    facts = Facts(question=question, seeds={"P": 1, "Q": 3, "R": 5}, approved_by=approved_by)
    for event in plan(world.state, command, facts).events:
        world.append(*event)
    return world.log[-1][3]


def test_the_same_person_is_merged_and_the_question_closed(world):
    closed = answer(world, Verdict.SAME, (2, 3))
    assert world.members() == {"P": {1, 2, 3, 4}, "R": {5}}
    assert closed == {"review": 9, "state": "same"}


def test_the_survivor_can_be_chosen(world):
    answer(world, Verdict.SAME, (2, 3), survivor="Q")
    assert world.members() == {"Q": {1, 2, 3, 4}, "R": {5}}


def test_the_same_person_who_is_one_already_is_tied_for_ever(world):
    answer(world, Verdict.SAME, (1, 2))
    assert [(d.kind, pair) for pair, d in world.state.decisions.items()] == [(MUST, (1, 2))]


def test_two_people_are_kept_apart(world):
    closed = answer(world, Verdict.DIFFERENT, (4, 2))
    assert [(d.kind, pair) for pair, d in world.state.decisions.items()] == [(CANNOT, (2, 4))]
    assert closed["state"] == "different"


def test_a_dismissed_question_changes_nobody(world):
    before = world.canonical()
    assert answer(world, Verdict.DISMISSED, (1, 3, 5))["state"] == "dismissed"
    assert world.canonical() == before
    assert world.state.decisions == {}


def test_two_active_numbers_need_a_second_person(world):
    world.issue("P", "S1")
    world.issue("Q", "S2")
    with pytest.raises(ApprovalNeededError):
        answer(world, Verdict.SAME, (1, 3))
    answer(world, Verdict.SAME, (1, 3), approved_by="Lan")
    assert world.numbers()["S2"] == ("Q", "superseded", "S1")


@pytest.mark.parametrize(
    ("verdict", "records"),
    [
        (Verdict.SAME, (1, 3, 5)),
        (Verdict.DIFFERENT, (1, 3, 5)),
        (Verdict.DIFFERENT, (1, 2)),
        (Verdict.SAME, ()),
    ],
)
def test_an_answer_is_about_two_people(world, verdict, records):
    with pytest.raises(IdentityError, match=r"question") as refused:
        answer(world, verdict, records)
    assert "ismiss" in refused.value.hint


def test_a_question_is_answered_once(world):
    with pytest.raises(IdentityError, match="answered already"):
        answer(world, Verdict.SAME, (2, 3), state="different")


def test_an_answer_to_what_was_seen_before_is_refused(world):
    with pytest.raises(StaleVersionError):
        answer(world, Verdict.SAME, (2, 3), version=2)
