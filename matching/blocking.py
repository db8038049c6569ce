"""Blocking: which records are compared at all.

Each rule gives a record zero or more 64-bit keys (one per combination of list elements). Records that share a key are
compared. The key is the low half of an MD5, so that SQL and Python compute the same one (`blocking_keys`). A block above the
model's largest block is not compared within; where its rule has `refine`, its records are compared if they agree on those
columns too, by keys of their own. What is left out is reported.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import duckdb

    from matching.model import BlockingRule, Model

_SEPARATOR = "\x1f"
Divided = dict[int, set[int]]
"""The keys of a record, each with those of the refined blocks that divide its block."""


@dataclass(frozen=True)
class RuleReport:
    """What one rule cost and left out. Records and pairs of a refined block count as skipped only where the refined blocks are too
    large again; records without a value to refine by are not counted among them.
    """

    rule: str
    keys: int
    blocks: int
    pairs: int
    largest_block: int
    refined_blocks: int
    """Blocks above the limit that were divided."""
    skipped_blocks: int
    skipped_records: int
    skipped_pairs: int


def blocking_keys(model: Model, features: Mapping[str, Any]) -> list[int]:
    """The keys of one record, those of refined blocks among them: the same numbers that `make_keys` writes for it."""
    return all_keys(divided_keys(model, features))


def all_keys(divided: Divided) -> list[int]:
    """Those of whole blocks and of refined ones, ascending."""
    return sorted(divided.keys() | {key for parts in divided.values() for key in parts})


def divided_keys(model: Model, features: Mapping[str, Any]) -> Divided:
    """The keys of one record, each with those of the refined blocks that its block is divided into, where it is too large."""
    found: Divided = {}
    for rule in model.blocking:
        refined, name = _combinations(rule.refine, features) if rule.refine else [], _refined(rule.name)
        for values in _combinations(rule.columns, features):
            found[_key(rule.name, values)] = {_key(name, values + further) for further in refined}
    return found


def _combinations(columns: Sequence[str], features: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Of the values of columns, one of each list; none where a column has no value."""
    lists = []
    for column in columns:
        value = features.get(column)
        if value is None:
            return []
        lists.append(value if isinstance(value, list) else [value])
    return list(product(*lists))


def _refined(name: str) -> str:
    return f"{name}+"


def _key(rule: str, values: tuple[Any, ...]) -> int:
    # DuckDB reads the digest as a little-endian number
    text = _SEPARATOR.join([rule, *(str(value) for value in values)])
    return int.from_bytes(hashlib.md5(text.encode(), usedforsecurity=False).digest()[8:], "little")


def make_keys(connection: duckdb.DuckDBPyConnection, model: Model, *, records: str, into: str) -> None:
    """Table `into`: rule (position), key, record_id, coarse; one row for each key of each record. `coarse` is null but for keys of
    refined blocks: the key of the block that they divide.
    """
    types = dict(connection.execute(f"SELECT column_name, column_type FROM (DESCRIBE {records})").fetchall())
    selects = []
    for position, rule in enumerate(model.blocking):
        selects.append(_keys_sql(rule, position, records, types, refined=False))
        if rule.refine:
            selects.append(_keys_sql(rule, position, records, types, refined=True))
    connection.execute(f"CREATE OR REPLACE TABLE {into} AS {' UNION ALL '.join(selects)}")


def _keys_sql(
    rule: BlockingRule, position: int, records: str, types: Mapping[str, str], *, refined: bool
) -> str:
    columns = [*rule.columns, *rule.refine] if refined else rule.columns
    lists = [column for column in columns if types[column].endswith("[]")]
    source = records
    for column in (
        lists
    ):  # lists side by side in one SELECT would be paired off; one after the other gives every combination
        source = f'(SELECT * REPLACE (UNNEST(list_distinct("{column}")) AS "{column}") FROM {source})'
    present = " AND ".join(f'"{c}" IS NOT NULL' for c in columns)
    coarse = _key_sql(rule.name, rule.columns)
    key, of = (_key_sql(_refined(rule.name), columns), coarse) if refined else (coarse, "NULL::UBIGINT")
    return f"SELECT {position} AS rule, {key} AS key, record_id, {of} AS coarse FROM {source} WHERE {present}"


def _key_sql(name: str, columns: Sequence[str]) -> str:
    parts = ", ".join(f'"{c}"' for c in columns)
    return f"md5_number_lower(concat_ws(chr(31), '{name}', {parts}))"


def make_pairs(
    connection: duckdb.DuckDBPyConnection, model: Model, *, keys: str, into: str, of: str | None = None
) -> list[RuleReport]:
    """Table `into`: join_key_l < join_key_r, each pair once; with `of` only pairs of which that table (record_id) has a record."""
    concerned = "" if of is None else f" WHERE l.record_id IN (FROM {of}) OR r.record_id IN (FROM {of})"
    limit = model.largest_block
    refining = [position for position, rule in enumerate(model.blocking) if rule.refine]
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE block AS
        SELECT rule, key, COUNT(*) AS size, FALSE AS divided FROM {keys} WHERE coarse IS NULL GROUP BY ALL HAVING COUNT(*) > 1;
        INSERT INTO block
        SELECT rule, key, COUNT(*), TRUE FROM {keys} SEMI JOIN (SELECT key FROM block WHERE size > {limit}) AS large ON large.key = coarse
        GROUP BY rule, key HAVING COUNT(*) > 1;
        CREATE OR REPLACE TABLE {into} AS
        WITH usable AS (
            SELECT k.key, k.record_id FROM {keys} AS k SEMI JOIN (SELECT key FROM block WHERE size <= {limit}) USING (key)
        )
        SELECT DISTINCT l.record_id AS join_key_l, r.record_id AS join_key_r
        FROM usable AS l JOIN usable AS r ON l.key = r.key AND l.record_id < r.record_id{concerned}
        """
    )
    skipped = f"b.size > {limit} AND (b.divided OR b.rule NOT IN ({', '.join(map(str, [-1, *refining]))}))"
    rows = connection.execute(
        f"""
        WITH per_rule AS (SELECT rule, COUNT(*) AS keys FROM {keys} WHERE coarse IS NULL GROUP BY rule)
        SELECT p.rule, p.keys, COUNT(b.key) FILTER (NOT b.divided),
            COALESCE(SUM(b.size * (b.size - 1) // 2) FILTER (b.size <= {limit}), 0),
            COALESCE(MAX(b.size) FILTER (NOT b.divided), 0),
            COUNT(b.key) FILTER (b.size > {limit} AND NOT b.divided AND NOT ({skipped})),
            COUNT(b.key) FILTER ({skipped}),
            COALESCE(SUM(b.size) FILTER ({skipped}), 0),
            COALESCE(SUM(b.size * (b.size - 1) // 2) FILTER ({skipped}), 0)
        FROM per_rule AS p LEFT JOIN block AS b ON b.rule = p.rule
        GROUP BY p.rule, p.keys ORDER BY p.rule
        """
    ).fetchall()
    connection.execute("DROP TABLE block")
    return [
        RuleReport(model.blocking[rule].name, *(int(value) for value in counts)) for rule, *counts in rows
    ]


@dataclass(frozen=True)
class Missed:
    """An estimate, without truth, of the true pairs that no rule brought together.

    Chao's lower bound (Scandinavian Journal of Statistics, 1984) with the rules as captures: of `linked` pairs `once` were found by
    one rule and `twice` by two; at least once (once - 1) / (2 (twice + 1)) more are found by none.
    """

    linked: int
    once: int
    twice: int

    @property
    def missed(self) -> float:
        return self.once * (self.once - 1) / (2 * (self.twice + 1))

    @property
    def recall(self) -> float:
        return self.linked / (self.linked + self.missed) if self.linked else 1.0


def missed_pairs(connection: duckdb.DuckDBPyConnection, model: Model, *, keys: str, edges: str) -> Missed:
    """`keys` as made by `make_keys`, `edges` as scored: those at or above the link threshold count as true pairs."""
    rows = connection.execute(
        f"""
        WITH linked AS (SELECT record_l, record_r FROM {edges} WHERE weight >= {model.thresholds.link} AND conflict IS NULL),
        distinct_key AS (SELECT DISTINCT rule, key, record_id FROM {keys} WHERE coarse IS NULL),
        found AS (
            SELECT record_l, record_r, COUNT(DISTINCT l.rule) AS rules FROM linked
            JOIN distinct_key AS l ON l.record_id = record_l JOIN distinct_key AS r ON r.record_id = record_r AND r.key = l.key
            GROUP BY ALL
        )
        SELECT COUNT(*), COUNT(*) FILTER (rules = 1), COUNT(*) FILTER (rules = 2) FROM found
        """
    ).fetchall()
    return Missed(*(int(value) for value in rows[0]))
