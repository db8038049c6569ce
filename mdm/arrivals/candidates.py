"""Whom a record may be of: the people of the records that it resembles, likeliest first."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matching.model import Model
    from matching.scorer import ScoredPair

_MOST_BITS = 500
"""Beyond it a weight says no more, and the sum of odds stays a number."""


class Band(StrEnum):
    """What a run would make of a candidate, on its weight alone."""

    LINK = "link"
    REVIEW = "review"
    UNLIKELY = "unlikely"


@dataclass(frozen=True)
class Match:
    """A person that a record may be of. `pair` is the evidence of the record of theirs that agrees best.

    `probability` takes into account that a record is of one person at most: it is that of this person beside the others found.
    """

    entity: str
    record: int
    pair: ScoredPair
    probability: float
    band: Band


@dataclass(frozen=True)
class Matches:
    """The likeliest first; `model` is the hash of the one that scored."""

    found: list[Match]
    issues: Mapping[str, str]
    model: str


def by_person(model: Model, scored: Mapping[int, tuple[str, ScoredPair]]) -> list[Match]:
    """`scored`: record to its person and its pair with the record that is looked for."""
    best: dict[str, tuple[float, int]] = {}
    for record, (entity, pair) in scored.items():
        best[entity] = max(best.get(entity, (-float("inf"), 0)), (pair.weight, -record))
    odds = {entity: 2.0 ** min(weight, _MOST_BITS) for entity, (weight, _) in best.items()}
    total = 1 + sum(odds.values())
    return [
        Match(
            entity=entity,
            record=-number,
            pair=scored[-number][1],
            probability=odds[entity] / total,
            band=_band(model, scored[-number][1]),
        )
        for entity, (_, number) in sorted(best.items(), key=lambda one: (-one[1][0], one[0]))
    ]


def _band(model: Model, pair: ScoredPair) -> Band:
    bounds = model.thresholds
    if pair.conflict is not None:
        return Band.REVIEW
    if pair.weight >= bounds.link:
        return Band.LINK
    return Band.REVIEW if pair.weight >= bounds.review else Band.UNLIKELY
