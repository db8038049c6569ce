"""One value changed anywhere in the store, and `verify` finds it."""

import random
import sqlite3
from contextlib import closing

import pyarrow as pa
import pytest

from mdm.identity.commands import Decide, Merge, Split, Unmerge
from mdm.pipeline.verify import CHECKS, verify
from mdm.stewardship.service import Identity
from mdm.store.tables import metadata
from tests.integration.job import copied, finished_job, rows

COLUMNS = [(table.name, column.name) for table in metadata.sorted_tables for column in table.columns]
SOME = sorted(random.Random(5).sample(COLUMNS, 12))
PEOPLE = pa.schema([("entity", pa.string()), ("kind", pa.string()), ("records", pa.int64())])


@pytest.fixture(scope="session")
def lived_in(tmp_path_factory, country):
    """A store in which every table but a few has rows: two deliveries, and stewards at work."""
    settings = finished_job(
        tmp_path_factory.mktemp("lived-in"), country, deliveries=("delivery-1", "delivery-2")
    )
    people = rows(
        settings,
        "SELECT e.entity_id AS entity, MIN(s.kind) AS kind, COUNT(DISTINCT m.record_id) AS records FROM entity AS e"
        " JOIN ssn AS s ON s.entity_key = e.entity_key AND s.state = 'active'"
        " JOIN membership AS m ON m.entity_key = e.entity_key AND m.until_event IS NULL"
        " WHERE e.status = 'active' GROUP BY e.entity_id ORDER BY MIN(e.entity_key)",
        PEOPLE,
    )
    temporary = [p["entity"] for p in people if p["kind"] == "temporary"]
    anchored = [p["entity"] for p in people if p["kind"] == "ssn" and p["records"] > 2]
    identity = Identity(settings)
    steward = {"actor": "an", "reason": "seen the papers"}
    identity.carry_out(Merge(left=anchored[0], right=temporary[0]), **steward)
    merged = identity.carry_out(Merge(left=temporary[1], right=temporary[2]), **steward, key="k1")
    identity.carry_out(Unmerge(event=merged.events[0]), **steward)
    with_records = identity.preview(Merge(left=anchored[1], right=temporary[3])).records
    identity.carry_out(Split(entity=anchored[1], records=(max(with_records[anchored[1]][:-1]),)), **steward)
    left, right = (
        identity.preview(Merge(left=anchored[n], right=temporary[4])).records[anchored[n]][0] for n in (2, 3)
    )
    identity.carry_out(Decide(decision="cannot_link", left=left, right=right), **steward)
    identity.close()
    return settings


def test_a_store_that_is_well_is_said_to_be(lived_in):
    checks = verify(lived_in)
    assert [(check.name, check.wrong) for check in checks] == [(name, None) for name in CHECKS]
    assert all(check.examined > 0 for check in checks if check.name != "approvals")


def changed(value):
    if not isinstance(value, str):
        return value + 1
    place = len(value) // 2
    return value[:place] + ("b" if value[place : place + 1] == "a" else "a") + value[place + 1 :]


def change_one(settings, table, column):
    """Changes the value in one row, if any row has one; returns whether."""
    with closing(sqlite3.connect(settings.store_file)) as connection, connection:
        row = connection.execute(
            f'SELECT rowid, "{column}" FROM "{table}" WHERE "{column}" IS NOT NULL ORDER BY rowid DESC LIMIT 1'
        ).fetchone()
        if row is None:
            return False
        update = f'UPDATE "{table}" SET "{column}" = ? WHERE rowid = ?'
        try:
            connection.execute(update, (changed(row[1]), row[0]))
        except sqlite3.IntegrityError:  # the schema itself refuses a value that another row has
            connection.execute(update, (row[1] + 10**6 if isinstance(row[1], int) else f"zz{row[1]}", row[0]))
        return True


def check_change_is_found(lived_in, tmp_path, table, column):
    settings = copied(lived_in, tmp_path)
    if change_one(settings, table, column):
        assert [check.wrong for check in verify(settings) if check.wrong], f"{table}.{column}"


@pytest.mark.parametrize(("table", "column"), SOME)
def test_a_changed_value_is_found(lived_in, tmp_path, table, column):
    check_change_is_found(lived_in, tmp_path, table, column)


@pytest.mark.nightly
@pytest.mark.parametrize(("table", "column"), COLUMNS)
def test_any_changed_value_is_found(lived_in, tmp_path, table, column):
    check_change_is_found(lived_in, tmp_path, table, column)


@pytest.mark.parametrize(
    "table", ["event", "record_version", "membership", "golden", "ssn", "edge", "review"]
)
def test_a_missing_row_is_found(lived_in, tmp_path, table):
    settings = copied(lived_in, tmp_path)
    with closing(sqlite3.connect(settings.store_file)) as connection, connection:
        connection.execute(f'DELETE FROM "{table}" WHERE rowid = (SELECT MAX(rowid) / 2 FROM "{table}")')
    assert [check.wrong for check in verify(settings) if check.wrong]


def test_a_row_too_many_is_found(lived_in, tmp_path):
    settings = copied(lived_in, tmp_path)
    with closing(sqlite3.connect(settings.store_file)) as connection, connection:
        connection.execute(
            "INSERT INTO alias SELECT MAX(alias_id) + 1, 'cmnd', '000000000', MAX(entity_key), MAX(from_event), NULL FROM alias"
        )
    assert [check.wrong for check in verify(settings) if check.wrong]


def test_a_wrong_number_is_not_told(lived_in, tmp_path):
    settings = copied(lived_in, tmp_path)
    change_one(settings, "ssn", "number")
    (wrong,) = [check.wrong for check in verify(settings) if check.wrong]
    with closing(sqlite3.connect(settings.store_file)) as connection:
        numbers = [number for (number,) in connection.execute("SELECT number FROM ssn")]
    assert not any(number in wrong for number in numbers)
