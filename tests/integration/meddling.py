"""Changes behind the product's back: of a value, and of the past with every digest over it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import orjson
import pyarrow as pa
from sqlalchemy import select, text, update
from sqlalchemy.exc import IntegrityError

from mdm.duck import open_duckdb
from mdm.identity.events import EventKind, canonical_json, leaf_hash
from mdm.identity.tally import tally
from mdm.pipeline.checks.deliveries import rebuilt_digests
from mdm.pipeline.checks.opened import Opened
from mdm.store.engine import bulk, make_engine
from mdm.store.golden import GOLDEN_TALLY
from mdm.store.proofs import checkpoint
from mdm.store.tables import metadata
from tests.engines import change
from tests.integration.job import rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from mdm.settings import Settings

_EVENT = pa.schema([("seq", pa.int64()), ("body", pa.string())])
_VERSION = pa.schema(
    [(name, pa.int64()) for name in ("version_id", "batch_id")]
    + [(name, pa.string()) for name in ("attributes", "status")]
)
_GOLDEN = pa.schema(
    [(name, pa.int64()) for name in ("golden_id", "entity_key", "from_event")]
    + [(name, pa.string()) for name in ("values", "provenance", "hash", "policy", "as_of")]
)


def changed(value: Any) -> Any:
    if not isinstance(value, str):
        return value + 1
    place = len(value) // 2
    return value[:place] + ("b" if value[place : place + 1] == "a" else "a") + value[place + 1 :]


def change_one(
    settings: Settings, table: str, column: str, *, where: str = "1 = 1", by: Callable[[Any], Any] = changed
) -> Any:
    """Changes the value in the last row that has one; returns the key of the row, None if there is none."""
    declared = metadata.tables[table]
    key, target = list(declared.primary_key), declared.columns[column]
    engine = make_engine(settings)
    try:
        with engine.connect() as connection:
            last = select(*key, target.label("value")).where(target.is_not(None), text(where))
            row = connection.execute(last.order_by(*(part.desc() for part in key)).limit(1)).first()
        if row is None:
            return None
        here = update(declared).where(*(part == row[place] for place, part in enumerate(key)))
        try:
            with engine.begin() as connection:
                connection.execute(here.values({column: by(row.value)}))
        except IntegrityError:  # the schema itself refuses a value that another row has
            with engine.begin() as connection:
                free = row.value + 10**6 if isinstance(row.value, int) else f"zz{row.value}"
                connection.execute(here.values({column: free}))
        return row[0]
    finally:
        engine.dispose()


def rewrite_version(settings: Settings, record_id: int, **said: str) -> None:
    """What a record's present version says, every digest over it, and the log, signed anew."""
    (found,) = rows(
        settings,
        "SELECT v.version_id, v.batch_id, v.attributes, v.status FROM record AS r"
        " JOIN record_version AS v ON v.record_id = r.record_id AND v.version = r.version"
        f" WHERE r.record_id = {record_id}",
        _VERSION,
    )
    attributes = canonical_json({**orjson.loads(found["attributes"]), **said})
    content = hashlib.sha256(f"{found['status']}\x1f{attributes}".encode()).hexdigest()
    change(
        settings,
        "UPDATE record_version SET attributes = ?, content_hash = ? WHERE version_id = ?",
        attributes,
        content,
        found["version_id"],
    )
    change(settings, "UPDATE record SET content_hash = ? WHERE record_id = ?", content, record_id)
    if (household := said.get("household_ref")) is not None:
        change(settings, "UPDATE record SET household_ref = ? WHERE record_id = ?", household, record_id)
    with bulk(settings) as store, open_duckdb() as connection:
        digest = rebuilt_digests(Opened(settings, store, connection))[found["batch_id"]]
    change(settings, "UPDATE batch SET digest = ? WHERE batch_id = ?", digest, found["batch_id"])

    def tell(data: dict[str, Any]) -> None:
        if data["batch_id"] == found["batch_id"]:
            data["digest"] = digest

    _rewrite_events(settings, f"kind = '{EventKind.BATCH_LANDED}'", tell)


def rewrite_golden(settings: Settings, golden_id: int, **said: Any) -> None:
    """What a golden record says, its hash, the tally in the event that began it, and the log, signed anew."""
    listed = ", ".join(f'"{name}"' for name in _GOLDEN.names)
    (found,) = rows(settings, f"SELECT {listed} FROM golden WHERE golden_id = {golden_id}", _GOLDEN)
    values = canonical_json({**orjson.loads(found["values"]), **said})
    content = hashlib.sha256(f"{values}\n{found['provenance']}".encode()).hexdigest()
    change(
        settings,
        'UPDATE golden SET "values" = ?, hash = ? WHERE golden_id = ?',
        values,
        content,
        golden_id,
    )
    begun = rows(settings, f"SELECT {listed} FROM golden WHERE from_event = {found['from_event']}", _GOLDEN)

    def tell(data: dict[str, Any]) -> None:
        data["begun"] = tally([row[name] for name in GOLDEN_TALLY] for row in begun)

    _rewrite_events(settings, f"seq = {found['from_event']}", tell)


def _rewrite_events(settings: Settings, where: str, tell: Callable[[dict[str, Any]], None]) -> None:
    for row in rows(settings, f"SELECT seq, body FROM event WHERE {where}", _EVENT):
        body = orjson.loads(row["body"])
        tell(body["data"])
        written = canonical_json(body)
        if written != row["body"]:
            change(
                settings,
                "UPDATE event SET body = ?, leaf = ? WHERE seq = ?",
                written,
                leaf_hash(written),
                row["seq"],
            )
    change(settings, "DELETE FROM checkpoint")
    change(settings, "DELETE FROM log_node")
    checkpoint(settings)
