"""Moves and merges that a reconciliation proposes, carried out by the rules for single ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mdm.errors import IdentityError
from mdm.identity.changes import plan
from mdm.identity.commands import Merge
from mdm.identity.decisions import Decisions
from mdm.identity.events import EventKind
from mdm.identity.reconcile import Question
from mdm.identity.state import ACTIVE
from mdm.store.facts import load_for

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from mdm.identity.clock import Source
    from mdm.identity.events import Stamp
    from mdm.identity.plans import Event
    from mdm.identity.reconcile import Merge as ProposedMerge
    from mdm.identity.reconcile import Move, Reconciliation
    from mdm.store.unit_of_work import UnitOfWork


class Rearrangement:
    """Moves and merges of a reconciliation, in one transaction. What decisions forbid becomes a question."""

    def __init__(
        self,
        work: UnitOfWork,
        result: Reconciliation,
        *,
        kind: str,
        anchors: Collection[str],
        source: Source,
        stamp: Stamp,
    ) -> None:
        self.work, self.result, self.kind = work, result, kind
        self.anchors, self.source, self.stamp = anchors, source, stamp
        self.changed: set[str] = set()
        """Entities whose golden records are to be computed anew."""
        self.refused: list[Question] = []
        self.moved = self.formed = self.merged = 0

    def carry_out(self) -> None:
        """What is left to form afterwards stays in `result`: new records alone."""
        result = self.result
        moving: dict[int, Move] = {}
        for move in result.moves:
            if move.target is not None:
                self._move(move)
            else:
                moving.update(dict.fromkeys(move.records, move))
        for group in np.unique(result.formed_group[np.isin(result.formed_record, list(moving))]).tolist():
            self._form(result.formed_record[result.formed_group == group].tolist(), moving)
        left = ~np.isin(result.formed_group, result.formed_group[np.isin(result.formed_record, list(moving))])
        result.formed_record, result.formed_group = result.formed_record[left], result.formed_group[left]
        for merge in result.merges:
            self._merge(merge)

    def _move(self, move: Move) -> None:
        """Records leave an entity for another one."""
        assert move.target is not None
        names = self.work.ids([move.source, move.target])
        state = self.work.load(names.values())
        source, target = names[move.source], names[move.target]
        if not state.members[source].issuperset(move.records) or state.entities[target].status != ACTIVE:
            return  # somebody changed it since it was proposed
        word = Decisions(state.decisions.values()).forbidding(move.records, state.members[target])
        if word is not None:
            detail = {"entities": [move.source, move.target], "records": list(move.records)}
            subject = f"move.refused:{move.source},{move.target}:{','.join(map(str, move.records))}"
            self.refused.append(Question("move.refused", subject, detail))
            return
        self._leave(source, list(move.records))
        self.work.append(
            [(EventKind.RECORDS_LINKED, target, {"records": list(move.records)})], stamp=self.stamp
        )
        self.changed.add(target)
        self.moved += len(move.records)

    def _form(self, records: list[int], moving: Mapping[int, Move]) -> None:
        """A new entity of records that leave others, and of new ones."""
        names = self.work.ids({moving[record].source for record in records if record in moving})
        state = self.work.load(names.values())
        leaving = [r for r in records if r in moving and state.entity_of.get(r) == names[moving[r].source]]
        staying = moving.keys() - set(leaving)  # among them those that somebody moved since it was proposed
        forming = sorted(set(records) - staying)
        if not forming:
            return
        for source in sorted({state.entity_of[record] for record in leaving}):
            self._leave(source, [record for record in leaving if state.entity_of.get(record) == source])
        (entity,) = self.source.mint(1)
        formed = (EventKind.ENTITY_FORMED, entity, {"kind": self.kind, "records": forming})
        self.work.append([formed], stamp=self.stamp)
        self.changed.add(entity)
        self.moved += len(leaving)
        self.formed += 1

    def _leave(self, source: str, records: list[int]) -> None:
        events: list[Event] = [(EventKind.RECORDS_DETACHED, source, {"records": records})]
        if self.work.state.members[source] == set(records):
            events.append((EventKind.ENTITY_RETIRED, source, {}))
        self.work.append(events, stamp=self.stamp)
        self.changed.add(source)

    def _merge(self, merge: ProposedMerge) -> None:
        names = self.work.ids([merge.survivor, merge.merged])
        survivor, merged = names[merge.survivor], names[merge.merged]
        command = Merge(left=survivor, right=merged, survivor=survivor)
        try:
            facts = load_for(self.work, command, anchors=self.anchors, source=self.source, by_hand=False)
            planned = plan(self.work.state, command, facts)
        except IdentityError as error:
            detail = {"entities": [merge.survivor, merge.merged], "refused": error.code}
            subject = f"merge.refused:{merge.survivor},{merge.merged}"
            self.refused.append(Question("merge.refused", subject, detail))
            return
        self.work.append(planned.events, stamp=self.stamp)
        self.changed |= {survivor, merged}
        self.merged += 1
