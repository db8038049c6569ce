"""What has changed since the last run, and which records, entities and pairs that concerns.

A run looks at everything, or at what changed since the last one under the same declarations. Both go through the same
steps; a delta gives them fewer records. What it finds is what a run over everything would find.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from mdm.identity.events import EventKind
from mdm.pipeline.housemates import housemates_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mdm.pipeline.workspace import Workspace
    from mdm.store.engine import Bulk

    Ids = NDArray[np.int64]

CHANGED = "changed_record"
"""Workspace table (record_id): records that changed, withdrawn ones among them."""
AFFECTED = "affected_entity"
"""Workspace table (entity): entities whose golden record or number may change."""
_RECORD = pa.schema([("record_id", pa.int64())])
_ENTITY = pa.schema([("entity", pa.int64())])


@dataclass(frozen=True)
class Delta:
    """`upto`: the last event that the last run saw when it began; `finished`: the one that tells of its end."""

    upto: int
    finished: int


def find_changed(work: Workspace, store: Bulk, delta: Delta, *, housemates: bool) -> int:
    """Fills CHANGED: new versions, records of numbers re-established since, and records of new or revoked decisions; with
    `housemates` also who stands beside one of them on a list.
    """
    # batches are numbered as their events come
    seen = f"(SELECT COUNT(*) FROM event WHERE kind = '{EventKind.BATCH_LANDED}' AND seq <= {delta.upto})"
    rows = store.read(
        f"""
        SELECT DISTINCT v.record_id FROM record_version AS v WHERE v.batch_id > {seen}
        UNION SELECT m.record_id FROM renumbering AS n
            JOIN alias AS a ON a.value = n.new AND a.scheme = 'personal_id' AND a.until_event IS NULL
            JOIN membership AS m ON m.entity_key = a.entity_key AND m.until_event IS NULL
            WHERE n.batch_id > {seen}
        UNION SELECT record_l FROM decision WHERE from_event > {delta.upto} OR until_event > {delta.upto}
        UNION SELECT record_r FROM decision WHERE from_event > {delta.upto} OR until_event > {delta.upto}
        """,
        _RECORD,
    )
    work.put(CHANGED, rows)
    if housemates:
        housemates_of(work, store, changed=CHANGED)
    return int(rows.num_rows)


def concerned(
    record: Ids, *, links: tuple[Ids, Ids], entity: Ids, changed: Ids, left: Ids
) -> NDArray[np.bool_]:
    """Which of `record` (sorted) may get another cluster: all that hang together with a changed one.

    Args:
        record: the active records.
        links: pairs of records that would be linked, as two arrays of IDs.
        entity: the present entity of each record, -1 for none.
        changed: changed records; those withdrawn are not in `record`.
        left: the entities of changed records.
    """
    one, two = (np.searchsorted(record, side) for side in links)
    member = np.flatnonzero(entity >= 0)
    entities, place = np.unique(entity[member], return_inverse=True)
    size = len(record) + len(entities)
    ends = np.concatenate([one, member]), np.concatenate([two, len(record) + place])
    graph = coo_array((np.ones(len(ends[0]), dtype=np.int8), ends), shape=(size, size))
    component = connected_components(graph, directed=False)[1][: len(record)]
    there = np.isin(record, changed) | np.isin(entity, left)
    return np.isin(component, np.unique(component[there]))


def find_affected(work: Workspace, store: Bulk, delta: Delta, *, housemates: bool) -> int:
    """Fills AFFECTED: the entities of changed records, and those whose members or numbers changed since the last run ended."""
    if not work.has_table(CHANGED):  # another process found them, before this one took the run up again
        find_changed(work, store, delta, housemates=housemates)
    store.stage("delta_record", work.connection.sql(f"FROM {CHANGED}").to_arrow_table())
    rows = store.read(
        f"""
        SELECT m.entity_key FROM membership AS m JOIN delta_record AS d ON d.record_id = m.record_id WHERE m.until_event IS NULL
        UNION SELECT entity_key FROM membership WHERE from_event > {delta.finished} OR until_event > {delta.finished}
        UNION SELECT entity_key FROM ssn WHERE changed_event > {delta.finished} AND entity_key IS NOT NULL
        """,
        _ENTITY,
    )
    work.put(AFFECTED, rows)
    return int(rows.num_rows)
