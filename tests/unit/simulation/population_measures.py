"""What a demographer would read off the simulated tables. Each function asks the tables by SQL."""

import duckdb

ACTUAL_HOME = """
    -- grain: person alive on the last day; where they live: the open temporary stay, else the open permanent one
    SELECT person_id, arg_max(household_id, kind = 'temporary') AS household_id,
           arg_max(relation_to_head, kind = 'temporary') AS relation, max(kind = 'temporary') AS away
    FROM residence_spells WHERE to_date IS NULL GROUP BY person_id
"""


def connect(population):
    connection = duckdb.connect()
    for name in ("persons", "residence_spells", "households", "employers", "life_events"):
        connection.register(name, getattr(population, name))
    connection.execute(f"CREATE TABLE home AS {ACTUAL_HOME}")
    return connection


def rows(connection, sql):
    return connection.execute(sql).fetchall()


def value(connection, sql):
    return rows(connection, sql)[0][0]


def pyramid(connection):
    """{(sex, first age of the five-year group): people} in mid-2025."""
    return {
        (sex, group): number
        for sex, group, number in rows(
            connection,
            """
            SELECT sex, least(date_diff('month', birth_date, DATE '2025-07-01') // 60 * 5, 100)::INT AS g, count(*)
            FROM persons
            WHERE NOT is_foreign AND birth_date < DATE '2025-07-01'
              AND coalesce(death_date, DATE '2099-01-01') >= DATE '2025-07-01'
            GROUP BY sex, g
            """,
        )
    }


HOUSEHOLD_TYPES = """
    WITH member AS (
        SELECT h.household_id, p.* FROM home h JOIN persons p USING (person_id) WHERE NOT p.is_foreign
    ), tie AS (
        SELECT c.household_id, c.person_id AS child, m.person_id AS mother, f.person_id AS father
        FROM member c
        LEFT JOIN member m ON m.person_id = c.mother_id AND m.household_id = c.household_id
        LEFT JOIN member f ON f.person_id = c.father_id AND f.household_id = c.household_id
        WHERE m.person_id IS NOT NULL OR f.person_id IS NOT NULL
    ), deep AS (
        SELECT t.household_id FROM tie t JOIN tie u ON u.child = t.mother
        UNION SELECT t.household_id FROM tie t JOIN tie u ON u.child = t.father
    ), shape AS (
        SELECT m.household_id, count(*) AS size,
               bool_or(s.person_id IS NOT NULL) AS couple,
               count(t.child) AS children, bool_or(t.mother IS NOT NULL) AS mother, bool_or(t.father IS NOT NULL) AS father
        FROM member m
        LEFT JOIN member s ON s.person_id = m.spouse_id AND s.household_id = m.household_id
        LEFT JOIN tie t ON t.child = m.person_id
        GROUP BY m.household_id
    )
    SELECT CASE WHEN household_id IN (SELECT household_id FROM deep) THEN 'three or more generations'
                WHEN size = 1 THEN 'single person'
                WHEN couple AND children > 0 THEN 'couple+children (2 generations)'
                WHEN couple AND size = 2 THEN 'couple only'
                WHEN children > 0 AND mother AND NOT father THEN 'mother+children'
                WHEN children > 0 AND father AND NOT mother THEN 'father+children'
                ELSE 'other' END AS type,
           count(*) / sum(count(*)) OVER () AS share
    FROM shape GROUP BY type
"""


def household_types(connection):
    return dict(rows(connection, HOUSEHOLD_TYPES))


def household_size(connection):
    return value(connection, "SELECT count(*) / count(DISTINCT household_id) FROM home")


def migration(connection):
    """Shares of the people aged 5 and more who lived elsewhere five years before: province, district, commune."""
    return rows(
        connection,
        """
        WITH moment AS (SELECT max(birth_date) - INTERVAL 5 YEAR AS then_day FROM persons),
        before AS (
            SELECT s.person_id, arg_max(household_id, kind = 'temporary') AS household_id
            FROM residence_spells s, moment
            WHERE from_date <= then_day AND coalesce(to_date, DATE '2099-01-01') > then_day
            GROUP BY s.person_id
        ), place AS (
            SELECT household_id, commune_legacy AS commune, u.parent_code AS district, u.province_code AS province
            FROM households h JOIN units u ON u.code = h.commune_legacy
        )
        SELECT avg((a.province <> b.province)::INT),
               avg((a.province = b.province AND a.district <> b.district)::INT),
               avg((a.district = b.district AND a.commune <> b.commune)::INT)
        FROM home JOIN before USING (person_id)
        JOIN place a ON a.household_id = home.household_id
        JOIN place b ON b.household_id = before.household_id
        """,
    )[0]


def total_fertility(connection, first, last):
    """Births a woman would have over her life at the rates of these years: the sum over ages of births per woman."""
    return value(
        connection,
        f"""
        WITH years AS (SELECT unnest(range({first}, {last} + 1)) AS y),
        women AS (
            SELECT y, y - year(birth_date) AS age, count(*) AS n FROM persons, years
            WHERE sex = 'female' AND y - year(birth_date) BETWEEN 14 AND 50
              AND coalesce(year(death_date), 9999) > y AND NOT is_foreign AND NOT died_before_window
            GROUP BY ALL
        ), births AS (
            SELECT year(c.birth_date) AS y, year(c.birth_date) - year(m.birth_date) AS age, count(*) AS n
            FROM persons c JOIN persons m ON m.person_id = c.mother_id
            WHERE year(c.birth_date) BETWEEN {first} AND {last} GROUP BY ALL
        )
        SELECT sum(coalesce(births.n, 0) / women.n) / ({last} - {first} + 1) FROM women LEFT JOIN births USING (y, age)
        """,
    )


def first_marriage_age(connection, sex):
    return value(
        connection,
        f"""
        WITH first AS (
            SELECT person_id, min(date) AS day FROM life_events WHERE kind = 'marriage' GROUP BY person_id
        )
        SELECT avg(date_diff('day', birth_date, day) / 365.25) FROM first JOIN persons USING (person_id)
        WHERE sex = '{sex}' AND day >= DATE '2020-01-01' AND birth_date > DATE '1980-01-01'
        """,
    )


def word_shares(connection, sex, first, last):
    """{words: share} of the Kinh names of these birth years."""
    return dict(
        rows(
            connection,
            f"""
            SELECT len(string_split(full_name, ' ')) AS words, count(*) / sum(count(*)) OVER ()
            FROM persons
            WHERE sex = '{sex}' AND ethnicity = '01' AND year(birth_date) BETWEEN {first} AND {last} AND full_name IS NOT NULL
            GROUP BY words
            """,
        )
    )


def top_ten_share(connection, sex, first, last):
    return value(
        connection,
        f"""
        SELECT sum(share) FROM (
            SELECT count(*) / sum(count(*)) OVER () AS share FROM persons
            WHERE sex = '{sex}' AND ethnicity = '01' AND year(birth_date) BETWEEN {first} AND {last} AND given IS NOT NULL
            GROUP BY given ORDER BY share DESC LIMIT 10)
        """,
    )


def unregistered_residents(connection, provinces):
    """Share of the residents of provinces who are registered elsewhere."""
    return value(
        connection,
        f"""
        SELECT avg(away::INT) FROM home JOIN households USING (household_id) JOIN units ON units.code = commune_legacy
        WHERE province_code IN ({", ".join(f"'{code}'" for code in provinces)})
        """,
    )
