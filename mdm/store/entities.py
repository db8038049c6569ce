"""New entities and new members in bulk: events, and the tables that follow from them, in one transaction.

Merges, splits and moves go one by one through `mdm.store.unit_of_work`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from mdm.identity.events import EventKind, Events, Stamp, json_lists, json_strings
from mdm.store.log import append_events

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mdm.identity.clock import Source
    from mdm.store.engine import Bulk

    Ids = NDArray[np.int64]

_ENTITY_IDS = pa.schema([("entity_key", pa.int64()), ("entity_id", pa.string())])


def form(bulk: Bulk, record: Ids, group: Ids, *, kind: str, stamp: Stamp, source: Source) -> int:
    """New entities, one for each group of records; returns how many."""
    if len(record) == 0:
        return 0
    record, starts = _grouped(record, group)
    count = len(starts)
    ids = pa.array(source.mint(count), pa.string())
    first = append_events(
        bulk,
        Events.bulk(
            EventKind.ENTITY_FORMED,
            entity=ids,
            data={
                "kind": json_strings(pa.array([kind] * count)),
                "records": json_lists(_lists(record, starts)),
            },
        ),
        stamp=stamp,
    )
    first_key = bulk.next_id("entity", "entity_key")
    keys, events = np.arange(first_key, first_key + count), np.arange(first, first + count)
    bulk.append(
        "entity",
        pa.table(
            {
                "entity_key": keys,
                "entity_id": ids,
                "kind": pa.array([kind] * count),
                "status": pa.array(["active"] * count),
                "version": np.ones(count, dtype=np.int64),
                "formed_event": events,
                "changed_event": events,
            }
        ),
    )
    sizes = np.diff(np.r_[starts, len(record)])
    _open(bulk, record, np.repeat(keys, sizes), np.repeat(events, sizes))
    return count


def link(bulk: Bulk, record: Ids, entity: Ids, *, stamp: Stamp) -> int:
    """Records without an entity join existing ones (keys); returns how many records."""
    if len(record) == 0:
        return 0
    ordered, starts = _grouped(record, entity)
    keys = np.sort(np.unique(entity))
    ids = _entity_ids(bulk, keys)
    first = append_events(
        bulk,
        Events.bulk(
            EventKind.RECORDS_LINKED,
            entity=pa.array([ids[key] for key in keys.tolist()], pa.string()),
            data={"records": json_lists(_lists(ordered, starts))},
        ),
        stamp=stamp,
    )
    events = np.arange(first, first + len(keys))
    sizes = np.diff(np.r_[starts, len(ordered)])
    _open(bulk, ordered, np.repeat(keys, sizes), np.repeat(events, sizes))
    bulk.stage("changed_entity", pa.table({"entity_key": keys, "seq": events}))
    bulk.execute(
        "INSERT INTO entity_past (entity_key, version, status, superseded_by, from_event, until_event)"
        " SELECT e.entity_key, e.version, e.status, e.superseded_by, e.changed_event, c.seq"
        " FROM entity AS e JOIN changed_entity AS c ON c.entity_key = e.entity_key"
    )
    bulk.execute(
        "UPDATE entity SET version = version + 1, changed_event = c.seq"
        " FROM changed_entity AS c WHERE entity.entity_key = c.entity_key"
    )
    return len(record)


def _grouped(record: Ids, group: Ids) -> tuple[Ids, NDArray[np.int64]]:
    """Records by group and number, and where each group begins."""
    order = np.lexsort((record, group))
    record, group = record[order], group[order]
    return record, np.flatnonzero(np.r_[True, group[1:] != group[:-1]])


def _lists(record: Ids, starts: NDArray[np.int64]) -> pa.ListArray:
    return pa.ListArray.from_arrays(pa.array(np.r_[starts, len(record)], pa.int32()), pa.array(record))


def _open(bulk: Bulk, record: Ids, entity: Ids, seq: Ids) -> None:
    first = bulk.next_id("membership", "membership_id")
    ids = np.arange(first, first + len(record))
    bulk.append(
        "membership",
        pa.table({"membership_id": ids, "record_id": record, "entity_key": entity, "from_event": seq}),
    )


def _entity_ids(bulk: Bulk, keys: Ids) -> dict[int, str]:
    bulk.stage("wanted_entity", pa.table({"entity_key": keys}))
    rows = bulk.read(
        "SELECT e.entity_key, e.entity_id FROM entity AS e JOIN wanted_entity AS w ON e.entity_key = w.entity_key",
        _ENTITY_IDS,
    )
    return dict(zip(rows["entity_key"].to_pylist(), rows["entity_id"].to_pylist(), strict=True))
