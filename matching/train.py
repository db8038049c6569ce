"""Training without labels.

u probabilities come from random pairs, m probabilities from expectation maximisation over several groups of pairs that
are rich in matches, the prior from rules that almost surely find true pairs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from matching.artefact import LevelParameters, TrainedModel
from matching.expectation import MISSING, Patterns, maximise

if TYPE_CHECKING:
    from collections.abc import Sequence

    import duckdb
    from numpy.typing import NDArray

    from matching.model import Comparison, Model

    Probabilities = NDArray[np.float64]

_PAIRS_AT_ONCE = 1_000_000
# random pairs come from so many records: they have ten thousand times more pairs than are drawn
_RECORDS_DRAWN = 200_000
_LEAST_U = 1e-7
_LEAST_PAIRS = 100
_LARGEST_BLOCK = 200
_PASSES = 2


class TrainingError(ValueError):
    """The records do not suffice to train; the message says what is missing."""


@dataclass(frozen=True)
class _Session:
    """Patterns of the comparisons that use none of the columns on which the pairs were chosen."""

    comparisons: list[Comparison]
    patterns: Patterns


def train(connection: duckdb.DuckDBPyConnection, model: Model, *, records: str) -> TrainedModel:
    """Trains on table `records` (record_id BIGINT and the model's feature columns)."""
    count = connection.execute(f"SELECT COUNT(*) FROM {records}").fetchall()[0][0]
    if count < 2:
        raise TrainingError("Training needs at least two records.")
    rules = model.training.prior.rules
    found = max(_pairs_equal_on(connection, columns, records=records) for columns in rules)
    prior = max(found, 1) / model.training.prior.recall / (count * (count - 1) / 2)
    shares = _random_shares(connection, model, records=records)
    sessions = [
        session
        for columns in model.training.expectation_maximisation
        if (session := _session(connection, model, columns, records=records)) is not None
    ]
    u, m = {name: np.maximum(share, _LEAST_U) for name, share in shares.items()}, {}
    for _ in range(_PASSES):  # the first m corrects u, which gives a better m
        m = _learn(sessions, u)
        u = {name: _without_matches(share, m.get(name), prior) for name, share in shares.items()}
        u = {c.name: _as_declared(c, u[c.name]) for c in model.comparisons}
    return TrainedModel(
        declaration=model,
        prior=_rounded(prior),
        parameters={c.name: _parameters(c, m.get(c.name), u[c.name]) for c in model.comparisons},
        term_frequencies={
            column: _frequencies(connection, column, records=records)
            for column in model.term_frequency_columns
        },
        frequency_floor=1 / count,
        records=count,
        untrained=[c.name for c in model.comparisons if c.name not in m],
    )


def level_sql(comparison: Comparison) -> str:
    """The position of the first level that holds; null when a value is missing."""
    missing = " OR ".join(f'"{column}_{side}" IS NULL' for column in comparison.missing for side in "lr")
    cases = [f"WHEN {level.sql()} THEN {position}" for position, level in enumerate(comparison.levels[:-1])]
    return f"CASE WHEN {missing} THEN NULL {' '.join(cases)} ELSE {len(comparison.levels) - 1} END"


def _pairs_equal_on(connection: duckdb.DuckDBPyConnection, columns: Sequence[str], *, records: str) -> int:
    names = ", ".join(f'"{c}"' for c in columns)
    present = " AND ".join(f'"{c}" IS NOT NULL' for c in columns)
    rows = connection.execute(
        f"SELECT COALESCE(SUM(n * (n - 1) // 2), 0) FROM (SELECT COUNT(*) AS n FROM {records} WHERE {present} GROUP BY {names})"
    ).fetchall()
    return int(rows[0][0])


def _random_shares(
    connection: duckdb.DuckDBPyConnection, model: Model, *, records: str
) -> dict[str, Probabilities]:
    """For each comparison the share of random pairs at each level, among those in which nothing is missing.

    Records and pairs are drawn by hashing their numbers, so the same records give the same shares. A comparison whose levels all have a declared u is
    not sampled: chance agreement of numbers is too rare to be seen.
    """
    sampled = [c for c in model.comparisons if any(level.u is None for level in c.levels[:-1])]
    counts = {c.name: np.zeros(len(c.levels)) for c in model.comparisons}
    columns = sorted({column for c in sampled for column in c.columns})
    packed = "".join(f', "{c}"' for c in columns)
    pairs, seed = int(model.training.random_pairs), model.training.seed
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE drawn AS
        WITH chosen AS (SELECT record_id FROM {records} ORDER BY hash(record_id, {seed}), record_id LIMIT {_RECORDS_DRAWN})
        SELECT row_number() OVER (ORDER BY record_id) - 1 AS place{packed} FROM {records} SEMI JOIN chosen USING (record_id)
        """
    )
    total = connection.execute("SELECT COUNT(*) FROM drawn").fetchall()[0][0]
    for start in range(0, pairs, _PAIRS_AT_ONCE):
        connection.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE judged AS
            WITH pair AS (
                SELECT hash(n, {seed}, 'l') % {total} AS one, hash(n, {seed}, 'r') % {total} AS two
                FROM range({start}, {min(start + _PAIRS_AT_ONCE, pairs)}) AS r (n)
            ),
            side AS (
                SELECT {_sides(columns)} FROM pair JOIN drawn AS l ON l.place = one JOIN drawn AS r ON r.place = two WHERE one <> two
            )
            SELECT {", ".join(f'{level_sql(c)} AS "{c.name}"' for c in sampled)} FROM side
            """
        )
        for c in sampled:
            for level, number in connection.execute(
                f'SELECT "{c.name}", COUNT(*) FROM judged WHERE "{c.name}" IS NOT NULL GROUP BY 1'
            ).fetchall():
                counts[c.name][level] += number
    connection.execute("DROP TABLE IF EXISTS judged; DROP TABLE drawn")
    return {
        name: _as_declared(c, counts[name] / max(1.0, counts[name].sum()))
        for c in model.comparisons
        if (name := c.name)
    }


def _session(
    connection: duckdb.DuckDBPyConnection, model: Model, columns: Sequence[str], *, records: str
) -> _Session | None:
    """Pairs that agree on `columns`, or a sample of their blocks; None where there are too few."""
    available = _pairs_equal_on(connection, columns, records=records)
    if available < _LEAST_PAIRS:
        return None
    free = [c for c in model.comparisons if set(columns).isdisjoint(c.columns)]
    used = sorted({column for c in free for column in c.columns})
    key = ", ".join(f'"{c}"' for c in columns)
    present = " AND ".join(f'"{c}" IS NOT NULL' for c in columns)
    kept = min(1.0, model.training.pairs / available)
    rows = connection.execute(
        f"""
        WITH keyed AS (
            SELECT record_id, hash({key}) AS block FROM {records} WHERE {present} AND block % 1000000 < {kept * 1_000_000}
        ),
        usable AS (SELECT block FROM keyed GROUP BY block HAVING COUNT(*) BETWEEN 2 AND {_LARGEST_BLOCK}),
        chosen AS (
            SELECT record_id, block{"".join(f', "{c}"' for c in used)}
            FROM (FROM keyed SEMI JOIN usable USING (block)) JOIN {records} USING (record_id)
        ),
        side AS (
            SELECT {_sides(used)} FROM chosen AS l JOIN chosen AS r ON l.block = r.block AND l.record_id < r.record_id
        ),
        judged AS (SELECT {", ".join(f'{level_sql(c)} AS "{c.name}"' for c in free)} FROM side)
        SELECT {", ".join(f'COALESCE("{c.name}", {MISSING})' for c in free)}, COUNT(*) FROM judged GROUP BY ALL ORDER BY ALL
        """
    ).fetchall()
    if not rows:
        return None
    table = np.array(rows, dtype=np.int64)
    return _Session(free, Patterns(table[:, :-1], table[:, -1].astype(np.float64)))


def _sides(columns: Sequence[str]) -> str:
    return ", ".join(f'l."{c}" AS "{c}_l", r."{c}" AS "{c}_r"' for c in columns)


def _learn(sessions: list[_Session], u: dict[str, Probabilities]) -> dict[str, Probabilities]:
    """M by comparison: the mean over the sessions that could learn it."""
    learnt: dict[str, list[Probabilities]] = {}
    for session in sessions:
        result = maximise(session.patterns, [u[c.name] for c in session.comparisons])
        for comparison, m in zip(session.comparisons, result.m, strict=True):
            if m is not None:
                learnt.setdefault(comparison.name, []).append(m)
    return {name: np.mean(found, axis=0) for name, found in learnt.items()}


def _without_matches(share: Probabilities, m: Probabilities | None, prior: float) -> Probabilities:
    """Random pairs hold a few matches: share = prior * m + (1 - prior) * u, solved for u."""
    corrected: Probabilities = share if m is None else (share - prior * m) / (1 - prior)
    return np.maximum(corrected, _LEAST_U)


def _as_declared(comparison: Comparison, u: Probabilities) -> Probabilities:
    """Declared u probabilities in their places; where only the last level has none, it takes the rest."""
    declared = [level.u for level in comparison.levels]
    fixed = np.array([u[place] if value is None else value for place, value in enumerate(declared)])
    if all(value is not None for value in declared[:-1]) and declared[-1] is None:
        fixed[-1] = 1 - fixed[:-1].sum()
    floor: Probabilities = np.maximum(fixed, _LEAST_U * 1e-3)
    return floor


def _parameters(comparison: Comparison, m: Probabilities | None, u: Probabilities) -> list[LevelParameters]:
    """A comparison about which nothing was learnt gets m = u: it counts nothing."""
    found = u if m is None else m
    return [
        LevelParameters(
            m=_rounded(level.m if level.m is not None else float(found[place])), u=_rounded(float(u[place]))
        )
        for place, level in enumerate(comparison.levels)
    ]


def _rounded(probability: float) -> float:
    """Sums in parallel differ in their last digit; the artefact of the same records must not."""
    return float(f"{probability:.9g}")


def _frequencies(connection: duckdb.DuckDBPyConnection, column: str, *, records: str) -> dict[str, float]:
    rows = connection.execute(
        f"""
        SELECT "{column}", COUNT(*) / SUM(COUNT(*)) OVER () AS frequency
        FROM {records} WHERE "{column}" IS NOT NULL GROUP BY 1 QUALIFY COUNT(*) > 1 ORDER BY 1
        """
    ).fetchall()
    return {str(value): float(frequency) for value, frequency in rows}
