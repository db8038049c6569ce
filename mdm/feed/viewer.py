"""What of the log a reader may see.

Membership in a sealed registry is itself a secret. To a reader from whom a registry is hidden an event is told as if its records
were not there: not at all if it moved or decided on nothing else, and of no entity that has no other record. Entity versions count
every move, so that reader is not told them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mdm.identity.events import EventKind
from mdm.identity.state import ACTIVE, RETIRED
from mdm.store.affected import DECISIONS, registries_of, replaced_golden, stays

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection

    from mdm.store.affected import Golden, Logged, Standing

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
    """`hidden` are registries whose records the reader may not know of; with `registries` only people with a record of one are told of."""

    hidden: frozenset[str] = frozenset()
    registries: frozenset[str] | None = None

    @property
    def sees_all(self) -> bool:
        return not self.hidden and self.registries is None


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
) -> dict[tuple[int, int], Standing]:
    """Of events and keys of entities, with how these stood, those that the reader may be told, and as what.

    An entity is seen by who has a record in it at the event or moved by it; of one that ended also by who had one before. One that
    holds only hidden records is retired for this reader.
    """
    if viewer.sees_all:
        return dict(stood)
    times = stays(connection, {key for _, key in stood})
    seen: dict[tuple[int, int], Standing] = {}
    for (seq, key), standing in stood.items():
        its = [stay for stay in times.get(key, ()) if stay.since <= seq]
        known = [stay for stay in its if stay.registry not in viewer.hidden]
        own = known if viewer.registries is None else [s for s in known if s.registry in viewer.registries]
        moved = any(stay.until is None or stay.until >= seq for stay in own)
        if moved or (own and standing.status != ACTIVE):
            holds = any(stay.until is None or stay.until > seq for stay in known)
            is_left = standing.status == ACTIVE and not holds
            seen[seq, key] = replace(standing, status=RETIRED) if is_left else standing
    if viewer.hidden:
        for seq in {seq for seq, _ in seen if kinds[seq] == EventKind.GOLDEN_COMPUTED}:
            for key in _same_golden(connection, viewer, seq, {key for its, key in seen if its == seq}):
                del seen[seq, key]
    return seen


def _same_golden(connection: Connection, viewer: Viewer, seq: int, keys: set[int]) -> set[int]:
    """Keys of entities of whose golden records only what came from hidden records changed, or nothing but its sources."""
    pairs = replaced_golden(connection, seq, keys)
    chosen = {key: [_chosen(golden) for golden in pair] for key, pair in pairs.items()}
    records = {r for sides in chosen.values() for side in sides for its in side.values() for r in its}
    registry = registries_of(connection, records)

    def is_told(key: int) -> bool:
        (old, new), (before, after) = pairs[key], chosen[key]
        return any(
            old.values.get(name) != new.values.get(name)
            and not any(registry[r] in viewer.hidden for r in (*before.get(name, ()), *after.get(name, ())))
            for name in old.values.keys() | new.values.keys()
        )

    return {key for key in pairs if not is_told(key)}


def _chosen(golden: Golden) -> dict[str, list[int]]:
    """Attribute to the records that its value comes from."""
    found = {}
    for name, entry in golden.provenance.items():
        sources = entry.get("chosen", [entry])
        records = [source["record"] for source in sources if "record" in source]
        for member in entry.get("members", [name]):
            found[member] = records
    return found


def _records(e: Logged) -> list[int]:
    """That it moves or decides on."""
    if e.kind in DECISIONS:
        return [e.data["left"], e.data["right"]]
    return list(e.data["records"]) if e.kind in _MOVES else []
