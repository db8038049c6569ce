"""Events and records as histories and lineages refer to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import Text, bindparam, select

from mdm.errors import NotFoundError
from mdm.store.tables import event, record

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sqlalchemy import Connection


@dataclass(frozen=True)
class EventRef:
    """An event: when, by whom, why, and in which run."""

    seq: int
    at: str
    kind: str
    actor: str
    reason: str
    run: str | None


@dataclass(frozen=True)
class RecordRef:
    record: int
    registry: str
    local_id: str


def event_ref(body: Mapping[str, Any]) -> EventRef:
    return EventRef(**{name: body[name] for name in ("seq", "at", "kind", "actor", "reason", "run")})


def event_bodies(connection: Connection, seqs: Iterable[int]) -> dict[int, dict[str, Any]]:
    """By event number."""
    rows = connection.execute(_EVENTS, {"seqs": sorted(set(seqs))})
    return {seq: orjson.loads(body) for seq, body in rows}


def record_refs(connection: Connection, records: Iterable[int]) -> dict[int, RecordRef]:
    """By record number; those that are not in the store are left out."""
    rows = connection.execute(_RECORDS, {"records": sorted(set(records))})
    return {row.record_id: RecordRef(*row) for row in rows}


def find_record(connection: Connection, registry: str, local_id: str) -> int:
    """The number of a record of a person, else of a household. Raises NotFoundError, which does not repeat the local ID, where there
    is none.
    """
    found = connection.scalar(_RECORD, {"registry": registry, "local_id": local_id})
    if found is None:
        raise NotFoundError(
            f"Registry {registry} has no such record.",
            hint="Check the registry and the local ID.",
        )
    return int(found)


_EVENTS = select(event.c.seq, event.c.body).where(event.c.seq.in_(bindparam("seqs", expanding=True)))
_RECORD = (
    select(record.c.record_id)
    .where(
        record.c.registry == bindparam("registry", type_=Text),
        record.c.kind.in_(("person", "household")),
        record.c.local_id == bindparam("local_id", type_=Text),
    )
    .order_by(record.c.kind.desc())
    .limit(1)
)
_RECORDS = select(record.c.record_id, record.c.registry, record.c.local_id).where(
    record.c.record_id.in_(bindparam("records", expanding=True))
)
