"""Carries out what reconcile decided: events, and the projections that follow from them, in one transaction."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from mdm.identity.events import EventKind, Events, Stamp, canonical_json, json_lists, json_strings, seal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mdm.identity.clock import Source
    from mdm.identity.reconcile import Merge, Move, Question, Reconciliation
    from mdm.store.engine import Bulk

_ENTITY_IDS = pa.schema([("entity_key", pa.int64()), ("entity_id", pa.string())])
_MEMBERS = pa.schema([("membership_id", pa.int64()), ("record_id", pa.int64()), ("entity_key", pa.int64())])
_NUMBERS = pa.schema([("number", pa.string()), ("entity_key", pa.int64()), ("kind", pa.string())])


@dataclass
class Changes:
    """What a reconciliation did, in numbers of entities and records."""

    formed: int = 0
    linked: int = 0
    merged: int = 0
    moved: int = 0
    reviews: int = 0


@dataclass
class _Pending:
    """Membership rows and entity changes that wait to be written together."""

    opened_record: list[int] = field(default_factory=list)
    opened_entity: list[int] = field(default_factory=list)
    opened_event: list[int] = field(default_factory=list)
    closed_record: list[int] = field(default_factory=list)
    closed_event: list[int] = field(default_factory=list)
    changed: dict[int, int] = field(default_factory=dict)
    """Entity key to the last event that changed it."""


def apply(bulk: Bulk, result: Reconciliation, *, kind: str, stamp: Stamp, source: Source) -> Changes:
    changes = Changes()
    writer = _Writer(bulk, kind=kind, stamp=stamp, source=source)
    changes.moved = writer.move(result.moves)
    changes.formed = writer.form(result.formed_record, result.formed_group)
    changes.linked = writer.link(result.linked_record, result.linked_entity)
    changes.merged = writer.merge(result.merges)
    writer.flush()
    changes.reviews = raise_reviews(bulk, result.questions, run=stamp.run)
    return changes


class _Writer:
    def __init__(self, bulk: Bulk, *, kind: str, stamp: Stamp, source: Source) -> None:
        self.bulk, self.kind, self.stamp, self.source = bulk, kind, stamp, source
        self.next_seq = bulk.next_id("event", "seq")
        self.next_entity = bulk.next_id("entity", "entity_key")
        self.next_membership = bulk.next_id("membership", "membership_id")
        self.pending = _Pending()

    def append(self, events: Events) -> int:
        first = self.next_seq
        self.bulk.append("event", seal(events, first_seq=first, stamp=self.stamp))
        self.next_seq += len(events)
        return first

    def form(self, record: np.ndarray, group: np.ndarray) -> int:
        """New entities, one for each group; returns how many."""
        if len(record) == 0:
            return 0
        order = np.lexsort((record, group))
        record, group = record[order], group[order]
        starts = np.flatnonzero(np.r_[True, group[1:] != group[:-1]])
        count = len(starts)
        ids = pa.array(self.source.mint(count), pa.string())
        lists = pa.ListArray.from_arrays(pa.array(np.r_[starts, len(record)], pa.int32()), pa.array(record))
        first = self.append(
            Events.bulk(
                EventKind.ENTITY_FORMED,
                entity=ids,
                data={"kind": json_strings(pa.array([self.kind] * count)), "records": json_lists(lists)},
            )
        )
        keys = np.arange(self.next_entity, self.next_entity + count)
        events = np.arange(first, first + count)
        self.next_entity += count
        self.bulk.append(
            "entity",
            pa.table(
                {
                    "entity_key": keys,
                    "entity_id": ids,
                    "kind": pa.array([self.kind] * count),
                    "status": pa.array(["active"] * count),
                    "version": np.ones(count, dtype=np.int64),
                    "formed_event": events,
                    "changed_event": events,
                }
            ),
        )
        sizes = np.diff(np.r_[starts, len(record)])
        self._open(record, np.repeat(keys, sizes), np.repeat(events, sizes))
        return count

    def link(self, record: np.ndarray, entity: np.ndarray) -> int:
        """Records without an entity join existing ones; returns how many records."""
        if len(record) == 0:
            return 0
        order = np.lexsort((record, entity))
        record, entity = record[order], entity[order]
        starts = np.flatnonzero(np.r_[True, entity[1:] != entity[:-1]])
        keys = entity[starts]
        ids = self._entity_ids(keys.tolist())
        lists = pa.ListArray.from_arrays(pa.array(np.r_[starts, len(record)], pa.int32()), pa.array(record))
        first = self.append(
            Events.bulk(
                EventKind.RECORDS_LINKED,
                entity=pa.array([ids[key] for key in keys.tolist()], pa.string()),
                data={"records": json_lists(lists)},
            )
        )
        events = np.arange(first, first + len(keys))
        sizes = np.diff(np.r_[starts, len(record)])
        self._open(record, entity, np.repeat(events, sizes))
        self.pending.changed.update(zip(keys.tolist(), events.tolist(), strict=True))
        return len(record)

    def move(self, moves: Sequence[Move]) -> int:
        """Records leave an entity, for another one or for one that `form` makes next; returns how many records."""
        ids = self._entity_ids(
            {key for move in moves for key in (move.source, move.target) if key is not None}
        )
        for move in moves:
            records = list(move.records)
            left = self.append(
                Events.of([(EventKind.RECORDS_DETACHED, ids[move.source], {"records": records})])
            )
            self._close(records, left)
            self.pending.changed[move.source] = left
            if move.target is not None:
                joined = self.append(
                    Events.of([(EventKind.RECORDS_LINKED, ids[move.target], {"records": records})])
                )
                self._open_list(records, move.target, joined)
                self.pending.changed[move.target] = joined
        self._flush_closed()
        return sum(len(move.records) for move in moves)

    def merge(self, merges: Sequence[Merge]) -> int:
        if not merges:
            return 0
        ids = self._entity_ids({key for merge in merges for key in (merge.survivor, merge.merged)})
        members = self._members([merge.merged for merge in merges])
        numbers = self._numbers(ids)
        superseded: list[dict[str, object]] = []
        for merge in merges:
            records = members[merge.merged]
            seq = self.append(
                Events.of(
                    [
                        (
                            EventKind.ENTITY_MERGED,
                            ids[merge.survivor],
                            {"merged": ids[merge.merged], "records": records},
                        )
                    ]
                )
            )
            self._close(records, seq)
            self._open_list(records, merge.survivor, seq)
            self.pending.changed[merge.survivor] = self.pending.changed[merge.merged] = seq
            superseded.append({"entity_key": merge.merged, "survivor": merge.survivor})
            self._supersede_number(merge, ids, numbers)
        self.bulk.stage("superseded_entity", pa.Table.from_pylist(superseded))
        self.bulk.execute(
            "UPDATE entity SET status = 'superseded', superseded_by = s.survivor"
            " FROM superseded_entity AS s WHERE entity.entity_key = s.entity_key"
        )
        return len(merges)

    def _supersede_number(self, merge: Merge, ids: dict[int, str], numbers: dict[int, str]) -> None:
        """The merged entity's number stays for ever and points to the survivor's."""
        number, heir = numbers.get(merge.merged), numbers.get(merge.survivor)
        if number is None:
            return
        if heir is None:
            seq = self.append(
                Events.of(
                    [
                        (
                            EventKind.NUMBER_CHANGED,
                            ids[merge.survivor],
                            {"number": number, "holder": ids[merge.survivor]},
                        )
                    ]
                )
            )
            numbers[merge.survivor] = number
            self.bulk.execute(
                f"UPDATE ssn SET entity_key = {merge.survivor}, changed_event = {seq} WHERE number = '{number}'"
            )
            return
        seq = self.append(
            Events.of(
                [
                    (
                        EventKind.NUMBER_CHANGED,
                        ids[merge.survivor],
                        {"number": number, "state": "superseded", "superseded_by": heir},
                    )
                ]
            )
        )
        self.bulk.execute(
            f"UPDATE ssn SET state = 'superseded', superseded_by = '{heir}', changed_event = {seq} WHERE number = '{number}'"
        )

    def flush(self) -> None:
        pending = self.pending
        self._flush_closed()
        self._open(
            np.array(pending.opened_record, dtype=np.int64),
            np.array(pending.opened_entity, dtype=np.int64),
            np.array(pending.opened_event, dtype=np.int64),
        )
        if pending.changed:
            self.bulk.stage(
                "changed_entity",
                pa.table(
                    {
                        "entity_key": pa.array(list(pending.changed), pa.int64()),
                        "seq": pa.array(list(pending.changed.values()), pa.int64()),
                    }
                ),
            )
            self.bulk.execute(
                "UPDATE entity SET version = version + 1, changed_event = c.seq"
                " FROM changed_entity AS c WHERE entity.entity_key = c.entity_key"
            )

    def _flush_closed(self) -> None:
        """Memberships end before others begin: a record is never in two entities, not even inside the transaction."""
        pending = self.pending
        if not pending.closed_record:
            return
        self.bulk.stage(
            "closed_membership",
            pa.table(
                {
                    "record_id": pa.array(pending.closed_record, pa.int64()),
                    "seq": pa.array(pending.closed_event, pa.int64()),
                }
            ),
        )
        self.bulk.execute(
            "UPDATE membership SET until_event = c.seq FROM closed_membership AS c"
            " WHERE membership.record_id = c.record_id AND membership.until_event IS NULL"
        )
        pending.closed_record.clear()
        pending.closed_event.clear()

    def _close(self, records: Iterable[int], seq: int) -> None:
        for record in records:
            self.pending.closed_record.append(record)
            self.pending.closed_event.append(seq)

    def _open_list(self, records: Iterable[int], entity: int, seq: int) -> None:
        for record in records:
            self.pending.opened_record.append(record)
            self.pending.opened_entity.append(entity)
            self.pending.opened_event.append(seq)

    def _open(self, record: np.ndarray, entity: np.ndarray, seq: np.ndarray) -> None:
        count = len(record)
        if count == 0:
            return
        ids = np.arange(self.next_membership, self.next_membership + count)
        self.next_membership += count
        self.bulk.append(
            "membership",
            pa.table({"membership_id": ids, "record_id": record, "entity_key": entity, "from_event": seq}),
        )

    def _entity_ids(self, keys: Iterable[int]) -> dict[int, str]:
        wanted = pa.table({"entity_key": pa.array(sorted(set(keys)), pa.int64())})
        if wanted.num_rows == 0:
            return {}
        self.bulk.stage("wanted_entity", wanted)
        rows = self.bulk.read(
            "SELECT e.entity_key, e.entity_id FROM entity AS e JOIN wanted_entity AS w ON e.entity_key = w.entity_key",
            _ENTITY_IDS,
        )
        return dict(zip(rows["entity_key"].to_pylist(), rows["entity_id"].to_pylist(), strict=True))

    def _members(self, keys: Iterable[int]) -> dict[int, list[int]]:
        self.bulk.stage("wanted_entity", pa.table({"entity_key": pa.array(sorted(set(keys)), pa.int64())}))
        rows = self.bulk.read(
            "SELECT m.membership_id, m.record_id, m.entity_key FROM membership AS m JOIN wanted_entity AS w ON m.entity_key = w.entity_key"
            " WHERE m.until_event IS NULL ORDER BY m.entity_key, m.record_id",
            _MEMBERS,
        )
        found: dict[int, list[int]] = {}
        for record, entity in zip(rows["record_id"].to_pylist(), rows["entity_key"].to_pylist(), strict=True):
            found.setdefault(entity, []).append(record)
        return found

    def _numbers(self, keys: Iterable[int]) -> dict[int, str]:
        """The live number of each entity, an SSN before a temporary one."""
        self.bulk.stage("wanted_entity", pa.table({"entity_key": pa.array(sorted(set(keys)), pa.int64())}))
        rows = self.bulk.read(
            "SELECT s.number, s.entity_key, s.kind FROM ssn AS s JOIN wanted_entity AS w ON s.entity_key = w.entity_key"
            " WHERE s.state <> 'superseded' ORDER BY s.kind DESC, s.sequence DESC",
            _NUMBERS,
        )
        return dict(zip(rows["entity_key"].to_pylist(), rows["number"].to_pylist(), strict=True))


def raise_reviews(bulk: Bulk, questions: Sequence[Question], *, run: str | None) -> int:
    """New questions only: one that is open or decided already is not asked twice."""
    if not questions:
        return 0
    first = bulk.next_id("review", "review_id")
    unique = {question.subject: question for question in questions}
    rows = [
        {
            "reason": question.reason,
            "state": "open",
            "subject": subject,
            "detail": canonical_json(question.detail),
            "raised_run": run,
        }
        for subject, question in sorted(unique.items())
    ]
    bulk.stage("raised_review", pa.Table.from_pylist(rows))
    fresh = (
        " FROM raised_review AS r WHERE NOT EXISTS (SELECT 1 FROM review AS q WHERE q.subject = r.subject)"
    )
    count = int(bulk.scalar(f"SELECT COUNT(*){fresh}"))
    bulk.execute(
        "INSERT INTO review (review_id, reason, state, subject, detail, raised_run)"
        f" SELECT {first} - 1 + row_number() OVER (ORDER BY r.subject), r.reason, r.state, r.subject, r.detail, r.raised_run{fresh}"
    )
    return count
