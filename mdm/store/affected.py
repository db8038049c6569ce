"""Whom events affect, and how these stood after each event.

All of it is read from rows that an event begins or ends, so what is told of an event is the same whenever it is read.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import BigInteger, Text, bindparam, func, or_, select, union, union_all

from mdm.identity.events import EventKind
from mdm.store.tables import (
    alias,
    entity,
    entity_past,
    event,
    event_entity,
    golden,
    membership,
    record,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from sqlalchemy import BindParameter, Connection, Executable, FromClause, Select

DECISIONS = frozenset({EventKind.DECISION_MADE, EventKind.DECISION_REVOKED})
_BY_INTERVAL: Mapping[str, FromClause] = {EventKind.GOLDEN_COMPUTED: golden, EventKind.ALIASES_CHANGED: alias}
"""Kinds whose events may affect millions of entities, and the table whose rows they begin and end."""
_AT_ONCE = 1000
"""Values in one IN."""


@dataclass(frozen=True)
class Logged:
    seq: int
    at: str
    kind: str
    entity: str | None
    data: Mapping[str, Any]


@dataclass(frozen=True)
class Standing:
    """How an entity stood after an event."""

    entity_id: str
    kind: str
    status: str
    superseded_by: str | None
    version: int


@dataclass(frozen=True)
class Stay:
    """The time of a record of this registry in an entity: the event that began it and the one that ended it."""

    registry: str
    since: int
    until: int | None


# --- events ----------------------------------------------------------------------------------------------------------


def last_event(connection: Connection) -> int:
    """0 in a store without events."""
    return int(connection.scalar(_LAST) or 0)


def event_times(connection: Connection, seqs: Collection[int]) -> dict[int, str]:
    return dict(connection.execute(_TIMES, {"given": list(seqs)}).all())


def events_after(
    connection: Connection, after: int, *, upto: int, limit: int, kinds: Collection[str] | None
) -> list[Logged]:
    """The first events of these kinds (None for all) with numbers over `after` and up to `upto`."""
    if kinds is None:
        seqs = list(range(after + 1, min(upto, after + limit) + 1))
    else:
        found: set[int] = set()
        for kind in kinds:
            bound = {"kind": kind, "after": after, "upto": upto, "most": limit}
            found |= set(connection.scalars(_OF_KIND, bound))
        seqs = sorted(found)[:limit]
    rows = connection.execute(_EVENTS, {"given": seqs}) if seqs else ()
    return [Logged(row.seq, row.at, row.kind, row.entity, orjson.loads(row.body)["data"]) for row in rows]


# --- whom they affect ------------------------------------------------------------------------------------------------


def affected(connection: Connection, events: Sequence[Logged]) -> dict[int, list[int]]:
    """Event to the keys of the entities that it names or touches, ascending. Not for events of `is_wide`."""
    found: dict[int, set[int]] = defaultdict(set)
    for seq, key in _of_many(connection, _NAMED_OR_BESIDE, [e.seq for e in events]):
        found[seq].add(key)
    decided = {e.seq: (e.data["left"], e.data["right"]) for e in events if e.kind in DECISIONS}
    for seq, pair in decided.items():
        found[seq] |= set(connection.scalars(_HOMES, {"given": list(pair), "seq": seq}))
    return {seq: sorted(keys) for seq, keys in found.items()}


def is_wide(kind: str) -> bool:
    return kind in _BY_INTERVAL


def affected_by_wide(connection: Connection, of: Logged, *, after_key: int, limit: int) -> list[int]:
    """The first keys over `after_key`, ascending, of entities whose golden record or alias the event began or ended."""
    bound = {"seq": of.seq, "after_key": after_key, "most": limit}
    return list(connection.scalars(_WIDE[of.kind], bound))


def standings(connection: Connection, pairs: Collection[tuple[int, int]]) -> dict[tuple[int, int], Standing]:
    """Of each event and key: how the entity stood after the event."""
    keys = {key for _, key in pairs}
    now = {row.entity_key: row for row in _of_many(connection, _NOW, keys)}
    past: dict[int, list[Any]] = defaultdict(list)
    for row in _of_many(connection, _PAST, {key for seq, key in pairs if now[key].changed_event > seq}):
        past[row.entity_key].append(row)
    stood: dict[tuple[int, int], Any] = {}
    for seq, key in pairs:
        if now[key].changed_event <= seq:
            stood[seq, key] = now[key]
        else:
            stood[seq, key] = next(row for row in past[key] if row.from_event <= seq < row.until_event)
    heirs = {row.superseded_by for row in stood.values() if row.superseded_by is not None}
    names = {row.entity_key: row.entity_id for row in _of_many(connection, _NOW, heirs)}
    return {
        (seq, key): Standing(
            now[key].entity_id, now[key].kind, row.status, names.get(row.superseded_by), row.version
        )
        for (seq, key), row in stood.items()
    }


# --- who may see them ------------------------------------------------------------------------------------------------


def stays(connection: Connection, keys: Collection[int]) -> dict[int, list[Stay]]:
    """Entity key to the times of its records, past ones too."""
    found: dict[int, list[Stay]] = defaultdict(list)
    for key, *stay in _of_many(connection, _STAYS, keys):
        found[key].append(Stay(*stay))
    return found


def registries_of(connection: Connection, records: Collection[int]) -> dict[int, str]:
    """Record number to its registry."""
    return dict(_of_many(connection, _REGISTRIES, records))


def replaced_golden(
    connection: Connection, seq: int, keys: Collection[int]
) -> dict[int, tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Entity key to the golden values that the event ended and those that it began, where it did both."""
    ended: dict[int, Mapping[str, Any]] = {}
    begun: dict[int, Mapping[str, Any]] = {}
    for key, since, values in _of_many(connection, _GOLDENS, keys, seq=seq):
        (begun if since == seq else ended)[key] = orjson.loads(values)
    return {key: (ended[key], begun[key]) for key in begun.keys() & ended.keys()}


# --- statements ------------------------------------------------------------------------------------------------------


def _of_many(
    connection: Connection, statement: Executable, given: Iterable[int], **bound: int
) -> Iterator[Any]:
    values = sorted(given)
    for first in range(0, len(values), _AT_ONCE):
        yield from connection.execute(statement, {"given": values[first : first + _AT_ONCE], **bound})


def _wide(of: FromClause) -> Select[Any]:
    """Each half by an index on the event."""
    sides = (
        select(of.c.entity_key).where(
            column == bindparam("seq", type_=BigInteger),
            of.c.entity_key > bindparam("after_key", type_=BigInteger),
        )
        for column in (of.c.from_event, of.c.until_event)
    )
    keys = union(*sides).subquery("keys")
    return select(keys.c.entity_key).order_by(keys.c.entity_key).limit(bindparam("most"))


_GIVEN: BindParameter[Any] = bindparam("given", expanding=True)
_LAST = select(func.max(event.c.seq))
_TIMES = select(event.c.seq, event.c.at).where(event.c.seq.in_(_GIVEN))
_OF_KIND = (
    select(event.c.seq)
    .where(
        event.c.kind == bindparam("kind", type_=Text),
        event.c.seq > bindparam("after", type_=BigInteger),
        event.c.seq <= bindparam("upto", type_=BigInteger),
    )
    .order_by(event.c.seq)
    .limit(bindparam("most"))
)
_EVENTS = (
    select(event.c.seq, event.c.at, event.c.kind, event.c.entity, event.c.body)
    .where(event.c.seq.in_(_GIVEN))
    .order_by(event.c.seq)
)
_NAMED_OR_BESIDE = union_all(
    select(event.c.seq, entity.c.entity_key)
    .join(entity, entity.c.entity_id == event.c.entity)
    .where(event.c.seq.in_(_GIVEN)),
    select(event_entity.c.seq, event_entity.c.entity_key).where(event_entity.c.seq.in_(_GIVEN)),
)
_HOMES = select(membership.c.entity_key).where(
    membership.c.record_id.in_(_GIVEN),
    membership.c.from_event <= bindparam("seq", type_=BigInteger),
    or_(
        membership.c.until_event.is_(None),
        membership.c.until_event > bindparam("seq", type_=BigInteger),
    ),
)
_WIDE = {kind: _wide(table) for kind, table in _BY_INTERVAL.items()}
_NOW = select(entity).where(entity.c.entity_key.in_(_GIVEN))
_PAST = select(entity_past).where(entity_past.c.entity_key.in_(_GIVEN))
_STAYS = (
    select(membership.c.entity_key, record.c.registry, membership.c.from_event, membership.c.until_event)
    .join(record, record.c.record_id == membership.c.record_id)
    .where(membership.c.entity_key.in_(_GIVEN))
)
_REGISTRIES = select(record.c.record_id, record.c.registry).where(record.c.record_id.in_(_GIVEN))
_GOLDENS = select(golden.c.entity_key, golden.c.from_event, golden.c["values"]).where(
    golden.c.entity_key.in_(_GIVEN),
    or_(
        golden.c.from_event == bindparam("seq", type_=BigInteger),
        golden.c.until_event == bindparam("seq", type_=BigInteger),
    ),
)
