"""An entity as it stood at a moment, and what has happened to it.

Nothing that an interval table says is overwritten, so each part of an entity at any moment is one look-up by index.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import BigInteger, Text, bindparam, select, union

from mdm.identity.events import EventKind
from mdm.store.event_words import (
    GOLDEN_BEGUN,
    GOLDEN_CHANGED,
    GOLDEN_ENDED,
    GOLDEN_SOURCES,
    Told,
    Words,
    words,
)
from mdm.store.moments import SEQ, Moment, read_moment, stands, version_at
from mdm.store.references import EventRef, RecordRef, event_ref, record_refs
from mdm.store.resolving import numbers_of, standing
from mdm.store.tables import (
    alias,
    decision,
    event,
    event_entity,
    golden,
    membership,
    record,
    record_version,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from sqlalchemy import ColumnElement, Connection, Select

    from mdm.registries.attributes import Attribute


@dataclass(frozen=True)
class Member:
    """A record of the entity, in the version that had landed; `since` is the event that made it a member."""

    record: int
    registry: str
    local_id: str
    version: int
    status: str
    since: int


@dataclass(frozen=True)
class StandingGolden:
    """`as_of` is the day from which ages were counted; `policy` and `hash` are SHA-256."""

    values: Mapping[str, Any]
    provenance: Mapping[str, Any]
    policy: str
    hash: str
    as_of: str
    since: int


@dataclass(frozen=True)
class HeldNumber:
    number: str
    kind: str
    state: str
    superseded_by: str | None
    reason: str
    issued: int
    since: int


@dataclass(frozen=True)
class KnownBy:
    scheme: str
    value: str
    since: int


@dataclass(frozen=True)
class EntityAt:
    """`since` is the event that gave the entity its standing: status, version and, of a merged one, its heir."""

    entity_id: str
    moment: Moment
    kind: str
    status: str
    superseded_by: str | None
    version: int
    formed: int
    since: int
    members: list[Member]
    golden: StandingGolden | None
    numbers: list[HeldNumber]
    aliases: list[KnownBy]


@dataclass(frozen=True)
class Happening:
    """What an event did to an entity that it named or touched."""

    event: EventRef
    words: Words
    approved_by: str | None
    records: list[RecordRef]
    """Those that it moved."""


def entity_at(
    connection: Connection,
    entity_id: str,
    moment: Moment | None = None,
    *,
    hidden: Collection[str] = (),
    only_members: bool = False,
) -> EntityAt:
    """Members of `hidden` registries are left out; `only_members` leaves out golden record, numbers and aliases.

    Raises:
        IdentityError: there was no such entity at the moment.
    """
    at = moment or read_moment(connection)
    row = standing(connection, entity_id, at)
    bound = at.bound(key=row["entity_key"])
    return EntityAt(
        entity_id=entity_id,
        moment=at,
        kind=row["kind"],
        status=row["status"],
        superseded_by=row["heir"],
        version=row["version"],
        formed=row["formed_event"],
        since=row["since"],
        members=[
            member
            for found in connection.execute(_MEMBERS, bound)
            if (member := Member(*found)).registry not in hidden
        ],
        golden=None if only_members else golden_at(connection, row["entity_key"], at),
        numbers=[]
        if only_members
        else [
            HeldNumber(
                found["number"],
                found["kind"],
                found["state"],
                found["superseded_by"],
                found["reason"],
                found["issued_event"],
                found["since"],
            )
            for found in numbers_of(connection, row["entity_key"], at)
        ],
        aliases=[] if only_members else [KnownBy(*found) for found in connection.execute(_ALIASES, bound)],
    )


def golden_at(connection: Connection, entity_key: int, moment: Moment) -> StandingGolden | None:
    found = connection.execute(_GOLDEN, moment.bound(key=entity_key)).first()
    if found is None:
        return None
    values, provenance, *rest = found
    return StandingGolden(orjson.loads(values), orjson.loads(provenance), *rest)


# --- what happened ---------------------------------------------------------------------------------------------------


def history(
    connection: Connection,
    entity_id: str,
    moment: Moment | None = None,
    *,
    attributes: Mapping[str, Attribute] | None = None,
    hidden: Collection[str] = (),
) -> list[Happening]:
    """Every event up to the moment that named or touched an entity, in order.

    An event touches it where it moved its records, changed its numbers or standing, began or ended its golden record or an
    alias, or decided on one of its records.

    Args:
        connection: to the store.
        entity_id: an entity, which may be merged or retired; only its own events are told.
        moment: the last event that is told; None for all.
        attributes: what golden attributes are called in words; without it by their names.
        hidden: registries whose records are not told of; an event that moved no other record is left out.

    Raises:
        IdentityError: there was no such entity at the moment.
    """
    at = moment or read_moment(connection)
    bound = at.bound(key=standing(connection, entity_id, at)["entity_key"], entity=entity_id)
    rows = [(row, orjson.loads(row.body)) for row in connection.execute(_EVENTS, bound)]
    goldens = _golden_changes(connection, bound, attributes or {})
    known, unknown = _alias_changes(connection, bound)
    refs = record_refs(connection, {number for _, body in rows for number in _moved(body)})
    told = []
    for row, body in rows:
        shown = [ref for number in _moved(body) if (ref := refs[number]).registry not in hidden]
        if not shown and body["kind"] in _MOVES_ONLY:
            continue
        became, changed = goldens.get(row.seq, (None, ()))
        text = words(
            Told(
                kind=row.kind,
                entity=row.entity,
                data=body["data"],
                seen_from=entity_id,
                records=len(shown),
                golden=became,
                attributes=changed,
                known=known.get(row.seq, 0),
                unknown=unknown.get(row.seq, 0),
            )
        )
        told.append(Happening(event_ref(body), text, body["data"].get("approved_by"), shown))
    return told


_MOVES_ONLY = frozenset({EventKind.RECORDS_LINKED, EventKind.RECORDS_DETACHED})


def _moved(body: Mapping[str, Any]) -> Sequence[int]:
    moved: Sequence[int] = body["data"].get("records", ())
    return moved


def _golden_changes(
    connection: Connection, bound: Mapping[str, Any], attributes: Mapping[str, Attribute]
) -> dict[int, tuple[Words, tuple[Words, ...]]]:
    """Event to what became of the golden record, and the attributes whose value it changed."""
    begun: dict[int, dict[str, Any]] = {}
    ended: dict[int, dict[str, Any]] = {}
    for since, until, text in connection.execute(_GOLDENS, bound):
        values = orjson.loads(text)
        begun[since] = values
        if until is not None:
            ended[until] = values
    changes: dict[int, tuple[Words, tuple[Words, ...]]] = {}
    for seq in begun.keys() | ended.keys():
        before, after = ended.get(seq), begun.get(seq)
        if before is None:
            changes[seq] = (GOLDEN_BEGUN, ())
        elif after is None:
            changes[seq] = (GOLDEN_ENDED, ())
        else:
            differing = sorted(
                name for name in before.keys() | after.keys() if before.get(name) != after.get(name)
            )
            called = tuple(_called(name, attributes) for name in differing)
            changes[seq] = (GOLDEN_CHANGED if called else GOLDEN_SOURCES, called)
    return changes


def _called(name: str, attributes: Mapping[str, Attribute]) -> Words:
    declared = attributes.get(name)
    return Words(declared.vi, declared.en) if declared else Words(name, name)


def _alias_changes(connection: Connection, bound: Mapping[str, Any]) -> tuple[dict[int, int], dict[int, int]]:
    """Event to how many aliases began, and to how many ended."""
    intervals = connection.execute(_ALIAS_INTERVALS, bound).all()

    def counted(seqs: Iterable[int | None]) -> dict[int, int]:
        ordered = sorted(seq for seq in seqs if seq is not None)
        return {seq: len(list(same)) for seq, same in groupby(ordered)}

    return counted(row.from_event for row in intervals), counted(row.until_event for row in intervals)


# --- statements ------------------------------------------------------------------------------------------------------

_KEY = bindparam("key", type_=BigInteger)

_MEMBERS = (
    select(
        membership.c.record_id,
        record.c.registry,
        record.c.local_id,
        record_version.c.version,
        record_version.c.status,
        membership.c.from_event,
    )
    .join(record, record.c.record_id == membership.c.record_id)
    .join(
        record_version,
        (record_version.c.record_id == membership.c.record_id)
        & (record_version.c.version == version_at(membership.c.record_id)),
    )
    .where(membership.c.entity_key == _KEY, stands(membership))
    .order_by(membership.c.record_id)
)
_GOLDEN = select(
    golden.c["values"],
    golden.c.provenance,
    golden.c.policy,
    golden.c.hash,
    golden.c.as_of,
    golden.c.from_event,
).where(golden.c.entity_key == _KEY, stands(golden))
_ALIASES = (
    select(alias.c.scheme, alias.c.value, alias.c.from_event)
    .where(alias.c.entity_key == _KEY, stands(alias))
    .order_by(alias.c.scheme, alias.c.value)
)
_GOLDENS = select(golden.c.from_event, golden.c.until_event, golden.c["values"]).where(
    golden.c.entity_key == _KEY, golden.c.from_event <= SEQ
)
_ALIAS_INTERVALS = select(alias.c.from_event, alias.c.until_event).where(
    alias.c.entity_key == _KEY, alias.c.from_event <= SEQ
)


def _decided(side: ColumnElement[int], event_column: ColumnElement[Any]) -> Select[Any]:
    """Events that decided on a record of the entity, or revoked a decision, while it was one or as it left."""
    return (
        select(event_column)
        .select_from(membership)
        .join(decision, side == membership.c.record_id)
        .where(
            membership.c.entity_key == _KEY,
            event_column >= membership.c.from_event,
            membership.c.until_event.is_(None) | (event_column <= membership.c.until_event),
        )
    )


_TOUCHING = union(
    select(event.c.seq).where(event.c.entity == bindparam("entity", type_=Text)),
    select(event_entity.c.seq).where(event_entity.c.entity_key == _KEY),
    select(golden.c.from_event).where(golden.c.entity_key == _KEY),
    select(golden.c.until_event).where(golden.c.entity_key == _KEY),
    select(alias.c.from_event).where(alias.c.entity_key == _KEY),
    select(alias.c.until_event).where(alias.c.entity_key == _KEY),
    *(
        _decided(side, event_column)
        for side in (decision.c.record_l, decision.c.record_r)
        for event_column in (decision.c.from_event, decision.c.until_event)
    ),
).subquery("touching")
_EVENTS = (
    select(event.c.seq, event.c.kind, event.c.entity, event.c.body)
    .where(event.c.seq.in_(select(_TOUCHING.c.seq)), event.c.seq <= SEQ)
    .order_by(event.c.seq)
)
