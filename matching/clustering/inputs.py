"""What a clustering is made from: scored pairs, thresholds, people's decisions. Weights are whole thousandths of a bit inside.

Whole numbers add up to the same sum in any order, so the order of records and pairs cannot matter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ids = NDArray[np.int64]
    Weights = NDArray[np.float64]
    Flags = NDArray[np.bool_]

NO_CONFLICT = -1
_PER_BIT = 1000


def millibits(weight: Weights) -> Ids:
    return np.round(weight * _PER_BIT).astype(np.int64)


def bits(weight: int) -> float:
    return weight / _PER_BIT


@dataclass(frozen=True)
class Edges:
    """Scored pairs, each once: arrays of one length. `conflict` is a place in the rules' conflicts or NO_CONFLICT."""

    left: Ids
    right: Ids
    weight: Weights
    conflict: Ids

    def __len__(self) -> int:
        return len(self.left)

    def of(self, chosen: Flags) -> Edges:
        return Edges(self.left[chosen], self.right[chosen], self.weight[chosen], self.conflict[chosen])


@dataclass(frozen=True)
class Rules:
    """In bits. Two clusters are joined if the strongest pair between them reaches `link` and they as wholes reach `merge`."""

    link: float
    merge: float
    unscored: float
    """What a pair counts that was not scored."""
    largest: int
    """Components of more records are cut at their weakest links before a closer look."""
    conflicts: tuple[str, ...] = ()
    odds_of_alternative: float = 0.0
    """How many pairs of the model's alternative there are for each pair of strangers."""


@dataclass(frozen=True)
class Decided:
    """Pairs of records on which a person decided; two columns each. What must link is one whatever rule says otherwise."""

    must: Ids
    cannot: Ids

    @classmethod
    def none(cls) -> Decided:
        return cls(np.empty((0, 2), np.int64), np.empty((0, 2), np.int64))

    def among(self, record: Ids) -> Decided:
        """As places in `record` (sorted), smaller first; decisions on records that are not there are left aside."""
        return Decided(must=_places(record, self.must), cannot=_places(record, self.cannot))


def _places(record: Ids, pairs: Ids) -> Ids:
    if not len(pairs):
        return pairs
    there = np.isin(pairs, record).all(axis=1)
    return np.sort(np.searchsorted(record, pairs[there]), axis=1).astype(np.int64)


@dataclass(frozen=True)
class Evidence:
    """What the comparisons say of pairs, in thousandths of a bit.

    Args:
        weight: all in all, the prior included; one for each pair.
        parts: one column for each comparison; no columns where only the whole is known.
        leaning: bits towards the model's alternative, shaped as `parts`.
        present: whether the comparison could be made.
        conflict: as in Edges.
    """

    weight: Ids
    conflict: Ids
    parts: Ids
    leaning: Ids
    present: Flags

    def of(self, chosen: Flags) -> Evidence:
        return Evidence(
            self.weight[chosen],
            self.conflict[chosen],
            self.parts[chosen],
            self.leaning[chosen],
            self.present[chosen],
        )

    @classmethod
    def of_wholes(cls, weight: Ids, conflict: Ids) -> Evidence:
        """Where it is not known what each comparison says."""
        none = np.empty((len(weight), 0), np.int64)
        return cls(weight, conflict, none, none, none.astype(np.bool_))

    @classmethod
    def of_edges(cls, left: Ids, right: Ids, edges: Edges, *, unscored: float) -> Evidence:
        """The weights of the pairs that are edges, and a fixed one for the others; all as places in one list of records."""
        size = 1 + max(int(right.max(initial=0)), int(edges.right.max(initial=0)))
        known = edges.left * size + edges.right
        order = np.argsort(known)
        wanted = left * size + right
        place = np.searchsorted(known[order], wanted)
        place[place == len(known)] = 0
        weight = np.full(len(wanted), millibits(np.array([unscored]))[0])
        conflict = np.full(len(wanted), NO_CONFLICT, dtype=np.int64)
        if len(known):
            found = known[order][place] == wanted
            weight[found] = millibits(edges.weight[order][place[found]])
            conflict[found] = edges.conflict[order][place[found]]
        return cls.of_wholes(weight, conflict)
