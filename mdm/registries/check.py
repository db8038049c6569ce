"""What would become of a file: accepted and quarantined rows, filled attributes, columns that are not used."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
import pyarrow.compute as pc

from mdm.errors import InputError
from mdm.registries.delivery import DeliveryFile, delivery_file, file_rows, find_files, read_delivery
from mdm.registries.reading import ROW

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date
    from pathlib import Path

    from matching.standardise.units import Units
    from mdm.registries.declaration import RegistryDeclaration
    from mdm.registries.landing import LandedChunk

ROWS_SHOWN = 10
SAMPLES = 3
FIXED_COLUMNS = ("local_id", "kind", "op", "row_number", "document_date", "raw", "issues")


@dataclass(frozen=True, slots=True)
class ReasonCount:
    reason: str
    count: int
    first_rows: Sequence[int]


@dataclass(frozen=True, slots=True)
class AttributeFill:
    """`filled`: records with a value, of all records of the kind that the file gives."""

    kind: str
    attribute: str
    filled: int
    records: int
    issues: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class CheckReport:
    """Samples are masked: they show the shape of canonical values, not whose they are."""

    registry: str
    file: str
    sources: Sequence[str]
    received: int
    accepted_rows: int
    skipped: int
    renumbered: int
    records: Mapping[str, int]
    reasons: Sequence[ReasonCount]
    attributes: Sequence[AttributeFill]
    unmapped_columns: Sequence[str]
    samples: Sequence[Mapping[str, Any]]

    @property
    def quarantined(self) -> int:
        return self.received - self.accepted_rows


def check(
    declaration: RegistryDeclaration, file: Path, *, units: Units, delivered_on: date | None = None
) -> CheckReport:
    """Read one file as `ingest` would and keep nothing. Lookup files are taken from its folder."""
    checked, beside = _files(declaration, file)
    report = _Counts(declaration)
    for chunk in read_delivery(declaration, checked, beside=beside, delivered_on=delivered_on, units=units):
        report.add(chunk)
    used = {name for delivered in checked for name in declaration.source(delivered.source).columns_used()}
    present = [name for delivered in checked for name in _columns(declaration, delivered)]
    return report.done(
        file=file.name,
        sources=[delivered.source for delivered in checked],
        unmapped=list(dict.fromkeys(name for name in present if name not in used)),
    )


def _files(
    declaration: RegistryDeclaration, file: Path
) -> tuple[Sequence[DeliveryFile], Sequence[DeliveryFile]]:
    if not file.is_file():
        raise InputError("is no file", where=str(file))
    found = find_files(declaration, file.parent).files
    checked = [delivered for delivered in found if delivered.path == file]
    yielding = [source for source in declaration.sources if source.records]
    if not checked and len(yielding) == 1:
        checked = [delivery_file(yielding[0], file)]
    if not checked:
        globs = ", ".join(glob for source in declaration.sources for glob in source.files)
        raise InputError(
            f"is named like no file of registry {declaration.code}",
            where=file.name,
            hint=f"Expected {globs}.",
        )
    return checked, [delivered for delivered in found if delivered.path != file]


def _columns(declaration: RegistryDeclaration, file: DeliveryFile) -> list[str]:
    source = declaration.source(file.source)
    first = next(iter(file_rows(file, source)))
    given = {ROW, *source.given_columns()}
    return [name for name in first.columns.column_names if name not in given]


class _Counts:
    def __init__(self, declaration: RegistryDeclaration) -> None:
        self._declaration = declaration
        self._rows: Counter[str] = Counter()
        self._records: Counter[str] = Counter()
        self._filled: Counter[tuple[str, str]] = Counter()
        self._issues: dict[tuple[str, str], Counter[str]] = {}
        self._reasons: Counter[str] = Counter()
        self._first_rows: dict[str, list[int]] = {}
        self._samples: list[dict[str, Any]] = []

    def add(self, chunk: LandedChunk) -> None:
        self._rows.update(
            received=chunk.received,
            accepted=chunk.accepted_rows,
            skipped=chunk.skipped,
            renumbered=chunk.renumbering.num_rows,
        )
        self._records[chunk.kind] += chunk.table.num_rows
        for name in chunk.table.column_names:
            if name not in FIXED_COLUMNS:
                filled = chunk.table.num_rows - chunk.table.column(name).null_count
                self._filled[chunk.kind, name] += filled
        for told in pc.value_counts(chunk.table.column("issues")).to_pylist():
            for name, issue in orjson.loads(told["values"] or "{}").items():
                self._issues.setdefault((chunk.kind, name), Counter())[issue] += told["counts"]
        for row in chunk.quarantine.select(["row_number", "reason"]).to_pylist():
            self._reasons[row["reason"]] += 1
            rows = self._first_rows.setdefault(row["reason"], [])
            if len(rows) < ROWS_SHOWN:
                rows.append(row["row_number"])
        missing = SAMPLES - len(self._samples)
        self._samples += [masked(record) for record in chunk.table.slice(0, max(0, missing)).to_pylist()]

    def done(self, *, file: str, sources: Sequence[str], unmapped: Sequence[str]) -> CheckReport:
        mapped = [key for key in self._filled if self._filled[key] or key in self._issues]
        return CheckReport(
            registry=self._declaration.code,
            file=file,
            sources=sources,
            received=self._rows["received"],
            accepted_rows=self._rows["accepted"],
            skipped=self._rows["skipped"],
            renumbered=self._rows["renumbered"],
            records={kind: count for kind, count in self._records.items() if count},
            reasons=[
                ReasonCount(reason, count, self._first_rows[reason])
                for reason, count in self._reasons.most_common()
            ],
            attributes=[
                AttributeFill(
                    kind,
                    name,
                    self._filled[kind, name],
                    self._records[kind],
                    dict(self._issues.get((kind, name), Counter()).most_common()),
                )
                for kind, name in mapped
            ],
            unmapped_columns=unmapped,
            samples=self._samples,
        )


def masked(record: Mapping[str, Any]) -> dict[str, Any]:
    """Canonical values with all but the first sign of each word hidden."""
    shown = {"kind": record["kind"], "op": record["op"], "row_number": record["row_number"]}
    for name, value in record.items():
        if name in FIXED_COLUMNS or value is None:
            continue
        shown[name] = [_mask(one) for one in value] if isinstance(value, list) else _mask(value)
    return shown


def _mask(value: str) -> str:
    return re.sub(r"(\w)(\w+)", lambda match: match[1] + "•" * len(match[2]), value)
