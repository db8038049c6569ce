"""What a store says of itself, read in one transaction: it stands in a backup's manifest and is checked after a restore."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID  # pydantic reads it

from alembic.runtime.migration import MigrationContext
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import func, inspect, select, text

from mdm.identity.numbers import NumberKind  # pydantic reads it
from mdm.store.keys import LOG_PUBLIC_KEY, SSN_KEY_FINGERPRINT
from mdm.store.sequences import standing
from mdm.store.tables import checkpoint, event, meta

if TYPE_CHECKING:
    from sqlalchemy import Connection

GIVE_UP_RUNS = "DELETE FROM {run_step} WHERE run_id IN (SELECT run_id FROM {run} WHERE finished_at IS NULL)"
"""The working files of a run are not in a backup: one that was not finished begins anew after a restore."""


class SignedRoot(BaseModel):
    """The latest checkpoint: the root hash, hexadecimal, of the first `size` events."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    size: int
    at: str
    root: str


class StoreFacts(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    store_id: UUID
    revision: str = Field(pattern=r"^\w+$", description="Of the schema")
    events: int = Field(ge=0)
    last_event_at: str | None
    checkpoint: SignedRoot | None
    ssn_key_fingerprint: str | None
    log_public_key: str | None
    numbers: dict[NumberKind, int] = Field(description="Kind to the next place in its sequence")
    numbers_known: bool = Field(
        description="False if a state of the store that was replaced may have issued later ones"
    )


def read_facts(connection: Connection) -> StoreFacts | None:
    """None where there is no store, or one whose schema was never made."""
    revision = MigrationContext.configure(connection).get_current_revision()
    if revision is None:
        return None
    known = dict(connection.execute(select(meta.c.name, meta.c.value)).all())
    last = connection.execute(select(event.c.at).order_by(event.c.seq.desc()).limit(1)).scalar()
    signed = None
    if inspect(connection).has_table(checkpoint.name):
        latest = select(checkpoint.c.size, checkpoint.c.at, checkpoint.c.root).order_by(
            checkpoint.c.size.desc()
        )
        signed = connection.execute(latest.limit(1)).mappings().first()
    numbers = standing(lambda sql: connection.execute(text(sql)).scalar())
    return StoreFacts(
        store_id=UUID(known["store_id"]),
        revision=revision,
        events=connection.execute(select(func.count()).select_from(event)).scalar_one(),
        last_event_at=last,
        checkpoint=None if signed is None else SignedRoot(**signed),
        ssn_key_fingerprint=known.get(SSN_KEY_FINGERPRINT),
        log_public_key=known.get(LOG_PUBLIC_KEY),
        numbers={NumberKind(kind): place for kind, place in numbers.following.items()},
        numbers_known=numbers.known,
    )
