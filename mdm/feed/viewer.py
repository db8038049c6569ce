"""What of the log a reader may see.

Membership in a sealed registry is itself a secret. To a reader from whom a registry is hidden an event is told as if its records
were not there: not at all if it moved or decided on nothing else, and of no entity that has no other record. Entity versions count
every move, so that reader is not told them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mdm.identity.events import EventKind
from mdm.store.affected import DECISIONS, Standing, Stay, registries_of, same_values, stays

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection

    from mdm.store.affected import Logged

_ACTIVE = "active"
_MOVES = frozenset(
    {
        EventKind.ENTITY_FORMED,
        EventKind.RECORDS_LINKED,
        EventKind.RECORDS_DETACHED,
        EventKind.ENTITY_MERGED,
        EventKind.ENTITY_UNMERGED,
        EventKind.ENTITY_SPLIT,
    }
)


@dataclass(frozen=True)
class Viewer:
    """`hidden` are registries whose records the reader may not know of; with `registry` only people with a record of it are told of."""

    hidden: frozenset[str] = frozenset()
    registry: str | None = None

    @property
    def sees_all(self) -> bool:
        return not self.hidden and self.registry is None


def may_be_told(connection: Connection, viewer: Viewer, events: Sequence[Logged]) -> set[int]:
    """Numbers of the events that do not only tell of hidden records."""
    if not viewer.hidden:
        return {e.seq for e in events}
    about = {e.seq: _records(e) for e in events}
    registry = registries_of(connection, {record for records in about.values() for record in records})
    told = set()
    for e in events:
        hidden = [registry[record] in viewer.hidden for record in about[e.seq]]
        secret = any(hidden) if e.kind in DECISIONS else bool(hidden) and all(hidden)
        if not secret and e.kind != EventKind.ALIASES_CHANGED:  # a number may be known from a hidden record
            told.add(e.seq)
    return told


def visible(
    connection: Connection,
    viewer: Viewer,
    stood: Mapping[tuple[int, int], Standing],
    kinds: Mapping[int, str],
) -> set[tuple[int, int]]:
    """Of events and keys of entities, with how these stood, those that the reader may be told.

    An entity is seen by who has a record in it at the event or moved by it; of one that ended also by who had one before.
    """
    if viewer.sees_all:
        return set(stood)
    times = stays(connection, {key for _, key in stood})
    seen = {
        (seq, key)
        for (seq, key), standing in stood.items()
        if any(_counts(stay, seq, standing, viewer) for stay in times.get(key, ()))
    }
    if viewer.hidden:
        for seq in {seq for seq, _ in seen if kinds[seq] == EventKind.GOLDEN_COMPUTED}:
            unchanged = same_values(connection, seq, {key for its, key in seen if its == seq})
            seen -= {(seq, key) for key in unchanged}
    return seen


def _records(e: Logged) -> list[int]:
    """That it moves or decides on."""
    if e.kind in DECISIONS:
        return [e.data["left"], e.data["right"]]
    return list(e.data["records"]) if e.kind in _MOVES else []


def _counts(stay: Stay, seq: int, standing: Standing, viewer: Viewer) -> bool:
    if stay.registry in viewer.hidden or viewer.registry not in {None, stay.registry}:
        return False
    is_there = stay.until is None or stay.until >= seq
    return stay.since <= seq and (is_there or standing.status != _ACTIVE)
