"""Training without labels.

u probabilities come from random pairs, m probabilities from expectation maximisation over several groups of pairs that
are rich in matches, the prior from rules that almost surely find true pairs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from matching.artefact import LevelParameters, TrainedModel
from matching.expectation import MISSING, Patterns, first_guess, maximise, remainder

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
_LARGEST_PRIOR = 0.5
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
    available: int
    """Pairs from which they were drawn."""


def train(connection: duckdb.DuckDBPyConnection, model: Model, *, records: str) -> TrainedModel:
    """Trains on table `records` (record_id BIGINT and the model's feature columns)."""
    count = connection.execute(f"SELECT COUNT(*) FROM {records}").fetchall()[0][0]
    if count < 2:
        raise TrainingError("Training needs at least two records.")
    sessions = [
        session
        for columns in model.training.expectation_maximisation
        if (session := _session(connection, model, columns, records=records)) is not None
    ]
    shares, least = _random_shares(connection, model, records=records)
    found = _matches_found(connection, model, sessions, shares, records=records)
    prior = min(_LARGEST_PRIOR, found / model.training.prior.recall / (count * (count - 1) / 2))
    u, learnt = {name: np.maximum(share, least) for name, share in shares.items()}, {}
    for _ in range(_PASSES):  # the first m corrects u, which gives a better m
        learnt = _learn(sessions, u)
        u = {
            name: np.clip(_without_matches(share, learnt.get(name), prior), least, 1)
            for name, share in shares.items()
        }
        u = {c.name: _as_declared(c, u[c.name]) for c in model.comparisons}
    m = {
        c.name: first_guess(len(c.levels))
        for c in model.comparisons
        if c.name not in learnt and _has_values(connection, c, records=records)
    } | learnt
    parameters = {c.name: _parameters(c, m.get(c.name), u[c.name]) for c in model.comparisons}
    return TrainedModel(
        declaration=model,
        prior=_rounded(prior),
        parameters=parameters,
        term_frequencies={
            column: _frequencies(connection, column, records=records)
            for column in model.term_frequency_columns
        },
        frequency_floor=1 / count,
        records=count,
        untrained=[c.name for c in model.comparisons if c.name not in learnt],
        alternative=_alternative(connection, model, parameters, learnt, records=records),
    )


def _matches_found(
    connection: duckdb.DuckDBPyConnection,
    model: Model,
    sessions: list[_Session],
    shares: dict[str, Probabilities],
    *,
    records: str,
) -> float:
    """Pairs that the prior's best rule finds; where the records lack what the rules ask for, those of the best session."""
    rules = model.training.prior.rules
    by_rule = max((_pairs_equal_on(connection, columns, records=records) for columns in rules), default=0)
    if by_rule:
        return float(by_rule)
    u = {name: np.maximum(share, _LEAST_U) for name, share in shares.items()}
    by_session = [
        maximise(s.patterns, [u[c.name] for c in s.comparisons]).share * s.available for s in sessions
    ]
    return max([1.0, *by_session])


def _has_values(connection: duckdb.DuckDBPyConnection, comparison: Comparison, *, records: str) -> bool:
    present = " AND ".join(f'"{c}" IS NOT NULL' for c in comparison.missing)
    query = f"SELECT COUNT(*) FROM (SELECT 1 FROM {records} WHERE {present} LIMIT 2)"
    return bool(connection.execute(query).fetchall()[0][0] == 2)


def _alternative(
    connection: duckdb.DuckDBPyConnection,
    model: Model,
    parameters: dict[str, list[LevelParameters]],
    learnt: dict[str, Probabilities],
    *,
    records: str,
) -> dict[str, list[float]]:
    """Shares of the alternative's pairs at each level of each comparison.

    A comparison that reads the columns on which they were chosen cannot tell them from one person, so has the shares of matches.
    """
    if model.alternative is None:
        return {}
    for columns in model.alternative.pairs:
        session = _session(connection, model, columns, records=records)
        if session is None:
            continue
        known = [
            np.array([p.m for p in parameters[c.name]]) if c.name in learnt else None
            for c in session.comparisons
        ]
        others = remainder(session.patterns, known)
        found = {
            c.name: [_rounded(float(share)) for share in shares]
            for c, shares in zip(session.comparisons, others.m, strict=True)
            if shares is not None
        }
        used = [c.name for c in model.comparisons if c not in session.comparisons and c.name in learnt]
        return found | {name: [p.m for p in parameters[name]] for name in used}
    return {}


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
) -> tuple[dict[str, Probabilities], float]:
    """For each comparison the share of random pairs at each level, among those in which nothing is missing; and the least
    share of which so few records can tell: half a pair.

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
    shares = {
        c.name: _as_declared(c, counts[c.name] / max(1.0, counts[c.name].sum())) for c in model.comparisons
    }
    return shares, max(_LEAST_U, 0.5 / min(pairs, total * (total - 1) / 2))


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
    return _Session(free, Patterns(table[:, :-1], table[:, -1].astype(np.float64)), available)


def _sides(columns: Sequence[str]) -> str:
    return ", ".join(f'l."{c}" AS "{c}_l", r."{c}" AS "{c}_r"' for c in columns)


def _learn(sessions: list[_Session], u: dict[str, Probabilities]) -> dict[str, Probabilities]:
    """M by comparison: the mean over the sessions that could learn it, each counting by its share of matches.

    Where few pairs are matches, what is amiss with the assumption of independence is taken for matches.
    """
    learnt: dict[str, list[tuple[float, Probabilities]]] = {}
    for session in sessions:
        result = maximise(session.patterns, [u[c.name] for c in session.comparisons])
        for comparison, m in zip(session.comparisons, result.m, strict=True):
            if m is not None:
                learnt.setdefault(comparison.name, []).append((result.share, m))
    return {
        name: np.average([m for _, m in found], axis=0, weights=[share for share, _ in found])
        for name, found in learnt.items()
    }


def _without_matches(share: Probabilities, m: Probabilities | None, prior: float) -> Probabilities:
    """Random pairs hold a few matches: share = prior * m + (1 - prior) * u, solved for u."""
    return share if m is None else (share - prior * m) / (1 - prior)


def _as_declared(comparison: Comparison, u: Probabilities) -> Probabilities:
    """Declared u probabilities in their places; where only the last level has none, it takes the rest."""
    declared = [level.u for level in comparison.levels]
    fixed = np.array([u[place] if value is None else value for place, value in enumerate(declared)])
    if all(value is not None for value in declared[:-1]) and declared[-1] is None:
        fixed[-1] = 1 - fixed[:-1].sum()
    floor: Probabilities = np.maximum(fixed, _LEAST_U * 1e-3)
    return floor


def _parameters(comparison: Comparison, m: Probabilities | None, u: Probabilities) -> list[LevelParameters]:
    """Without m a comparison gets m = u: it counts nothing."""
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
