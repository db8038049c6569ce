"""Average linkage of whole clusters, comparison by comparison, for all components at once.

The evidence between two clusters is, for each comparison, the mean over the pairs across in which it could be made; what could
not be compared says nothing, neither way. The sum of the means is the clusters' weight, as if they were two records, less what the
model's alternative takes away (`matching.artefact`), told from the means as well. In each round every two clusters that are each other's strongest are joined, until nothing is left that may be joined.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from matching.clustering.components import pairs_within
from matching.clustering.constraints import FREE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matching.clustering.inputs import Evidence, Flags, Ids, Weights

NO_LINK = -(2**62)


@dataclass(frozen=True)
class Between:
    """Evidence between clusters `a` < `b`, a row for each two. Sums are thousandths of a bit.

    `best` is the strongest link across (NO_LINK if there is none) and `left`, `right` its records; `apart` the code of the
    constraint between the two, or FREE; `rest` what the weight holds besides the comparisons (the prior); `leaning` the sums of the
    bits towards the alternative.
    """

    a: Ids
    b: Ids
    pairs: Ids
    rest: Ids
    sums: Ids
    leaning: Ids
    counts: Ids
    best: Ids
    left: Ids
    right: Ids
    apart: Ids

    @classmethod
    def of_pairs(
        cls, left: Ids, right: Ids, evidence: Evidence, *, apart: Ids, link: int, odds: float = 0.0
    ) -> Between:
        """`odds` are those of the model's alternative against strangers."""
        parts = np.where(evidence.present, evidence.parts, 0)
        leaning = np.where(evidence.present, evidence.leaning, 0)
        taken = np.round(_taken_away(leaning.sum(axis=1), odds)).astype(np.int64)
        is_link = (evidence.weight >= link) & (evidence.conflict < 0)
        return cls(
            a=left,
            b=right,
            pairs=np.ones(len(left), dtype=np.int64),
            rest=evidence.weight - parts.sum(axis=1) + taken,
            sums=parts,
            leaning=leaning,
            counts=evidence.present.astype(np.int64),
            best=np.where(is_link, evidence.weight, NO_LINK),
            left=left,
            right=right,
            apart=apart,
        )

    def __len__(self) -> int:
        return len(self.a)

    def of(self, chosen: Flags | Ids) -> Between:
        return Between(**{f.name: getattr(self, f.name)[chosen] for f in fields(self)})

    def and_also(self, other: Between) -> Between:
        return Between(
            **{f.name: np.concatenate([getattr(self, f.name), getattr(other, f.name)]) for f in fields(self)}
        )

    def regrouped(self, cluster: Ids) -> Between:
        """The same evidence between the clusters that a and b are in now."""
        a, b = cluster[self.a], cluster[self.b]
        across = a != b
        rows = self.of(across)
        a, b = np.minimum(a, b)[across], np.maximum(a, b)[across]
        order = np.lexsort((rows.right, rows.left, -rows.best, b, a))
        rows, a, b = rows.of(order), a[order], b[order]
        if len(a) == 0:
            return rows
        start = np.flatnonzero(np.r_[True, (np.diff(a) != 0) | (np.diff(b) != 0)])
        return Between(
            a=a[start],
            b=b[start],
            pairs=np.add.reduceat(rows.pairs, start),
            rest=np.add.reduceat(rows.rest, start),
            sums=np.add.reduceat(rows.sums, start, axis=0),
            leaning=np.add.reduceat(rows.leaning, start, axis=0),
            counts=np.add.reduceat(rows.counts, start, axis=0),
            best=rows.best[start],
            left=rows.left[start],
            right=rows.right[start],
            apart=np.minimum.reduceat(rows.apart, start),
        )

    def weight(self, odds: float) -> Weights:
        """In thousandths of a bit; `odds` as in `of_pairs`."""
        said, leaning = self._mean(self.sums), self._mean(self.leaning)
        return self.rest / self.pairs + said - _taken_away(leaning, odds)

    def _mean(self, sums: Ids) -> Weights:
        """Of each comparison over the pairs that have it, added up one after the other: in the same order for any number of rows."""
        means = sums / np.maximum(self.counts, 1)
        total = np.zeros(len(self))
        for column in range(means.shape[1]):
            total += means[:, column]
        return total


def _taken_away(leaning: Ids | Weights, odds: float) -> Weights:
    if not odds:
        return np.zeros(len(leaning))
    return 1000 * np.log2(1 + odds * np.exp2(leaning / 1000))


@dataclass(frozen=True)
class Joined:
    """`cluster[i]` is the smallest node of node i's cluster; `left_apart` the evidence between clusters that were not joined.

    `ambiguous[i]` of a row: the two might be joined, but one of them goes with a third as well, and the second and third are apart.
    """

    cluster: Ids
    left_apart: Between
    ambiguous: Flags


def agglomerate(
    cluster: Ids,
    between: Between,
    *,
    component: Ids,
    merge: int,
    margin: int,
    sure: Sequence[int],
    odds: float = 0.0,
) -> Joined:
    """Joins clusters until nothing may be joined.

    Args:
        cluster: what must be together already, each node's cluster named by its smallest node.
        between: evidence between all pairs of nodes of a component.
        component: of each node.
        merge: what two clusters as wholes must reach.
        margin: by how much a cluster must go better with one of two that are surely apart.
        sure: codes of the constraints for which somebody vouches.
        odds: as in `Between.of_pairs`.
    """
    cluster = cluster.copy()
    between = between.regrouped(cluster)
    done: list[tuple[Between, Flags]] = []
    while len(between):
        weight = between.weight(odds)
        may = (between.best > NO_LINK) & (between.apart == FREE) & (weight >= merge)
        ambiguous = _ambiguous(between, weight, may, margin, sure)
        chosen = _each_others_strongest(between, weight, may & ~ambiguous)
        active = np.isin(component[between.a], component[between.a[chosen]])
        done.append((between.of(~active), ambiguous[~active]))
        one, two = between.a[chosen], between.b[chosen]
        between = between.of(active)
        renamed = np.arange(len(cluster))
        renamed[two] = one
        cluster = renamed[cluster]
        between = between.regrouped(renamed)
    rows = [row for row, _ in done] or [between]
    left_apart = rows[0]
    for row in rows[1:]:
        left_apart = left_apart.and_also(row)
    flags = np.concatenate([flag for _, flag in done]) if done else np.zeros(0, dtype=np.bool_)
    return Joined(cluster, left_apart, flags)


def _each_others_strongest(between: Between, weight: Weights, may: Flags) -> Ids:
    """Rows that are the strongest of both their clusters; equals go by the smaller names."""
    rows = np.flatnonzero(may)
    rows = rows[np.lexsort((between.b[rows], between.a[rows], -weight[rows]))]
    ends = np.stack([between.a[rows], between.b[rows]], axis=1).ravel()
    first = np.full(len(ends), False)
    first[np.unique(ends, return_index=True)[1]] = True
    return rows[first.reshape(-1, 2).all(axis=1)]


def _ambiguous(between: Between, weight: Weights, may: Flags, margin: int, sure: Sequence[int]) -> Flags:
    """Rows p-q beside which a row p-r is nearly as strong or stronger, while q and r are surely apart."""
    found = np.zeros(len(between), dtype=np.bool_)
    apart = np.isin(between.apart, sure)
    size = 1 + int(between.b.max(initial=0))
    against = np.sort(between.a[apart] * size + between.b[apart])
    if len(against) == 0 or not may.any():
        return found
    ends = np.concatenate([between.a[apart], between.b[apart]])
    row = np.flatnonzero(may & (np.isin(between.a, ends) | np.isin(between.b, ends)))
    row = np.concatenate([row, row])
    half = len(row) // 2
    middle = np.concatenate([between.a[row[:half]], between.b[row[half:]]])
    other = np.concatenate([between.b[row[:half]], between.a[row[half:]]])
    one, two = pairs_within(middle, np.ones(len(middle), dtype=np.bool_))
    near = np.abs(weight[row[one]] - weight[row[two]]) < margin
    one, two = one[near], two[near]
    q, r = np.minimum(other[one], other[two]), np.maximum(other[one], other[two])
    rivals = np.isin(q * size + r, against)
    found[row[one[rivals]]] = True
    found[row[two[rivals]]] = True
    return found
