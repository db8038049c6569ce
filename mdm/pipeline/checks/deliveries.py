"""Deliveries: received = accepted + quarantined, and every version and refused row as it landed."""

from __future__ import annotations

import pyarrow as pa

from mdm.identity.events import EventKind
from mdm.pipeline.checks.opened import Found, Opened, columns
from mdm.pipeline.prepare import CONTENT_HASH, ROW_HASH
from mdm.store.landing import REFUSED, RENUMBERED, BatchDigest

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
    whole=["version_id", "record_id", "version", "row_number"],
    texts=[
        "kind",
        "local_id",
        "registry",
        "status",
        "observed_on",
        "raw",
        "attributes",
        "issues",
        "content_hash",
        "standardiser",
    ],
)

_SEEN = columns(
    whole=["batch_id", "record_id", "version"],
    texts=["registry", "status", "observed_on", "content_hash", "attributes", "issues"],
)


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
    examined = 0
    told = opened.rows(
        "SELECT batch_id, digest, registry, file, standardiser FROM told_batch ORDER BY batch_id"
    )
    opened.put("version_seen", _SEEN.empty_table())
    for batch_id, digest, registry, file, standardiser in told:
        rebuilt = BatchDigest()
        query = (
            f"SELECT {', '.join(_from(name) for name in _VERSION.names)} FROM record_version AS v"
            f" JOIN record AS r ON r.record_id = v.record_id WHERE v.batch_id = {batch_id}"
        )
        rows = opened.store.read(query, _VERSION)
        examined += rows.num_rows
        opened.put("version", rows)
        hashed = opened.connection.sql(
            f"SELECT record_id, version, {ROW_HASH} AS row_hash FROM version ORDER BY version_id"
        ).to_arrow_table()
        rebuilt.add_versions(hashed["record_id"], hashed["version"], hashed["row_hash"])
        refused = _refused(opened, batch_id)
        examined += refused.num_rows
        rebuilt.add_refused(refused)
        renumbered = opened.store.read(
            f"SELECT {', '.join(RENUMBERED)} FROM renumbering WHERE batch_id = {batch_id} ORDER BY renumbering_id",
            columns(whole=["row_number"], texts=RENUMBERED[1:]),
        )
        rebuilt.add_renumbered(renumbered)
        if rebuilt.value() != digest:
            return (
                examined,
                f"batch {batch_id}: a record version, refused row or renumbering is not as it landed",
            )
        wrong = opened.first(
            f"""
            SELECT 'record ' || record_id || ', version ' || version || ': not as it landed' FROM version
            WHERE registry <> '{registry}' OR standardiser <> '{standardiser}' OR content_hash <> {CONTENT_HASH} ORDER BY version_id
            """
        ) or _filed_elsewhere(refused, registry, file, batch_id)
        if wrong:
            return examined, wrong
        opened.connection.execute(
            f"INSERT INTO version_seen BY NAME SELECT {', '.join(_SEEN.names[1:])}, {batch_id} AS batch_id FROM version"
        )
    opened.connection.execute(
        """
        CREATE OR REPLACE VIEW version_said AS
        SELECT *, lead(batch_id) OVER (PARTITION BY record_id ORDER BY version) AS until_batch FROM version_seen
        """
    )
    return examined, records(opened)


def records(opened: Opened) -> str | None:
    """A record stands at its last version, and the versions are numbered without gaps."""
    opened.read("record", columns(whole=["record_id", "version"], texts=["status", "content_hash"]))
    opened.connection.execute(
        """
        CREATE OR REPLACE TABLE told_record AS
        SELECT record_id, max(version) AS version, arg_max(status, version) AS status, arg_max(content_hash, version) AS content_hash,
            count(*) AS versions
        FROM version_seen GROUP BY record_id
        """
    )
    return opened.first(
        "SELECT 'record ' || record_id || ': a version is missing' FROM told_record WHERE versions <> version ORDER BY record_id"
    ) or opened.difference(
        "told_record",
        "record",
        key=["record_id"],
        values=["version", "status", "content_hash"],
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


def _from(name: str) -> str:
    return f"r.{name}" if name in ("kind", "local_id", "registry") else f"v.{name}"


def _refused(opened: Opened, batch_id: int) -> pa.Table:
    names = [*REFUSED, "registry", "file"]
    schema = pa.schema([(name, pa.int64() if name == "row_number" else pa.string()) for name in names])
    return opened.store.read(
        f"SELECT {', '.join(names)} FROM quarantine WHERE batch_id = {batch_id} ORDER BY quarantine_id",
        schema,
    )


def _filed_elsewhere(refused: pa.Table, registry: str, file: str, batch_id: int) -> str | None:
    told = set(zip(refused["registry"].to_pylist(), refused["file"].to_pylist(), strict=True))
    return None if told <= {(registry, file)} else f"batch {batch_id}: a refused row names another file"
