"""How good a clustering is, against known truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Labels = NDArray[np.int64]


@dataclass(frozen=True)
class PairCounts:
    """Numbers of unordered record pairs: in one true person, in one predicted cluster, in both."""

    true: int
    predicted: int
    both: int

    @property
    def precision(self) -> float:
        return self.both / self.predicted if self.predicted else 1.0

    @property
    def recall(self) -> float:
        return self.both / self.true if self.true else 1.0

    @property
    def f1(self) -> float:
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0


@dataclass(frozen=True)
class ClusterCounts:
    """`false_merges`: clusters that hold more than one true person; `split_people`: people in more than one cluster."""

    people: int
    clusters: int
    exact: int
    false_merges: int
    split_people: int


def pair_counts(truth: Labels, predicted: Labels) -> PairCounts:
    """Labels of the same records, in the same order."""
    _, cells = np.unique(np.stack([truth, predicted]), axis=1, return_counts=True)
    return PairCounts(
        true=_pairs(np.bincount(_codes(truth))),
        predicted=_pairs(np.bincount(_codes(predicted))),
        both=_pairs(cells),
    )


def cluster_counts(truth: Labels, predicted: Labels) -> ClusterCounts:
    cells = np.unique(np.stack([_codes(truth), _codes(predicted)]), axis=1)
    clusters_of_person = np.bincount(cells[0])
    people_of_cluster = np.bincount(cells[1])
    exact = (clusters_of_person[cells[0]] == 1) & (people_of_cluster[cells[1]] == 1)
    return ClusterCounts(
        people=len(clusters_of_person),
        clusters=len(people_of_cluster),
        exact=int(exact.sum()),
        false_merges=int((people_of_cluster > 1).sum()),
        split_people=int((clusters_of_person > 1).sum()),
    )


def _codes(labels: Labels) -> Labels:
    return np.unique(labels, return_inverse=True)[1].astype(np.int64)


def _pairs(sizes: NDArray[np.integer]) -> int:
    sizes = sizes.astype(np.int64)
    return int((sizes * (sizes - 1) // 2).sum())
