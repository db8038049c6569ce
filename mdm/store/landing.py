"""Landing: prepared rows of one file become records, versions and quarantine entries, in one transaction.

A version is stored only where the content (status and canonical attributes) changed. The batch row's digest covers every
version and quarantined row that the file brought, raw text included.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from matching.standardise.types import STANDARDISER_VERSION
from mdm.identity.events import EventKind, Stamp
from mdm.store.log import append_event

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date

    from numpy.typing import NDArray

    from mdm.pipeline.prepare import PreparedChunk
    from mdm.store.engine import Bulk

_EXISTING = pa.schema(
    [("place", pa.int64()), ("record_id", pa.int64()), ("version", pa.int64()), ("content_hash", pa.string())]
)
_UNKNOWN = "record.unknown"
REFUSED = ("source", "row_number", "local_id", "reason", "detail", "raw")
RENUMBERED = ("row_number", "attribute", "old", "new", "changed_on")
_CURRENT = ("status", "content_hash", "household_ref")
"""Of a record's current version, kept with the record."""
_VERSION_TEXTS = ("status", "observed_on", "content_hash", "raw", "attributes", "issues")


@dataclass
class LandingCounts:
    """Rows of one file (received = accepted + quarantined) and what became of the records in them."""

    received: int = 0
    accepted: int = 0
    quarantined: int = 0
    skipped: int = 0
    records: int = 0
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    withdrawn: int = 0

    def __add__(self, other: LandingCounts) -> LandingCounts:
        return LandingCounts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


@dataclass(frozen=True)
class LandedFile:
    """What identifies a delivered file: the same bytes under the same declaration are landed once."""

    registry: str
    file: str
    sha256: str
    declaration: str
    delivered_on: date | None


def already_landed(bulk: Bulk, file: LandedFile) -> bool:
    found = bulk.scalar(
        f"SELECT COUNT(*) FROM batch WHERE registry = '{file.registry}' AND sha256 = '{file.sha256}'"
        f" AND declaration = '{file.declaration}'"
    )
    return bool(found)


def land_file(bulk: Bulk, file: LandedFile, chunks: Iterable[PreparedChunk], *, actor: str) -> LandingCounts:
    """Writes the chunks of one file and the event that tells of it."""
    landing = _Landing(bulk, file)
    for chunk in chunks:
        landing.add(chunk)
    return landing.finish(actor)


class _Landing:
    def __init__(self, bulk: Bulk, file: LandedFile) -> None:
        self.bulk, self.file = bulk, file
        self.batch_id = bulk.next_id("batch", "batch_id")
        self.next_record = bulk.next_id("record", "record_id")
        self.next_version = bulk.next_id("record_version", "version_id")
        self.next_quarantine = bulk.next_id("quarantine", "quarantine_id")
        self.next_renumbering = bulk.next_id("renumbering", "renumbering_id")
        self.counts = LandingCounts()
        self.digest = BatchDigest()
        self.registry_is_new = not bulk.scalar(
            f"SELECT 1 FROM record WHERE registry = '{file.registry}' LIMIT 1"
        )

    def add(self, chunk: PreparedChunk) -> None:
        rows = chunk.rows
        record, version, known_hash = self._known(chunk)
        known = record >= 0
        withdrawn = np.asarray(pc.equal(rows["status"], "withdrawn"))
        unknown = rows.filter(pa.array(withdrawn & ~known))
        refused = pa.concat_tables([chunk.quarantine, _refused(unknown)])
        self.counts += LandingCounts(
            received=chunk.received,
            accepted=chunk.received - refused.num_rows,
            quarantined=refused.num_rows,
            skipped=chunk.skipped,
            records=rows.num_rows - unknown.num_rows,
        )
        same = np.asarray(pc.fill_null(pc.equal(rows["content_hash"], known_hash), False))
        written = ~same & ~(withdrawn & ~known)
        self._write_records(chunk.kind, rows, record, version, known, written=written, withdrawn=withdrawn)
        if refused.num_rows:
            self._write_quarantine(chunk.source, refused)
        if chunk.renumbering.num_rows:
            self._write_renumbering(chunk.renumbering)

    def _known(self, chunk: PreparedChunk) -> tuple[NDArray[np.int64], NDArray[np.int64], pa.Array]:
        """Of each row its record (-1 for none), that record's version and content hash."""
        count = chunk.rows.num_rows
        record, version = np.full(count, -1, dtype=np.int64), np.zeros(count, dtype=np.int64)
        if count == 0 or (self.registry_is_new and self.counts.new == 0):
            return record, version, pa.nulls(count, pa.string())
        self.bulk.stage(
            "incoming_key", pa.table({"place": np.arange(count), "local_id": chunk.rows["local_id"]})
        )
        # a cross join keeps SQLite from walking through all records of the registry for each chunk
        found = self.bulk.read(
            "SELECT k.place, r.record_id, r.version, r.content_hash FROM incoming_key AS k CROSS JOIN record AS r"
            f" WHERE r.registry = '{self.file.registry}' AND r.kind = '{chunk.kind}' AND r.local_id = k.local_id",
            _EXISTING,
        )
        place = found["place"].to_numpy()
        record[place], version[place] = found["record_id"].to_numpy(), found["version"].to_numpy()
        source = np.full(count, -1, dtype=np.int64)
        source[place] = np.arange(len(place))
        hashes = found["content_hash"].combine_chunks().take(pa.array(source, mask=source < 0))
        return record, version, hashes

    def _write_records(
        self,
        kind: str,
        rows: pa.Table,
        record: NDArray[np.int64],
        version: NDArray[np.int64],
        known: NDArray[np.bool_],
        *,
        written: NDArray[np.bool_],
        withdrawn: NDArray[np.bool_],
    ) -> None:
        fresh = written & ~known
        new, gone = int(fresh.sum()), int((written & withdrawn).sum())
        changed = int((written & known & ~withdrawn).sum())
        unchanged = (
            self.counts.records
            - (self.counts.new + self.counts.changed + self.counts.withdrawn + self.counts.unchanged)
            - (new + changed + gone)
        )
        self.counts += LandingCounts(new=new, changed=changed, withdrawn=gone, unchanged=unchanged)
        if not written.any():
            return
        record = record.copy()
        record[fresh] = np.arange(self.next_record, self.next_record + new)
        self.next_record += new
        places = np.flatnonzero(written)
        count = len(places)
        kept = rows.take(pa.array(places))
        version_id = np.arange(self.next_version, self.next_version + count)
        self.next_version += count
        numbers = {"record_id": record[places], "version": version[places] + 1}
        self.digest.add_versions(numbers["record_id"], numbers["version"], kept["row_hash"])
        self.bulk.append(
            "record_version",
            pa.table(
                {
                    "version_id": version_id,
                    **numbers,
                    "batch_id": np.full(count, self.batch_id),
                    "row_number": kept["row_number"],
                    **{name: kept[name] for name in _VERSION_TEXTS},
                    "standardiser": pa.repeat(STANDARDISER_VERSION, count),
                }
            ),
        )
        current = pa.table(
            {
                **numbers,
                "registry": pa.repeat(self.file.registry, count),
                "kind": pa.repeat(kind, count),
                **{name: kept[name] for name in ("local_id", *_CURRENT)},
            }
        )
        self.bulk.append("record", current.filter(pa.array(fresh[places])))
        if changed + gone:
            self.bulk.stage("changed_record", current.filter(pa.array(~fresh[places])))
            self.bulk.execute(
                f"UPDATE record SET {', '.join(f'{name} = c.{name}' for name in ('version', *_CURRENT))}"
                " FROM changed_record AS c WHERE record.record_id = c.record_id"
            )

    def _write_quarantine(self, source: str, rows: pa.Table) -> None:
        count = rows.num_rows
        ids = pa.array(range(self.next_quarantine, self.next_quarantine + count), pa.int64())
        self.next_quarantine += count
        rows = rows.append_column("source", pa.repeat(source, count))
        self.digest.add_refused(rows)
        self.bulk.append(
            "quarantine",
            pa.table(
                {
                    "quarantine_id": ids,
                    "batch_id": pa.repeat(pa.scalar(self.batch_id, pa.int64()), count),
                    "registry": pa.repeat(self.file.registry, count),
                    "file": pa.repeat(self.file.file, count),
                    **{name: rows[name] for name in REFUSED},
                    "status": pa.repeat("open", count),
                }
            ),
        )

    def _write_renumbering(self, rows: pa.Table) -> None:
        count = rows.num_rows
        ids = pa.array(range(self.next_renumbering, self.next_renumbering + count), pa.int64())
        self.next_renumbering += count
        told = pa.table(
            {
                **{name: rows[name] for name in ("row_number", "attribute", "old", "new")},
                "changed_on": rows["date"].cast(pa.string()),
            }
        )
        self.digest.add_renumbered(told)
        told = told.append_column("renumbering_id", ids)
        self.bulk.append(
            "renumbering",
            told.append_column("batch_id", pa.repeat(pa.scalar(self.batch_id, pa.int64()), count)),
        )

    def finish(self, actor: str) -> LandingCounts:
        counts = self.counts
        assert counts.received == counts.accepted + counts.quarantined, "received = accepted + quarantined"
        now = datetime.now(UTC).isoformat(timespec="microseconds")
        values = {
            "batch_id": self.batch_id,
            "registry": self.file.registry,
            "file": self.file.file,
            "sha256": self.file.sha256,
            "declaration": self.file.declaration,
            "delivered_on": self.file.delivered_on.isoformat() if self.file.delivered_on else None,
            "landed_at": now,
            **{f.name: getattr(counts, f.name) for f in fields(counts)},
            "digest": self.digest.value(),
        }
        self.bulk.append("batch", pa.Table.from_pylist([values]))
        append_event(
            self.bulk,
            EventKind.BATCH_LANDED,
            {**values, "standardiser": STANDARDISER_VERSION},
            stamp=Stamp(at=now, actor=actor),
        )
        return counts


class BatchDigest:
    """One hash over what a batch landed: versions, refused rows, re-established numbers, each in the order of their ids."""

    def __init__(self) -> None:
        self._versions, self._refused, self._renumbered = (hashlib.sha256() for _ in range(3))

    def add_versions(
        self,
        record_id: NDArray[np.int64] | pa.Array,
        version: NDArray[np.int64] | pa.Array,
        row_hash: pa.Array,
    ) -> None:
        lines = pc.binary_join_element_wise(
            pa.array(record_id).cast(pa.string()), pa.array(version).cast(pa.string()), row_hash, ":"
        )
        self._versions.update("\n".join([*lines.to_pylist(), ""]).encode())

    def add_refused(self, rows: pa.Table) -> None:
        """`rows` has the columns of REFUSED."""
        for row in zip(*(rows[name].to_pylist() for name in REFUSED), strict=True):
            self._refused.update("\x1f".join([*map(str, row), "\n"]).encode())

    def add_renumbered(self, rows: pa.Table) -> None:
        """`rows` has the columns of RENUMBERED."""
        for row in zip(*(rows[name].to_pylist() for name in RENUMBERED), strict=True):
            self._renumbered.update("\x1f".join([*map(str, row), "\n"]).encode())

    def value(self) -> str:
        parts = (self._versions, self._refused, self._renumbered)
        return hashlib.sha256(b"".join(part.digest() for part in parts)).hexdigest()


def _refused(unknown: pa.Table) -> pa.Table:
    """Withdrawals of records that were never delivered, each row once."""
    rows = unknown.select(["row_number", "raw", "local_id"]).to_pylist()
    once = {row["row_number"]: row for row in reversed(rows)}
    detail = "withdrawal of a record that was never delivered"
    return pa.Table.from_pylist(
        [{**row, "reason": _UNKNOWN, "detail": detail} for _, row in sorted(once.items())],
        schema=pa.schema(
            [
                ("row_number", pa.int64()),
                ("raw", pa.string()),
                ("reason", pa.string()),
                ("detail", pa.string()),
                ("local_id", pa.string()),
            ]
        ),
    )
