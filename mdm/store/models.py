"""Trained models in the store, by content hash; one of each name is current."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from matching.artefact import TrainedModel
from mdm.identity.events import EventKind
from mdm.store.log import append_event

if TYPE_CHECKING:
    from mdm.identity.events import Stamp
    from mdm.store.engine import Bulk


def current_model(bulk: Bulk, name: str) -> TrainedModel | None:
    body = bulk.scalar(f"SELECT body FROM model WHERE name = '{name}' AND state = 'current'")
    return TrainedModel.from_body(body) if body else None


def keep_model(bulk: Bulk, trained: TrainedModel, *, stamp: Stamp) -> None:
    """Makes it the current one. A model that was kept before is made current again, not stored twice."""
    name = trained.declaration.name
    bulk.execute(f"UPDATE model SET state = 'retired' WHERE name = '{name}'")
    append_event(bulk, EventKind.MODEL_KEPT, {"hash": trained.hash, "name": name}, stamp=stamp)
    if bulk.scalar(f"SELECT 1 FROM model WHERE hash = '{trained.hash}'"):
        bulk.execute(f"UPDATE model SET state = 'current' WHERE hash = '{trained.hash}'")
        return
    row = {
        "hash": trained.hash,
        "name": name,
        "created_at": stamp.at,
        "state": "current",
        "body": trained.body,
    }
    bulk.append("model", pa.Table.from_pylist([row]))
