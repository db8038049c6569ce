"""How good a clustering is, against known truth: by pairs, by B-cubed, by whole people; the whole and by group; and calibration.

Everything works on arrays of labels: the true person and the predicted cluster of each record, in one order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Labels = NDArray[np.int64]
    Reals = NDArray[np.float64]
    Mask = NDArray[np.bool_]

_MILLION = 1_000_000


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
        return _harmonic_mean(self.precision, self.recall)


@dataclass(frozen=True)
class BCubed:
    """Means over records (Bagga and Baldwin 1998).

    A record's precision is the share of its cluster that is its person's; its recall the share of its person that is in
    its cluster. The record itself counts. F1 is the harmonic mean of the two means.
    """

    precision: float
    recall: float

    @property
    def f1(self) -> float:
        return _harmonic_mean(self.precision, self.recall)


@dataclass(frozen=True)
class ClusterCounts:
    """`exact`: people whose records are one cluster that holds nothing else; `false_merges`: clusters that hold more than
    one true person; `split_people`: people in more than one cluster.
    """

    people: int
    clusters: int
    exact: int
    false_merges: int
    split_people: int

    @property
    def exact_share(self) -> float:
        return self.exact / self.people if self.people else 1.0

    @property
    def false_merges_per_million(self) -> float:
        """Per million true people."""
        return _MILLION * self.false_merges / self.people if self.people else 0.0

    @property
    def split_rate(self) -> float:
        """The share of true people who are in more than one cluster."""
        return self.split_people / self.people if self.people else 0.0


@dataclass(frozen=True)
class Measures:
    records: int
    pairs: PairCounts
    b_cubed: BCubed
    clusters: ClusterCounts


@dataclass(frozen=True)
class ConfusedPairs:
    """Pairs of people who are easily confused: `pairs` of whom both have records, `merged` of them who share a cluster."""

    pairs: int
    merged: int

    @property
    def share(self) -> float:
        return self.merged / self.pairs if self.pairs else 0.0


@dataclass(frozen=True)
class Bin:
    """Scored pairs of one range of match weights (bits, `low` included): what was predicted of them and what is true."""

    low: float
    high: float
    pairs: int
    predicted: float
    """Mean predicted probability."""
    observed: float
    """Share of true matches."""


@dataclass(frozen=True)
class Calibration:
    bins: list[Bin]
    """Those that hold pairs."""

    @property
    def expected_error(self) -> float:
        """Expected calibration error: the mean over pairs of their bin's |predicted - observed| (Naeini et al. 2015)."""
        total = sum(b.pairs for b in self.bins)
        return sum(b.pairs * abs(b.predicted - b.observed) for b in self.bins) / total if total else 0.0

    @property
    def balanced_error(self) -> float:
        """The mean over bins: most pairs are certain, so that the mean over pairs says little of the doubtful ones."""
        return float(np.mean([abs(b.predicted - b.observed) for b in self.bins])) if self.bins else 0.0


class Overlap:
    """Records by true person, by predicted cluster, and by both: everything is counted from the sizes of these sets.

    Raises ValueError for labels of different lengths.
    """

    def __init__(self, truth: Labels, predicted: Labels) -> None:
        if truth.shape != predicted.shape:
            raise ValueError(f"{len(truth)} true labels and {len(predicted)} predicted ones")
        self.person, self.cluster = _codes(truth), _codes(predicted)
        self.cell = _codes(self.person * (self.cluster.max(initial=0) + 1) + self.cluster)
        self.of_person, self.of_cluster, self.of_cell = (
            np.bincount(codes)[codes] for codes in (self.person, self.cluster, self.cell)
        )
        """For each record the number of records of its person, its cluster, and of both."""

    @property
    def split(self) -> Mask:
        """Whether the record's person is in more than one cluster."""
        return np.asarray(self.of_cell < self.of_person)

    @property
    def mixed(self) -> Mask:
        """Whether the record's cluster holds more than one person."""
        return np.asarray(self.of_cell < self.of_cluster)


def pair_counts(truth: Labels, predicted: Labels) -> PairCounts:
    return _ends(Overlap(truth, predicted), share=2)


def b_cubed(truth: Labels, predicted: Labels) -> BCubed:
    return _b_cubed(Overlap(truth, predicted))


def cluster_counts(truth: Labels, predicted: Labels) -> ClusterCounts:
    return _cluster_counts(Overlap(truth, predicted))


def measure(truth: Labels, predicted: Labels) -> Measures:
    overlap = Overlap(truth, predicted)
    return Measures(len(truth), _ends(overlap, share=2), _b_cubed(overlap), _cluster_counts(overlap))


def measure_groups(overlap: Overlap, group: Labels, *, count: int) -> list[Measures]:
    """Of groups 0 to `count` - 1; `group` has one number for each record, -1 for those in none.

    A group may be of records (a registry) or of people (an age). A pair counts once for each of its ends, in the group
    of that end, so that the pairs of one group with others count too; a person or a cluster counts in every group in
    which it has a record.
    """
    order = np.argsort(group, kind="stable")
    starts = np.searchsorted(group[order], np.arange(count + 1))
    found = []
    for number in range(count):
        rows = order[starts[number] : starts[number + 1]]
        found.append(
            Measures(
                len(rows), _ends(overlap, rows=rows), _b_cubed(overlap, rows), _cluster_counts(overlap, rows)
            )
        )
    return found


def found_with(truth: Labels, predicted: Labels, anchor: Mask) -> tuple[Mask, Mask]:
    """Which records are of people who have an anchor record, and which are in one cluster with one of these.

    `anchor` marks the anchor records (of the population database).
    """
    overlap = Overlap(truth, predicted)
    known = np.isin(overlap.person, overlap.person[anchor])
    return known, np.isin(overlap.cell, overlap.cell[anchor])


def confused(truth: Labels, predicted: Labels, *, one: Labels, other: Labels) -> ConfusedPairs:
    """How many of the pairs of people (`one[i]`, `other[i]`) were merged. Pairs with a person of no records do not count."""
    there = np.isin(one, truth) & np.isin(other, truth)
    one, other = one[there], other[there]
    cells = np.unique(np.stack([truth, predicted], axis=1), axis=0)
    person, cluster = cells[:, 0], cells[:, 1]
    first, last = (np.searchsorted(person, one, side=side) for side in ("left", "right"))
    pair = np.repeat(np.arange(len(one)), last - first)
    within = np.arange(len(pair)) - np.repeat(np.cumsum(last - first) - (last - first), last - first)
    clusters = cluster[first[pair] + within]
    present = {(int(p), int(c)) for p, c in cells[np.isin(person, other)]}
    shared = [
        place
        for place, c in zip(pair.tolist(), clusters.tolist(), strict=True)
        if (int(other[place]), c) in present
    ]
    return ConfusedPairs(pairs=len(one), merged=len(set(shared)))


def calibration(weight: Reals, match: Mask, *, edges: Sequence[float]) -> Calibration:
    """`weight`: match weights in bits, which predict 2^w / (1 + 2^w); `match`: whether it is one person; `edges`: where bins
    begin and end. Weights beyond them fall into the first or the last bin.
    """
    predicted = probability(weight)
    count = len(edges) - 1
    place = np.clip(np.searchsorted(np.asarray(edges), weight, side="right") - 1, 0, count - 1)
    pairs = np.bincount(place, minlength=count)
    sums, matches = (np.bincount(place, weights=values, minlength=count) for values in (predicted, match))
    return Calibration(
        [
            Bin(
                edges[b], edges[b + 1], int(pairs[b]), float(sums[b] / pairs[b]), float(matches[b] / pairs[b])
            )
            for b in np.flatnonzero(pairs).tolist()
        ]
    )


def probability(weight: Reals) -> Reals:
    """Of a match, by its weight in bits: the odds are 2^weight."""
    return np.asarray(1 / (1 + np.exp2(-np.clip(weight, -1000, 1000))))


def _ends(overlap: Overlap, rows: Labels | slice = slice(None), *, share: int = 1) -> PairCounts:
    """Pairs by their ends: a record of a set of n is the end of n - 1 pairs."""
    true, predicted, both = (
        int((sizes[rows] - 1).sum()) // share
        for sizes in (overlap.of_person, overlap.of_cluster, overlap.of_cell)
    )
    return PairCounts(true=true, predicted=predicted, both=both)


def _b_cubed(overlap: Overlap, rows: Labels | slice = slice(None)) -> BCubed:
    both, person, cluster = overlap.of_cell[rows], overlap.of_person[rows], overlap.of_cluster[rows]
    if len(both) == 0:
        return BCubed(1.0, 1.0)
    return BCubed(precision=float((both / cluster).mean()), recall=float((both / person).mean()))


def _cluster_counts(overlap: Overlap, rows: Labels | slice = slice(None)) -> ClusterCounts:
    person, cluster = overlap.person[rows], overlap.cluster[rows]
    split, mixed = overlap.split[rows], overlap.mixed[rows]
    return ClusterCounts(
        people=len(np.unique(person)),
        clusters=len(np.unique(cluster)),
        exact=len(np.unique(person[~split & ~mixed])),
        false_merges=len(np.unique(cluster[mixed])),
        split_people=len(np.unique(person[split])),
    )


def _codes(labels: Labels) -> Labels:
    return np.unique(labels, return_inverse=True)[1].astype(np.int64)


def _harmonic_mean(one: float, other: float) -> float:
    return 2 * one * other / (one + other) if one + other else 0.0
