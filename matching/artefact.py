"""A trained model as an artefact: declaration, parameters and term frequencies under a hash of their content."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field

import orjson

from matching.model import Model


def probability(bits: float) -> float:
    """Of a match, by the logarithm of its odds."""
    return 1 / (1 + 2**-bits)


@dataclass(frozen=True)
class LevelParameters:
    """m: share of matches at this level; u: share of other pairs."""

    m: float
    u: float

    @property
    def weight(self) -> float:
        """Bits for (positive) or against (negative) a match."""
        return math.log2(self.m / self.u)


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

    @property
    def body(self) -> str:
        """Canonical JSON of everything: what the hash is of."""
        content = {
            "declaration": self.declaration.model_dump(mode="json"),
            "prior": self.prior,
            "parameters": {name: [[p.m, p.u] for p in levels] for name, levels in self.parameters.items()},
            "term_frequencies": self.term_frequencies,
            "frequency_floor": self.frequency_floor,
            "records": self.records,
            "untrained": self.untrained,
            "alternative": self.alternative,
        }
        return orjson.dumps(content, option=orjson.OPT_SORT_KEYS).decode()

    @property
    def hash(self) -> str:
        return hashlib.sha256(self.body.encode()).hexdigest()

    @classmethod
    def from_body(cls, body: str) -> TrainedModel:
        content = orjson.loads(body)
        parameters = {
            name: [LevelParameters(m, u) for m, u in levels]
            for name, levels in content.pop("parameters").items()
        }
        return cls(
            declaration=Model.model_validate(content.pop("declaration")), parameters=parameters, **content
        )
