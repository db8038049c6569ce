"""Blocking: the same keys in SQL and in Python, every pair once, large blocks reported and not hidden."""

from collections import Counter

from matching.blocking import blocking_keys, make_keys, make_pairs
from tests.unit.matching.scenario import MODEL, feature_table, people_records, person_table


def test_sql_and_python_give_a_record_the_same_keys():
    records, _ = people_records(60, seed=3)
    connection = person_table(records)
    make_keys(connection, MODEL, records="person", into="keys")
    for row in feature_table(records).to_pylist():
        found = connection.execute(
            "SELECT DISTINCT key FROM keys WHERE record_id = ?", [row["record_id"]]
        ).fetchall()
        assert sorted(key for (key,) in found) == blocking_keys(MODEL, row)


def test_pairs_are_those_that_share_a_key_each_once():
    records, _ = people_records(80, seed=4)
    connection = person_table(records)
    make_keys(connection, MODEL, records="person", into="keys")
    make_pairs(connection, MODEL, keys="keys", into="pair")
    keys = {row["record_id"]: set(blocking_keys(MODEL, row)) for row in feature_table(records).to_pylist()}
    expected = {(a, b) for a in keys for b in keys if a < b and keys[a] & keys[b]}
    found = Counter(connection.execute("SELECT join_key_l, join_key_r FROM pair").fetchall())
    assert set(found) == expected
    assert set(found.values()) == {1}


def test_blocks_above_the_limit_are_skipped_and_reported():
    records = [{"full_name": "Lê Văn An", "birth_date": "1980-05-05"}] * 9
    connection = person_table(records)
    narrow = MODEL.model_copy(update={"largest_block": 8})
    make_keys(connection, narrow, records="person", into="keys")
    reports = {report.rule: report for report in make_pairs(connection, narrow, keys="keys", into="pair")}
    assert connection.execute("SELECT COUNT(*) FROM pair").fetchall() == [(0,)]
    assert reports["name_day"].skipped_blocks == 1
    assert reports["name_day"].skipped_pairs == 36
    assert reports["name_day"].largest_block == 9
