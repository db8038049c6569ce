"""Families, homes and events are consistent with one another."""

from tests.unit.simulation import population_measures as measures

MATERNAL = ("10", "12", "16", "17", "20", "21", "28", "36")  # groups whose children take the mother's clan


def test_parents_are_of_an_age_to_have_the_child_and_of_the_right_sex(tables):
    youngest, oldest, wrong = measures.rows(
        tables,
        "SELECT min(date_diff('year', m.birth_date, c.birth_date)), max(date_diff('year', m.birth_date, c.birth_date)),"
        " count(*) FILTER (m.sex <> 'female') FROM persons c JOIN persons m ON m.person_id = c.mother_id",
    )[0]
    assert (youngest >= 14, oldest <= 51, wrong) == (True, True, 0)
    assert not measures.value(
        tables,
        "SELECT count(*) FROM persons c JOIN persons f ON f.person_id = c.father_id WHERE f.sex <> 'male'",
    )


def test_no_child_is_born_after_the_mothers_death(tables):
    assert not measures.value(
        tables,
        "SELECT count(*) FROM persons c JOIN persons m ON m.person_id = c.mother_id WHERE m.death_date < c.birth_date",
    )


def test_a_child_bears_the_fathers_surname_except_where_the_clan_is_the_mothers(tables):
    maternal = ", ".join(f"'{code}'" for code in MATERNAL)
    assert not measures.value(
        tables,
        f"SELECT count(*) FROM persons c JOIN persons f ON f.person_id = c.father_id JOIN persons m ON m.person_id = c.mother_id"
        f" WHERE m.ethnicity NOT IN ({maternal}) AND c.surname IS DISTINCT FROM f.surname",
    )
    assert not measures.value(
        tables,
        f"SELECT count(*) FROM persons c JOIN persons m ON m.person_id = c.mother_id"
        f" WHERE m.ethnicity IN ({maternal}) AND c.surname IS DISTINCT FROM m.surname",
    )


def test_husband_and_wife_name_each_other_and_the_wife_keeps_her_surname(tables):
    assert not measures.value(
        tables,
        "SELECT count(*) FROM persons a JOIN persons b ON b.person_id = a.spouse_id"
        " WHERE a.death_date IS NULL AND b.death_date IS NULL AND (b.spouse_id <> a.person_id OR a.sex = b.sex)",
    )
    same = measures.value(
        tables,
        "SELECT avg((a.surname = b.surname)::INT) FROM persons a JOIN persons b ON b.person_id = a.spouse_id"
        " WHERE a.ethnicity = '01' AND a.death_date IS NULL",
    )
    assert 0.08 < same < 0.2  # by chance alone: the squared shares of the surnames


def test_brothers_and_sisters_do_not_marry(tables):
    assert not measures.value(
        tables,
        "SELECT count(*) FROM persons a JOIN persons b ON b.person_id = a.spouse_id"
        " WHERE a.mother_id >= 0 AND a.mother_id = b.mother_id",
    )


def test_twins_name_each_other_and_share_birthday_mother_and_first_home(tables):
    assert not measures.value(
        tables,
        "SELECT count(*) FROM persons a JOIN persons b ON b.person_id = a.twin_of"
        " WHERE b.twin_of <> a.person_id OR a.birth_date <> b.birth_date OR a.mother_id <> b.mother_id"
        " OR a.birth_commune <> b.birth_commune OR a.full_name = b.full_name",
    )


def test_nobody_is_registered_in_two_households_at_once(tables):
    assert not measures.value(
        tables,
        "SELECT count(*) FROM (SELECT from_date, lag(coalesce(to_date, DATE '2999-01-01'))"
        " OVER (PARTITION BY person_id, kind ORDER BY from_date, to_date) AS before FROM residence_spells)"
        " WHERE before > from_date",
    )


def test_everyone_alive_is_registered_somewhere_and_no_one_dead_is(tables):
    assert not measures.value(
        tables,
        "SELECT count(*) FROM persons LEFT JOIN (SELECT person_id, count(*) AS n FROM residence_spells"
        " WHERE to_date IS NULL AND kind = 'permanent' GROUP BY person_id) USING (person_id)"
        " WHERE NOT is_foreign AND coalesce(n, 0) <> (death_date IS NULL)::INT",
    )


def test_stays_lie_within_the_life_and_within_the_households_time(tables):
    assert not measures.value(
        tables,
        "SELECT count(*) FROM residence_spells JOIN persons USING (person_id) JOIN households USING (household_id)"
        " WHERE from_date < birth_date OR to_date > death_date OR to_date < from_date OR from_date < formed_on"
        " OR coalesce(to_date, DATE '2999-01-01') > coalesce(dissolved_on, DATE '2999-01-01')",
    )


def test_a_temporary_stay_is_never_where_the_person_is_registered(tables):
    assert not measures.value(
        tables,
        "SELECT count(*) FROM residence_spells t JOIN residence_spells p USING (person_id, household_id)"
        " WHERE t.kind = 'temporary' AND p.kind = 'permanent' AND t.to_date IS NULL AND p.to_date IS NULL",
    )


def test_every_household_has_one_head_who_was_a_member(tables):
    assert not measures.value(
        tables,
        "SELECT count(*) FROM households h WHERE NOT EXISTS (SELECT 1 FROM residence_spells s"
        " WHERE s.household_id = h.household_id AND s.person_id = h.head_id AND s.relation_to_head = 'head')",
    )


def test_children_do_not_live_alone(tables):
    alone = measures.value(
        tables,
        "SELECT count(*) FROM (SELECT household_id FROM home JOIN persons USING (person_id) GROUP BY household_id"
        " HAVING max(date_diff('year', birth_date, DATE '2025-12-31')) < 15)",
    )
    assert alone <= 2  # left alone in the last year and not yet taken in


def test_ids_are_row_numbers_and_references_exist(population):
    for name in ("persons", "households", "employers"):
        table = getattr(population, name)
        assert table.column(0).to_pylist() == list(range(len(table)))
    people = len(population.persons)
    for column in ("mother_id", "father_id", "spouse_id", "twin_of"):
        values = population.persons[column].to_numpy()
        assert values.min() >= -1
        assert values.max() < people


def test_communes_are_the_legacy_unit_and_a_successor_of_it(tables, settings):
    changes = settings.reference / "unit_changes.csv"
    assert not measures.value(
        tables,
        f"SELECT count(*) FROM (SELECT commune_legacy, commune_now FROM households UNION ALL"
        f" SELECT commune_legacy, commune_now FROM employers) ANTI JOIN read_csv('{changes}', all_varchar = true)"
        f" ON commune_legacy = old_code AND commune_now = new_code",
    )


def test_birth_communes_speak_the_vocabulary_of_the_birth_date(tables):
    assert not measures.value(
        tables,
        "SELECT count(*) FROM persons WHERE (left(birth_commune, 1) = 'N') <> (birth_date >= DATE '2025-07-01')",
    )


def test_events_lie_in_the_window_and_tell_of_people_who_lived(tables, population):
    assert not measures.value(
        tables,
        f"SELECT count(*) FROM life_events JOIN persons USING (person_id)"
        f" WHERE date < DATE '{population.since}' OR date > DATE '{population.until}' OR registered_on < date"
        f" OR (kind <> 'death' AND date > death_date) OR date < birth_date",
    )


def test_marriages_and_divorces_are_told_from_both_sides(tables):
    assert not measures.value(
        tables,
        "SELECT count(*) FROM life_events a WHERE kind IN ('marriage', 'divorce') AND other_id >= 0 AND NOT EXISTS ("
        " SELECT 1 FROM life_events b WHERE b.kind = a.kind AND b.person_id = a.other_id AND b.other_id = a.person_id"
        " AND b.date = a.date)",
    )


def test_martyrs_died_before_the_window_and_left_kin(tables):
    martyrs, before, kin = measures.rows(
        tables,
        "SELECT count(*) FILTER (merit = 'martyr'), count(*) FILTER (merit = 'martyr' AND died_before_window),"
        " count(*) FILTER (merit = 'martyr_relative') FROM persons",
    )[0]
    assert martyrs == before
    assert martyrs > 150
    assert kin > 0
