"""Numbers by hand: reserved, and given to people."""

import pytest

from mdm.errors import IdentityError
from mdm.identity.changes import plan
from mdm.identity.commands import AssignNumber, ReserveNumbers
from mdm.identity.numbers import NumberState, Reason
from mdm.identity.plans import Facts
from tests.unit.identity.scenario import World


@pytest.fixture
def world():
    made = World()
    made.form("P", 1)
    made.form("Q", 2)
    for event in plan(
        made.state, ReserveNumbers(count=2), Facts(fresh_numbers=[(7, "S7"), (8, "S8")])
    ).events:
        made.append(*event)
    return made


def assign(world, number, entity, *, anchored=True):
    for event in plan(
        world.state, AssignNumber(number=number, entity=entity), Facts(anchored=anchored)
    ).events:
        world.append(*event)


def test_reserved_numbers_have_no_holder(world):
    assert world.numbers() == {"S7": (None, "reserved", None), "S8": (None, "reserved", None)}
    assert [data["sequence"] for _, _, _, data in world.log[-2:]] == [7, 8]


def test_a_reserved_number_becomes_that_of_a_person(world):
    assign(world, "S7", "P")
    assert world.numbers()["S7"] == ("P", "active", None)


def test_it_takes_the_place_of_a_temporary_number(world):
    world.issue("P", "T1")
    assign(world, "S7", "P")
    assert world.numbers()["T1"] == ("P", "superseded", "S7")


@pytest.mark.parametrize(
    ("number", "entity", "anchored", "says"),
    [
        ("S9", "P", True, "no such number"),
        ("S7", "Q", False, "does not know"),
        ("S8", "nobody", True, "no entity"),
    ],
)
def test_a_number_is_given_to_a_known_person_only(world, number, entity, anchored, says):
    before = world.numbers()
    with pytest.raises(IdentityError, match=says):
        assign(world, number, entity, anchored=anchored)
    assert world.numbers() == before


def test_nobody_gets_two_numbers_and_no_number_two_people(world):
    assign(world, "S7", "P")
    with pytest.raises(IdentityError, match="already"):
        assign(world, "S8", "P")
    with pytest.raises(IdentityError, match="cannot become"):
        assign(world, "S7", "Q")


def test_a_reserved_number_that_was_cancelled_is_given_to_nobody(world):
    world.change_number("S8", NumberState.CANCELLED, Reason.ISSUED_IN_ERROR)
    with pytest.raises(IdentityError, match="final"):
        assign(world, "S8", "P")
