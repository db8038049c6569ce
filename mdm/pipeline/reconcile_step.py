"""Proposed clusters against existing entities: what follows by itself is carried out, the rest is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from mdm.errors import IdentityError
from mdm.identity.changes import Event, plan
from mdm.identity.commands import Merge
from mdm.identity.events import EventKind
from mdm.identity.reconcile import (
    NO_ENTITY,
    EntityFacts,
    Proposal,
    Question,
    Reconciliation,
    reconcile,
    tangled_entities,
)
from mdm.pipeline.steps import PERSON, Context, Reconciled, StepResult
from mdm.store.engine import bulk, make_engine
from mdm.store.entities import form, link
from mdm.store.facts import load_for
from mdm.store.reviews import raise_reviews
from mdm.store.unit_of_work import UnitOfWork, unit_of_work

if TYPE_CHECKING:
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
    refused, merged = _rearrange(context, result)
    context.reconciled = Reconciled(result, len(proposal.record), merged, refused)


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
        "formed": formed,
        "linked": linked,
        "merged": done.merged,
        "moved": sum(len(move.records) for move in result.moves),
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


def _rearrange(context: Context, result: Reconciliation) -> tuple[list[Question], int]:
    """Returns the questions that came of refused merges, and how many merges were made."""
    if not result.moves and not result.merges:
        return [], 0
    refused: list[Question] = []
    engine = make_engine(context.settings)
    try:
        with unit_of_work(engine) as work:
            for move in result.moves:
                _move(context, work, move)
            for merge in result.merges:
                names = work.ids([merge.survivor, merge.merged])
                survivor, merged = names[merge.survivor], names[merge.merged]
                command = Merge(left=survivor, right=merged, survivor=survivor)
                try:
                    facts = load_for(
                        work, command, anchors=context.anchors, source=context.source, by_hand=False
                    )
                    planned = plan(work.state, command, facts)
                except IdentityError as error:
                    detail = {"entities": [merge.survivor, merge.merged], "refused": error.code}
                    subject = f"merge.refused:{merge.survivor},{merge.merged}"
                    refused.append(Question("merge.refused", subject, detail))
                    continue
                work.append(planned.events, stamp=context.stamp("batch match"))
    finally:
        engine.dispose()
    return refused, len(result.merges) - len(refused)


def _move(context: Context, work: UnitOfWork, move: Move) -> None:
    """Records leave an entity, for another one or for one that is formed next."""
    keys = [move.source] if move.target is None else [move.source, move.target]
    names = work.ids(keys)
    state = work.load(names.values())
    source, records = names[move.source], list(move.records)
    events: list[Event] = [(EventKind.RECORDS_DETACHED, source, {"records": records})]
    if state.members[source] == set(records):
        events.append((EventKind.ENTITY_RETIRED, source, {}))
    if move.target is not None:
        events.append((EventKind.RECORDS_LINKED, names[move.target], {"records": records}))
    work.append(events, stamp=context.stamp("batch match"))
