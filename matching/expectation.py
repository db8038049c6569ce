"""Expectation maximisation for m probabilities, over counts of agreement patterns (Fellegi and Sunter, JASA 1969).

A pattern says for each comparison at which level a pair stands, or MISSING. Given u, the loop finds the m probabilities
and the share of matches under which the counted patterns are most likely, comparisons being independent among matches
and among others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

MISSING = -1
_ROUNDS = 200
_CONVERGED = 1e-6
_FIRST_LEVEL = 0.9
# what is left to chance at every level: no office is without error, however clean the counted pairs are
SLIP = 5e-4


@dataclass(frozen=True)
class Patterns:
    """`levels[i, c]` is the level of comparison c in pattern i; `count[i]` how many pairs show it."""

    levels: NDArray[np.int64]
    count: NDArray[np.float64]


@dataclass(frozen=True)
class Learnt:
    """m probabilities of each comparison by level (None where every pair misses it), and the share of matches."""

    m: list[NDArray[np.float64] | None]
    share: float


def maximise(patterns: Patterns, u: Sequence[NDArray[np.float64]]) -> Learnt:
    """`u[c]` are the u probabilities of comparison c by level."""
    comparisons = range(len(u))
    seen = [patterns.levels[:, c] != MISSING for c in comparisons]
    m = [first_guess(len(u[c])) for c in comparisons]
    share = 0.5
    for _ in range(_ROUNDS):
        weight = np.full(len(patterns.count), np.log(share) - np.log1p(-share))
        for c in comparisons:
            weight[seen[c]] += np.log(m[c] / u[c])[patterns.levels[seen[c], c]]
        matches = patterns.count / (1 + np.exp(-np.clip(weight, -700, 700)))
        share = float(np.clip(matches.sum() / patterns.count.sum(), 1e-6, 1 - 1e-6))
        renewed = [
            _shares(_sums(patterns.levels[seen[c], c], matches[seen[c]], len(u[c]))) for c in comparisons
        ]
        change = max(float(np.abs(new - old).max()) for new, old in zip(renewed, m, strict=True))
        m = renewed
        if change < _CONVERGED:
            break
    return Learnt([m[c] if seen[c].any() else None for c in comparisons], share)


def remainder(patterns: Patterns, m: Sequence[NDArray[np.float64] | None]) -> Learnt:
    """What those pairs look like that are not matches, where m is known: their probabilities, and the share of matches.

    `m[c]` None where nothing is known of comparison c; it takes no part.
    """
    known = [c for c, of_matches in enumerate(m) if of_matches is not None]
    seen = {c: patterns.levels[:, c] != MISSING for c in known}
    of_matches = np.zeros(len(patterns.count))
    for c in known:
        of_matches[seen[c]] += np.log(m[c])[patterns.levels[seen[c], c]]  # type: ignore[arg-type]
    sizes = {c: len(m[c]) for c in known}  # type: ignore[arg-type]
    others = {c: _seen_shares(patterns.levels[seen[c], c], patterns.count[seen[c]], sizes[c]) for c in known}
    share = 0.5
    for _ in range(_ROUNDS):
        weight = of_matches + np.log(share) - np.log1p(-share)
        for c in known:
            weight[seen[c]] -= np.log(others[c])[patterns.levels[seen[c], c]]
        rest = patterns.count / (1 + np.exp(np.clip(weight, -700, 700)))
        share = float(np.clip(1 - rest.sum() / patterns.count.sum(), 1e-6, 1 - 1e-6))
        renewed = {c: _seen_shares(patterns.levels[seen[c], c], rest[seen[c]], sizes[c]) for c in known}
        change = max((float(np.abs(renewed[c] - others[c]).max()) for c in known), default=0.0)
        others = renewed
        if change < _CONVERGED:
            break
    return Learnt([others[c] if c in others and seen[c].any() else None for c in range(len(m))], share)


def first_guess(levels: int) -> NDArray[np.float64]:
    """M probabilities before anything is learnt: matches mostly agree."""
    rest = (1 - _FIRST_LEVEL) / max(1, levels - 1)
    return np.array([_FIRST_LEVEL, *[rest] * (levels - 1)])


def _sums(levels: NDArray[np.int64], matches: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    return np.bincount(levels, weights=matches, minlength=size).astype(np.float64)


def _shares(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    total = sums.sum()
    shares = sums / total if total > 0 else np.full(len(sums), 1 / len(sums))
    return (shares + SLIP) / (1 + SLIP * len(sums))


def _seen_shares(levels: NDArray[np.int64], count: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """Half a pair at every level: what was not seen is no rarer than so many pairs can tell."""
    sums = _sums(levels, count, size) + 0.5
    shares: NDArray[np.float64] = sums / sums.sum()
    return shares
