"""What of the log a viewer may be told.

Membership in a sealed registry is itself a secret. To a viewer from whom a registry is hidden an event is told as if its records
were not there: not at all if it moved or decided on nothing else, of no entity that has no other record, and a new golden record only
if it is another one without them too. Entity versions count every move, so that viewer is not told them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mdm.errors import NotFoundError
from mdm.identity.events import EventKind
from mdm.identity.state import ACTIVE, RETIRED
from mdm.store.affected import DECISIONS, registries_of, replaced_golden, stays
from mdm.store.moments import read_moment
from mdm.store.sealing import entity_seen

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection

    from mdm.queries.viewer import Viewer
    from mdm.store.affected import Logged, Standing
    from mdm.store.golden import GoldenRules

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
    rules: Mapping[str, GoldenRules],
) -> dict[tuple[int, int], Standing]:
    """Of events and keys of entities, with how these stood, those that the viewer may be told, and as what.

    An entity is seen by who has a record in it at the event or moved by it; of one that ended also by who had one before. One that
    holds only hidden records is retired for this viewer.
    """
    if not viewer.hidden and viewer.registries is None:
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
            told = {key: standing.entity_id for (its, key), standing in seen.items() if its == seq}
            sealed = {
                key for key in told if any(stay.registry in viewer.hidden for stay in times.get(key, ()))
            }
            for key, (old, new) in replaced_golden(connection, seq, told).items():
                if key in sealed:
                    before, after = (
                        _golden(connection, viewer, told[key], at, rules) for at in (seq - 1, seq)
                    )
                else:
                    before, after = old, new
                if before == after:
                    del seen[seq, key]
    return seen


def _golden(
    connection: Connection, viewer: Viewer, entity_id: str, seq: int, rules: Mapping[str, GoldenRules]
) -> Mapping[str, Any] | None:
    """The values after an event, without what comes of hidden records."""
    try:
        seen = entity_seen(
            connection, entity_id, read_moment(connection, seq), hidden=viewer.hidden, rules=rules
        )
    except NotFoundError:
        return None
    return None if seen.entity.golden is None else seen.entity.golden.values


def _records(e: Logged) -> list[int]:
    """That it moves or decides on."""
    if e.kind in DECISIONS:
        return [e.data["left"], e.data["right"]]
    return list(e.data["records"]) if e.kind in _MOVES else []
