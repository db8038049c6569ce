"""Proposed clusters against existing entities: what follows by itself is carried out, the rest is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from mdm.errors import IdentityError
from mdm.identity.changes import plan
from mdm.identity.commands import Merge
from mdm.identity.decisions import Decisions
from mdm.identity.events import EventKind
from mdm.identity.reconcile import NO_ENTITY, EntityFacts, Proposal, Question, reconcile, tangled_entities
from mdm.identity.state import ACTIVE
from mdm.pipeline.steps import PERSON, Context, Reconciled, StepResult
from mdm.store.engine import bulk, make_engine
from mdm.store.entities import form, link
from mdm.store.facts import load_for
from mdm.store.golden import renew_golden
from mdm.store.reviews import raise_reviews
from mdm.store.unit_of_work import UnitOfWork, unit_of_work

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mdm.identity.events import Stamp
    from mdm.identity.plans import Event
    from mdm.identity.reconcile import Merge as ProposedMerge
    from mdm.identity.reconcile import Move
    from mdm.store.engine import Bulk

_PROPOSAL = pa.schema([("record_id", pa.int64()), ("entity_key", pa.int64())])
_FACTS = pa.schema([("entity_key", pa.int64()), ("formed_event", pa.int64())])
_HOLDERS = pa.schema([("entity_key", pa.int64())])


def rearrange(context: Context) -> None:
    """Moves and merges, each by the rules for a single one, in a transaction of their own.

    After a kill between them and the step, the step proposes what is left.
    """
    context.workspace.load("cluster")
    with bulk(context.settings) as reading:
        proposal = _proposal(context, reading)
        result = reconcile(proposal, _facts(reading, proposal))
    context.reconciled = Reconciled(result, len(proposal.record))
    if result.moves or result.merges:
        engine = make_engine(context.settings)
        try:
            with unit_of_work(engine) as work:
                Rearrangement(context, work, context.reconciled).carry_out()
        finally:
            engine.dispose()


def reconcile_step(context: Context, store: Bulk) -> StepResult:
    """New entities and new members in bulk, and the questions."""
    done = context.reconciled
    assert done is not None, "rearranging comes first"
    result, stamp = done.result, context.stamp("batch match")
    formed = form(
        store,
        result.formed_record,
        result.formed_group,
        kind=PERSON,
        stamp=stamp,
        source=context.source,
    )
    linked = link(store, result.linked_record, result.linked_entity, stamp=stamp)
    reviews = raise_reviews(store, [*result.questions, *done.refused], stamp=stamp)
    changes = {
        "formed": formed + done.formed,
        "linked": linked,
        "merged": done.merged,
        "moved": done.moved,
        "reviews": reviews,
    }
    return StepResult(done.records, changes)


def _proposal(context: Context, store: Bulk) -> Proposal:
    connection = context.workspace.connection
    present = store.read("SELECT record_id, entity_key FROM membership WHERE until_event IS NULL", _PROPOSAL)
    connection.register("present", present)
    rows = connection.execute(
        f"""
        SELECT c.record_id, c.cluster, COALESCE(p.entity_key, {NO_ENTITY}) AS entity
        FROM cluster AS c LEFT JOIN present AS p USING (record_id) ORDER BY c.record_id
        """
    ).fetchnumpy()
    connection.unregister("present")
    return Proposal(record=rows["record_id"], cluster=rows["cluster"], entity=rows["entity"])


def _facts(store: Bulk, proposal: Proposal) -> EntityFacts:
    """Of the entities that the proposal would change, no others."""
    keys = tangled_entities(proposal)
    if len(keys) == 0:
        return EntityFacts({}, frozenset())
    store.stage("tangled_entity", pa.table({"entity_key": keys}))
    formed = store.read(
        "SELECT e.entity_key, e.formed_event FROM entity AS e JOIN tangled_entity AS t ON t.entity_key = e.entity_key",
        _FACTS,
    )
    holders = store.read(
        "SELECT DISTINCT s.entity_key FROM ssn AS s JOIN tangled_entity AS t ON t.entity_key = s.entity_key"
        " WHERE s.kind = 'ssn' AND s.state NOT IN ('superseded', 'cancelled')",
        _HOLDERS,
    )
    return EntityFacts(
        formed_event=dict(
            zip(formed["entity_key"].to_pylist(), formed["formed_event"].to_pylist(), strict=True)
        ),
        protected=frozenset(holders["entity_key"].to_pylist()),
    )


class Rearrangement:
    """Moves and merges of a reconciliation, in one transaction. What decisions forbid becomes a question."""

    def __init__(self, context: Context, work: UnitOfWork, done: Reconciled) -> None:
        self.context, self.work, self.done = context, work, done
        self.changed: set[str] = set()

    def carry_out(self) -> None:
        result = self.done.result
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
        # in this transaction: the run may not live to its golden step
        renew_golden(self.work, sorted(self.changed), self.context.golden_rules, stamp=self._stamp())

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
            self.done.refused.append(Question("move.refused", subject, detail))
            return
        self._leave(source, list(move.records))
        self.work.append(
            [(EventKind.RECORDS_LINKED, target, {"records": list(move.records)})], stamp=self._stamp()
        )
        self.changed.add(target)
        self.done.moved += len(move.records)

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
        (entity,) = self.context.source.mint(1)
        formed = (EventKind.ENTITY_FORMED, entity, {"kind": PERSON, "records": forming})
        self.work.append([formed], stamp=self._stamp())
        self.changed.add(entity)
        self.done.moved += len(leaving)
        self.done.formed += 1

    def _leave(self, source: str, records: list[int]) -> None:
        events: list[Event] = [(EventKind.RECORDS_DETACHED, source, {"records": records})]
        if self.work.state.members[source] == set(records):
            events.append((EventKind.ENTITY_RETIRED, source, {}))
        self.work.append(events, stamp=self._stamp())
        self.changed.add(source)

    def _merge(self, merge: ProposedMerge) -> None:
        names = self.work.ids([merge.survivor, merge.merged])
        survivor, merged = names[merge.survivor], names[merge.merged]
        command = Merge(left=survivor, right=merged, survivor=survivor)
        try:
            facts = load_for(
                self.work, command, anchors=self.context.anchors, source=self.context.source, by_hand=False
            )
            planned = plan(self.work.state, command, facts)
        except IdentityError as error:
            detail = {"entities": [merge.survivor, merge.merged], "refused": error.code}
            subject = f"merge.refused:{merge.survivor},{merge.merged}"
            self.done.refused.append(Question("merge.refused", subject, detail))
            return
        self.work.append(planned.events, stamp=self._stamp())
        self.changed |= {survivor, merged}
        self.done.merged += 1

    def _stamp(self) -> Stamp:
        return self.context.stamp("batch match")
