"""From a raw chunk to accepted records and quarantined rows; every row received ends in one of the two."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mdm.duck import open_duckdb
from mdm.registries.cells import joined
from mdm.registries.mapping import MappedRecords, MappedRenumbering, map_records, map_renumbering
from mdm.registries.reading import ROW
from mdm.registries.record_mapping import RecordMapping
from mdm.registries.validation import SeenKeys, record_reasons, renumbering_reasons

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import date

    import duckdb

    from matching.standardise.units import Units
    from mdm.registries.attributes import Attribute
    from mdm.registries.declaration import RegistryDeclaration
    from mdm.registries.reading import BadRow, RawChunk
    from mdm.registries.source import SourceDeclaration

QUARANTINE = pa.schema(
    [
        ("row_number", pa.int64()),
        ("raw", pa.string()),
        ("reason", pa.string()),
        ("detail", pa.string()),
        ("local_id", pa.string()),
    ]
)
RENUMBERING = pa.schema(
    [
        ("row_number", pa.int64()),
        ("attribute", pa.string()),
        ("old", pa.string()),
        ("new", pa.string()),
        ("date", pa.date32()),
    ]
)
UNMATCHED = "row.unmatched"
FORMULA = "cell.formula"


@dataclass(frozen=True, slots=True)
class LandedChunk:
    """Records of one kind from some rows of a file.

    Where rows yield records of several kinds, the first chunk of those rows carries their counts and quarantine and
    the others count no rows; so received == accepted_rows + quarantine.num_rows holds for each chunk.

    table: local_id, kind, op (upsert|withdraw), row_number, document_date, raw (JSON of the row as received),
    issues (JSON attribute -> issue code, null when none), then a column for each canonical attribute of the kind.
    """

    registry: str
    source: str
    file: str
    sheet: str | None
    kind: Literal["person", "household"]
    table: pa.Table
    quarantine: pa.Table
    renumbering: pa.Table
    received: int
    accepted_rows: int
    skipped: int

    def __post_init__(self) -> None:
        assert self.received == self.accepted_rows + self.quarantine.num_rows


@dataclass(slots=True)
class Landing:
    """Lands the chunks of one file of one source; remembers the keys it has seen."""

    declaration: RegistryDeclaration
    source: SourceDeclaration
    units: Units
    delivered_on: date | None
    file: str
    seen: dict[int, SeenKeys] = field(default_factory=dict)

    def land(self, chunk: RawChunk, *, skipped: int = 0) -> Iterator[LandedChunk]:
        """`chunk` holds the rows to be counted: section rows are gone, looked-up columns are there."""
        table = chunk.columns
        raw = raw_json(table.drop_columns([ROW]), sparse=self.source.format in {"json", "jsonl"})
        numbers = table.column(ROW).combine_chunks()
        records, renumbered = self._mapped(table)
        self._add_formula_issues(chunk, records, numbers)
        reasons, details = self._reasons(table.num_rows, records, renumbered)
        accepted = pc.is_null(reasons)
        refused = pa.table({"row_number": numbers, "raw": raw, "reason": reasons, "detail": details})
        quarantine = _quarantine(chunk.bad, refused, records)
        counts = {
            "received": table.num_rows + len(chunk.bad),
            "accepted_rows": pc.sum(accepted).as_py() or 0,
            "skipped": skipped,
        }
        renumbering = _renumbering(renumbered, accepted, numbers)
        first = True
        for kind in self._kinds():
            of_kind = [mapped for mapped in records if mapped.mapping.kind == kind]
            attributes = self.declaration.attributes.of(kind)
            tables = [_record_table(mapped, accepted, raw, numbers, attributes) for mapped in of_kind]
            yield LandedChunk(
                registry=self.declaration.code,
                source=self.source.name,
                file=self.file,
                sheet=chunk.sheet,
                kind=kind,
                table=pa.concat_tables(tables) if tables else _no_records(attributes),
                quarantine=quarantine if first else QUARANTINE.empty_table(),
                renumbering=renumbering if first else RENUMBERING.empty_table(),
                **(counts if first else dict.fromkeys(counts, 0)),
            )
            first = False

    def _kinds(self) -> list[Literal["person", "household"]]:
        kinds = [record.kind for record in self.source.records if isinstance(record, RecordMapping)]
        return list(dict.fromkeys(kinds)) or ["person"]

    def _mapped(self, table: pa.Table) -> tuple[list[MappedRecords], list[MappedRenumbering]]:
        records, renumbered = [], []
        for mapping in self.source.records:
            if isinstance(mapping, RecordMapping):
                attributes = self.declaration.attributes.of(mapping.kind)
                records.append(
                    map_records(
                        mapping,
                        table,
                        attributes=attributes,
                        delivered_on=self.delivered_on,
                        units=self.units,
                    )
                )
            else:
                attribute = self.declaration.attributes.person[mapping.columns.attribute]
                renumbered.append(
                    map_renumbering(mapping, table, attribute=attribute, delivered_on=self.delivered_on)
                )
        return records, renumbered

    def _reasons(
        self, rows: int, records: Sequence[MappedRecords], renumbered: Sequence[MappedRenumbering]
    ) -> tuple[pa.Array, pa.Array]:
        """The first reason against each row: a row is taken whole or not at all."""
        refusals = Refusals(rows)
        for mapped in records:
            refusals.add(mapped.place, *record_reasons(mapped))
        for changed in renumbered:
            refusals.add(changed.place, *renumbering_reasons(changed))
        refusals.add_unmatched()
        # Records that repeat come last: a row that a duplicate key refuses must not use up their first place.
        for index, mapped in sorted(enumerate(records), key=lambda one: one[1].mapping.once_per_key):
            self._refuse_repeated(refusals, index, mapped)
        return refusals.arrays()

    def _refuse_repeated(self, refusals: Refusals, index: int, mapped: MappedRecords) -> None:
        """Only rows that are otherwise fine use up a key."""
        fine = pa.array(refusals.accepted()[mapped.place.to_numpy()])
        places = mapped.place.filter(fine)
        repeated = self.seen.setdefault(index, SeenKeys()).add(mapped.local_id.filter(fine))
        if not repeated.any():
            return
        again = pa.array(places.to_numpy()[repeated])
        if mapped.mapping.once_per_key:
            mapped.repeated.extend(again.to_pylist())
            return
        count = len(again)
        refusals.add(again, pa.repeat(pa.scalar("key.duplicate"), count), pa.nulls(count, pa.string()))

    def _add_formula_issues(
        self, chunk: RawChunk, records: Sequence[MappedRecords], numbers: pa.Array
    ) -> None:
        """A value that a formula computed is taken, and marked."""
        if not chunk.formulas:
            return
        for mapped in records:
            computed = [
                set(chunk.formulas.get(number, ())) for number in numbers.take(mapped.place).to_pylist()
            ]
            for name, used in mapped.mapping.columns_by_attribute().items():
                touched = pa.array([not used.isdisjoint(columns) for columns in computed])
                marked = pc.if_else(touched, FORMULA, pa.scalar(None, pa.string()))
                issue = mapped.issues.get(name)
                mapped.issues[name] = marked if issue is None else pc.coalesce(issue, marked)


class Refusals:
    """Reasons against the rows of a chunk, first come first kept."""

    def __init__(self, rows: int) -> None:
        self._refused = np.zeros(rows, dtype=np.bool_)
        self._reasons = np.full(rows, None, dtype=object)
        self._details = np.full(rows, None, dtype=object)
        self._matched = np.zeros(rows, dtype=np.bool_)

    def add(self, places: pa.Array, reasons: pa.Array, details: pa.Array) -> None:
        rows = places.to_numpy()
        self._matched[rows] = True
        against = pc.indices_nonzero(pc.is_valid(reasons))
        told = zip(
            rows[against.to_numpy()],
            reasons.take(against).to_pylist(),
            details.take(against).to_pylist(),
            strict=True,
        )
        for row, reason, detail in told:
            if not self._refused[row]:
                self._refused[row] = True
                self._reasons[row], self._details[row] = reason, detail

    def add_unmatched(self) -> None:
        self._reasons[~self._matched] = UNMATCHED
        self._refused[~self._matched] = True

    def accepted(self) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        return ~self._refused

    def arrays(self) -> tuple[pa.Array, pa.Array]:
        return pa.array(self._reasons, pa.string()), pa.array(self._details, pa.string())


def raw_json(table: pa.Table, *, sparse: bool) -> pa.Array:
    """Each row as one JSON object; keys are the office's own column names.

    `sparse`: leave out the fields that a row does not have. Other rows of its chunk have them, and the raw text of a
    row must not depend on its neighbours.
    """
    if table.num_columns == 0:
        return pa.repeat(pa.scalar("{}"), table.num_rows)
    # A merge patch (RFC 7396) removes what is null.
    made = "json_merge_patch('{}', to_json(rows_sent))" if sparse else "to_json(rows_sent)"
    with scratch().cursor() as connection:
        connection.register("rows_sent", table)
        rows = connection.sql(f"SELECT {made}::VARCHAR AS raw FROM rows_sent").to_arrow_table()
    return rows.column("raw").combine_chunks()


@cache
def scratch() -> duckdb.DuckDBPyConnection:
    """An empty in-memory database, for cursors: opening one for each small file costs more than reading it."""
    return open_duckdb()


def issues_json(issues: Mapping[str, pa.Array], rows: int) -> pa.Array:
    """Issue codes are plain ASCII words, so that nothing needs escaping."""
    pieces = [
        pc.binary_join_element_wise(pa.scalar(f'"{name}":"'), issue, pa.scalar('"'), "")
        for name, issue in issues.items()
        if issue.null_count < len(issue)
    ]
    if not pieces:
        return pa.nulls(rows, pa.string())
    return pc.binary_join_element_wise(pa.scalar("{"), joined(pieces, ","), pa.scalar("}"), "")


def _record_table(
    mapped: MappedRecords,
    accepted: pa.Array,
    raw: pa.Array,
    numbers: pa.Array,
    attributes: Mapping[str, Attribute],
) -> pa.Table:
    rows = len(mapped.place)
    columns: dict[str, pa.Array] = {
        "local_id": mapped.local_id,
        "kind": pa.repeat(pa.scalar(mapped.mapping.kind), rows),
        "op": mapped.operation,
        "row_number": numbers.take(mapped.place),
        "document_date": mapped.document_date,
        "raw": raw.take(mapped.place),
        "issues": issues_json(mapped.issues, rows),
    }
    for name, attribute in attributes.items():
        kind = value_kind(attribute)
        columns[name] = mapped.values[name] if name in mapped.values else pa.nulls(rows, kind)
    kept = accepted.take(mapped.place)
    if mapped.repeated:
        kept = pc.and_(
            kept, pc.invert(pc.is_in(mapped.place, value_set=pa.array(mapped.repeated, pa.int64())))
        )
    return pa.table(columns, schema=record_schema(attributes)).filter(kept)


def value_kind(attribute: Attribute) -> pa.DataType:
    return pa.list_(pa.string()) if attribute.many else pa.string()


def record_schema(attributes: Mapping[str, Attribute]) -> pa.Schema:
    fixed = [
        ("local_id", pa.string()),
        ("kind", pa.string()),
        ("op", pa.string()),
        ("row_number", pa.int64()),
        ("document_date", pa.date32()),
        ("raw", pa.string()),
        ("issues", pa.string()),
    ]
    return pa.schema([*fixed, *((name, value_kind(attribute)) for name, attribute in attributes.items())])


def _no_records(attributes: Mapping[str, Attribute]) -> pa.Table:
    return record_schema(attributes).empty_table()


def _quarantine(bad: Sequence[BadRow], rows: pa.Table, records: Sequence[MappedRecords]) -> pa.Table:
    """The rows with a reason, among them those that could not be split into columns."""
    refused = pc.indices_nonzero(pc.is_valid(rows.column("reason"))).cast(pa.int64())
    local_ids: dict[int, str | None] = {}
    for mapped in reversed(records):
        concerned = pc.is_in(mapped.place, value_set=refused)
        places = mapped.place.filter(concerned).to_pylist()
        local_ids |= dict(zip(places, mapped.local_id.filter(concerned).to_pylist(), strict=True))
    named = pa.array([local_ids.get(row) for row in refused.to_pylist()], pa.string())
    malformed = [
        {"row_number": row.row, "raw": row.text, "reason": row.reason, "detail": row.detail} for row in bad
    ]
    rejected = rows.take(refused).append_column("local_id", named).cast(QUARANTINE)
    return pa.concat_tables([pa.Table.from_pylist(malformed, schema=QUARANTINE), rejected]).sort_by(
        "row_number"
    )


def _renumbering(renumbered: Sequence[MappedRenumbering], accepted: pa.Array, numbers: pa.Array) -> pa.Table:
    tables = [
        pa.table(
            {
                "row_number": numbers.take(mapped.place),
                "attribute": pa.repeat(pa.scalar(mapped.attribute), len(mapped.place)),
                "old": mapped.old,
                "new": mapped.new,
                "date": mapped.date,
            },
            schema=RENUMBERING,
        ).filter(accepted.take(mapped.place))
        for mapped in renumbered
    ]
    return pa.concat_tables([RENUMBERING.empty_table(), *tables])
