"""The Python executor of a trained model: one pair of records, the weight that `matching.batch` gives it to 1e-6."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from matching.artefact import probability

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from matching.artefact import TrainedModel
    from matching.levels import Record, Test
    from matching.model import Comparison, Conflict

    Judge = Callable[[Record, Record], tuple[int, float]]
    Frequency = tuple[str, Mapping[str, float], float]
    """Column, frequencies of its values, and log2 of the u that stands for all of them."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one comparison says: position of the level (None: a value is missing), its bits, and those of a rare or common value."""

    level: int | None
    bits: float
    frequency_bits: float


@dataclass(frozen=True, slots=True)
class ScoredPair:
    """`weight` is log2 of the odds that the two are one person: prior and evidence, less what `alternative` takes away."""

    weight: float
    prior: float
    evidence: dict[str, Evidence]
    alternative: float
    """Bits, at most 0: how much likelier the pair becomes as two of the declared alternative (one family) than as strangers."""
    conflict: str | None

    @property
    def probability(self) -> float:
        return probability(self.weight)


class Scorer:
    """Compiled once for a trained model. Records are feature dictionaries with every column of `model.feature_columns`."""

    def __init__(self, trained: TrainedModel) -> None:
        self._conflicts = trained.declaration.conflicts
        self._prior = trained.prior_bits
        self._odds = trained.odds_of_alternative
        self._comparisons = [
            _Comparison(comparison, trained) for comparison in trained.declaration.comparisons
        ]

    def weight(self, left: Record, right: Record) -> float:
        """The weight alone: this is what scores an arriving record against its candidates."""
        weight, leaning = self._prior, 0.0
        for comparison in self._comparisons:
            level, frequency_bits = comparison.judge(left, right)
            if level >= 0:
                weight += comparison.bits[level] + frequency_bits
                leaning += comparison.leaning[level] + comparison.leans * frequency_bits
        return weight + self._less(leaning)

    def score(self, left: Record, right: Record) -> ScoredPair:
        """The weight with the evidence behind it."""
        evidence: dict[str, Evidence] = {}
        leaning = 0.0
        for comparison in self._comparisons:
            level, frequency_bits = comparison.judge(left, right)
            if level < 0:
                evidence[comparison.name] = Evidence(None, 0.0, 0.0)
            else:
                evidence[comparison.name] = Evidence(level, comparison.bits[level], frequency_bits)
                leaning += comparison.leaning[level] + comparison.leans * frequency_bits
        less = self._less(leaning)
        weight = self._prior + sum(e.bits + e.frequency_bits for e in evidence.values()) + less
        conflict = next((c.name for c in self._conflicts if _in_conflict(c, evidence)), None)
        return ScoredPair(weight, self._prior, evidence, less, conflict)

    def leanings(self, evidence: Mapping[str, Evidence]) -> list[float]:
        """What each comparison of a scored pair says for the declared alternative, in bits, in declared order."""
        return [
            0.0
            if (found := evidence[c.name]).level is None
            else c.leaning[found.level] + c.leans * found.frequency_bits
            for c in self._comparisons
        ]

    def _less(self, leaning: float) -> float:
        return -math.log2(1 + self._odds * 2.0**leaning) if self._odds else 0.0


class _Comparison:
    def __init__(self, comparison: Comparison, trained: TrainedModel) -> None:
        self.name = comparison.name
        self.bits = [parameters.weight for parameters in trained.parameters[comparison.name]]
        self.leaning = trained.leaning(comparison.name)
        self.leans = comparison.name in trained.alternative
        self.judge = _judge(comparison, trained)


def _judge(comparison: Comparison, trained: TrainedModel) -> Judge:
    """A function of two records: position of the first level that holds (-1: a value is missing) and the bits that the
    frequency of the shared value adds.
    """
    steps: list[tuple[int, Test, Frequency | None]] = []
    for place, level in enumerate(comparison.levels[:-1]):
        column = level.term_frequency
        u = trained.parameters[comparison.name][place].u
        of = (column, trained.term_frequencies[column], math.log2(u)) if column else None
        steps.append((place, level.test(), of))
    missing, floor, otherwise = comparison.missing, trained.frequency_floor, len(steps)

    def judge(left: Record, right: Record) -> tuple[int, float]:
        for column in missing:
            if left[column] is None or right[column] is None:
                return -1, 0.0
        for place, test, of in steps:
            if test(left, right):
                return place, 0.0 if of is None else _frequency_bits(left, right, of, floor)
        return otherwise, 0.0

    return judge


def _frequency_bits(left: Record, right: Record, of: Frequency, floor: float) -> float:
    """How much rarer the commoner of the two values is than what the level stands for."""
    column, known, log2_u = of
    found = [known.get(value, floor) for value in (left[column], right[column]) if value is not None]
    return log2_u - math.log2(max(found)) if found else 0.0


def _in_conflict(conflict: Conflict, evidence: Mapping[str, Evidence]) -> bool:
    return any(evidence[name].bits >= conflict.at_least for name in conflict.agree) and all(
        evidence[name].bits <= conflict.at_most for name in conflict.disagree
    )
