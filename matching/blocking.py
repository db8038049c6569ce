"""Blocking: which records are compared at all.

Each rule gives a record zero or more 64-bit keys (one per combination of list elements). Records that share a key are
compared. The key is the low half of an MD5, so that SQL and Python compute the same one (`blocking_keys`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    import duckdb

    from matching.model import BlockingRule, Model

_SEPARATOR = "\x1f"


@dataclass(frozen=True)
class RuleReport:
    """What one rule cost: `skipped_pairs` would have come from blocks above the model's largest block."""

    rule: str
    keys: int
    blocks: int
    pairs: int
    largest_block: int
    skipped_blocks: int
    skipped_pairs: int


def blocking_keys(model: Model, features: Mapping[str, Any]) -> list[int]:
    """The keys of one record: the same numbers that `make_keys` writes for it."""
    keys = []
    for rule in model.blocking:
        values = [features.get(column) for column in rule.columns]
        if any(value is None for value in values):
            continue
        lists = [value if isinstance(value, list) else [value] for value in values]
        keys += [_key(rule.name, combination) for combination in product(*lists)]
    return sorted(set(keys))


def _key(rule: str, values: tuple[Any, ...]) -> int:
    # DuckDB reads the digest as a little-endian number
    text = _SEPARATOR.join([rule, *(str(value) for value in values)])
    return int.from_bytes(hashlib.md5(text.encode(), usedforsecurity=False).digest()[8:], "little")


def make_keys(connection: duckdb.DuckDBPyConnection, model: Model, *, records: str, into: str) -> None:
    """Table `into`: rule (position), key, record_id; one row for each key of each record."""
    types = dict(connection.execute(f"SELECT column_name, column_type FROM (DESCRIBE {records})").fetchall())
    selects = [_keys_sql(rule, position, records, types) for position, rule in enumerate(model.blocking)]
    connection.execute(f"CREATE OR REPLACE TABLE {into} AS {' UNION ALL '.join(selects)}")


def _keys_sql(rule: BlockingRule, position: int, records: str, types: Mapping[str, str]) -> str:
    lists = [column for column in rule.columns if types[column].endswith("[]")]
    source = records
    if lists:
        exploded = ", ".join(f'UNNEST(list_distinct("{c}")) AS "{c}"' for c in lists)
        plain = "".join(f', "{c}"' for c in rule.columns if c not in lists)
        source = f"(SELECT record_id{plain}, {exploded} FROM {records})"
    present = " AND ".join(f'"{c}" IS NOT NULL' for c in rule.columns)
    parts = ", ".join(f'"{c}"' for c in rule.columns)
    return (
        f"SELECT {position} AS rule, md5_number_lower(concat_ws(chr(31), '{rule.name}', {parts})) AS key, record_id"
        f" FROM {source} WHERE {present}"
    )


def make_pairs(
    connection: duckdb.DuckDBPyConnection, model: Model, *, keys: str, into: str, of: str | None = None
) -> list[RuleReport]:
    """Table `into`: join_key_l < join_key_r, each pair once; with `of` only pairs of which that table (record_id) has a record."""
    concerned = "" if of is None else f" WHERE l.record_id IN (FROM {of}) OR r.record_id IN (FROM {of})"
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE block AS SELECT rule, key, COUNT(*) AS size FROM {keys} GROUP BY ALL HAVING COUNT(*) > 1"
    )
    connection.execute(
        f"""
        CREATE OR REPLACE TABLE {into} AS
        WITH usable AS (
            SELECT k.key, k.record_id FROM {keys} AS k SEMI JOIN (SELECT key FROM block WHERE size <= {model.largest_block}) USING (key)
        )
        SELECT DISTINCT l.record_id AS join_key_l, r.record_id AS join_key_r
        FROM usable AS l JOIN usable AS r ON l.key = r.key AND l.record_id < r.record_id{concerned}
        """
    )
    rows = connection.execute(
        f"""
        WITH per_rule AS (SELECT rule, COUNT(*) AS keys FROM {keys} GROUP BY rule)
        SELECT p.rule, p.keys, COUNT(b.key),
            COALESCE(SUM(b.size * (b.size - 1) // 2) FILTER (b.size <= {model.largest_block}), 0),
            COALESCE(MAX(b.size), 0),
            COUNT(b.key) FILTER (b.size > {model.largest_block}),
            COALESCE(SUM(b.size * (b.size - 1) // 2) FILTER (b.size > {model.largest_block}), 0)
        FROM per_rule AS p LEFT JOIN block AS b ON b.rule = p.rule
        GROUP BY p.rule, p.keys ORDER BY p.rule
        """
    ).fetchall()
    connection.execute("DROP TABLE block")
    return [
        RuleReport(model.blocking[rule].name, *(int(value) for value in counts)) for rule, *counts in rows
    ]
