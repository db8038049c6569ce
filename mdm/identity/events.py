"""What can happen to an identity, as an append-only log.

An event is sealed into one canonical JSON text (`body`: keys sorted, no blanks) and its RFC 6962 leaf hash,
SHA-256(0x00 || body). Bulk events are built column by column and give the same bytes as single ones.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


class EventKind(StrEnum):
    STORE_CREATED = "store.created"
    KEY_BOUND = "key.bound"
    STORE_RESTORED = "store.restored"
    BATCH_LANDED = "batch.landed"
    QUARANTINE_RESOLVED = "quarantine.resolved"
    MODEL_KEPT = "model.kept"
    EDGES_SCORED = "edges.scored"
    ENTITY_FORMED = "entity.formed"
    RECORDS_LINKED = "records.linked"
    RECORDS_DETACHED = "records.detached"
    ENTITY_RETIRED = "entity.retired"
    ENTITY_MERGED = "entity.merged"
    ENTITY_UNMERGED = "entity.unmerged"
    ENTITY_SPLIT = "entity.split"
    NUMBER_ISSUED = "number.issued"
    NUMBER_CHANGED = "number.changed"
    GOLDEN_COMPUTED = "golden.computed"
    ALIASES_CHANGED = "aliases.changed"
    DECISION_MADE = "decision.made"
    DECISION_REVOKED = "decision.revoked"
    REVIEWS_RAISED = "reviews.raised"
    REVIEW_DECIDED = "review.decided"
    APPROVAL_ASKED = "approval.asked"
    APPROVAL_GIVEN = "approval.given"
    RUN_FINISHED = "run.finished"


SEALED_SCHEMA = pa.schema(
    [
        ("seq", pa.int64()),
        ("at", pa.string()),
        ("kind", pa.string()),
        ("entity", pa.string()),
        ("run", pa.string()),
        ("body", pa.string()),
        ("leaf", pa.string()),
    ]
)


def canonical_json(value: Any) -> str:
    """Keys sorted, no blanks, UTF-8."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


@dataclass(frozen=True)
class Events:
    """Events not yet in the log, in the order in which they happened: columns kind, entity, data (canonical JSON)."""

    table: pa.Table

    @classmethod
    def of(cls, rows: Iterable[tuple[EventKind, str | None, Mapping[str, Any]]]) -> Events:
        kinds: list[str] = []
        entities: list[str | None] = []
        data: list[str] = []
        for kind, entity, values in rows:
            kinds.append(kind.value)
            entities.append(entity)
            data.append(canonical_json(values))
        return cls(
            _table(pa.array(kinds, pa.string()), pa.array(entities, pa.string()), pa.array(data, pa.string()))
        )

    @classmethod
    def bulk(cls, kind: EventKind, *, entity: pa.Array, data: Mapping[str, pa.Array]) -> Events:
        """One event per row; `data` columns are already JSON texts (see `json_strings`, `json_lists`)."""
        parts: list[Any] = []
        for position, name in enumerate(sorted(data)):
            parts += [f'{"," if position else "{"}"{name}":', data[name]]
        body = pc.binary_join_element_wise(*parts, "}", "")
        return cls(_table(pa.repeat(kind.value, len(entity)), entity, body))

    @classmethod
    def concat(cls, batches: Sequence[Events]) -> Events:
        return cls(pa.concat_tables([batch.table for batch in batches]) if batches else _empty())

    def __len__(self) -> int:
        return int(self.table.num_rows)


@dataclass(frozen=True)
class Stamp:
    """Who caused a group of events, when and why; the same for all of them."""

    at: str
    """UTC, RFC 3339 with microseconds."""
    actor: str
    reason: str = ""
    run: str | None = None


def seal(events: Events, *, first_seq: int, stamp: Stamp) -> pa.Table:
    """Numbers the events from `first_seq` on and hashes them: a table of SEALED_SCHEMA."""
    count = len(events)
    seq = pa.array(range(first_seq, first_seq + count), pa.int64())
    table = events.table
    fixed = canonical_json({"actor": stamp.actor, "at": stamp.at})[:-1]
    tail = canonical_json({"reason": stamp.reason, "run": stamp.run})[1:-1]
    body = pc.binary_join_element_wise(
        fixed + ',"data":',
        table["data"],
        ',"entity":',
        json_strings(table["entity"]),
        ',"kind":',
        json_strings(table["kind"]),
        f",{tail},",
        '"seq":',
        seq.cast(pa.string()),
        "}",
        "",
    )
    return pa.table(
        {
            "seq": seq,
            "at": pa.repeat(stamp.at, count),
            "kind": table["kind"],
            "entity": table["entity"],
            "run": pa.repeat(pa.scalar(stamp.run, pa.string()), count),
            "body": body,
            "leaf": pa.array([leaf_hash(text) for text in body.to_pylist()], pa.string()),
        },
        schema=SEALED_SCHEMA,
    )


def seal_one(
    kind: EventKind, entity: str | None, data: Mapping[str, Any], *, seq: int, stamp: Stamp
) -> dict[str, Any]:
    """One event as a row of SEALED_SCHEMA: the same bytes as `seal` gives."""
    body = canonical_json(
        {
            "actor": stamp.actor,
            "at": stamp.at,
            "data": data,
            "entity": entity,
            "kind": kind,
            "reason": stamp.reason,
            "run": stamp.run,
            "seq": seq,
        }
    )
    return {
        "seq": seq,
        "at": stamp.at,
        "kind": kind.value,
        "entity": entity,
        "run": stamp.run,
        "body": body,
        "leaf": leaf_hash(body),
    }


def leaf_hash(body: str) -> str:
    """RFC 6962 section 2.1, hexadecimal."""
    return hashlib.sha256(b"\x00" + body.encode()).hexdigest()


LEAF_HASH = "sha256('\\x00'::BLOB || encode(body))"
"""DuckDB: the same over a column `body`."""


def json_strings(column: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """JSON texts of plain strings (codes, UUIDs, numbers: nothing that needs escaping); null becomes `null`."""
    quoted = pc.binary_join_element_wise('"', column, '"', "")
    return pc.fill_null(quoted, "null")


def json_numbers(column: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    return pc.fill_null(column.cast(pa.string()), "null")


def json_lists(column: pa.ListArray) -> pa.Array:
    """JSON texts of lists of integers."""
    texts = pa.ListArray.from_arrays(column.offsets, column.values.cast(pa.string()))
    return pc.binary_join_element_wise("[", pc.binary_join(texts, ","), "]", "")


def _table(kind: pa.Array, entity: pa.Array, data: pa.Array) -> pa.Table:
    return pa.table({"kind": kind, "entity": entity.cast(pa.string()), "data": data})


def _empty() -> pa.Table:
    return _table(pa.array([], pa.string()), pa.array([], pa.string()), pa.array([], pa.string()))
