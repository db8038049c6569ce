"""Deliveries: received = accepted + quarantined, and every version and refused row as it landed."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from mdm.identity.events import EventKind
from mdm.pipeline.checks.opened import Found, Opened, columns
from mdm.pipeline.prepare import CONTENT_HASH, HOUSEHOLD_REF, ROW_HASH
from mdm.store.landing import REFUSED, RENUMBERED, BatchDigest

if TYPE_CHECKING:
    from collections.abc import Iterator

_COUNTS = (
    "received",
    "accepted",
    "quarantined",
    "skipped",
    "records",
    "new",
    "changed",
    "unchanged",
    "withdrawn",
)
_TEXTS = ("registry", "file", "sha256", "declaration", "delivered_on", "landed_at", "digest")
_VERSION = columns(
    whole=["version_id", "record_id", "version", "batch_id", "row_number"],
    texts=["status", "observed_on", "raw", "attributes", "issues", "content_hash", "standardiser"],
)
_SEEN = columns(
    whole=["version_id", "record_id", "version", "batch_id"],
    texts=[
        "registry",
        "status",
        "observed_on",
        "attributes",
        "issues",
        "content_hash",
        "standardiser",
        "row_hash",
    ],
)
_RECORD = columns(
    whole=["record_id", "version"],
    texts=["kind", "local_id", "registry", "status", "content_hash", "household_ref"],
)
_AT_ONCE = 1 << 17


def batches(opened: Opened) -> Found:
    """Counts add up, and the row of a batch is as its event told."""
    opened.read("batch", columns(whole=["batch_id", *_COUNTS], texts=_TEXTS))
    parts = [f"CAST(data ->> '$.{name}' AS BIGINT) AS {name}" for name in ("batch_id", *_COUNTS)]
    parts += [f"data ->> '$.{name}' AS {name}" for name in (*_TEXTS, "standardiser")]
    opened.connection.execute(
        f"CREATE OR REPLACE TABLE told_batch AS SELECT {', '.join(parts)} FROM told WHERE kind = '{EventKind.BATCH_LANDED}'"
    )
    wrong = opened.first(
        "SELECT 'batch ' || batch_id || ': received is not accepted plus quarantined' FROM batch"
        " WHERE received <> accepted + quarantined ORDER BY batch_id"
    ) or opened.difference(
        "told_batch",
        "batch",
        key=["batch_id"],
        values=[*_COUNTS, *_TEXTS],
        says="'batch ' || batch_id || ': differs from its event'",
    )
    return opened.count("batch"), wrong


def versions(opened: Opened) -> Found:
    """The digest of each batch is rebuilt from its versions, refused rows and re-established numbers."""
    rebuilt = rebuilt_digests(opened)
    examined = opened.count("version_seen") + opened.count("refused_seen")
    told = opened.rows("SELECT batch_id, digest FROM told_batch ORDER BY batch_id")
    wrong = next((batch_id for batch_id, digest in told if rebuilt[batch_id] != digest), None)
    if wrong is not None:
        return examined, f"batch {wrong}: a record version, refused row or renumbering is not as it landed"
    found = (
        opened.first(
            """
            SELECT 'record ' || record_id || ', version ' || version || ': not as it landed' FROM version_seen JOIN told_batch AS b USING (batch_id)
            WHERE NOT as_hashed OR version_seen.registry <> b.registry OR version_seen.standardiser <> b.standardiser ORDER BY version_id
            """
        )
        or opened.first(
            """
            SELECT 'batch ' || batch_id || ': a refused row names another file' FROM refused_seen AS q JOIN told_batch AS b USING (batch_id)
            WHERE (q.registry, q.file) IS DISTINCT FROM (b.registry, b.file) ORDER BY batch_id
            """
        )
        or records(opened)
    )
    return examined, found


def rebuilt_digests(opened: Opened) -> dict[int, str]:
    """Of each batch, from its rows as they are now; fills the tables of `_read_versions`."""
    _read_versions(opened)
    found: dict[int, BatchDigest] = defaultdict(BatchDigest)
    hashed = opened.connection.sql(
        "SELECT batch_id, record_id, version, row_hash FROM version_seen ORDER BY batch_id, version_id"
    ).to_arrow_reader(_AT_ONCE)
    for chunk in hashed:
        for batch_id, rows in _by_batch(pa.Table.from_batches([chunk])):
            found[batch_id].add_versions(*(rows[name].combine_chunks() for name in rows.column_names[1:]))
    refused = opened.connection.sql("FROM refused_seen ORDER BY batch_id, quarantine_id").to_arrow_table()
    for batch_id, rows in _by_batch(refused):
        found[batch_id].add_refused(rows)
    renumbered = opened.store.read(
        f"SELECT batch_id, {', '.join(RENUMBERED)} FROM renumbering ORDER BY batch_id, renumbering_id",
        columns(whole=["batch_id", "row_number"], texts=RENUMBERED[1:]),
    )
    for batch_id, rows in _by_batch(renumbered):
        found[batch_id].add_renumbered(rows)
    nothing = BatchDigest().value()
    return defaultdict(lambda: nothing, {batch_id: digest.value() for batch_id, digest in found.items()})


def _by_batch(rows: pa.Table) -> Iterator[tuple[int, pa.Table]]:
    """Rows that are ordered by batch, in a slice for each."""
    batch_id = rows["batch_id"].to_numpy()
    starts = np.flatnonzero(np.r_[True, batch_id[1:] != batch_id[:-1]][: len(batch_id)])
    for start, end in pairwise([*starts.tolist(), len(batch_id)]):
        yield int(batch_id[start]), rows.slice(start, end - start)


def _read_versions(opened: Opened) -> None:
    """Tables record, refused_seen, and version_seen: each version as later checks need it, hashed as it is now."""
    every = opened.store.read(f"SELECT {', '.join(_RECORD.names)} FROM record ORDER BY record_id", _RECORD)
    opened.put("record", every)
    every = every.select(["kind", "local_id", "registry"]).combine_chunks()
    opened.put("version_seen", _SEEN.empty_table())
    opened.connection.execute("ALTER TABLE version_seen ADD COLUMN as_hashed BOOLEAN")
    last = int(opened.store.scalar("SELECT COALESCE(MAX(version_id), 0) FROM record_version"))
    for start in range(0, last + 1, _AT_ONCE):
        rows = opened.store.read(
            f"SELECT {', '.join(_VERSION.names)} FROM record_version WHERE version_id >= {start} AND version_id < {start + _AT_ONCE}",
            _VERSION,
        )
        # records are numbered without gaps: that was looked at before
        place = rows["record_id"].to_numpy() - 1
        there = (place >= 0) & (place < every.num_rows)
        rows, of = rows.filter(pa.array(there)), every.take(pa.array(place[there]))
        for name in of.column_names:
            rows = rows.append_column(name, of[name])
        opened.connection.register("arriving", rows)
        opened.connection.execute(
            f"""
            INSERT INTO version_seen BY NAME
            SELECT * EXCLUDE (kind, local_id, row_number, raw), {ROW_HASH} AS row_hash, content_hash = {CONTENT_HASH} AS as_hashed
            FROM arriving
            """
        )
        opened.connection.unregister("arriving")
    names = ["batch_id", "quarantine_id", *REFUSED, "registry", "file"]
    whole = ("batch_id", "quarantine_id", "row_number")
    schema = pa.schema([(name, pa.int64() if name in whole else pa.string()) for name in names])
    opened.read("quarantine", schema, into="refused_seen")
    opened.connection.execute(
        """
        CREATE OR REPLACE VIEW version_said AS
        SELECT *, lead(batch_id) OVER (PARTITION BY record_id ORDER BY version) AS until_batch FROM version_seen
        """
    )


def records(opened: Opened) -> str | None:
    """A record stands at its last version, and the versions are numbered without gaps."""
    opened.connection.execute(
        f"""
        CREATE OR REPLACE TABLE told_record AS
        SELECT record_id, max(version) AS version, arg_max(status, version) AS status, arg_max(content_hash, version) AS content_hash,
            arg_max_null({HOUSEHOLD_REF}, version) AS household_ref, count(*) AS versions
        FROM version_seen GROUP BY record_id
        """
    )
    return opened.first(
        "SELECT 'record ' || record_id || ': a version is missing' FROM told_record WHERE versions <> version ORDER BY record_id"
    ) or opened.difference(
        "told_record",
        "record",
        key=["record_id"],
        values=["version", "status", "content_hash", "household_ref"],
        says="'record ' || record_id || ': it is not at its last version'",
    )


def quarantine(opened: Opened) -> Found:
    """Rows are open, repaired or dismissed as events told."""
    count = opened.read("quarantine", columns(whole=["quarantine_id", "resolved_by_batch"], texts=["status"]))
    opened.connection.execute(
        f"""
        CREATE OR REPLACE TABLE told_quarantine AS
        SELECT q.quarantine_id, COALESCE(t.status, 'open') AS status, t.batch_id AS resolved_by_batch
        FROM quarantine AS q LEFT JOIN (
            SELECT CAST(unnest(CAST(data -> '$.rows' AS BIGINT[])) AS BIGINT) AS quarantine_id, data ->> '$.status' AS status,
                CAST(data ->> '$.batch_id' AS BIGINT) AS batch_id
            FROM told WHERE kind = '{EventKind.QUARANTINE_RESOLVED}'
        ) AS t USING (quarantine_id)
        """
    )
    return count, opened.difference(
        "told_quarantine",
        "quarantine",
        key=["quarantine_id"],
        values=["status", "resolved_by_batch"],
        says="'quarantined row ' || quarantine_id || ': not as told'",
    )
