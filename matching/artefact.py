"""A trained model as an artefact: declaration, parameters and term frequencies under a hash of their content."""

from __future__ import annotations

import hashlib
import math
from dataclasses import asdict, dataclass, field
from functools import cached_property

import orjson

from matching.model import Model

DECIMALS = 6
"""Of the weight of an edge, in bits: the executors agree to more than that, so an edge is the same whichever scored it."""


def probability(bits: float) -> float:
    """Of a match, by the logarithm of its odds."""
    return 1 / (1 + 2**-bits)


@dataclass(frozen=True)
class LevelParameters:
    """m: share of matches at this level; u: share of other pairs; correction: bits that labels add (`matching.labels`)."""

    m: float
    u: float
    correction: float = 0.0

    @property
    def corrected_m(self) -> float:
        """May exceed 1: it is of use beside u alone."""
        return self.m * math.exp2(self.correction)

    @property
    def weight(self) -> float:
        """Bits for (positive) or against (negative) a match."""
        return math.log2(self.corrected_m / self.u)


@dataclass(frozen=True)
class LabelReport:
    """What stewards' answers gave to a training."""

    same: int
    different: int
    least: int
    """How many of each are needed."""
    loss_without: float | None = None
    """Mean log loss in bits for a label, of the weights learnt without labels; None where there are too few."""
    loss_with: float | None = None
    """The same with corrections learnt from the other four fifths of the labels."""

    @property
    def used(self) -> bool:
        return (
            self.loss_with is not None
            and self.loss_without is not None
            and self.loss_with < self.loss_without
        )


@dataclass(frozen=True)
class TrainedModel:
    """`parameters[comparison]` has one entry for each level, in the declaration's order."""

    declaration: Model
    prior: float
    """Probability that two records drawn at random are one person."""
    parameters: dict[str, list[LevelParameters]]
    term_frequencies: dict[str, dict[str, float]]
    """By column, for values that more than one record has."""
    frequency_floor: float
    """Frequency of a value that was seen once or never: one over the number of records trained on."""
    records: int
    untrained: list[str]
    """Comparisons about which the records taught nothing: of a first guess, or of no weight where no record has a value."""
    alternative: dict[str, list[float]] = field(default_factory=dict)
    """By comparison, the share of pairs of the declared alternative at each level; empty where it could not be learnt."""
    prior_correction: float = 0.0
    """Bits that labels add to every pair."""
    labels: LabelReport | None = None
    """None where there were too few."""

    @property
    def prior_bits(self) -> float:
        """What every weight begins with."""
        return math.log2(self.prior / (1 - self.prior)) + self.prior_correction

    @property
    def odds_of_alternative(self) -> float:
        """How many pairs of the alternative there are for each pair of strangers."""
        declared = self.declaration.alternative
        return self.prior * declared.for_each_match if declared and self.alternative else 0.0

    def leaning(self, comparison: str) -> list[float]:
        """Bits by level: how much more often pairs of the alternative stand there than strangers.

        Levels of one weight are one, and a weight of nothing tells nothing: an executor may know a level by its weight.
        """
        levels, shares = self.parameters[comparison], self.alternative.get(comparison)
        if shares is None:
            return [0.0] * len(levels)
        found = []
        for weight in (level.weight for level in levels):
            same = [place for place, level in enumerate(levels) if level.weight == weight]
            share, u = sum(shares[place] for place in same), sum(levels[place].u for place in same)
            found.append(math.log2(share / u) if weight else 0.0)
        return found

    @cached_property
    def body(self) -> str:
        """Canonical JSON of everything, or the text it was read from: what the hash is of."""
        content = {
            "declaration": self.declaration.model_dump(mode="json"),
            "prior": self.prior,
            "parameters": {name: [_numbers(p) for p in levels] for name, levels in self.parameters.items()},
            "term_frequencies": self.term_frequencies,
            "frequency_floor": self.frequency_floor,
            "records": self.records,
            "untrained": self.untrained,
            "alternative": self.alternative,
            "prior_correction": self.prior_correction,
            "labels": asdict(self.labels) if self.labels else None,
        }
        return orjson.dumps(content, option=orjson.OPT_SORT_KEYS).decode()

    @property
    def hash(self) -> str:
        return hashlib.sha256(self.body.encode()).hexdigest()

    @classmethod
    def from_body(cls, body: str) -> TrainedModel:
        content = orjson.loads(body)
        parameters = {
            name: [LevelParameters(*numbers) for numbers in levels]
            for name, levels in content.pop("parameters").items()
        }
        labels = content.pop("labels", None)
        made = cls(
            declaration=Model.model_validate(content.pop("declaration")),
            parameters=parameters,
            labels=LabelReport(**labels) if labels else None,
            **content,
        )
        made.__dict__["body"] = body  # one that an older version wrote keeps its hash
        return made


def _numbers(level: LevelParameters) -> list[float]:
    return [level.m, level.u, level.correction] if level.correction else [level.m, level.u]
