"""Clusters whose two sides hold together by one pair."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import networkx as nx
import numpy as np

if TYPE_CHECKING:
    from matching.clustering.inputs import Edges, Ids


@dataclass(frozen=True)
class Bridge:
    """The one pair and its weight; the records of the side of each end, ascending."""

    left: int
    right: int
    weight: float
    sides: tuple[tuple[int, ...], tuple[int, ...]]


def weak_bridges(record: Ids, cluster: Ids, edges: Edges, *, must: Ids, below: float) -> list[Bridge]:
    """Bridges of less than `below` bits between sides of two records and more, by cluster.

    Args:
        record: sorted.
        cluster: of each record, named by its smallest.
        edges: pairs that speak for one person; conflicts are left aside.
        must: pairs that a person joined; they are no weak bridges.
        below: in bits.
    """
    left, right = np.searchsorted(record, edges.left), np.searchsorted(record, edges.right)
    inside = (cluster[left] == cluster[right]) & (edges.conflict < 0)
    names, sizes = np.unique(cluster, return_counts=True)
    place = np.searchsorted(names, cluster[left[inside]])
    held_by = np.bincount(place, minlength=len(names))
    weak = np.bincount(place[edges.weight[inside] < below], minlength=len(names)) > 0
    # a side of two or more and one pair across: so many pairs at most
    possible = sizes * (sizes - 1) // 2 - 2 * (sizes - 2) + 1
    looked_at = weak & (sizes >= 4) & (held_by <= possible)
    if not looked_at.any():
        return []
    chosen = inside & looked_at[np.searchsorted(names, cluster[left])]
    graph: nx.Graph[int] = nx.Graph()
    graph.add_weighted_edges_from(
        zip(
            edges.left[chosen].tolist(),
            edges.right[chosen].tolist(),
            edges.weight[chosen].tolist(),
            strict=True,
        )
    )
    graph.add_weighted_edges_from(
        (one, two, np.inf) for one, two in must.tolist() if one in graph and two in graph
    )
    found = []
    bridges: Any = nx.bridges(graph)  # the library's stubs take a bridge for a node
    for one, two in sorted(tuple(sorted(ends)) for ends in bridges):
        weight = graph.edges[one, two]["weight"]
        if weight >= below:
            continue
        graph.remove_edge(one, two)
        sides = tuple(sorted(nx.node_connected_component(graph, end)) for end in (one, two))
        graph.add_edge(one, two, weight=weight)
        if min(map(len, sides)) > 1:
            found.append(Bridge(one, two, weight, (tuple(sides[0]), tuple(sides[1]))))
    return found
