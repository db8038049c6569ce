"""Training without labels on the pairs that blocking gives.

Households are compared where they share a person. Among all pairs of households that is so rare that no random sample
shows what chance does; among the compared pairs it is plain to see. So both m and u are of these pairs, the prior is
the share of matches among them, and a weight does not depend on how large the country is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from matching.artefact import LevelParameters, TrainedModel
from matching.expectation import MISSING
from matching.train import level_sql

if TYPE_CHECKING:
    import duckdb
    from numpy.typing import NDArray

    from matching.model import Comparison, Model

    Numbers = NDArray[np.float64]

_ROUNDS = 200
_CONVERGED = 1e-7


def train_blocked(
    connection: duckdb.DuckDBPyConnection, model: Model, *, records: str, pairs: str
) -> TrainedModel:
    """Trains on table `pairs` (join_key_l, join_key_r) of `records` (record_id and the model's columns).

    Expectation maximisation (Fellegi and Sunter, JASA 1969) begins at what the declaration believes, and keeps that
    belief as so many pairs seen before. No term frequencies.
    """
    assert model.belief is not None
    levels, count = _patterns(connection, model, records=records, pairs=pairs)
    believed = [(_believed(c, "m"), _believed(c, "u")) for c in model.comparisons]
    share, learnt = _maximise(levels, count, believed, share=model.belief.share, belief=model.belief.pairs)
    total = connection.execute(f"SELECT COUNT(*) FROM {records}").fetchall()[0][0]
    return TrainedModel(
        declaration=model,
        prior=_rounded(share),
        parameters={
            comparison.name: [
                LevelParameters(m=_rounded(one), u=_rounded(two))
                for one, two in zip(m.tolist(), u.tolist(), strict=True)
            ]
            for comparison, (m, u) in zip(model.comparisons, learnt, strict=True)
        },
        term_frequencies={},
        frequency_floor=1 / max(total, 1),
        records=total,
        untrained=[],
    )


def _believed(comparison: Comparison, side: str) -> Numbers:
    declared = np.array([getattr(level, side) for level in comparison.levels], dtype=np.float64)
    found: Numbers = declared / declared.sum()
    return found


def _patterns(
    connection: duckdb.DuckDBPyConnection, model: Model, *, records: str, pairs: str
) -> tuple[NDArray[np.int64], Numbers]:
    """Level of each comparison, one row a pattern, and how many pairs show it."""
    columns = sorted({column for c in model.comparisons for column in c.columns})
    sides = ", ".join(f'{side}."{c}" AS "{c}_{side}"' for c in columns for side in "lr")
    rows = connection.execute(
        f"""
        WITH side AS (
            SELECT {sides} FROM {pairs} JOIN {records} AS l ON l.record_id = join_key_l JOIN {records} AS r ON r.record_id = join_key_r
        ),
        judged AS (SELECT {", ".join(_judged(c) for c in model.comparisons)} FROM side)
        SELECT *, COUNT(*) FROM judged GROUP BY ALL ORDER BY ALL
        """
    ).fetchall()
    table = np.array(rows, dtype=np.int64).reshape(-1, len(model.comparisons) + 1)
    return table[:, :-1], table[:, -1].astype(np.float64)


def _judged(comparison: Comparison) -> str:
    return f'COALESCE({level_sql(comparison)}, {MISSING}) AS "{comparison.name}"'


def _maximise(
    levels: NDArray[np.int64],
    count: Numbers,
    believed: list[tuple[Numbers, Numbers]],
    *,
    share: float,
    belief: float,
) -> tuple[float, list[tuple[Numbers, Numbers]]]:
    """The most probable share, m and u by comparison, given the patterns and the belief."""
    learnt, believed_share = believed, share
    for _ in range(_ROUNDS):
        weight = np.full(len(count), np.log(share) - np.log1p(-share))
        for place, (m, u) in enumerate(learnt):
            seen = levels[:, place] != MISSING
            weight[seen] += np.log(m / u)[levels[seen, place]]
        matches = count / (1 + np.exp(-np.clip(weight, -700, 700)))
        share = float((matches.sum() + belief * believed_share) / (count.sum() + belief))
        renewed = [
            (
                _shares(levels[:, place], matches, m, belief=belief),
                _shares(levels[:, place], count - matches, u, belief=belief),
            )
            for place, (m, u) in enumerate(believed)
        ]
        change = max(
            float(np.abs(new - old).max())
            for now, before in zip(renewed, learnt, strict=True)
            for new, old in zip(now, before, strict=True)
        )
        learnt = renewed
        if change < _CONVERGED:
            break
    return share, learnt


def _shares(levels: NDArray[np.int64], weight: Numbers, believed: Numbers, *, belief: float) -> Numbers:
    seen = levels != MISSING
    sums = np.bincount(levels[seen], weights=weight[seen], minlength=len(believed)) + belief * believed
    found: Numbers = sums / sums.sum()
    return found


def _rounded(probability: float) -> float:
    return float(f"{probability:.9g}")
