"""The event log in the store: append only, numbered without gaps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mdm.identity.events import Events, Stamp, seal

if TYPE_CHECKING:
    from mdm.store.engine import Bulk


def append_events(bulk: Bulk, events: Events, *, stamp: Stamp) -> int:
    """Appends events in this transaction and returns the sequence number of the first."""
    first = bulk.next_id("event", "seq")
    bulk.append("event", seal(events, first_seq=first, stamp=stamp))
    return first
