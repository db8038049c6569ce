"""The event log in the store: append only, numbered without gaps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from mdm.identity.events import EventKind, Events, Stamp, seal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mdm.store.engine import Bulk


def append_events(bulk: Bulk, events: Events, *, stamp: Stamp) -> int:
    """Appends events in this transaction and returns the sequence number of the first."""
    first = bulk.next_id("event", "seq")
    bulk.append("event", seal(events, first_seq=first, stamp=stamp))
    return first


def append_event(bulk: Bulk, kind: EventKind, data: Mapping[str, Any], *, stamp: Stamp) -> int:
    """One event that is about no single entity."""
    return append_events(bulk, Events.of([(kind, None, data)]), stamp=stamp)


def last_event(bulk: Bulk, kind: EventKind) -> dict[str, Any] | None:
    """The data of the latest event of a kind."""
    body = bulk.scalar(f"SELECT body FROM event WHERE kind = '{kind}' ORDER BY seq DESC LIMIT 1")
    return None if body is None else dict(orjson.loads(body)["data"])
