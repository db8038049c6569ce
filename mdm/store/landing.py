"""Landing: accepted and quarantined rows of one file become records, versions and quarantine entries, in one transaction.

A version is stored only where the content (canonical attributes and status) changed. The batch row's digest covers every
version and quarantined row that the file brought, raw text included.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pyarrow as pa

from matching.standardise.features import feature_columns
from matching.standardise.types import STANDARDISER_VERSION
from mdm.identity.events import EventKind, Events, Stamp
from mdm.registries.landing import scratch
from mdm.store.log import append_events

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date

    from mdm.registries.attributes import Attributes
    from mdm.registries.landing import LandedChunk
    from mdm.store.engine import Bulk

_EXISTING = pa.schema(
    [
        ("local_id", pa.string()),
        ("record_id", pa.int64()),
        ("version", pa.int64()),
        ("content_hash", pa.string()),
        ("status", pa.string()),
    ]
)
VERSION_HASH = "sha256(concat_ws(chr(31), record_id, version, row_number, status, observed_on, raw, attributes, features, issues))"
QUARANTINE_HASH = "sha256(concat_ws(chr(31), row_number, reason, raw))"
_FIXED = ("local_id", "kind", "op", "row_number", "document_date", "raw", "issues")


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


def land_file(
    bulk: Bulk, file: LandedFile, chunks: Iterable[LandedChunk], *, attributes: Attributes, actor: str
) -> LandingCounts:
    """Writes the chunks of one file and the event that tells of it."""
    landing = _Landing(bulk, file, attributes)
    for chunk in chunks:
        landing.add(chunk)
    return landing.finish(actor)


class _Landing:
    def __init__(self, bulk: Bulk, file: LandedFile, attributes: Attributes) -> None:
        self.bulk, self.file, self.attributes = bulk, file, attributes
        self.batch_id = bulk.next_id("batch", "batch_id")
        self.next_record = bulk.next_id("record", "record_id")
        self.next_version = bulk.next_id("record_version", "version_id")
        self.next_quarantine = bulk.next_id("quarantine", "quarantine_id")
        self.next_renumbering = bulk.next_id("renumbering", "renumbering_id")
        self.counts = LandingCounts()
        self.duck = scratch().cursor()
        self.duck.execute("CREATE OR REPLACE TEMP TABLE row_hash (version_id BIGINT, hash VARCHAR)")
        self.duck.execute("CREATE OR REPLACE TEMP TABLE rejected_hash (quarantine_id BIGINT, hash VARCHAR)")
        self.delivered_on = file.delivered_on.isoformat() if file.delivered_on else None
        self.registry_is_new = not bulk.scalar(
            f"SELECT 1 FROM record WHERE registry = '{file.registry}' LIMIT 1"
        )

    def add(self, chunk: LandedChunk) -> None:
        table, unknown = self._versions(chunk)
        quarantined = chunk.quarantine.num_rows + unknown.num_rows
        self.counts += LandingCounts(
            received=chunk.received,
            accepted=chunk.received - quarantined,
            quarantined=quarantined,
            skipped=chunk.skipped,
            records=table.num_rows,
        )
        if table.num_rows:
            self._write_records(table)
        if quarantined:
            self._write_quarantine(
                chunk, pa.concat_tables([chunk.quarantine, unknown], promote_options="permissive")
            )
        if chunk.renumbering.num_rows:
            self._write_renumbering(chunk.renumbering)

    def _versions(self, chunk: LandedChunk) -> tuple[pa.Table, pa.Table]:
        """Rows with canonical JSON, features and hash; and withdrawals of records that were never delivered."""
        rows = chunk.table
        if rows.num_rows == 0:
            return rows, chunk.quarantine.slice(0, 0)
        kind = chunk.kind
        columns = sorted(set(rows.column_names) - set(_FIXED))
        features = feature_columns(kind, rows.select(columns), declaration=self.attributes.of(kind))
        existing = self._existing(kind, rows)
        prefixed = {f"a_{name}": rows[name] for name in columns} | {
            f"f_{name}": features[name] for name in features.column_names
        }
        self.duck.register("incoming", pa.table({name: rows[name] for name in _FIXED} | prefixed))
        self.duck.register("existing", existing)
        self.duck.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE prepared AS
            WITH texts AS (
                SELECT
                    i.local_id, i.kind, i.op, i.row_number, i.document_date, i.raw, i.issues,
                    {_json_object(columns, "a_")} AS attributes,
                    {_json_object(sorted(features.column_names), "f_")} AS features,
                    CASE i.op WHEN 'withdraw' THEN 'withdrawn' ELSE 'active' END AS status
                FROM incoming AS i
            )
            SELECT
                t.* EXCLUDE (document_date),
                -- a withdrawal rarely repeats the data, so its content is the withdrawal alone
                COALESCE(CAST(t.document_date AS VARCHAR), ?) AS observed_on,
                sha256(t.status || chr(31) || CASE t.op WHEN 'withdraw' THEN '' ELSE t.attributes END) AS content_hash,
                e.record_id AS known, e.version AS known_version, e.content_hash AS known_hash
            FROM texts AS t LEFT JOIN existing AS e USING (local_id)
            ORDER BY t.row_number, t.local_id
            """,
            [self.delivered_on],
        )
        unknown = self.duck.sql(
            """
            SELECT row_number, raw, 'record.unknown' AS reason, 'withdrawal of a record that was never delivered' AS detail, local_id
            FROM prepared WHERE op = 'withdraw' AND known IS NULL
            QUALIFY row_number() OVER (PARTITION BY row_number ORDER BY local_id) = 1
            """
        ).to_arrow_table()
        good = self.duck.sql(
            "SELECT * FROM prepared WHERE NOT (op = 'withdraw' AND known IS NULL)"
        ).to_arrow_table()
        return good, unknown

    def _existing(self, kind: str, rows: pa.Table) -> pa.Table:
        if self.registry_is_new and self.counts.records == 0:
            return _EXISTING.empty_table()
        self.bulk.stage("incoming_key", pa.table({"local_id": rows["local_id"]}))
        return self.bulk.read(
            "SELECT r.local_id, r.record_id, r.version, r.content_hash, r.status FROM record AS r"
            f" JOIN incoming_key AS k ON r.local_id = k.local_id WHERE r.registry = '{self.file.registry}' AND r.kind = '{kind}'",
            _EXISTING,
        )

    def _write_records(self, table: pa.Table) -> None:
        self.duck.register("landed", table)
        self.duck.execute(
            """
            CREATE OR REPLACE TEMP TABLE writing AS
            SELECT *,
                CASE WHEN known IS NULL THEN ? + row_number() OVER (PARTITION BY known IS NULL ORDER BY row_number, local_id) - 1 ELSE known END AS record_id,
                COALESCE(known_version, 0) + 1 AS version,
                ? + row_number() OVER (ORDER BY row_number, local_id) - 1 AS version_id
            FROM landed
            WHERE known IS NULL OR known_hash <> content_hash
            """,
            [self.next_record, self.next_version],
        )
        new, changed, withdrawn = self.duck.execute(
            """
            SELECT COUNT(*) FILTER (known IS NULL), COUNT(*) FILTER (known IS NOT NULL AND op <> 'withdraw'), COUNT(*) FILTER (op = 'withdraw')
            FROM writing
            """
        ).fetchall()[0]
        self.counts += LandingCounts(
            new=new,
            changed=changed,
            withdrawn=withdrawn,
            unchanged=table.num_rows - new - changed - withdrawn,
        )
        if new + changed + withdrawn == 0:
            return
        self.duck.execute(f"INSERT INTO row_hash SELECT version_id, {VERSION_HASH} FROM writing")
        self.bulk.append(
            "record_version",
            self.duck.sql(
                f"""
                SELECT version_id, record_id, CAST(version AS BIGINT) AS version, CAST({self.batch_id} AS BIGINT) AS batch_id, row_number, status, observed_on,
                    content_hash, raw, attributes, features, issues, '{STANDARDISER_VERSION}' AS standardiser
                FROM writing ORDER BY version_id
                """
            ).to_arrow_table(),
        )
        self.bulk.append(
            "record",
            self.duck.sql(
                f"""
                SELECT record_id, '{self.file.registry}' AS registry, kind, local_id, CAST(version AS BIGINT) AS version, status, content_hash
                FROM writing WHERE known IS NULL ORDER BY record_id
                """
            ).to_arrow_table(),
        )
        if changed + withdrawn:
            self.bulk.stage(
                "changed_record",
                self.duck.sql(
                    "SELECT record_id, CAST(version AS BIGINT) AS version, status, content_hash FROM writing WHERE known IS NOT NULL"
                ).to_arrow_table(),
            )
            self.bulk.execute(
                "UPDATE record SET version = c.version, status = c.status, content_hash = c.content_hash"
                " FROM changed_record AS c WHERE record.record_id = c.record_id"
            )
        self.next_record += new
        self.next_version += new + changed + withdrawn

    def _write_quarantine(self, chunk: LandedChunk, rows: pa.Table) -> None:
        count = rows.num_rows
        ids = pa.array(range(self.next_quarantine, self.next_quarantine + count), pa.int64())
        self.next_quarantine += count
        self.bulk.append(
            "quarantine",
            pa.table(
                {
                    "quarantine_id": ids,
                    "batch_id": pa.repeat(pa.scalar(self.batch_id, pa.int64()), count),
                    "registry": pa.repeat(self.file.registry, count),
                    "source": pa.repeat(chunk.source, count),
                    "file": pa.repeat(self.file.file, count),
                    "row_number": rows["row_number"],
                    "local_id": rows["local_id"],
                    "reason": rows["reason"],
                    "detail": rows["detail"],
                    "raw": rows["raw"],
                    "status": pa.repeat("open", count),
                }
            ),
        )
        self.duck.register("rejected", rows.append_column("quarantine_id", ids))
        self.duck.execute(f"INSERT INTO rejected_hash SELECT quarantine_id, {QUARANTINE_HASH} FROM rejected")
        self.duck.unregister("rejected")

    def _write_renumbering(self, rows: pa.Table) -> None:
        count = rows.num_rows
        ids = pa.array(range(self.next_renumbering, self.next_renumbering + count), pa.int64())
        self.next_renumbering += count
        self.bulk.append(
            "renumbering",
            pa.table(
                {
                    "renumbering_id": ids,
                    "batch_id": pa.repeat(pa.scalar(self.batch_id, pa.int64()), count),
                    "row_number": rows["row_number"],
                    "attribute": rows["attribute"],
                    "old": rows["old"],
                    "new": rows["new"],
                    "changed_on": rows["date"].cast(pa.string()),
                }
            ),
        )

    def finish(self, actor: str) -> LandingCounts:
        counts = self.counts
        assert counts.received == counts.accepted + counts.quarantined, "received = accepted + quarantined"
        digest = self.duck.execute(
            f"SELECT sha256(({digest_sql('row_hash', 'version_id')}) || ({digest_sql('rejected_hash', 'quarantine_id')}))"
        ).fetchall()[0][0]
        now = datetime.now(UTC).isoformat(timespec="microseconds")
        values = {
            "batch_id": self.batch_id,
            "registry": self.file.registry,
            "file": self.file.file,
            "sha256": self.file.sha256,
            "declaration": self.file.declaration,
            "delivered_on": self.delivered_on,
            "landed_at": now,
            **{f.name: getattr(counts, f.name) for f in fields(counts)},
            "digest": digest,
        }
        self.bulk.append("batch", pa.Table.from_pylist([values]))
        append_events(
            self.bulk, Events.of([(EventKind.BATCH_LANDED, None, values)]), stamp=Stamp(at=now, actor=actor)
        )
        self.duck.close()
        return counts


def digest_sql(table: str, key: str) -> str:
    """SQL for one hash over the rows' hashes in order of `key`, in segments so that no text grows with the file."""
    return (
        f"SELECT COALESCE(sha256(string_agg(part, '' ORDER BY segment)), '') FROM"
        f" (SELECT {key} // 65536 AS segment, sha256(string_agg(hash, '' ORDER BY {key})) AS part FROM {table} GROUP BY 1)"
    )


def _json_object(columns: list[str], prefix: str) -> str:
    """SQL for a JSON object of the columns that are not null, in the order given (merging into {} drops nulls)."""
    if not columns:
        return "'{}'"
    packed = ", ".join(f'"{column}" := i."{prefix}{column}"' for column in columns)
    return f"CAST(json_merge_patch('{{}}', to_json(struct_pack({packed}))) AS VARCHAR)"
