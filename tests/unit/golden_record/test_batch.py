from __future__ import annotations

import json
from datetime import date

import duckdb
import pytest

from golden_record.batch import ContributionsError, survive_all
from golden_record.survivorship import OverrideError
from tests.unit.golden_record.scenario import policy_of

COLUMNS = """entity BIGINT, record BIGINT, version INTEGER, registry VARCHAR, observed_on DATE, issues VARCHAR,
    full_name VARCHAR, phone VARCHAR[]"""


@pytest.fixture
def connection():
    with duckdb.connect() as connection:
        connection.execute(f"CREATE TABLE contributions ({COLUMNS})")
        connection.execute("CREATE TABLE trust (registry VARCHAR, attribute VARCHAR, trust DOUBLE)")
        connection.execute(
            "CREATE TABLE words (entity BIGINT, attribute VARCHAR, value VARCHAR, decided_by VARCHAR, decided_at TIMESTAMP)"
        )
        yield connection


PHONES = {
    "rules": {"the_rule": {"order": ["trust"]}, "phones": {"order": ["trust"], "keep": "all"}},
    "attributes": {"phone": "phones"},
}


def run(connection, *, policy=None, **more):
    return survive_all(
        connection,
        policy=policy or policy_of("trust", **PHONES),
        contributions="contributions",
        trust="trust",
        as_of=date(2025, 7, 1),
        into="golden",
        **more,
    )


def add(connection, *rows):
    connection.executemany("INSERT INTO contributions VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)


def test_one_row_an_entity_and_nothing_left_behind(connection):
    add(
        connection,
        (1, 10, 1, "tax", None, None, "An", ["1"]),
        (1, 11, 1, "population", None, "{}", "Ân", None),
        (2, 12, 1, "tax", None, None, None, []),
    )
    connection.execute("INSERT INTO trust VALUES ('population', 'default', 0.9), ('tax', 'default', 0.3)")
    for at_once in (1, 100):
        assert run(connection, records_at_once=at_once) == 2
        rows = connection.execute('SELECT entity, "values" FROM golden ORDER BY entity').fetchall()
        assert rows == [(1, '{"full_name":"Ân","phone":["1"]}'), (2, "{}")]
    left = connection.execute("SELECT table_name FROM duckdb_tables() WHERE temporary").fetchall()
    assert left == []


def test_no_contributions_give_an_empty_table(connection):
    assert run(connection) == 0


def test_a_view_serves_as_contributions(connection):
    add(connection, (1, 10, 1, "tax", None, None, "An", ["1"]))
    connection.execute("ALTER TABLE contributions RENAME TO landed")
    connection.execute("CREATE VIEW contributions AS SELECT * EXCLUDE (phone) FROM landed")
    assert run(connection) == 1
    assert connection.execute('SELECT "values" FROM golden').fetchall() == [('{"full_name":"An"}',)]


@pytest.mark.parametrize(
    "row",
    [
        (None, 10, 1, "tax", None, None, "An", None),
        (1, None, 1, "tax", None, None, "An", None),
        (1, -1, 1, "tax", None, None, "An", None),
        (1, 2**43, 1, "tax", None, None, "An", None),
        (1, 10, 2**20, "tax", None, None, "An", None),
        (1, 10, None, "tax", None, None, "An", None),
        (1, 10, 1, None, None, None, "An", None),
    ],
)
def test_rows_that_cannot_be_placed_are_refused_and_nothing_is_written(connection, row):
    add(connection, (1, 9, 1, "tax", None, None, "An", None), row)
    with pytest.raises(ContributionsError, match="1 rows"):
        run(connection)
    assert connection.execute(
        "SELECT count(*) FROM duckdb_tables() WHERE table_name = 'golden'"
    ).fetchall() == [(0,)]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("DROP COLUMN issues", "no column issues"),
        ("ADD COLUMN age INTEGER", "age is INTEGER"),
        ('ADD COLUMN "Họ tên" VARCHAR', "is no name"),
    ],
)
def test_columns_that_do_not_fit_are_named(connection, change, told):
    connection.execute(f"ALTER TABLE contributions {change}")
    with pytest.raises(ContributionsError, match=told):
        run(connection)


def test_a_list_cannot_be_a_member_of_a_group(connection):
    policy = policy_of("trust", groups={"contact": {"rule": "the_rule", "members": ["phone"]}})
    with pytest.raises(ContributionsError, match="phone is a list"):
        run(connection, policy=policy)


def test_a_word_of_a_steward_holds_in_every_range(connection):
    add(connection, *((entity, entity, 1, "tax", None, None, "An", ["1"]) for entity in range(5)))
    connection.execute(
        """INSERT INTO words VALUES (0, 'full_name', '"Ân"', 'lan', TIMESTAMP '2025-01-01 00:00:00'),
        (4, 'full_name', NULL, 'lan', TIMESTAMP '2025-01-01 00:00:00'),
        (77, 'full_name', '"X"', 'lan', TIMESTAMP '2025-01-01 00:00:00')"""
    )
    assert run(connection, overrides="words", records_at_once=2) == 5
    rows = connection.execute('SELECT "values", provenance FROM golden ORDER BY entity').fetchall()
    assert [json.loads(values).get("full_name") for values, _ in rows] == ["Ân", "An", "An", "An", None]
    assert json.loads(rows[4][1])["full_name"]["by"] == "lan"


def test_a_word_that_does_not_fit_is_refused(connection):
    connection.execute("INSERT INTO words VALUES (0, 'phone', '\"1\"', 'lan', TIMESTAMP '2025-01-01')")
    with pytest.raises(OverrideError, match="phone"):
        run(connection, overrides="words")


def test_a_database_in_a_file_serves_as_well(tmp_path):
    with duckdb.connect(str(tmp_path / "work.duckdb")) as connection:
        connection.execute(f"CREATE TABLE contributions ({COLUMNS})")
        connection.execute("CREATE TABLE trust (registry VARCHAR, attribute VARCHAR, trust DOUBLE)")
        add(connection, *((entity, entity, 1, "tax", None, None, "An", ["1"]) for entity in range(5)))
        assert run(connection, records_at_once=2) == 5
    with duckdb.connect(str(tmp_path / "work.duckdb"), read_only=True) as connection:
        assert [row[0] for row in connection.execute("SHOW TABLES").fetchall()] == [
            "contributions",
            "golden",
            "trust",
        ]
        assert len(connection.execute("SELECT DISTINCT entity FROM golden").fetchall()) == 5


def test_the_records_of_an_entity_stay_together_however_small_the_range(connection):
    add(connection, *((7, record, 1, "tax", None, None, "An", None) for record in range(10)))
    assert run(connection, records_at_once=3) == 1
    ((provenance,),) = connection.execute("SELECT provenance FROM golden").fetchall()
    assert json.loads(provenance) == {"full_name": {"agree": 10, "record": 0, "version": 1}}
