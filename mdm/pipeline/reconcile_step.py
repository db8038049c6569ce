"""Proposed clusters against existing entities: what follows by itself is carried out, the rest is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from mdm.identity.reconcile import NO_ENTITY, EntityFacts, Proposal, reconcile, tangled_entities
from mdm.pipeline.rearranging import Rearrangement
from mdm.pipeline.steps import PERSON, Context, Reconciled, StepResult
from mdm.store.engine import bulk, make_engine
from mdm.store.entities import form, link
from mdm.store.golden import renew_golden
from mdm.store.reviews import raise_reviews
from mdm.store.unit_of_work import UnitOfWork, unit_of_work

if TYPE_CHECKING:
    from mdm.identity.reconcile import Reconciliation
    from mdm.store.engine import Bulk

_PROPOSAL = pa.schema([("record_id", pa.int64()), ("entity_key", pa.int64())])
_FACTS = pa.schema([("entity_key", pa.int64()), ("formed_event", pa.int64())])
_HOLDERS = pa.schema([("entity_key", pa.int64())])


def rearrange(context: Context, kind: str = PERSON, proposed: str = "cluster") -> None:
    """Moves and merges, each by the rules for a single one, in a transaction of their own.

    `proposed` is the saved table of clusters.

    After a kill between them and the step, the step proposes what is left.
    """
    context.workspace.load(proposed)
    with bulk(context.settings) as reading:
        proposal, result = propose(context, reading, proposed)
    context.reconciled = Reconciled(result, len(proposal.record))
    if result.moves or result.merges:
        engine = make_engine(context.settings)
        try:
            with unit_of_work(engine) as work:
                _carry_out(context, work, context.reconciled, kind)
        finally:
            engine.dispose()


def _carry_out(context: Context, work: UnitOfWork, done: Reconciled, kind: str) -> None:
    carried = Rearrangement(
        work,
        done.result,
        kind=kind,
        anchors=context.anchors,
        source=context.source,
        stamp=context.stamp("batch match"),
    )
    carried.carry_out()
    # in this transaction: the run may not live to its golden step
    renew_golden(work, sorted(carried.changed), context.rules, stamp=context.stamp("batch match"))
    done.moved, done.formed, done.merged = carried.moved, carried.formed, carried.merged
    done.refused += carried.refused


def propose(context: Context, store: Bulk, proposed: str = "cluster") -> tuple[Proposal, Reconciliation]:
    """The clusters beside the present entities, and what would follow."""
    proposal = _proposal(context, store, proposed)
    return proposal, reconcile(proposal, _facts(store, proposal))


def reconcile_step(context: Context, store: Bulk, kind: str = PERSON) -> StepResult:
    """New entities and new members in bulk, and the questions."""
    done = context.reconciled
    assert done is not None, "rearranging comes first"
    result, stamp = done.result, context.stamp("batch match")
    formed = form(
        store,
        result.formed_record,
        result.formed_group,
        kind=kind,
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


def _proposal(context: Context, store: Bulk, proposed: str) -> Proposal:
    connection = context.workspace.connection
    present = store.read("SELECT record_id, entity_key FROM membership WHERE until_event IS NULL", _PROPOSAL)
    connection.register("present", present)
    rows = connection.execute(
        f"""
        SELECT c.record_id, c.cluster, COALESCE(p.entity_key, {NO_ENTITY}) AS entity
        FROM {proposed} AS c LEFT JOIN present AS p USING (record_id) ORDER BY c.record_id
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
