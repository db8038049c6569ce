"""Connected components, all pairs inside them, and what becomes of those that are too large."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matching.clustering.inputs import Flags, Ids, Weights

_FEW = 32
_STEP = 2.0
"""Bits by which the threshold rises until a large component has come apart."""


def components(size: int, left: Ids, right: Ids) -> Ids:
    """The component of each of `size` nodes, named by its smallest node."""
    if size <= _FEW:
        return _of_few(size, left.tolist(), right.tolist())
    graph = coo_array((np.ones(len(left), dtype=np.int8), (left, right)), shape=(size, size))
    found = connected_components(graph, directed=False)[1]
    first = np.full(int(found.max(initial=-1)) + 1, size, dtype=np.int64)
    np.minimum.at(first, found, np.arange(size))
    named: Ids = first[found]
    return named


def _of_few(size: int, left: Sequence[int], right: Sequence[int]) -> Ids:
    """For a single record the graph library takes longer than the graph."""
    name = list(range(size))
    for one, other in zip(left, right, strict=True):
        a, b = name[one], name[other]
        if a != b:
            name = [min(a, b) if found in {a, b} else found for found in name]
    return np.array(name, dtype=np.int64)


def pairs_within(component: Ids, inside: Flags) -> tuple[Ids, Ids]:
    """All pairs of nodes of one component, of the nodes that are `inside`; the smaller node left."""
    node = np.flatnonzero(inside)
    node = node[np.argsort(component[node], kind="stable")]
    if len(node) == 0:
        return node, node
    start = np.flatnonzero(np.r_[True, np.diff(component[node]) != 0])
    size = np.diff(np.r_[start, len(node)])
    end = np.repeat(start + size, size)
    place = np.arange(len(node))
    later = end - place - 1
    left = np.repeat(place, later)
    offset = np.arange(len(left)) - np.repeat(np.cumsum(later) - later, later)
    return node[left], node[left + 1 + offset]


def cut(component: Ids, left: Ids, right: Ids, weight: Weights, *, of: Flags, largest: int) -> Ids:
    """Components of at most `largest` nodes: larger ones lose their weakest links, step by step. Infinite ones stay.

    Only components whose nodes are flagged in `of` are cut.
    """
    component = component.copy()
    while True:
        large = of & (np.bincount(component, minlength=len(component))[component] > largest)
        inside = large[left] & (component[left] == component[right])
        left, right, weight = left[inside], right[inside], weight[inside]
        finite = weight[np.isfinite(weight)]
        if len(finite) == 0:
            return component
        kept = weight >= finite.min() + _STEP
        left, right, weight = left[kept], right[kept], weight[kept]
        component[large] = components(len(component), left, right)[large]
