"""The clusters around a few records, as `mdm.pipeline.cluster_questions` asks about them."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from mdm.pipeline.cluster_questions import Doubtful, Side
from mdm.store.arrivals import registry_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matching.cluster import Clusters
    from matching.clustering.inputs import Ids
    from mdm.arrivals.neighbourhood import Neighbourhood
    from mdm.store.single_edges import Edge, Pair
    from mdm.store.unit_of_work import UnitOfWork


class ClustersAround:
    """Of the neighbourhood as it was just clustered, and of the entities beyond it that a doubtful pair leads to."""

    def __init__(self, work: UnitOfWork, near: Neighbourhood, clusters: Clusters) -> None:
        self._model, self._here = near.model, set(near.records)
        self._cluster: dict[int, object] = dict(
            zip(clusters.record.tolist(), clusters.cluster.tolist(), strict=True)
        )
        self._pairs = {pair: edge for pair, edge in near.edges.items() if self._is_doubtful(edge)}
        beyond = {record for pair in self._pairs for record in pair} - self._here
        state = work.load_records(beyond)
        homes = {record: state.entity_of[record] for record in beyond if record in state.entity_of}
        outside = {member for home in homes.values() for member in state.members[home]} - self._here
        self._cluster |= {member: state.entity_of[member] for member in outside}
        registry = {**near.registry, **registry_of(work, outside)}
        self._members: dict[object, list[int]] = defaultdict(list)
        for record in sorted(registry.keys() & self._cluster.keys()):
            self._members[self._cluster[record]].append(record)
        worth = self._model.clustering.worth
        self._stake = {record: float(worth.get(code, 1)) for record, code in registry.items()}

    def sides(self, pairs: Sequence[Pair]) -> list[tuple[Side, Side]]:
        return [(self._side(left), self._side(right)) for left, right in pairs]

    def doubtful(self, asked: Ids) -> list[Doubtful]:
        done = {self._between(left, right) for left, right in asked.tolist() if self._knows(left, right)}
        best: dict[frozenset[object], tuple[tuple[float, int, int], str | None]] = {}
        for (left, right), (weight, conflict) in self._pairs.items():
            if not self._knows(left, right) or self._cluster[left] == self._cluster[right]:
                continue
            between = self._between(left, right)
            rank = (weight, -left, -right)
            if between not in done and (between not in best or rank > best[between][0]):
                best[between] = rank, conflict
        found = []
        for (weight, left, right), conflict in best.values():
            one, other = self._side(-left), self._side(-right)
            found.append(
                Doubtful(-left, -right, conflict, weight, one.size + other.size, max(one.stake, other.stake))
            )
        return found

    def _is_doubtful(self, edge: Edge) -> bool:
        weight, conflict = edge
        bounds = self._model.thresholds
        return conflict is not None or bounds.review <= weight < bounds.link

    def _knows(self, left: int, right: int) -> bool:
        return left in self._cluster and right in self._cluster

    def _between(self, left: int, right: int) -> frozenset[object]:
        return frozenset((self._cluster[left], self._cluster[right]))

    def _side(self, record: int) -> Side:
        members = self._members[self._cluster[record]]
        return Side(members, len(members), max(self._stake[member] for member in members))
