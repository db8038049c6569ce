"""Scoring of all pairs with Splink on DuckDB; `matching.scorer` gives the same weights to one pair.

Splink sets one person against strangers. A declared alternative (two of one family) is set beside the strangers in SQL over the
weights that Splink found: with odds a of the alternative against strangers, and K/S how much likelier the alternative makes a pair's
levels, the weight falls by log2(1 + a K/S).
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from splink import DuckDBAPI, Linker

from matching.artefact import DECIMALS, probability

if TYPE_CHECKING:
    from collections.abc import Callable

    import duckdb

    from matching.artefact import LevelParameters, TrainedModel
    from matching.model import Comparison

_PAIRS_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class Scored:
    pairs: int
    edges: int
    conflicts: int


def score_pairs(
    connection: duckdb.DuckDBPyConnection,
    trained: TrainedModel,
    *,
    records: str,
    pairs: str,
    into: str,
    progress: Callable[[float], None] | None = None,
    parts: bool = False,
) -> Scored:
    """Table `into`: record_l < record_r, weight (bits), conflict (name or null), for pairs at or above the keep threshold and
    all conflicts.

    With `parts` for all pairs, and for each comparison C `bits_C`, its part of the weight, and `leaning_C`, its bits towards the
    declared alternative; `bits_C` is null where a value is missing. Pairs are scored in slices, so memory depends on the slice and
    not on their number.
    """
    model = trained.declaration
    api = DuckDBAPI(connection)
    linker = Linker(api.register(records, dataset_display_name=f"score_{records}"), splink_settings(trained))
    logging.getLogger("splink").setLevel(logging.CRITICAL)  # Linker() sets it to INFO
    for column in model.term_frequency_columns:
        register_frequencies(connection, api, linker, trained, column, records=records)
    total = connection.execute(f"SELECT COUNT(*) FROM {pairs}").fetchall()[0][0]
    names = [comparison.name for comparison in model.comparisons] if parts else []
    connection.execute(
        f"CREATE OR REPLACE TABLE {into} (record_l BIGINT, record_r BIGINT, weight DOUBLE, conflict VARCHAR"
        f"{''.join(f', bits_{name} DOUBLE, leaning_{name} DOUBLE' for name in names)})"
    )
    slices = max(1, math.ceil(total / _PAIRS_AT_ONCE))
    for number in range(slices):
        name = f"pair_slice_{number}"
        connection.execute(
            f"""
            CREATE OR REPLACE TABLE {name} AS
            SELECT '0' AS match_key, join_key_l, join_key_r FROM {pairs} WHERE hash(join_key_l) % {slices} = {number}
            """
        )
        linker.table_management.register_blocked_pairs_for_predict(api.register(name))
        scored = linker.inference.predict(warning_mode="never")
        kept = "" if parts else f"WHERE weight >= {model.thresholds.keep} OR conflict IS NOT NULL"
        connection.execute(
            f"""
            INSERT INTO {into}
            SELECT least(record_id_l, record_id_r), greatest(record_id_l, record_id_r),
                ROUND({_weight_sql(trained)}, {DECIMALS}) AS weight, {_conflict_sql(trained)} AS conflict
                {"".join(f", {_bits_sql(trained, name)}, {_leaning_sql(trained, name)}" for name in names)}
            FROM {scored.physical_name} {kept}
            """
        )
        scored.drop_table_from_database_and_remove_from_cache()
        connection.execute(f"DROP TABLE {name}")
        if progress:
            progress((number + 1) / slices)
    edges, conflicts = connection.execute(f"SELECT COUNT(*), COUNT(conflict) FROM {into}").fetchall()[0]
    linker.table_management.invalidate_cache()  # type: ignore[no-untyped-call]
    return Scored(pairs=total, edges=edges, conflicts=conflicts)


def register_frequencies(
    connection: duckdb.DuckDBPyConnection,
    api: DuckDBAPI,
    linker: Linker,
    trained: TrainedModel,
    column: str,
    *,
    records: str,
) -> None:
    """Frequencies for the values at hand: those of the artefact, and its floor for values that it does not know."""
    known = f"tf_known_{column}"
    connection.register(known, _frequency_table(trained, column))
    name = f"tf_table_{column}"
    connection.execute(
        f"""
        CREATE OR REPLACE TABLE {name} AS
        SELECT v."{column}", COALESCE(k.frequency, {trained.frequency_floor}) AS "tf_{column}"
        FROM (SELECT DISTINCT "{column}" FROM {records} WHERE "{column}" IS NOT NULL) AS v LEFT JOIN {known} AS k USING ("{column}")
        """
    )
    connection.unregister(known)
    linker.table_management.register_term_frequency_lookup(api.register(name), column)


def _bits_sql(trained: TrainedModel, name: str) -> str:
    """A missing value gives Splink's weight of exactly 0, and so does a comparison that taught nothing."""
    return f"NULLIF(mw_{name}, 0){_frequency_sql(trained, name)}"


def _leaning_sql(trained: TrainedModel, name: str) -> str:
    """Bits towards the alternative, against strangers."""
    if name not in trained.alternative:
        return "0.0::DOUBLE"
    levels = zip(trained.parameters[name], trained.leaning(name), strict=True)
    # Splink hands out the weight of a level and not its number
    bits = {level.weight: leaning for level, leaning in levels}
    cases = " ".join(f"WHEN {weight!r}::DOUBLE THEN {leaning!r}::DOUBLE" for weight, leaning in bits.items())
    return f"CASE mw_{name} {cases} ELSE 0 END{_frequency_sql(trained, name)}"


def _frequency_sql(trained: TrainedModel, name: str) -> str:
    comparison = next(c for c in trained.declaration.comparisons if c.name == name)
    adjusted = any(level.term_frequency for level in comparison.levels)
    return f" + mw_tf_adj_{name}" if adjusted else ""


def _weight_sql(trained: TrainedModel) -> str:
    if not trained.odds_of_alternative:
        return "match_weight"
    # in declared order: sums of floats depend on it
    leaning = " + ".join(_leaning_sql(trained, c.name) for c in trained.declaration.comparisons)
    return f"match_weight - log2(1 + {trained.odds_of_alternative!r}::DOUBLE * pow(2, {leaning}))"


def _conflict_sql(trained: TrainedModel) -> str:
    cases = []
    for conflict in trained.declaration.conflicts:
        agree = " OR ".join(f"mw_{name} >= {conflict.at_least}" for name in conflict.agree)
        disagree = " AND ".join(f"mw_{name} <= {conflict.at_most}" for name in conflict.disagree)
        cases.append(f"WHEN ({agree}) AND {disagree} THEN '{conflict.name}'")
    return f"CASE {' '.join(cases)} END" if cases else "NULL::VARCHAR"


def _frequency_table(trained: TrainedModel, column: str) -> pa.Table:
    known = trained.term_frequencies[column]
    return pa.table(
        {
            column: pa.array(list(known), pa.string()),
            "frequency": pa.array(list(known.values()), pa.float64()),
        }
    )


def splink_settings(trained: TrainedModel) -> dict[str, Any]:
    """The trained model as Splink's settings. Pairs are registered, so it gets no blocking rules."""
    return {
        "link_type": "dedupe_only",
        "unique_id_column_name": "record_id",
        "probability_two_random_records_match": probability(trained.prior_bits),
        "comparisons": [
            _splink_comparison(comparison, trained.parameters[comparison.name])
            for comparison in trained.declaration.comparisons
        ],
        "blocking_rules_to_generate_predictions": [],
        "retain_matching_columns": False,
        # keeps the weight of each comparison beside the sum: conflicts and the alternative are read from them
        "retain_intermediate_calculation_columns": True,
    }


def _splink_comparison(comparison: Comparison, parameters: list[LevelParameters]) -> dict[str, Any]:
    missing = " OR ".join(f'"{column}_{side}" IS NULL' for column in comparison.missing for side in "lr")
    levels: list[dict[str, Any]] = [
        {"sql_condition": missing, "label_for_charts": "missing", "is_null_level": True}
    ]
    for place, (level, learnt) in enumerate(zip(comparison.levels, parameters, strict=True)):
        declared = {
            "sql_condition": level.sql(),
            "label_for_charts": f"{comparison.name} {place}",
            "m_probability": learnt.corrected_m,  # Splink reads no more than m / u from it
            "u_probability": learnt.u,
        }
        if level.term_frequency:
            declared |= {
                "tf_adjustment_column": level.term_frequency,
                "tf_adjustment_weight": 1.0,
                "disable_tf_exact_match_detection": True,  # the level's own u
            }
        levels.append(declared)
    return {"output_column_name": comparison.name, "comparison_levels": levels}
