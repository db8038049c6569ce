"""Precision and recall of a linkage without truth, from a stratified random sample of pairs that clerks have judged.

The pairs that are linked or were scored are cut into strata, and of each stratum pairs are drawn at random without
replacement. A pair stands for 1 / (its inclusion probability) pairs (Horvitz and Thompson 1952), which within a stratum
is the share found times the stratum's size. Intervals are closed formulas that hold where strata have few or no
findings, as strata of sure pairs do:

- of a stratum's share: the exact limits of Clopper and Pearson 1934 for draws without replacement, from the tails of the
  hypergeometric distribution (Buonaccorsi 1987), so that a stratum that was judged completely leaves no doubt;
- of sums of strata: the distances of the strata's limits added in quadrature (Zou and Donner 2008, "MOVER");
- of ratios of independent sums: MOVER-R (Donner and Zou 2012).

Recall is of the true pairs among those linked or scored: what was never compared is in no sample.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import hypergeom

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    estimate: float
    low: float
    high: float


@dataclass(frozen=True)
class Stratum:
    """`pairs` in all; of those drawn, `judged` got an answer and `same` of them are one person."""

    linked: bool
    pairs: int
    judged: int
    same: int


@dataclass(frozen=True)
class Estimates:
    precision: Interval
    recall: Interval
    f1: Interval
    missed: Interval
    """Pairs of one person that are not linked."""


def allocate(pairs: Sequence[int], spread: Sequence[float], *, size: int, least: int) -> list[int]:
    """How many pairs to draw from each stratum: Neyman allocation (Neyman 1934).

    Args:
        pairs: pairs of each stratum.
        spread: what one pair of it is thought to add to the uncertainty: the standard deviation of a pair's answer, times what a pair
            counts in the estimate.
        size: pairs to draw in all.
        least: as few at least from each stratum, or all that it has.

    Raises ValueError where `size` does not suffice for the least.
    """
    room = np.asarray(pairs, dtype=np.int64)
    floor = np.minimum(room, least)
    if floor.sum() > size:
        raise ValueError(f"{size} pairs are too few for {len(room)} strata: at least {int(floor.sum())}")
    wanted = room * np.asarray(spread, dtype=np.float64)
    drawn = floor.copy()
    while (left := min(size, int(room.sum())) - int(drawn.sum())) > 0:
        open_ = drawn < room
        weight = np.where(open_, np.maximum(wanted, 1e-12), 0.0)
        ideal = weight / weight.sum() * (left + drawn[open_].sum())
        lacking = np.where(open_, np.clip(ideal - drawn, 0, room - drawn), 0.0)
        step = np.floor(lacking * min(1.0, left / lacking.sum())).astype(np.int64)
        if not step.any():
            step[np.argsort(-lacking, kind="stable")[:left]] = 1
            step = np.minimum(step, room - drawn)
        drawn += step
    return [int(n) for n in drawn]


def spreads(
    pairs: Sequence[int], linked: Sequence[bool], expected: Sequence[float], *, doubt: float = 0.01
) -> list[float]:
    """For `allocate`: how uncertain a pair of each stratum leaves precision and recall, at the `expected` shares of matches.

    The derivatives are those of precision A / L and recall A / (A + B), where of L linked pairs A are true and of the
    others B. An expectation is never believed to be surer than `doubt`: it comes from the model under test.
    """
    size, joined = np.asarray(pairs, dtype=np.float64), np.asarray(linked)
    share = np.clip(np.asarray(expected, dtype=np.float64), doubt, 1 - doubt)
    true, missed = float((size * share)[joined].sum()), float((size * share)[~joined].sum())
    total, all_linked = max(true + missed, 1.0), max(float(size[joined].sum()), 1.0)
    counts = np.where(joined, np.hypot(1 / all_linked, missed / total**2), true / total**2)
    return [float(value) for value in np.sqrt(share * (1 - share)) * counts]


def share_interval(same: int, judged: int, pairs: int, *, confidence: float = CONFIDENCE) -> Interval:
    """The share of matches in a stratum of `pairs`, of which `judged` were drawn at random and `same` found to match.

    Without any that was judged nothing is known: the estimate is a half, from 0 to 1.
    """
    if judged == 0:
        return Interval(0.5, 0.0, 1.0)
    low, high = _matches(same, judged, pairs, (1 - confidence) / 2)
    return Interval(same / judged, low / pairs, high / pairs)


@lru_cache(maxsize=4096)
def _matches(same: int, judged: int, pairs: int, tail: float) -> tuple[int, int]:
    """The least and the most matches among `pairs` of which the draw would not be a surprise."""
    least, most = same, pairs - (judged - same)
    if same:  # the smallest number that gives as many or more often enough
        low, high = least, most
        while low < high:
            middle = (low + high) // 2
            low, high = (
                (low, middle) if hypergeom.sf(same - 1, pairs, middle, judged) > tail else (middle + 1, high)
            )
        least = low
    if same < judged:  # the largest number that gives as few or fewer often enough
        low, high = least, most
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (
                (middle, high) if hypergeom.cdf(same, pairs, middle, judged) > tail else (low, middle - 1)
            )
        most = low
    return least, most


def total_interval(strata: Sequence[Stratum], *, confidence: float = CONFIDENCE) -> Interval:
    """The number of matches in all of the strata."""
    shares = [share_interval(s.same, s.judged, s.pairs, confidence=confidence) for s in strata]
    estimate = sum(s.pairs * p.estimate for s, p in zip(strata, shares, strict=True))
    below = math.hypot(*(s.pairs * (p.estimate - p.low) for s, p in zip(strata, shares, strict=True)))
    above = math.hypot(*(s.pairs * (p.high - p.estimate) for s, p in zip(strata, shares, strict=True)))
    certain = sum(s.same for s in strata)
    possible = sum(s.pairs - (s.judged - s.same) for s in strata)
    return Interval(estimate, max(estimate - below, certain), min(estimate + above, possible))


def ratio_interval(over: Interval, under: Interval) -> Interval:
    """`over` / `under`, independent and not negative; infinite above where `under` may be zero."""
    a, b = over.estimate, under.estimate
    if b <= 0:
        return Interval(math.inf, 0.0, math.inf)
    product = (a * b) ** 2
    root = max(product - over.low * under.high * (2 * a - over.low) * (2 * b - under.high), 0.0)
    # where 2b - u is not above zero the formula has no lower root, and the bounds themselves serve
    low = (
        (a * b - math.sqrt(root)) / (under.high * (2 * b - under.high))
        if under.high < 2 * b
        else over.low / under.high
    )
    if under.low <= 0:
        return Interval(a / b, max(low, 0.0), math.inf)
    root = max(product - over.high * under.low * (2 * a - over.high) * (2 * b - under.low), 0.0)
    high = (a * b + math.sqrt(root)) / (under.low * (2 * b - under.low))
    return Interval(a / b, max(low, 0.0), high)


def estimate(strata: Sequence[Stratum], *, confidence: float = CONFIDENCE) -> Estimates:
    """Of all pairs of the strata. Pairs that got no answer are taken to be like those of their stratum that did."""
    linked = sum(s.pairs for s in strata if s.linked)
    true = total_interval([s for s in strata if s.linked], confidence=confidence)
    missed = total_interval([s for s in strata if not s.linked], confidence=confidence)
    lost = ratio_interval(missed, true)  # recall is 1 / (1 + lost)
    # F1 is 2A / (L + A + B) = 2 / (1 + (L + B) / A)
    spoilt = ratio_interval(
        Interval(linked + missed.estimate, linked + missed.low, linked + missed.high), true
    )
    return Estimates(
        precision=_each(true, lambda value: value / linked if linked else 1.0),
        recall=_turned(lost, lambda value: 1 / (1 + value)),
        f1=_turned(spoilt, lambda value: 2 / (1 + value)),
        missed=missed,
    )


def _each(of: Interval, rising: Callable[[float], float]) -> Interval:
    return Interval(rising(of.estimate), rising(of.low), rising(of.high))


def _turned(of: Interval, falling: Callable[[float], float]) -> Interval:
    return Interval(falling(of.estimate), falling(of.high), falling(of.low))
