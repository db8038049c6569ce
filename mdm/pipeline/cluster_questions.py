"""Questions that the clustering leaves to stewards, ordered by what a decision is worth.

worth = what is lost, on average, if nobody asks (in missed links) x records on both sides x the weight of the most important registry
concerned, as the model declares it. What is apart and is one person is one missed link. What is together and is two counts as many missed
links as the link threshold takes chances: that threshold says how much worse a wrong link is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from matching.artefact import probability
from matching.cluster import AMBIGUOUS, CONTRADICTED, TOO_LARGE, WEAK
from matching.clustering.bridges import weak_bridges
from matching.clustering.constraints import DECISION
from mdm.identity.reconcile import Question

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matching.cluster import Clusters, Refused
    from matching.clustering.inputs import Decided, Edges, Ids
    from matching.model import Model

_AT_MOST = 100_000
_RECORDS_TOLD = 50
_EVEN = 0.5
_ABOUT_EVIDENCE = {AMBIGUOUS, CONTRADICTED, WEAK, TOO_LARGE}


@dataclass(frozen=True)
class Side:
    """The cluster of a record. `stake`: the weight of its most important registry."""

    records: list[int]
    size: int
    stake: float


@dataclass(frozen=True)
class Doubtful:
    """The strongest pair between two clusters; `size`: records of both."""

    left: int
    right: int
    conflict: str | None
    weight: float
    size: int
    stake: float


class Standing(Protocol):
    """The clusters as they are now, over all records or around a few."""

    def sides(self, pairs: Sequence[tuple[int, int]]) -> list[tuple[Side, Side]]:
        """The clusters of both records of each pair."""
        ...

    def doubtful(self, asked: Ids) -> list[Doubtful]:
        """Pairs between the thresholds, and conflicts, whose records are in two clusters: the strongest of every two clusters of which
        one is among those clustered now, and none where `asked` has a pair between them.
        """
        ...


def questions(
    model: Model, standing: Standing, clusters: Clusters, edges: Edges, decided: Decided
) -> list[Question]:
    """On links that were refused, pairs between the thresholds, and weak bridges; the most valuable first.

    In a delta `clusters` holds the records that it concerns, and the questions are about these.
    """
    found = [
        # what a person decided was answered already
        *_refused(standing, [r for r in clusters.refused if r.reason != DECISION]),
        *_doubtful(standing, clusters.refused, decided),
        *_bridges(model, standing, clusters, edges, decided),
    ]
    return sorted(found, key=lambda q: (-q.detail["worth"], q.subject))[:_AT_MOST]


def _refused(standing: Standing, refused: Sequence[Refused]) -> list[Question]:
    sides = standing.sides([(r.left, r.right) for r in refused])
    return [
        Question(
            reason=_reason(r.reason),
            subject=f"pair:{r.left},{r.right}",
            detail={
                "records": [r.left, r.right],
                "weight": round(r.weight, 3),
                "evidence": round(r.evidence, 3),
                "sides": [left.records[:_RECORDS_TOLD], right.records[:_RECORDS_TOLD]],
                "worth": _worth(_missed(r), left.size + right.size, max(left.stake, right.stake)),
            },
        )
        for r, (left, right) in zip(refused, sides, strict=True)
    ]


def _reason(name: str) -> str:
    if name in _ABOUT_EVIDENCE:
        return f"cluster.{name}"
    return name if name.startswith("conflict.") else f"constraint.{name}"


def _missed(refused: Refused) -> float:
    """The chance that a refused link is right. Where a constraint stands against the evidence, one of two facts is wrong."""
    chance = probability(refused.evidence)
    return chance if refused.reason in _ABOUT_EVIDENCE else min(_EVEN, chance)


def _wrong(model: Model, weight: float) -> float:
    return (1 - probability(weight)) * 2**model.thresholds.link


def _worth(loss: float, records: int, stake: float) -> float:
    return round(float(loss * records * stake), 6)


def _doubtful(standing: Standing, refused: Sequence[Refused], decided: Decided) -> list[Question]:
    """None where a refused link asks or a person answered."""
    links = np.array([(r.left, r.right) for r in refused], dtype=np.int64).reshape(-1, 2)
    return [
        Question(
            reason=f"conflict.{d.conflict}" if d.conflict else "match.possible",
            subject=f"pair:{d.left},{d.right}",
            detail={
                "records": [d.left, d.right],
                "weight": round(d.weight, 3),
                "worth": _worth(_EVEN if d.conflict else probability(d.weight), d.size, d.stake),
            },
        )
        for d in standing.doubtful(np.concatenate([links, decided.cannot]))
    ]


def _bridges(
    model: Model, standing: Standing, clusters: Clusters, edges: Edges, decided: Decided
) -> list[Question]:
    """Clusters that hold together by one weak pair: asked about, not taken apart."""
    found = weak_bridges(
        clusters.record,
        clusters.cluster,
        edges.of(edges.weight >= model.thresholds.review),
        must=decided.must,
        below=model.clustering.bridge,
    )
    sides = standing.sides([(bridge.left, bridge.right) for bridge in found])
    return [
        Question(
            reason="cluster.weak_bridge",
            subject=f"bridge:{bridge.left},{bridge.right}",
            detail={
                "records": [bridge.left, bridge.right],
                "weight": round(bridge.weight, 3),
                "sides": [list(side[:_RECORDS_TOLD]) for side in bridge.sides],
                "worth": _worth(_wrong(model, bridge.weight), whole.size, whole.stake),
            },
        )
        for bridge, (whole, _) in zip(found, sides, strict=True)
    ]


def counts(questions: Sequence[Question]) -> dict[str, Any]:
    """How many there are of each reason."""
    reasons, numbers = np.unique([question.reason for question in questions], return_counts=True)
    return dict(zip(reasons.tolist(), numbers.tolist(), strict=True))
