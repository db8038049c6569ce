"""How records came to be where they are: which merges brought each of them, and which are still to be undone for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mdm.identity.events import EventKind

if TYPE_CHECKING:
    from collections.abc import Iterable


class Arrival(NamedTuple):
    """A record became a member of an entity by an event; `undone` is the merge that an unmerge undid."""

    record: int
    seq: int
    kind: str
    undone: int | None = None


def taken_out(merge: int, arrivals: Iterable[Arrival]) -> set[int]:
    """Records that a merge brought and that have left its outcome since, also those that came back another way.

    Later merges carry a record on; undoing one of them brings it back to where the merge had put it. Whatever else moves
    it (a split, the undoing of an earlier merge, a run) takes it out for good.

    Args:
        merge: number of its event.
        arrivals: those of its records after it, each record's in the order of their events.
    """
    by: dict[int, list[int]] = {}
    out: set[int] = set()
    for arrival in arrivals:
        merges = by.setdefault(arrival.record, [merge])
        if arrival.kind == EventKind.ENTITY_MERGED:
            merges.append(arrival.seq)
        elif arrival.kind == EventKind.ENTITY_UNMERGED and arrival.undone in merges:
            del merges[merges.index(arrival.undone) :]
        else:
            merges.clear()
        if merge not in merges:
            out.add(arrival.record)
    return out
