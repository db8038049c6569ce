"""Changed records matched against all others, and what follows for the people around them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from matching.artefact import DECIMALS
from matching.cluster import cluster
from mdm.arrivals.neighbourhood import neighbourhood
from mdm.arrivals.standing import ClustersAround
from mdm.identity.events import EventKind
from mdm.identity.reconcile import NO_ENTITY, EntityFacts, Proposal, reconcile, tangled_entities
from mdm.pipeline.cluster_questions import questions
from mdm.pipeline.clustering import rules_of
from mdm.pipeline.rearranging import Rearrangement
from mdm.store.desk import raise_questions
from mdm.store.single_edges import replace_edges

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from matching.blocking import Divided
    from matching.levels import Record
    from matching.online import OnlineMatcher
    from mdm.arrivals.neighbourhood import Installation, Neighbourhood
    from mdm.identity.clock import Source
    from mdm.identity.events import Stamp
    from mdm.identity.reconcile import Reconciliation
    from mdm.store.match_index import StoredIndex
    from mdm.store.single_edges import Edge, Pair
    from mdm.store.unit_of_work import UnitOfWork

KIND: Final = "person"


class Linking:
    """In one transaction, whose index holds the changed records as they are now."""

    def __init__(
        self,
        work: UnitOfWork,
        matcher: OnlineMatcher,
        index: StoredIndex,
        installation: Installation,
        *,
        source: Source,
        stamp: Stamp,
    ) -> None:
        self.work, self.matcher, self.index, self.installation = work, matcher, index, installation
        self.source, self.stamp = source, stamp

    def link(
        self, changed: Mapping[int, Record | None], keys: Mapping[int, Divided], *, new: Collection[int]
    ) -> set[str]:
        """Scores the pairs of changed records, clusters what hangs together with them, and carries out what follows by itself; the
        rest becomes questions.

        Args:
            changed: their features as they are now; None for withdrawn ones.
            keys: of those that are not withdrawn.
            new: those of which nothing stands yet.

        Returns:
            The entities whose members changed.
        """
        present = {number: its for number, its in changed.items() if its is not None}
        known = changed.keys() - set(new)
        state = self.work.load_records(known)
        left = {state.entity_of[number] for number in known if number in state.entity_of}
        edges, features = self._score(known, present, keys)
        near = neighbourhood(
            self.work,
            self.matcher,
            self.index,
            self.installation,
            changed=present.keys(),
            edges=edges,
            features=features,
            left=left,
        )
        return self._cluster(near) if near.records else set()

    def _score(
        self, known: Collection[int], present: Mapping[int, Record], keys: Mapping[int, Divided]
    ) -> tuple[dict[Pair, Edge], dict[int, Record]]:
        """Makes the edges of changed records those that they have now. `known`: those that may have some.

        Returns:
            The edges, and the features of the records that were looked at.
        """
        pairs = self.matcher.candidates(keys, self.index)
        others = self.index.features({record for pair in pairs for record in pair} - present.keys())
        features = {**others, **present}
        scored = self.matcher.score((p for p in pairs if p[0] in features and p[1] in features), features)
        edges: dict[Pair, Edge] = {
            pair: (round(found.weight, DECIMALS), found.conflict) for pair, found in scored.items()
        }
        replace_edges(
            self.work,
            known,
            edges,
            model=self.matcher.hash,
            name=self.matcher.model.name,
            stamp=self.stamp,
        )
        return edges, features

    def _cluster(self, near: Neighbourhood) -> set[str]:
        state, edges = self.work.state, near.scored_edges()
        clusters = cluster(
            near.ids,
            edges,
            rules=rules_of(self.matcher.trained),
            constraints=near.constraints(),
            decided=near.decided,
            score=near.evidence,
        )
        around = ClustersAround(self.work, near, clusters)
        asked = questions(near.model, around, clusters, edges, near.decided)
        homes = [state.entity_of.get(record) for record in near.records]
        proposal = Proposal(
            record=near.ids,
            cluster=clusters.cluster,
            entity=near.labels(NO_ENTITY if home is None else self.work.key(home) for home in homes),
        )
        result = reconcile(proposal, self._facts(proposal))
        carried = Rearrangement(
            self.work,
            result,
            kind=KIND,
            anchors=sorted(self.installation.anchors),
            source=self.source,
            stamp=self.stamp,
        )
        carried.carry_out()
        changed = carried.changed | self._join(result)
        raise_questions(self.work, [*asked, *result.questions, *carried.refused], stamp=self.stamp)
        return changed

    def _join(self, result: Reconciliation) -> set[str]:
        """New people of new records, and new records of people there are."""
        changed = set()
        for group in sorted(set(result.formed_group.tolist())):
            (entity,) = self.source.mint(1)
            records = sorted(result.formed_record[result.formed_group == group].tolist())
            formed = (EventKind.ENTITY_FORMED, entity, {"kind": KIND, "records": records})
            self.work.append([formed], stamp=self.stamp)
            changed.add(entity)
        names = self.work.ids(set(result.linked_entity.tolist()))
        for key in sorted(names):
            entity = self.work.state.resolve(names[key])
            records = sorted(result.linked_record[result.linked_entity == key].tolist())
            self.work.append([(EventKind.RECORDS_LINKED, entity, {"records": records})], stamp=self.stamp)
            changed.add(entity)
        return changed

    def _facts(self, proposal: Proposal) -> EntityFacts:
        keys = tangled_entities(proposal).tolist()
        names = self.work.ids(keys)
        return EntityFacts(
            formed_event={key: self.work.state.entities[names[key]].formed for key in keys},
            protected=frozenset(key for key in keys if self.work.holds_number(names[key])),
        )
