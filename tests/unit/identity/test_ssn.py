"""Numbers are unique, well formed, and tell nothing of their neighbours."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum import verhoeff

from mdm.errors import IdentityError
from mdm.identity.ssn import NumberKind, NumberPlan, kind_of

PLAN = NumberPlan(bytes(range(32)))


@pytest.mark.parametrize("kind", list(NumberKind))
def test_numbers_are_unique_and_well_formed(kind):
    numbers = PLAN.numbers(kind, start=0, count=20_000)
    assert len(set(numbers)) == 20_000
    assert all(
        len(number) == 12 and verhoeff.is_valid(number) and kind_of(number) == kind for number in numbers
    )


def test_first_digit_tells_the_kind():
    assert {number[0] for number in PLAN.numbers(NumberKind.SSN, start=0, count=2_000)} == set("23456789")
    assert {number[0] for number in PLAN.numbers(NumberKind.TEMPORARY, start=0, count=200)} == {"1"}


@given(start=st.integers(0, 8 * 10**10 - 50), count=st.integers(1, 50))
def test_a_range_is_the_same_whichever_way_it_is_asked_for(start, count):
    whole = PLAN.numbers(NumberKind.SSN, start=start, count=count)
    one_by_one = [PLAN.numbers(NumberKind.SSN, start=start + place, count=1)[0] for place in range(count)]
    assert whole == one_by_one


def test_neighbours_in_the_sequence_are_far_apart():
    numbers = [int(number[:11]) for number in PLAN.numbers(NumberKind.SSN, start=0, count=1_000)]
    distances = [abs(a - b) for a, b in itertools.pairwise(numbers)]
    assert min(distances) > 10_000  # a step of the sequence tells nothing of the next number


def test_another_key_gives_other_numbers_and_another_fingerprint():
    other = NumberPlan(bytes(reversed(range(32))))
    mine, theirs = (plan.numbers(NumberKind.SSN, start=0, count=100) for plan in (PLAN, other))
    assert set(mine).isdisjoint(theirs)
    assert PLAN.fingerprint != other.fingerprint


def test_the_end_of_the_sequence_is_an_error_not_a_repetition():
    assert len(PLAN.numbers(NumberKind.TEMPORARY, start=10**10 - 1, count=1)) == 1
    with pytest.raises(IdentityError, match="exhausted"):
        PLAN.numbers(NumberKind.TEMPORARY, start=10**10 - 1, count=2)


def test_a_key_of_another_length_is_refused():
    with pytest.raises(IdentityError, match="32 bytes"):
        NumberPlan(b"short")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "012345678901",
        "25499572180",
        "2549957218011",
        "25499572180x",
        "254995721802",
        "\n25499572180",
        "254995721801\n",
        "２５４９９５７２１８０１",
    ],
)
def test_what_is_no_number_has_no_kind(text):
    assert kind_of(text) is None


@given(place=st.integers(0, 10_000), position=st.integers(1, 11), shift=st.integers(1, 9))
def test_one_wrong_digit_is_always_found(place, position, shift):
    number = PLAN.numbers(NumberKind.SSN, start=place, count=1)[0]
    wrong = number[:position] + str((int(number[position]) + shift) % 10) + number[position + 1 :]
    assert kind_of(wrong) is None
