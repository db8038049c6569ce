"""Trained models in the store, by content hash; one of each name is current: the promoted one, which runs use.

The events tell of every model that was kept, promoted, or given up for its predecessor.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

import orjson
import pyarrow as pa

from matching.artefact import TrainedModel
from mdm.errors import StoreError
from mdm.identity.events import EventKind
from mdm.store.log import append_event

if TYPE_CHECKING:
    from mdm.identity.events import Stamp
    from mdm.store.engine import Bulk

State = Literal["candidate", "current", "retired"]
_CHOSEN = f"kind IN ('{EventKind.MODEL_PROMOTED}', '{EventKind.MODEL_ROLLED_BACK}')"
_MODELS = pa.schema(
    [("hash", pa.string()), ("name", pa.string()), ("created_at", pa.string()), ("state", pa.string())]
)
_EVENTS = pa.schema([("body", pa.string())])


@dataclass(frozen=True)
class KeptModel:
    hash: str
    name: str
    created_at: str
    state: State


@dataclass(frozen=True)
class Promotion:
    hash: str
    at: str
    actor: str
    reason: str
    by_run: bool
    """A run promoted it, no person."""


def current_model(bulk: Bulk, name: str) -> TrainedModel | None:
    found = bulk.scalar(f"SELECT hash FROM model WHERE name = '{name}' AND state = 'current'")
    return read_model(bulk, found) if found else None


def read_model(bulk: Bulk, hash_: str) -> TrainedModel:
    """Raises StoreError as `parse_model` does."""
    return parse_model(bulk.scalar(f"SELECT body FROM model WHERE hash = '{hash_}'"), hash_)


def parse_model(body: str, hash_: str) -> TrainedModel:
    """Raises StoreError where this version of the program cannot read it: its declaration has words that are unknown here."""
    try:
        return TrainedModel.from_body(body)
    except (ValueError, TypeError, KeyError) as error:
        raise StoreError(
            f"The declaration of model {hash_[:12]} cannot be read by this version.",
            hint="Train another one: mdm model train, then mdm model promote.",
        ) from error


def kept_models(bulk: Bulk, name: str) -> list[KeptModel]:
    """Oldest first."""
    rows = bulk.read(
        f"SELECT hash, name, created_at, state FROM model WHERE name = '{name}' ORDER BY created_at, hash",
        _MODELS,
    )
    return [KeptModel(**cast("dict[str, Any]", row)) for row in rows.to_pylist()]


def keep_model(bulk: Bulk, trained: TrainedModel, *, stamp: Stamp) -> bool:
    """Keeps it as a candidate; returns whether it is new. The current one stays."""
    if bulk.scalar(f"SELECT 1 FROM model WHERE hash = '{trained.hash}'"):
        return False
    name = trained.declaration.name
    append_event(bulk, EventKind.MODEL_KEPT, {"hash": trained.hash, "name": name}, stamp=stamp)
    row = {
        "hash": trained.hash,
        "name": name,
        "created_at": stamp.at,
        "state": "candidate",
        "body": trained.body,
    }
    bulk.append("model", pa.Table.from_pylist([row]))
    return True


def promote_model(bulk: Bulk, hash_: str, *, stamp: Stamp, touched: int | None = None) -> None:
    """Makes a kept model the one that runs use. `touched`: people whose numbers that would touch, as far as it was counted."""
    _choose(bulk, hash_, EventKind.MODEL_PROMOTED, stamp=stamp, touched=touched)


def roll_back(bulk: Bulk, hash_: str, *, stamp: Stamp, touched: int | None = None) -> None:
    """Goes back to `hash_`, which is the former of `promotions`."""
    _choose(bulk, hash_, EventKind.MODEL_ROLLED_BACK, stamp=stamp, touched=touched)


def _choose(bulk: Bulk, hash_: str, kind: EventKind, *, stamp: Stamp, touched: int | None) -> None:
    name = str(bulk.scalar(f"SELECT name FROM model WHERE hash = '{hash_}'"))
    former = bulk.scalar(f"SELECT hash FROM model WHERE name = '{name}' AND state = 'current'")
    data = {"former": former, "hash": hash_, "name": name, "touched": touched}
    append_event(bulk, kind, data, stamp=stamp)
    bulk.execute(f"UPDATE model SET state = 'retired' WHERE name = '{name}' AND state = 'current'")
    bulk.execute(f"UPDATE model SET state = 'current' WHERE hash = '{hash_}'")


def promotions(bulk: Bulk, name: str) -> list[Promotion]:
    """Those that stand: the last is of the current model, the one before of that to which a rollback goes."""
    rows = bulk.read(f"SELECT body FROM event WHERE {_CHOSEN} ORDER BY seq", _EVENTS)
    standing: list[Promotion] = []
    for event in map(orjson.loads, rows["body"].to_pylist()):
        if event["data"]["name"] != name:
            continue
        if event["kind"] == EventKind.MODEL_ROLLED_BACK:
            standing.pop()
        else:
            standing.append(
                Promotion(
                    event["data"]["hash"],
                    event["at"],
                    event["actor"],
                    event["reason"],
                    by_run=event["run"] is not None,
                )
            )
    return standing


def promoted_by_a_person(bulk: Bulk, name: str) -> bool:
    """Whether a person has ever chosen the model that runs use."""
    rows = bulk.read(f"SELECT body FROM event WHERE {_CHOSEN} AND run IS NULL", _EVENTS)
    return any(orjson.loads(body)["data"]["name"] == name for body in rows["body"].to_pylist())
