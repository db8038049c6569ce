"""Blocking: the same keys in SQL and in Python, every pair once, large blocks reported and not hidden."""

from collections import Counter

from matching.blocking import blocking_keys, make_keys, make_pairs, missed_pairs
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


def limited(limit):
    return MODEL.model_copy(update={"largest_block": limit})


def paired(records, model):
    connection = person_table(records)
    make_keys(connection, model, records="person", into="keys")
    reports = {report.rule: report for report in make_pairs(connection, model, keys="keys", into="pair")}
    return reports, set(connection.execute("FROM pair").fetchall())


def test_blocks_above_the_limit_are_skipped_and_reported():
    records = [{"phone": [f"09{n:08d}", "0912345678"]} for n in range(9)]
    reports, pairs = paired(records, limited(8))
    assert pairs == set()
    assert reports["phone"].largest_block == 9
    assert (reports["phone"].skipped_blocks, reports["phone"].skipped_records) == (1, 9)
    assert (reports["phone"].skipped_pairs, reports["phone"].pairs) == (36, 0)


def test_a_large_block_is_divided_by_the_columns_that_refine_it():
    mother = {"mother_name": "Lê Thị Hoa", "birth_date": "1980"}
    records = [
        {**mother, "full_name": name} for name in ("Lê Văn An", "Lê Văn Bình", "Lê Văn Chi") for _ in range(3)
    ]
    whole, every = paired(records, limited(9))
    assert len(every) == 36
    assert (whole["mother_year"].refined_blocks, whole["mother_year"].pairs) == (0, 36)
    divided, within = paired(records, limited(8))
    assert within == {(a, b) for a in range(9) for b in range(a + 1, 9) if a // 3 == b // 3}
    report = divided["mother_year"]
    assert (report.refined_blocks, report.pairs, report.largest_block) == (1, 9, 9)
    assert (report.skipped_blocks, report.skipped_records, report.skipped_pairs) == (0, 0, 0)
    still, none = paired(records, limited(2))
    assert none == set()
    report = still["mother_year"]
    assert (report.refined_blocks, report.skipped_blocks, report.skipped_records) == (1, 3, 9)
    assert report.skipped_pairs == 9


def test_pairs_that_no_rule_found_are_estimated_from_those_that_few_found():
    records, _ = people_records(80, seed=4)
    connection = person_table(records)
    make_keys(connection, MODEL, records="person", into="keys")
    make_pairs(connection, MODEL, keys="keys", into="pair")
    connection.execute(
        "CREATE TABLE edge AS SELECT join_key_l AS record_l, join_key_r AS record_r, 20.0 AS weight, NULL AS conflict FROM pair"
    )
    found = missed_pairs(connection, MODEL, keys="keys", edges="edge")
    rules = Counter()
    rows = {row["record_id"]: row for row in feature_table(records).to_pylist()}
    for a, b in connection.execute("FROM pair").fetchall():
        shared = sum(
            bool(set(blocking_keys(one, rows[a])) & set(blocking_keys(one, rows[b])))
            for one in (
                MODEL.model_copy(update={"blocking": [rule.model_copy(update={"refine": []})]})
                for rule in MODEL.blocking
            )
        )
        rules[min(shared, 3)] += 1
    assert (found.linked, found.once, found.twice) == (sum(rules.values()), rules[1], rules[2])
    assert found.missed == rules[1] * (rules[1] - 1) / (2 * (rules[2] + 1))
