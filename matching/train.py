"""Training without labels, and the artefact that a trained model is.

u probabilities come from random pairs, m probabilities from expectation maximisation over several blocking rules, the
prior from rules that almost surely find true pairs. An artefact holds all of that and the term frequencies, under a hash of its content, and is
used again by every later run until another one is promoted.
"""

from __future__ import annotations

import hashlib
import logging
import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
import pyarrow as pa
from splink import DuckDBAPI, Linker

from matching.model import Comparison, Model, splink_settings

if TYPE_CHECKING:
    import duckdb

_EM_SAMPLE_SEEN = 0.1
_PAIRS_AT_ONCE = 1_000_000
_LEAST_U = 1e-7
_UNSEEN_M = 1e-3
_SLIP = 5e-4
_LEAST_PAIRS = 100


@dataclass(frozen=True)
class TrainedModel:
    """Parameters of a model: `settings` for Splink with m and u, and term frequencies of values seen more than once."""

    declaration: Model
    settings: dict[str, Any]
    term_frequencies: dict[str, dict[str, float]]
    frequency_floor: float
    """Frequency of a value that was seen once or never: one over the number of records trained on."""
    records: int

    @property
    def body(self) -> str:
        """Canonical JSON of everything: what the hash is of."""
        return orjson.dumps(
            {
                "declaration": self.declaration.model_dump(mode="json"),
                "settings": self.settings,
                "term_frequencies": self.term_frequencies,
                "frequency_floor": self.frequency_floor,
                "records": self.records,
            },
            option=orjson.OPT_SORT_KEYS,
        ).decode()

    @property
    def hash(self) -> str:
        return hashlib.sha256(self.body.encode()).hexdigest()

    @classmethod
    def from_body(cls, body: str) -> TrainedModel:
        data = orjson.loads(body)
        return cls(
            declaration=Model.model_validate(data["declaration"]),
            settings=data["settings"],
            term_frequencies=data["term_frequencies"],
            frequency_floor=data["frequency_floor"],
            records=data["records"],
        )


class TrainingError(ValueError):
    """The records do not suffice to train; the message says what is missing."""


def train(connection: duckdb.DuckDBPyConnection, model: Model, *, records: str) -> TrainedModel:
    """Trains on table `records` (record_id BIGINT and the model's feature columns)."""
    count = connection.execute(f"SELECT COUNT(*) FROM {records}").fetchall()[0][0]
    if count < 2:
        raise TrainingError("Training needs at least two records.")
    training = model.training
    prior = _prior(connection, training.prior.rules, records=records, count=count) / training.prior.recall
    shares = _level_shares(connection, model, records=records)
    linker = Linker(
        DuckDBAPI(connection).register(records, dataset_display_name=f"train_{records}"),
        _with_u(model, shares),
    )
    logging.getLogger("splink").setLevel(logging.CRITICAL)  # Linker() sets it to INFO
    for columns in training.expectation_maximisation:
        if _pairs_equal_on(connection, columns, records=records) < _LEAST_PAIRS:
            continue  # these records lack the columns, or none repeats: the other sessions must do
        linker.training.estimate_parameters_using_expectation_maximisation(
            " AND ".join(f'l."{c}" = r."{c}"' for c in columns),
            estimate_without_term_frequencies=True,
            max_pairs=training.pairs,
            record_sample_proportion=min(1.0, max(_EM_SAMPLE_SEEN, 100_000 / count)),
        )
    settings = linker.misc.save_model_to_json()
    settings["probability_two_random_records_match"] = _rounded(prior)
    settings.pop("linker_uid")
    frequencies = {
        column: _frequencies(connection, column, records=records) for column in model.term_frequency_columns
    }
    linker.table_management.delete_tables_created_by_splink_from_db()  # type: ignore[no-untyped-call]
    return TrainedModel(
        declaration=model,
        settings=_complete(settings, model, shares, prior),
        term_frequencies=frequencies,
        frequency_floor=1 / count,
        records=count,
    )


def _level_shares(
    connection: duckdb.DuckDBPyConnection, model: Model, *, records: str
) -> dict[str, list[float]]:
    """For each comparison the share of random pairs at each level, among those in which nothing is missing.

    All comparisons are judged in one pass over pairs drawn by hashing their number, so the same data gives the same shares.
    """
    columns = sorted({c for comparison in model.comparisons for c in comparison.columns})
    packed = ", ".join(f'"{c}"' for c in columns)
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE drawn AS SELECT row_number() OVER (ORDER BY record_id) - 1 AS place, {packed} FROM {records}"
    )
    total = connection.execute("SELECT COUNT(*) FROM drawn").fetchall()[0][0]
    sides = ", ".join(f'a."{c}" AS "{c}_l", b."{c}" AS "{c}_r"' for c in columns)
    levels = ", ".join(f'{_level_sql(comparison)} AS "{comparison.name}"' for comparison in model.comparisons)
    counts: dict[str, Counter[int]] = {comparison.name: Counter() for comparison in model.comparisons}
    pairs = int(model.training.random_pairs)
    for start in range(0, pairs, _PAIRS_AT_ONCE):
        connection.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE judged AS
            WITH pair AS (
                SELECT hash(n, {model.training.seed}, 'l') % {total} AS one, hash(n, {model.training.seed}, 'r') % {total} AS two
                FROM range({start}, {min(start + _PAIRS_AT_ONCE, pairs)}) AS r (n)
            ),
            side AS (
                SELECT {sides} FROM pair JOIN drawn AS a ON a.place = one JOIN drawn AS b ON b.place = two WHERE one <> two
            )
            SELECT {levels} FROM side
            """
        )
        for name, counter in counts.items():
            rows = connection.execute(
                f'SELECT "{name}", COUNT(*) FROM judged WHERE "{name}" IS NOT NULL GROUP BY 1'
            ).fetchall()
            counter.update({int(level): int(count) for level, count in rows})
    connection.execute("DROP TABLE judged; DROP TABLE drawn")
    return {
        comparison.name: [
            counts[comparison.name][level] / max(1, counts[comparison.name].total())
            for level in range(len(comparison.levels))
        ]
        for comparison in model.comparisons
    }


def _level_sql(comparison: Comparison) -> str:
    """The position of the first level that holds; null when a value is missing."""
    missing = " OR ".join(f'"{column}_{side}" IS NULL' for column in comparison.missing for side in "lr")
    cases = [f"WHEN {level.sql()} THEN {position}" for position, level in enumerate(comparison.levels[:-1])]
    return f"CASE WHEN {missing} THEN NULL {' '.join(cases)} ELSE {len(comparison.levels) - 1} END"


def _with_u(model: Model, shares: dict[str, list[float]]) -> dict[str, Any]:
    """Settings in which u is the share among random pairs, nearly all of which are not matches."""
    settings = splink_settings(model)
    for comparison in settings["comparisons"]:
        for level, share in zip(
            _evidence_levels(comparison), shares[comparison["output_column_name"]], strict=True
        ):
            level.setdefault("u_probability", max(share, _LEAST_U))
    return settings


def _evidence_levels(comparison: dict[str, Any]) -> list[dict[str, Any]]:
    return [level for level in comparison["comparison_levels"] if not level.get("is_null_level")]


def _prior(
    connection: duckdb.DuckDBPyConnection, rules: list[list[str]], *, records: str, count: int
) -> float:
    """Share of all pairs that one of the rules finds: the largest rule counts, since rules find much the same pairs."""
    found = max(_pairs_equal_on(connection, columns, records=records) for columns in rules)
    return max(found, 1) / (count * (count - 1) / 2)


def _pairs_equal_on(connection: duckdb.DuckDBPyConnection, columns: list[str], *, records: str) -> int:
    names = ", ".join(f'"{c}"' for c in columns)
    present = " AND ".join(f'"{c}" IS NOT NULL' for c in columns)
    rows = connection.execute(
        f"SELECT COALESCE(SUM(n * (n - 1) // 2), 0) FROM (SELECT COUNT(*) AS n FROM {records} WHERE {present} GROUP BY {names})"
    ).fetchall()
    return int(rows[0][0])


def _frequencies(connection: duckdb.DuckDBPyConnection, column: str, *, records: str) -> dict[str, float]:
    rows = connection.execute(
        f"""
        SELECT "{column}", COUNT(*) / SUM(COUNT(*)) OVER () AS frequency
        FROM {records} WHERE "{column}" IS NOT NULL GROUP BY 1 QUALIFY COUNT(*) > 1 ORDER BY 1
        """
    ).fetchall()
    return {str(value): float(frequency) for value, frequency in rows}


def _complete(
    settings: dict[str, Any], model: Model, shares: dict[str, list[float]], prior: float
) -> dict[str, Any]:
    """Final m and u of every level.

    Random pairs hold a few matches: share = prior * m + (1 - prior) * u, solved for u. A level never seen among matches gets a small m that
    is no evidence for a match; a comparison about which nothing was learnt counts nothing.
    """
    for declared, comparison in zip(model.comparisons, settings["comparisons"], strict=True):
        levels = _evidence_levels(comparison)
        learnt = [level.get("m_probability") for level in levels]
        nothing_learnt = not any(isinstance(m, float) for m in learnt)
        for fixed, level, m, share in zip(
            declared.levels, levels, learnt, shares[declared.name], strict=True
        ):
            # expectation maximisation may end at m = 0 where its pairs held no error: no office is that good
            known_m = (m + _SLIP) / (1 + _SLIP * len(levels)) if isinstance(m, float) else None
            u = (
                fixed.u
                if fixed.u is not None
                else max((share - prior * (known_m or 0.0)) / (1 - prior), _LEAST_U)
            )
            if fixed.m is not None:
                m_final = fixed.m
            elif nothing_learnt:
                m_final = u
            else:
                m_final = known_m if known_m is not None else min(_UNSEEN_M, u)
            level["u_probability"], level["m_probability"] = _rounded(u), _rounded(m_final)
    return settings


def _rounded(probability: float) -> float:
    """Sums in parallel differ in their last digit; the artefact of the same records must not."""
    return float(f"{probability:.10g}")


def match_weight_of_prior(trained: TrainedModel) -> float:
    prior = trained.settings["probability_two_random_records_match"]
    return math.log2(prior / (1 - prior))


def frequency_table(trained: TrainedModel, column: str) -> pa.Table:
    known = trained.term_frequencies[column]
    return pa.table(
        {
            column: pa.array(list(known), pa.string()),
            "frequency": pa.array(list(known.values()), pa.float64()),
        }
    )
