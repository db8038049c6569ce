"""From scored pairs to clusters: connected components, and a refinement of those that break a constraint.

The result depends on the edges alone, not on their order: ties break on record ids.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ids = NDArray[np.int64]


DECISION = "decision"
"""The constraint that a person's cannot-link is."""


@dataclass(frozen=True)
class Edges:
    """Three arrays of one length: record_l, record_r (ids), weight in bits."""

    left: Ids
    right: Ids
    weight: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.left)


@dataclass(frozen=True)
class Exclusion:
    """Records that carry one label are never in one cluster (two records of a registry that is free of duplicates).

    `label` has one number for each record, -1 where the rule says nothing.
    """

    name: str
    label: Ids


@dataclass(frozen=True)
class Decided:
    """Pairs of records on which a person decided; two columns each. What must link is one whatever rule says otherwise."""

    must: Ids
    cannot: Ids

    @classmethod
    def none(cls) -> Decided:
        return cls(np.empty((0, 2), np.int64), np.empty((0, 2), np.int64))


@dataclass(frozen=True)
class Refused:
    """An edge that was strong enough but would have broken a constraint."""

    left: int
    right: int
    weight: float
    constraint: str


@dataclass(frozen=True)
class Clusters:
    """`cluster[i]` is the cluster of `record[i]`, named by the smallest record id in it."""

    record: Ids
    cluster: Ids
    refused: list[Refused]


def cluster(
    record: Ids, edges: Edges, *, exclusions: list[Exclusion], decided: Decided | None = None
) -> Clusters:
    """Clusters of all `record` ids (sorted, unique); `edges` are those at or above the link threshold.

    Decisions on records that are not there are left aside.
    """
    decided = decided or Decided.none()
    must, cannot = _places(record, decided.must), _places(record, decided.cannot)
    left = np.concatenate([np.searchsorted(record, edges.left), must[:, 0]])
    right = np.concatenate([np.searchsorted(record, edges.right), must[:, 1]])
    weight = np.concatenate([edges.weight, np.full(len(must), np.inf)])
    component = _components(len(record), left, right)
    broken = np.union1d(
        _broken(component, exclusions),
        component[cannot[component[cannot[:, 0]] == component[cannot[:, 1]], 0]],
    )
    refused: list[Refused] = []
    if len(broken):
        inside = np.isin(component[left], broken)
        places = Edges(left[inside], right[inside], weight[inside])
        component, refused = _refine(record, component, places, exclusions, cannot)
    return Clusters(record=record, cluster=_named(record, component), refused=refused)


def _places(record: Ids, pairs: Ids) -> Ids:
    """Pairs of records as places in `record`, those with both ends there."""
    there = np.isin(pairs, record).all(axis=1)
    return np.searchsorted(record, pairs[there])


def _components(size: int, left: Ids, right: Ids) -> Ids:
    graph = coo_array((np.ones(len(left), dtype=np.int8), (left, right)), shape=(size, size))
    found: Ids = connected_components(graph, directed=False)[1].astype(np.int64)
    return found


def _broken(component: Ids, exclusions: list[Exclusion]) -> Ids:
    """Components in which two records carry one label."""
    found = []
    for exclusion in exclusions:
        marked = np.flatnonzero(exclusion.label >= 0)
        pairs = np.stack([component[marked], exclusion.label[marked]], axis=1)
        unique, counts = np.unique(pairs, axis=0, return_counts=True)
        found.append(unique[counts > 1, 0])
    return np.unique(np.concatenate(found)) if found else np.array([], dtype=np.int64)


def _refine(
    record: Ids, component: Ids, edges: Edges, exclusions: list[Exclusion], cannot: Ids
) -> tuple[Ids, list[Refused]]:
    """Joins again edge by edge, strongest first, leaving out what would put one label twice into a cluster.

    Ends of edges are places in `record`. A pair that cannot link is a label of its own, carried by its two records.
    """
    left, right, weight = edges.left, edges.right, edges.weight
    affected = np.flatnonzero(np.isin(component, component[left]))
    parent = {int(node): int(node) for node in affected}
    labels: dict[int, set[tuple[int, int]]] = {
        int(node): {(number, int(e.label[node])) for number, e in enumerate(exclusions) if e.label[node] >= 0}
        for node in affected
    }

    names = [e.name for e in exclusions] + [DECISION] * len(cannot)
    for number, (one, two) in enumerate(cannot.tolist(), start=len(exclusions)):
        for node in {one, two} & labels.keys():
            labels[node].add((number, 0))

    def root(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    refused = []
    for position in np.lexsort((right, left, -weight)):
        a, b = root(int(left[position])), root(int(right[position]))
        if a == b:
            continue
        shared = labels[a] & labels[b]
        if shared and weight[position] < np.inf:
            number = min(shared)[0]
            refused.append(
                Refused(
                    int(record[left[position]]),
                    int(record[right[position]]),
                    float(weight[position]),
                    names[number],
                )
            )
            continue
        parent[b] = a
        labels[a] |= labels.pop(b)
    refined = component.copy()
    fresh = component.max() + 1
    refined[affected] = [fresh + root(int(node)) for node in affected]
    return refined, refused


def _named(record: Ids, component: Ids) -> Ids:
    """Names each component by its smallest record id."""
    _, inverse = np.unique(component, return_inverse=True)
    smallest = np.full(inverse.max() + 1 if len(inverse) else 0, np.iinfo(np.int64).max)
    np.minimum.at(smallest, inverse, record)
    return smallest[inverse]
