"""Trained models in the store, by content hash; one of each name is current."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from matching.artefact import TrainedModel

if TYPE_CHECKING:
    from mdm.store.engine import Bulk


def current_model(bulk: Bulk, name: str) -> TrainedModel | None:
    body = bulk.scalar(f"SELECT body FROM model WHERE name = '{name}' AND state = 'current'")
    return TrainedModel.from_body(body) if body else None


def keep_model(bulk: Bulk, trained: TrainedModel, *, at: str) -> None:
    """Makes it the current one. A model that was kept before is made current again, not stored twice."""
    name = trained.declaration.name
    bulk.execute(f"UPDATE model SET state = 'retired' WHERE name = '{name}'")
    if bulk.scalar(f"SELECT 1 FROM model WHERE hash = '{trained.hash}'"):
        bulk.execute(f"UPDATE model SET state = 'current' WHERE hash = '{trained.hash}'")
        return
    bulk.append(
        "model",
        pa.table(
            {
                "hash": [trained.hash],
                "name": [name],
                "created_at": [at],
                "state": ["current"],
                "body": [trained.body],
            }
        ),
    )
