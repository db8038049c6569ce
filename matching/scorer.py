"""The Python executor of a trained model: one pair of records, the weight that `matching.batch` gives it to 1e-6."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from matching.artefact import TrainedModel
    from matching.levels import Record, Test
    from matching.model import Comparison, Conflict

    Judge = Callable[[Record, Record], tuple[int, float]]


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
        return 1 / (1 + 2**-self.weight)


class Scorer:
    """Compiled once for a trained model. Records are feature dictionaries with every column of `model.feature_columns`."""

    def __init__(self, trained: TrainedModel) -> None:
        self._conflicts = trained.declaration.conflicts
        self._prior = math.log2(trained.prior / (1 - trained.prior))
        self._odds = trained.odds_of_alternative
        self._comparisons = [_Comparison(comparison, trained) for comparison in trained.declaration.comparisons]

    def weight(self, left: Record, right: Record) -> float:
        """The weight alone."""
        weight, leaning = self._prior, 0.0
        for comparison in self._comparisons:
            level, frequency_bits = comparison.judge(left, right)
            if level >= 0:
                weight += comparison.bits[level] + frequency_bits
                leaning += comparison.leaning[level] + (frequency_bits if comparison.leans else 0.0)
        return weight + self._less(leaning)

    def score(self, left: Record, right: Record) -> ScoredPair:
        """The weight with the evidence behind it."""
        evidence: dict[str, Evidence] = {}
        weight, leaning = self._prior, 0.0
        for comparison in self._comparisons:
            level, frequency_bits = comparison.judge(left, right)
            if level < 0:
                evidence[comparison.name] = Evidence(None, 0.0, 0.0)
                continue
            evidence[comparison.name] = Evidence(level, comparison.bits[level], frequency_bits)
            weight += comparison.bits[level] + frequency_bits
            leaning += comparison.leaning[level] + (frequency_bits if comparison.leans else 0.0)
        less = self._less(leaning)
        found = next((c.name for c in self._conflicts if _in_conflict(c, evidence)), None)
        return ScoredPair(weight + less, self._prior, evidence, less, found)

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
    tests: list[tuple[int, Test]] = [(place, level.test()) for place, level in enumerate(comparison.levels[:-1])]
    otherwise = len(tests)
    frequencies = {
        place: (level.term_frequency, trained.term_frequencies[level.term_frequency], math.log2(parameters.u))
        for place, (level, parameters) in enumerate(
            zip(comparison.levels, trained.parameters[comparison.name], strict=True)
        )
        if level.term_frequency
    }
    missing, floor = comparison.missing, trained.frequency_floor

    def judge(left: Record, right: Record) -> tuple[int, float]:
        for column in missing:
            if left[column] is None or right[column] is None:
                return -1, 0.0
        for place, test in tests:
            if test(left, right):
                return place, _frequency_bits(left, right, frequencies[place], floor) if place in frequencies else 0.0
        return otherwise, 0.0

    return judge


def _frequency_bits(
    left: Record, right: Record, of: tuple[str, Mapping[str, float], float], floor: float
) -> float:
    """How much rarer the commoner of the two values is than what the level stands for."""
    column, known, log2_u = of
    found = [known.get(value, floor) for value in (left[column], right[column]) if value is not None]
    return log2_u - math.log2(max(found)) if found else 0.0


def _in_conflict(conflict: Conflict, evidence: Mapping[str, Evidence]) -> bool:
    return any(evidence[name].bits >= conflict.at_least for name in conflict.agree) and all(
        evidence[name].bits <= conflict.at_most for name in conflict.disagree
    )
