"""The change feed: events in the order of the log, each with every entity that it affects and how that stood afterwards.

Event numbers have no gaps and writers come one after the other (docs/decisions/007), so an event is in sight only when all before
it are: "after event n" misses nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mdm.errors import InputError, LogReplacedError
from mdm.feed.position import Position, cursor, mark, parse_cursor
from mdm.feed.visibility import may_be_told, visible
from mdm.identity.events import EventKind
from mdm.store.affected import (
    Logged,
    affected,
    affected_by_wide,
    event_times,
    events_after,
    is_wide,
    last_event,
    standings,
)
from mdm.store.engine import looking

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from sqlalchemy import Connection, Engine

    from mdm.queries.viewer import Viewer
    from mdm.store.golden import GoldenRules

MOST_EVENTS = 1000
"""Of the log that one page looks at, and the most that it tells."""
MOST_ENTITIES = 500
"""In one part of an event."""
_ENTITIES_A_PAGE = 2000


@dataclass(frozen=True)
class Changed:
    """How an entity stood after an event. `version` is None for registries, and for staff from whom a registry is hidden."""

    id: str
    kind: str
    status: str
    superseded_by: str | None
    version: int | None


@dataclass(frozen=True)
class FeedEvent:
    """An event, or a part of one that affects very many entities; `is_last` is of the event's last part."""

    id: str
    """The event's number, of later parts with where they begin: the same whenever and to whomever it is told."""
    seq: int
    at: str
    kind: str
    entities: list[Changed]
    is_last: bool


@dataclass(frozen=True)
class Page:
    """`next` is where to go on, also when no event is told; `more` whether there is more in the log already."""

    events: list[FeedEvent]
    next: str
    more: bool
    position: Position


@dataclass(frozen=True)
class _Part:
    of: Logged
    begins: int
    keys: list[int]
    is_last: bool


class Feed:
    """Reads of one store's log. Safe to share between threads."""

    def __init__(self, engine: Engine, rules: Mapping[str, GoldenRules]) -> None:
        self._engine, self._rules = engine, rules

    def page(
        self,
        viewer: Viewer,
        *,
        after: str = "0",
        limit: int = 100,
        kinds: Collection[str] | None = None,
    ) -> Page:
        """Events after a position.

        Args:
            viewer: who asks.
            after: `next` of an earlier page, or an event's number; "0" for all there are.
            limit: at most so many events, 1 to 1000. A page may have fewer, or none, and yet say that there are more.
            kinds: only of these kinds; None for all.

        Raises:
            InputError: `after`, `limit` or a kind is none.
            LogReplacedError: the log is not the one that the position was of.
        """
        if not 1 <= limit <= MOST_EVENTS:
            raise InputError(f"not from 1 to {MOST_EVENTS}", where="limit")
        wanted = known_kinds(kinds)
        position, known = parse_cursor(after)
        with looking(self._engine) as connection:
            last = last_event(connection)
            _check(connection, position, known, last)
            return read_page(
                connection, viewer, position, upto=last, limit=limit, kinds=wanted, rules=self._rules
            )

    def last(self) -> int:
        """The number of the last event."""
        with looking(self._engine) as connection:
            return last_event(connection)


def known_kinds(kinds: Collection[str] | None) -> frozenset[str] | None:
    """Raises InputError for one that is none."""
    if kinds is None:
        return None
    if not set(kinds) <= set(EventKind):
        raise InputError(
            "there is no such kind of event", where="kinds", hint=f"Kinds are {', '.join(sorted(EventKind))}."
        )
    return frozenset(kinds)


def read_page(
    connection: Connection,
    viewer: Viewer,
    position: Position,
    *,
    upto: int,
    limit: int,
    kinds: frozenset[str] | None,
    rules: Mapping[str, GoldenRules],
) -> Page:
    """The page is the same whenever it is read: of the same viewer, position, `upto` (an event), limit and kinds."""
    rows = events_after(connection, position.seq, upto=upto, limit=MOST_EVENTS, kinds=kinds)
    looked_at = rows[-1].seq if len(rows) == MOST_EVENTS else upto
    parts, stopped = _parts(connection, rows, position, may_be_told(connection, viewer, rows), limit)
    events = _told(connection, viewer, parts, rules)
    reached = stopped or Position(max(looked_at, position.seq))
    at = event_times(connection, [reached.seq]).get(reached.seq)
    return Page(events, cursor(reached, at), reached.seq < upto, reached)


def _check(connection: Connection, position: Position, known: str | None, last: int) -> None:
    replaced = known is not None and (
        position.seq > last
        or mark(position.seq, event_times(connection, [position.seq]).get(position.seq)) != known
    )
    if replaced:
        raise LogReplacedError(
            "The log is not the one that this position was of: the store was restored from a backup.",
            where="after",
            hint="Read again from an event before the restore, or from 0.",
        )
    if position.seq > last:
        raise InputError(f"this event has not happened: the last one is {last}", where="after")


def _parts(
    connection: Connection, rows: list[Logged], position: Position, told: set[int], limit: int
) -> tuple[list[_Part], Position | None]:
    """At most `limit` parts with some thousands of entities, and where it stopped before the last row was told."""
    beside = affected(connection, [row for row in rows if row.seq in told and not is_wide(row.kind)])
    parts: list[_Part] = []
    entities = 0
    for row in rows:
        if row.seq not in told:
            continue
        begins = position.key if row.seq == position.seq + 1 else 0
        is_last = False
        while not is_last:
            if len(parts) == limit or entities >= _ENTITIES_A_PAGE:
                return parts, Position(row.seq - 1, begins)
            keys = (
                affected_by_wide(connection, row, after_key=begins, limit=MOST_ENTITIES + 1)
                if is_wide(row.kind)
                else [key for key in beside.get(row.seq, []) if key > begins]
            )
            is_last = len(keys) <= MOST_ENTITIES
            parts.append(_Part(row, begins, keys[:MOST_ENTITIES], is_last))
            entities += len(parts[-1].keys)
            begins = keys[min(len(keys), MOST_ENTITIES) - 1] if keys else begins
    return parts, None


def _told(
    connection: Connection, viewer: Viewer, parts: list[_Part], rules: Mapping[str, GoldenRules]
) -> list[FeedEvent]:
    """Without events that affect only entities that the viewer may not see."""
    stood = standings(connection, {(part.of.seq, key) for part in parts for key in part.keys})
    seen = visible(connection, viewer, stood, {part.of.seq: part.of.kind for part in parts}, rules)
    is_told_versions = viewer.is_staff and not viewer.hidden
    events = []
    for part in parts:
        seq = part.of.seq
        shown = [seen[seq, key] for key in part.keys if (seq, key) in seen]
        if not shown and (part.keys or viewer.registries is not None):
            continue
        events.append(
            FeedEvent(
                id=f"{seq}.{part.begins}" if part.begins else str(seq),
                seq=seq,
                at=part.of.at,
                kind=part.of.kind,
                entities=[
                    Changed(
                        s.entity_id,
                        s.kind,
                        s.status,
                        s.superseded_by,
                        s.version if is_told_versions else None,
                    )
                    for s in shown
                ],
                is_last=part.is_last,
            )
        )
    return events
