"""Single rows through the same mapping as whole files: repaired quarantined rows, and one row online."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
import pyarrow as pa

from mdm.registries.landing import LandedChunk, Landing
from mdm.registries.reading import BadRow, RawChunk, row_fields, text_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from matching.standardise.units import Units
    from mdm.registries.declaration import RegistryDeclaration


@dataclass(frozen=True, slots=True)
class RepairedRow:
    """`raw`: the row as JSON, keys being the office's own column names, as the quarantine keeps it."""

    row_number: int
    raw: str


@dataclass(frozen=True, slots=True)
class MappedRecord:
    kind: str
    local_id: str
    operation: str
    document_date: date | None
    raw: str
    issues: Mapping[str, str]
    attributes: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Rejection:
    reason: str
    detail: str | None


def remap(
    declaration: RegistryDeclaration,
    rows: Sequence[RepairedRow],
    *,
    source: str,
    file: str,
    delivered_on: date | None,
    units: Units,
) -> list[LandedChunk]:
    """Repaired rows of one file. Columns that its name or a lookup gave stand in the rows themselves."""
    fields: list[dict[str, str]] = []
    numbers: list[int] = []
    bad: list[BadRow] = []
    for row in rows:
        try:
            parsed = orjson.loads(row.raw)
        except orjson.JSONDecodeError:
            parsed = None
        if isinstance(parsed, dict):
            fields.append(row_fields(parsed))
            numbers.append(row.row_number)
        else:
            bad.append(BadRow(row.row_number, row.raw, "row.malformed", "the repaired row is no JSON object"))
    landing = Landing(declaration, declaration.source(source), units, delivered_on, file)
    return list(landing.land(RawChunk(text_table(fields, numbers), bad)))


def map_record(
    declaration: RegistryDeclaration,
    row: Mapping[str, Any],
    *,
    source: str,
    delivered_on: date | None,
    units: Units,
) -> list[MappedRecord] | Rejection:
    """One row as its office would send it, nested or flat. A row may yield several records."""
    raw = orjson.dumps(dict(row)).decode()
    chunks = remap(
        declaration, [RepairedRow(1, raw)], source=source, file="", delivered_on=delivered_on, units=units
    )
    refused = pa.concat_tables(chunk.quarantine for chunk in chunks).to_pylist()
    if refused:
        return Rejection(refused[0]["reason"], refused[0]["detail"])
    return [_record(landed) for chunk in chunks for landed in chunk.table.to_pylist()]


def _record(landed: dict[str, Any]) -> MappedRecord:
    fixed = {
        name: landed.pop(name)
        for name in ("kind", "local_id", "op", "document_date", "raw", "issues", "row_number")
    }
    return MappedRecord(
        kind=fixed["kind"],
        local_id=fixed["local_id"],
        operation=fixed["op"],
        document_date=fixed["document_date"],
        raw=fixed["raw"],
        issues=orjson.loads(fixed["issues"]) if fixed["issues"] else {},
        attributes={name: value for name, value in landed.items() if value is not None},
    )
