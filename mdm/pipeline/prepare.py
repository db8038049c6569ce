"""From mapped records to rows ready to land: canonical JSON and content hashes.

This is the part of ingest that costs time and touches no store, so files can be prepared in several processes at once.
A prepared file lies in a spool folder until it is landed, so memory does not grow with files or processes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson
import pyarrow as pa
from pyarrow import feather

from mdm.registries.landing import scratch

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import date
    from pathlib import Path

    from mdm.registries.landing import LandedChunk

_FIXED = ("local_id", "kind", "op", "row_number", "document_date", "raw", "issues")


@dataclass(frozen=True)
class PreparedChunk:
    """Records of one kind and the refused rows beside them.

    `rows`: local_id, row_number, status, observed_on, raw, attributes, issues (texts; the last three JSON), household_ref, content_hash (of what
    makes a new version: status and attributes) and row_hash (of everything as it lands).
    """

    kind: str
    source: str
    rows: pa.Table
    quarantine: pa.Table
    renumbering: pa.Table
    received: int
    skipped: int


def prepare(chunks: Iterable[LandedChunk], *, delivered_on: date | None) -> Iterator[PreparedChunk]:
    for chunk in chunks:
        yield PreparedChunk(
            kind=chunk.kind,
            source=chunk.source,
            rows=_rows(chunk, delivered_on),
            quarantine=chunk.quarantine,
            renumbering=chunk.renumbering,
            received=chunk.received,
            skipped=chunk.skipped,
        )


def _rows(chunk: LandedChunk, delivered_on: date | None) -> pa.Table:
    table = chunk.table
    names = sorted(set(table.column_names) - set(_FIXED))
    given = table.select(names)
    columns = {name: table[name] for name in _FIXED}
    columns |= {f"a_{name}": given[name] for name in _filled(given)}
    with scratch().cursor() as connection:
        connection.register("incoming", pa.table(columns))
        connection.execute(
            "SET VARIABLE delivered_on = ?", [delivered_on.isoformat() if delivered_on else None]
        )
        return connection.sql(
            f"""
            WITH texts AS (
                SELECT '{chunk.kind}' AS kind, local_id, row_number, raw, issues, CASE op WHEN 'withdraw' THEN 'withdrawn' ELSE 'active' END AS status,
                    COALESCE(CAST(document_date AS VARCHAR), getvariable('delivered_on')) AS observed_on,
                    {_json_object(_filled(given), "a_")} AS attributes
                FROM incoming
            )
            SELECT local_id, row_number, status, observed_on, raw, attributes, issues,
                {HOUSEHOLD_REF} AS household_ref,
                {CONTENT_HASH} AS content_hash,
                {ROW_HASH} AS row_hash
            FROM texts
            """
        ).to_arrow_table()


CONTENT_HASH = "sha256(status || chr(31) || CASE status WHEN 'withdrawn' THEN '' ELSE attributes END)"
"""DuckDB: over what makes a version new; a withdrawal rarely repeats the data, so its content is the withdrawal alone."""
HOUSEHOLD_REF = "(attributes ->> '$.household_ref')"
"""DuckDB: the number of the household on whose list a version puts its person."""
_HASHED = ("kind", "local_id", "row_number", "status", "observed_on", "raw", "attributes", "issues")
_HASHED_TEXTS = [f"COALESCE(CAST({name} AS VARCHAR), '')" for name in _HASHED]
ROW_HASH = f"sha256({' || chr(31) || '.join(_HASHED_TEXTS)})"
"""DuckDB: over everything of a version as it lands."""


def _filled(table: pa.Table) -> list[str]:
    """Columns in which at least one value is present, by name."""
    return sorted(name for name in table.column_names if table[name].null_count < table.num_rows)


def _json_object(columns: Sequence[str], prefix: str) -> str:
    """SQL for a JSON object of the columns that are not null, in the order given (merging into {} drops nulls)."""
    if not columns:
        return "'{}'"
    packed = ", ".join(f'"{column}" := "{prefix}{column}"' for column in columns)
    return f"CAST(json_merge_patch('{{}}', to_json(struct_pack({packed}))) AS VARCHAR)"


# --- the spool -------------------------------------------------------------------------------------------------------

_TABLES = ("rows", "quarantine", "renumbering")


def spool(chunks: Iterable[PreparedChunk], folder: Path) -> None:
    """Writes prepared chunks into a new folder, numbered in order."""
    folder.mkdir(parents=True)
    for number, chunk in enumerate(chunks):
        told = {
            "kind": chunk.kind,
            "source": chunk.source,
            "received": chunk.received,
            "skipped": chunk.skipped,
        }
        for name in _TABLES:
            table: pa.Table = getattr(chunk, name)
            table = table.replace_schema_metadata({"chunk": orjson.dumps(told)})
            feather.write_feather(table, folder / f"{number:06d}.{name}", compression="lz4")


def unspooled(folder: Path) -> Iterator[PreparedChunk]:
    for path in sorted(folder.glob("*.rows")):
        tables = {name: feather.read_table(path.with_suffix(f".{name}")) for name in _TABLES}
        told = orjson.loads(tables["rows"].schema.metadata[b"chunk"])
        yield PreparedChunk(**told, **tables)
