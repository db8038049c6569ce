"""The store's tables. What one row is stands in each table's comment."""

from mdm.store.tables.access import access_log, account, api_key, review_claim
from mdm.store.tables.columns import metadata
from mdm.store.tables.deliveries import batch, quarantine, record, record_version, renumbering
from mdm.store.tables.matching import match_feature, match_key
from mdm.store.tables.people import (
    alias,
    approval,
    decision,
    entity,
    entity_past,
    golden,
    idempotency,
    membership,
    review,
    ssn,
    ssn_past,
)
from mdm.store.tables.runs import (
    checkpoint,
    edge,
    edge_past,
    event,
    event_entity,
    log_node,
    meta,
    model,
    run,
    run_step,
)
from mdm.store.tables.webhooks import outgoing, subscription

__all__ = [
    "access_log",
    "account",
    "alias",
    "api_key",
    "approval",
    "batch",
    "checkpoint",
    "decision",
    "edge",
    "edge_past",
    "entity",
    "entity_past",
    "event",
    "event_entity",
    "golden",
    "idempotency",
    "log_node",
    "match_feature",
    "match_key",
    "membership",
    "meta",
    "metadata",
    "model",
    "outgoing",
    "quarantine",
    "record",
    "record_version",
    "renumbering",
    "review",
    "review_claim",
    "run",
    "run_step",
    "ssn",
    "ssn_past",
    "subscription",
]
