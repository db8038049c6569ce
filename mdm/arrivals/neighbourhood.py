"""The records that hang together with some changed ones, and all that clustering asks about them: what `mdm.pipeline.clustering`
reads of all records, of a few.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from matching.clustering.constraints import Exclusion, Impossible, Verified
from matching.clustering.inputs import NO_CONFLICT, Decided, Edges, Evidence, millibits
from mdm.identity.commands import DecisionKind
from mdm.store.arrivals import registry_of
from mdm.store.single_edges import edges_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from collections.abc import Set as AbstractSet

    from numpy.typing import NDArray

    from matching.clustering.constraints import Constraint
    from matching.levels import Record
    from matching.model import Model
    from matching.online import OnlineMatcher
    from mdm.store.match_index import StoredIndex
    from mdm.store.single_edges import Edge, Pair
    from mdm.store.unit_of_work import UnitOfWork

    Ids = NDArray[np.int64]

_MISSING = -1


@dataclass(frozen=True)
class Installation:
    """What is declared of the registries."""

    anchors: frozenset[str]
    duplicate_free: frozenset[str]


@dataclass
class Neighbourhood:
    """Of `records`, ascending: their features, registries, and every edge that touches one of them."""

    matcher: OnlineMatcher
    installation: Installation
    records: list[int]
    features: Mapping[int, Record]
    registry: Mapping[int, str]
    edges: Mapping[Pair, Edge]
    decided: Decided
    _fact: dict[Any, int] = field(default_factory=dict)

    @property
    def model(self) -> Model:
        return self.matcher.model

    @property
    def ids(self) -> Ids:
        return np.array(self.records, dtype=np.int64)

    def scored_edges(self) -> Edges:
        """Those between the records that speak for one person, conflicts among them."""
        codes = {conflict.name: place for place, conflict in enumerate(self.model.conflicts)}
        lowest = min(self.model.thresholds.review, self.model.clustering.merge)
        inside = set(self.records)
        rows = [
            (left, right, weight, NO_CONFLICT if conflict is None else codes[conflict])
            for (left, right), (weight, conflict) in sorted(self.edges.items())
            if weight >= lowest and left in inside and right in inside
        ]
        left, right, weight, conflict = zip(*rows, strict=True) if rows else ((), (), (), ())
        return Edges(
            np.array(left, np.int64),
            np.array(right, np.int64),
            np.array(weight, np.float64),
            np.array(conflict, np.int64),
        )

    def constraints(self) -> list[Constraint]:
        declared = self.model.clustering
        found: list[Constraint] = [
            Exclusion(
                f"duplicate_free:{code}",
                self.labels(0 if self.registry[record] == code else _MISSING for record in self.records),
            )
            for code in sorted(self.installation.duplicate_free)
        ]
        if declared.verified is not None and self.installation.anchors:
            found.append(Verified("verified_number", self._verified(declared.verified)))
        for rule in declared.impossible:
            facts = [
                [self._number(self.features[record][column]) for column in rule.differ]
                for record in self.records
            ]
            found.append(
                Impossible(
                    rule.name,
                    np.array(facts, dtype=np.int64).reshape(-1, len(rule.differ)),
                    np.array(list(rule.differ.values()), dtype=np.int64),
                )
            )
        return found

    def evidence(self, left: Ids, right: Ids) -> Evidence:
        """Comparison by comparison, for any pairs of the records."""
        scorer = self.matcher.scorer
        names = [comparison.name for comparison in self.model.comparisons]
        codes = {conflict.name: place for place, conflict in enumerate(self.model.conflicts)}
        found = [
            scorer.score(self.features[one], self.features[other])
            for one, other in zip(left.tolist(), right.tolist(), strict=True)
        ]
        if not found:
            none = np.empty(0, np.int64)
            return Evidence.of_wholes(none, none)
        told = [[pair.evidence[name] for name in names] for pair in found]
        return Evidence(
            weight=millibits(np.array([pair.weight for pair in found])),
            conflict=np.array(
                [NO_CONFLICT if p.conflict is None else codes[p.conflict] for p in found], np.int64
            ),
            parts=millibits(np.array([[e.bits + e.frequency_bits for e in row] for row in told])),
            leaning=millibits(np.array([scorer.leanings(pair.evidence) for pair in found])),
            present=np.array([[e.bits != 0 for e in row] for row in told], dtype=np.bool_),
        )

    def _verified(self, numbers: str) -> Ids:
        """The anchor record that is linked with a record and shares a number with it; _MISSING for none and for several."""
        anchors = {r for r, registry in self.registry.items() if registry in self.installation.anchors}
        known: dict[int, set[int]] = defaultdict(set)
        for (left, right), (weight, conflict) in self.edges.items():
            if weight < self.model.thresholds.link or conflict is not None:
                continue
            for record, anchor in ((left, right), (right, left)):
                if anchor in anchors and record in self.registry and record not in anchors:
                    shared = set(self.features[record][numbers] or ()) & set(
                        self.features[anchor][numbers] or ()
                    )
                    if shared:
                        known[record].add(anchor)
        return self.labels(
            record if record in anchors else min(known[record]) if len(known[record]) == 1 else _MISSING
            for record in self.records
        )

    def _number(self, value: Any) -> int:
        """Whole numbers are themselves; texts are equal or not."""
        if value is None:
            return _MISSING
        return value if isinstance(value, int) else self._fact.setdefault(value, len(self._fact))

    @staticmethod
    def labels(values: Iterable[int]) -> Ids:
        return np.array(list(values), dtype=np.int64)


def neighbourhood(
    work: UnitOfWork,
    matcher: OnlineMatcher,
    index: StoredIndex,
    installation: Installation,
    *,
    changed: AbstractSet[int],
    edges: Mapping[Pair, Edge],
    features: Mapping[int, Record],
    left: Collection[str],
) -> Neighbourhood:
    """What `mdm.pipeline.delta.concerned` finds: all that hangs together with changed records by links, entities and must-links.

    Args:
        work: the transaction; entities that are met are loaded into its state.
        matcher: of the model in force.
        index: of all records, as they are now.
        installation: what is declared.
        changed: active changed records; the entities that they belong to are in the transaction's state.
        edges: of changed records, all that they have now.
        features: of changed records, and of others that are known already.
        left: entities that changed records belong to, withdrawn ones among them.
    """
    name, link = matcher.model.name, matcher.model.thresholds.link
    state = work.load(left)
    reached: set[int] = set()
    reaching: dict[Pair, Edge] = {}
    frontier = set(changed).union(*(state.members[entity] for entity in left))
    while frontier:
        reached |= frontier
        found = edges_of(work, frontier - changed, name=name)
        if frontier & changed:
            found |= edges
        reaching |= found
        state = work.load_records(frontier - changed)
        near = {
            record
            for pair, (weight, conflict) in found.items()
            if weight >= link and conflict is None
            for record in pair
        }
        for record in frontier:
            if (home := state.entity_of.get(record)) is not None:
                near |= state.members[home]
        for (one, other), decision in state.decisions.items():
            if decision.kind == DecisionKind.MUST_LINK and (one in frontier or other in frontier):
                near |= {one, other}
        frontier = near - reached
    registry = registry_of(work, reached)
    known = {**index.features(reached - features.keys()), **features}
    records = sorted(registry.keys() & known.keys())
    return Neighbourhood(
        matcher=matcher,
        installation=installation,
        records=records,
        features=known,
        registry={record: registry[record] for record in records},
        edges=reaching,
        decided=_decided(work),
    )


def _decided(work: UnitOfWork) -> Decided:
    pairs: dict[DecisionKind, list[Pair]] = {kind: [] for kind in DecisionKind}
    for pair, decision in sorted(work.state.decisions.items()):
        pairs[decision.kind].append(pair)
    must, cannot = (
        np.array(pairs[kind], dtype=np.int64).reshape(-1, 2)
        for kind in (DecisionKind.MUST_LINK, DecisionKind.CANNOT_LINK)
    )
    return Decided(must=must, cannot=cannot)
