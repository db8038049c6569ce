"""Proof that the store is what its events say. Each check names the first thing that is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import duckdb
import orjson
import pyarrow as pa

from mdm.identity.events import SEALED_SCHEMA, EventKind, leaf_hash
from mdm.identity.ssn import kind_of
from mdm.pipeline.prepare import ROW_HASH
from mdm.store.engine import bulk
from mdm.store.landing import BatchDigest
from mdm.store.proofs import check_log

if TYPE_CHECKING:
    from collections.abc import Callable

    from mdm.settings import Settings
    from mdm.store.engine import Bulk


@dataclass(frozen=True)
class Check:
    name: str
    examined: int
    wrong: str | None
    """The first thing that is wrong, None if all is well."""


@dataclass(frozen=True)
class _Opened:
    settings: Settings
    store: Bulk
    connection: duckdb.DuckDBPyConnection

    def read(self, name: str, sql: str, schema: pa.Schema) -> int:
        rows = self.store.read(sql, schema)
        self.connection.register(f"arrow_{name}", rows)
        self.connection.execute(f"CREATE OR REPLACE TABLE {name} AS FROM arrow_{name}")
        self.connection.unregister(f"arrow_{name}")
        return int(rows.num_rows)

    def first(self, sql: str) -> str | None:
        row = self.connection.execute(f"{sql} LIMIT 1").fetchall()
        return str(row[0][0]) if row else None


def verify(settings: Settings, *, tell: Callable[[str], None] = lambda _: None) -> list[Check]:
    """Runs every check; the store is sound when no check found anything wrong."""
    checks: list[Check] = []
    with bulk(settings) as store:
        opened = _Opened(settings, store, duckdb.connect())
        for name, check in _CHECKS.items():
            tell(name)
            examined, wrong = check(opened)
            checks.append(Check(name, examined, wrong))
        opened.connection.close()
    return checks


def _events(opened: _Opened) -> tuple[int, str | None]:
    """Numbered without gaps, hashed as sealed, columns as in the body."""
    rows = opened.store.read(
        "SELECT seq, at, kind, entity, run, body, leaf FROM event ORDER BY seq", SEALED_SCHEMA
    )
    opened.connection.register("arrow_event", rows)
    opened.connection.execute("CREATE TABLE event AS FROM arrow_event")
    opened.connection.unregister("arrow_event")
    expected = 1
    for batch in rows.to_batches(max_chunksize=65_536):
        for row in batch.to_pylist():
            seq = row["seq"]
            if seq != expected:
                return rows.num_rows, f"event {expected} is missing"
            if leaf_hash(row["body"]) != row["leaf"]:
                return rows.num_rows, f"event {seq}: its body is not what was hashed"
            body = orjson.loads(row["body"])
            if any(body[name] != row[name] for name in ("seq", "at", "kind", "entity", "run")):
                return rows.num_rows, f"event {seq}: a column differs from its body"
            expected += 1
    return rows.num_rows, None


def _log(opened: _Opened) -> tuple[int, str | None]:
    return check_log(opened.settings, opened.store)


def _batches(opened: _Opened) -> tuple[int, str | None]:
    """Received = accepted + quarantined, and the batch row is as its event told."""
    names = ("batch_id", "received", "accepted", "quarantined", "new", "changed", "withdrawn")
    schema = pa.schema(
        [*((name, pa.int64()) for name in names), ("digest", pa.string()), ("sha256", pa.string())]
    )
    count = opened.read("batch", f"SELECT {', '.join(names)}, digest, sha256 FROM batch", schema)
    wrong = opened.first(
        "SELECT 'batch ' || batch_id || ': received is not accepted plus quarantined' FROM batch WHERE received <> accepted + quarantined ORDER BY batch_id"
    ) or opened.first(
        f"""
        SELECT 'batch ' || COALESCE(b.batch_id, CAST(e.body ->> '$.data.batch_id' AS BIGINT)) || ': differs from its event'
        FROM batch AS b FULL JOIN (SELECT * FROM event WHERE kind = '{EventKind.BATCH_LANDED}') AS e
            ON b.batch_id = CAST(e.body ->> '$.data.batch_id' AS BIGINT)
        WHERE b.digest IS DISTINCT FROM (e.body ->> '$.data.digest') OR b.sha256 IS DISTINCT FROM (e.body ->> '$.data.sha256')
            OR {" OR ".join(f"b.{name} IS DISTINCT FROM CAST(e.body ->> '$.data.{name}' AS BIGINT)" for name in names)}
        ORDER BY 1
        """
    )
    return count, wrong


def _versions(opened: _Opened) -> tuple[int, str | None]:
    """Every version and quarantined row is as it landed: the batch's digest is rebuilt from them."""
    texts = ("status", "observed_on", "raw", "attributes", "issues")
    schema = pa.schema(
        [(n, pa.int64()) for n in ("version_id", "batch_id", "record_id", "version", "row_number")]
        + [(n, pa.string()) for n in texts]
    )
    count = 0
    told = opened.connection.execute("SELECT batch_id, digest FROM batch ORDER BY batch_id").fetchall()
    for batch_id, digest in told:
        count += opened.read(
            "version",
            f"SELECT {', '.join(schema.names)} FROM record_version WHERE batch_id = {batch_id}",
            schema,
        )
        hashed = opened.connection.sql(
            f"SELECT record_id, version, {ROW_HASH} AS row_hash FROM version ORDER BY version_id"
        ).to_arrow_table()
        refused = opened.store.read(
            f"SELECT row_number, reason, raw FROM quarantine WHERE batch_id = {batch_id} ORDER BY quarantine_id",
            _REFUSED,
        )
        rebuilt = BatchDigest()
        rebuilt.add_versions(hashed["record_id"], hashed["version"], hashed["row_hash"])
        rebuilt.add_refused(refused)
        if rebuilt.value() != digest:
            return count, f"batch {batch_id}: a record version or quarantined row is not as it landed"
    return count, None


_REFUSED = pa.schema([("row_number", pa.int64()), ("reason", pa.string()), ("raw", pa.string())])


def _membership(opened: _Opened) -> tuple[int, str | None]:
    """Who belongs to whom, rebuilt from the events, equals the table; a record is in one active entity."""
    schema = pa.schema([("record_id", pa.int64()), ("entity_id", pa.string()), ("status", pa.string())])
    count = opened.read(
        "membership",
        "SELECT m.record_id, e.entity_id, e.status FROM membership AS m JOIN entity AS e ON e.entity_key = m.entity_key WHERE m.until_event IS NULL",
        schema,
    )
    opened.connection.execute(
        f"""
        CREATE OR REPLACE TABLE replayed AS
        WITH joined AS (
            SELECT seq, entity, CAST(UNNEST(CAST(body -> '$.data.records' AS BIGINT[])) AS BIGINT) AS record_id, kind
            FROM event WHERE kind IN ('{EventKind.ENTITY_FORMED}', '{EventKind.RECORDS_LINKED}', '{EventKind.ENTITY_MERGED}', '{EventKind.RECORDS_DETACHED}')
        )
        SELECT record_id, arg_max(entity, seq) AS entity_id, arg_max(kind, seq) AS kind FROM joined GROUP BY record_id
        """
    )
    wrong = (
        opened.first(
            "SELECT 'record ' || record_id || ' is in two entities' FROM membership GROUP BY record_id HAVING COUNT(*) > 1 ORDER BY record_id"
        )
        or opened.first(
            "SELECT 'record ' || record_id || ' is in an entity that is not active' FROM membership WHERE status <> 'active' ORDER BY record_id"
        )
        or opened.first(
            f"""
            SELECT 'record ' || COALESCE(m.record_id, r.record_id) || ': its entity is not the one that the events give it'
            FROM membership AS m FULL JOIN (SELECT * FROM replayed WHERE kind <> '{EventKind.RECORDS_DETACHED}') AS r ON r.record_id = m.record_id
            WHERE m.entity_id IS DISTINCT FROM r.entity_id ORDER BY COALESCE(m.record_id, r.record_id)
            """
        )
    )
    return count, wrong


def _numbers(opened: _Opened) -> tuple[int, str | None]:
    """Well formed, one live number of a kind for a person, each issued by an event and to that person."""
    schema = pa.schema(
        [("number", pa.string()), ("kind", pa.string()), ("state", pa.string()), ("entity_id", pa.string())]
    )
    rows = opened.store.read(
        "SELECT s.number, s.kind, s.state, e.entity_id FROM ssn AS s JOIN entity AS e ON e.entity_key = s.entity_key ORDER BY s.kind, s.sequence",
        schema,
    )
    for position, (text, kind) in enumerate(
        zip(rows["number"].to_pylist(), rows["kind"].to_pylist(), strict=True)
    ):
        if kind_of(text) != kind:
            return (
                rows.num_rows,
                f"number at place {position} of the register has a wrong form or check digit",
            )
    opened.connection.register("arrow_number", rows)
    wrong = opened.first(
        "SELECT 'entity ' || entity_id || ' holds two live numbers of one kind' FROM arrow_number"
        " WHERE state NOT IN ('superseded', 'cancelled') GROUP BY entity_id, kind HAVING COUNT(*) > 1 ORDER BY 1"
    ) or opened.first(
        f"""
        SELECT 'entity ' || n.entity_id || ': its number was never issued' FROM arrow_number AS n
        ANTI JOIN (SELECT body ->> '$.data.number' AS number FROM event WHERE kind = '{EventKind.NUMBER_ISSUED}') AS e USING (number) ORDER BY 1
        """
    )
    opened.connection.unregister("arrow_number")
    return rows.num_rows, wrong


def _golden(opened: _Opened) -> tuple[int, str | None]:
    """Golden records are as hashed, one for each active person."""
    schema = pa.schema(
        [
            ("entity_key", pa.int64()),
            ("values", pa.string()),
            ("provenance", pa.string()),
            ("hash", pa.string()),
            ("status", pa.string()),
        ]
    )
    count = opened.read(
        "golden",
        'SELECT g.entity_key, g."values", g.provenance, g.hash, e.status FROM golden AS g JOIN entity AS e ON e.entity_key = g.entity_key WHERE g.until_event IS NULL',
        schema,
    )
    wrong = opened.first(
        """SELECT 'golden record of entity ' || entity_key || ' is not as it was computed' FROM golden
        WHERE hash <> sha256("values" || chr(10) || provenance) ORDER BY entity_key"""
    ) or opened.first(
        "SELECT 'entity ' || entity_key || ' is not active and has a golden record' FROM golden WHERE status <> 'active' ORDER BY entity_key"
    )
    return count, wrong


_CHECKS: dict[str, Callable[[_Opened], tuple[int, str | None]]] = {
    "events": _events,
    "signed log": _log,
    "deliveries": _batches,
    "record versions": _versions,
    "membership": _membership,
    "numbers": _numbers,
    "golden records": _golden,
}
