"""Names follow their cohort, their family and their people."""

import csv
import re
import unicodedata

import pyarrow as pa
import pytest

from mdm.simulation.population.name_lists import NameLists
from mdm.simulation.population.names import Namer
from mdm.simulation.population.reference import load_ethnic_groups
from mdm.simulation.population.state import State
from mdm.simulation.randomness import stream
from tests.unit.simulation import population_measures as measures
from tests.unit.simulation.conftest import CONFIGS


@pytest.mark.parametrize(
    ("sex", "expected"),
    [("male", {3: 0.728, 4: 0.261}), ("female", {3: 0.347, 4: 0.646})],
)
def test_names_have_as_many_words_as_the_births_of_2007_to_2011(tables, sex, expected):
    found = measures.word_shares(tables, sex, 2007, 2011)
    for words, share in expected.items():
        assert found[words] == pytest.approx(share, abs=0.05)


def test_the_words_van_and_thi_fade_with_the_cohorts(tables):
    def share(sex, word, first, last):
        return measures.value(
            tables,
            f"SELECT avg((middle = '{word}' OR middle LIKE '{word} %')::INT) FROM persons WHERE sex = '{sex}'"
            f" AND ethnicity = '01' AND year(birth_date) BETWEEN {first} AND {last}",
        )

    assert share("female", "Thị", 2007, 2011) == pytest.approx(0.176, abs=0.05)
    assert share("male", "Văn", 2007, 2011) < 0.05
    assert share("female", "Thị", 1930, 1959) > 0.75
    assert share("male", "Văn", 1930, 1959) > 0.5


def test_ten_given_names_cover_as_many_as_counted(tables):
    assert measures.top_ten_share(tables, "male", 2005, 2014) == pytest.approx(0.316, abs=0.04)
    assert measures.top_ten_share(tables, "female", 2005, 2014) == pytest.approx(0.412, abs=0.04)


def test_fashion_changes_from_tuan_to_bao_and_from_hoa_to_vy(tables):
    def per_thousand(given, first, last):
        return measures.value(
            tables,
            f"SELECT 1000 * avg((given = '{given}')::INT) FROM persons WHERE ethnicity = '01'"
            f" AND year(birth_date) BETWEEN {first} AND {last}",
        )

    for given in ("Vy", "Bảo", "Khang"):
        assert per_thousand(given, 2010, 2025) > 3 * per_thousand(given, 1960, 1975)
    for given in ("Lan", "Hoa", "Cúc"):
        assert per_thousand(given, 1940, 1960) > 3 * per_thousand(given, 2010, 2025)


def test_surnames_have_their_known_shares(tables):
    found = dict(
        measures.rows(
            tables,
            "SELECT surname, count(*) / sum(count(*)) OVER () FROM persons WHERE ethnicity = '01' GROUP BY surname",
        )
    )
    with (CONFIGS / "reference" / "surnames.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            share = sum(found.get(form, 0) for form in row["surname"].split("/"))
            assert share == pytest.approx(float(row["name_generator_weight_pct"]) / 100, rel=0.15, abs=0.016)


def test_the_mothers_surname_is_often_the_middle_name_of_the_young_and_not_of_the_old(tables):
    def share(first, last):
        return measures.value(
            tables,
            f"SELECT avg((split_part(c.middle, ' ', 1) = m.surname AND m.surname <> c.surname)::INT) FROM persons c"
            f" JOIN persons m ON m.person_id = c.mother_id"
            f" WHERE year(c.birth_date) BETWEEN {first} AND {last} AND c.ethnicity = '01' AND m.surname = 'Nguyễn'",
        )

    assert share(2008, 2025) > 0.03
    assert share(1940, 1970) < 0.015


def test_twins_often_share_the_middle_name(tables):
    twins, others = (
        measures.value(
            tables,
            f"SELECT avg((a.middle = b.middle)::INT) FROM persons a JOIN persons b ON b.mother_id = a.mother_id"
            f" AND b.person_id > a.person_id AND b.sex = a.sex WHERE a.mother_id >= 0 AND a.ethnicity = '01'"
            f" AND b.ethnicity = '01' AND year(a.birth_date) > 1990 AND (a.twin_of = b.person_id) = {is_twin}",
        )
        for is_twin in ("true", "false")
    )
    assert twins > 0.55
    assert others < 0.45


@pytest.mark.parametrize(
    ("ethnicity", "sex", "pattern"),
    [
        ("12", "female", "H'\\S+ .+"),  # H'Hen Niê: given name before the clan
        ("12", "male", "Y \\S+ .+"),
        ("10", "female", ".+ H'\\S+"),  # Siu H'Nham
        ("14", "male", "A \\S+"),
        ("14", "female", "Y \\S+"),  # a man among the Ê Đê, a woman among the Xơ Đăng
        ("16", "male", "K'\\S+"),
        ("16", "female", "Ka \\S+"),
        ("20", "female", "H'\\S+"),
        ("08", "female", "\\S+ Thị \\S+"),
    ],
)
def test_minorities_are_named_in_their_own_way(settings, ethnicity, sex, pattern):
    rules, groups = settings.population.names, load_ethnic_groups(settings.reference)
    lists = NameLists(settings.reference, groups=groups, settings=rules)
    people, number = State(people=300, households=1).people, 300
    people.add(number)
    people.sex[:] = sex == "female"
    people.birth_year[:] = 1985
    people.ethnic[:] = [group.code for group in groups].index(ethnicity)
    people.surname[:] = lists.surnames(stream(1, "families"), ethnic=people.ethnic, province=["L66"] * number)
    names = (
        Namer(lists, settings=rules)
        .name(people, stream(1, "names"))
        .texts(pa.array(lists.words.texts))["full_name"]
    )
    fitting = sum(re.fullmatch(pattern, name) is not None for name in names.to_pylist())
    assert fitting > number * (1 - rules.assimilated) * 0.9  # the others are named in the Kinh way


def test_names_are_in_canonical_form(population):
    for column in ("full_name", "former_name"):
        for name in set(population.persons[column].to_pylist()) - {None}:
            assert name == unicodedata.normalize("NFC", name)
            assert name == " ".join(name.split())
            assert name[0].isupper() or name[0] in "HK"


def test_the_full_name_is_made_of_its_parts(tables):
    assert not measures.value(
        tables,
        "SELECT count(*) FROM persons WHERE full_name IS NOT NULL AND full_name <> concat_ws(' ', surname, middle, given)"
        " AND full_name <> concat_ws(' ', given, surname)",
    )


def test_only_babies_are_without_a_name(tables):
    assert not measures.value(
        tables, "SELECT count(*) FROM persons WHERE full_name IS NULL AND birth_date < DATE '2025-10-01'"
    )


def test_a_few_people_changed_their_name_and_kept_their_surname(tables):
    number, kept, same = measures.rows(
        tables,
        "SELECT count(*), count(*) FILTER (starts_with(former_name, surname) OR ends_with(former_name, surname)"
        " OR surname IS NULL), count(*) FILTER (former_name = full_name) FROM persons WHERE former_name IS NOT NULL",
    )[0]
    assert 10 < number < 120
    assert (kept, same) == (number, 0)


def test_namesakes_who_are_strangers_live_in_one_commune(tables):
    assert (
        measures.value(
            tables,
            "SELECT count(*) FROM (SELECT full_name FROM persons JOIN home USING (person_id) JOIN households USING (household_id)"
            " GROUP BY full_name, commune_legacy HAVING count(*) > 1)",
        )
        > 100
    )
