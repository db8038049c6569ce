"""Numbers follow the true rules for everyone who holds one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum.vn import mst

from mdm.simulation.population import identifiers
from mdm.simulation.randomness import stream
from tests.unit.simulation import population_measures as measures

DIGITS = {
    "personal_id": 12,
    "former_personal_id": 12,
    "cmnd": 9,
    "cmnd_previous": 9,
    "social_insurance_no": 10,
    "tax_code": 10,
    "tax_code_2": 10,
    "phone": 10,
    "phone_previous": 11,
    "student_code": 10,
}


@pytest.mark.parametrize(("column", "digits"), DIGITS.items())
def test_numbers_have_their_length(tables, column, digits):
    held, fit = measures.rows(
        tables,
        f"SELECT count({column}), count(*) FILTER (regexp_full_match({column}, '[0-9]{{{digits}}}')) FROM persons",
    )[0]
    assert held == fit > 0


@pytest.mark.parametrize(
    "column",
    ["personal_id", "social_insurance_no", "health_card_no", "tax_code", "passport_no", "student_code"],
)
def test_no_two_people_hold_the_same_number(tables, column):
    held, distinct = measures.rows(tables, f"SELECT count({column}), count(DISTINCT {column}) FROM persons")[
        0
    ]
    assert held == distinct


def test_a_cancelled_personal_id_is_never_given_to_another(tables):
    assert not measures.value(
        tables, "SELECT count(*) FROM persons a JOIN persons b ON a.former_personal_id = b.personal_id"
    )


def test_the_personal_id_tells_province_sex_and_year_but_for_a_few_mistakes(tables):
    wrong = measures.value(
        tables,
        "SELECT avg((substr(personal_id, 5, 2) <> strftime(birth_date, '%y') OR substr(personal_id, 4, 1)::INT <>"
        " 2 * (year(birth_date) // 100 - 19) + (sex = 'female')::INT)::INT) FROM persons WHERE personal_id IS NOT NULL",
    )
    assert wrong < 0.003
    unknown = measures.value(
        tables,
        "SELECT count(*) FROM persons WHERE personal_id IS NOT NULL"
        " AND 'L' || substr(personal_id, 2, 2) NOT IN (SELECT code FROM units WHERE level = 'province')",
    )
    assert unknown == 0


def test_a_reestablished_number_replaces_one_that_contradicted_the_person(tables):
    number, differ, dated = measures.rows(
        tables,
        "SELECT count(*), count(*) FILTER (former_personal_id <> personal_id), count(personal_id_changed_on)"
        " FROM persons WHERE former_personal_id IS NOT NULL",
    )[0]
    assert number == differ == dated
    assert 40 < number < 160


def test_foreigners_and_unregistered_babies_have_no_personal_id(tables):
    assert not measures.value(
        tables,
        "SELECT count(*) FROM persons WHERE personal_id IS NOT NULL AND (is_foreign OR birth_registered_on IS NULL)",
    )
    assert (
        measures.value(tables, "SELECT count(*) FROM persons WHERE is_foreign AND passport_no IS NOT NULL")
        > 0
    )


def test_cmnd_numbers_begin_with_the_province_and_change_with_it(tables, settings):
    prefixes = settings.reference / "cmnd_prefixes.csv"
    assert not measures.value(
        tables,
        f"SELECT count(*) FROM persons WHERE left(cmnd, 2) NOT IN (SELECT prefix FROM read_csv('{prefixes}', all_varchar = true))",
    )
    moved = measures.value(tables, "SELECT count(cmnd_previous) / count(cmnd) FROM persons")
    assert 0.03 < moved < 0.3
    assert not measures.value(
        tables, "SELECT count(*) FROM persons WHERE cmnd IS NOT NULL AND year(birth_date) >= 2002"
    )


def test_only_the_two_provinces_gave_one_cmnd_to_two_people(tables):
    doubled = measures.rows(
        tables,
        "SELECT cmnd, count(*) FROM (SELECT cmnd FROM persons UNION ALL SELECT cmnd_previous FROM persons)"
        " WHERE cmnd IS NOT NULL GROUP BY cmnd HAVING count(*) > 1",
    )
    assert doubled
    for number, holders in doubled:
        assert "271450001" <= number <= "271500000"
        assert holders == 2


def test_the_health_card_ends_with_the_insurance_number(tables):
    for column in ("health_card_no", "health_card_previous"):
        assert not measures.value(
            tables,
            f"SELECT count(*) FROM persons WHERE {column} IS NOT NULL AND (right({column}, 10) <> social_insurance_no"
            f" OR NOT regexp_full_match({column}, '[A-Z]{{2}}[1-5][0-9]{{12}}'))",
        )


def test_tax_codes_have_the_check_digit(population):
    codes = [
        *population.persons["tax_code"].drop_null().to_pylist(),
        *population.persons["tax_code_2"].drop_null().to_pylist(),
        *population.employers["tax_code"].to_pylist(),
    ]
    assert len(codes) > 3000
    assert all(mst.calc_check_digit(code) == code[-1] for code in codes)


def test_an_old_phone_number_is_the_new_one_with_the_prefix_of_before_2018(tables, settings):
    change = settings.reference / "phone_prefix_2018.csv"
    assert not measures.value(
        tables,
        f"SELECT count(*) FROM persons LEFT JOIN read_csv('{change}', all_varchar = true)"
        " ON left(phone_previous, 4) = old_prefix_11digit WHERE phone_previous IS NOT NULL"
        " AND phone <> new_prefix_10digit || right(phone_previous, 7) IS NOT FALSE",
    )


def test_a_phone_is_shared_only_within_a_house(tables):
    strangers = measures.value(
        tables,
        "SELECT count(*) FROM persons a JOIN persons b ON a.phone = b.phone AND a.person_id < b.person_id"
        " JOIN home h ON h.person_id = a.person_id JOIN home i ON i.person_id = b.person_id"
        " WHERE h.household_id <> i.household_id",
    )
    shared = measures.value(tables, "SELECT count(phone) - count(DISTINCT phone) FROM persons")
    assert strangers == 0
    assert shared > 100


@given(
    seed=st.integers(0, 2**32),
    groups=st.lists(st.integers(0, 3), min_size=1, max_size=60),
)
def test_numbers_are_unique_within_their_group_even_when_it_is_nearly_full(seed, groups):
    numbers = identifiers.unique_within(stream(seed, "test"), group=np.array(groups), digits=2)
    assert len(set(zip(groups, numbers.tolist(), strict=True))) == len(groups)
    assert all(0 <= number < 100 for number in numbers)


@given(seed=st.integers(0, 2**32), offices=st.lists(st.integers(1, 96), min_size=1, max_size=50))
def test_every_tax_code_made_is_accepted_by_the_public_rule(seed, offices):
    codes = identifiers.tax_codes(stream(seed, "test"), office=np.array(offices))
    for code in codes:
        assert mst.calc_check_digit(f"{code:010d}") == f"{code:010d}"[-1]
