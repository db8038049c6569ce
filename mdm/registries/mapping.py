"""Rows of a chunk to canonical attributes of records, column by column."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from matching.standardise.addresses import resolve_columns
from matching.standardise.columns import ParsedColumn, parse_column, parse_many_column
from matching.standardise.contradictions import contradictions
from mdm.registries.cells import Cells, all_hold, code_values, joined, mapped_text
from mdm.registries.record_mapping import AddressMapping, ValueMapping

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from matching.standardise.units import Units
    from mdm.registries.attributes import Attribute
    from mdm.registries.record_mapping import Operation, RecordMapping, RenumberingMapping

_V = TypeVar("_V")

UPSERT = "upsert"
WITHDRAW = "withdraw"
INHERITED = ("extract", "values", "otherwise", "formats", "encoding")
ADDRESS_PARTS = ("street", "commune", "district", "province", "text", "commune_code")


@dataclass(frozen=True, slots=True)
class MappedRecords:
    """Records of one mapping. `place`: the row of the chunk that each came from.

    `values`: attribute -> string or list<string>; `issues`: attribute -> issue code or null. `repeated`: rows whose
    record an earlier row has given (once_per_key).
    """

    mapping: RecordMapping
    place: pa.Array
    local_id: pa.Array
    operation: pa.Array
    document_date: pa.Array
    values: Mapping[str, pa.Array]
    issues: dict[str, pa.Array]
    repeated: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class MappedRenumbering:
    mapping: RenumberingMapping
    place: pa.Array
    attribute: str
    old: pa.Array
    new: pa.Array
    date: pa.Array


def map_records(
    mapping: RecordMapping,
    table: pa.Table,
    *,
    attributes: Mapping[str, Attribute],
    delivered_on: date | None,
    units: Units,
) -> MappedRecords:
    cells, place = _taken(mapping, table)
    document_date = _document_date(mapping, cells, delivered_on)
    values: dict[str, pa.Array] = {}
    issues: dict[str, pa.Array] = {}
    for name, given in mapping.columns.items():
        if isinstance(given, AddressMapping):
            address, issues["address_unit"] = _address(given, cells, document_date, units)
            values |= address
        else:
            parsed = parsed_values(given, cells, attributes[name])
            values[name], issues[name] = parsed.values, parsed.issues
    if mapping.kind == "person":
        for name, found in contradictions(contradicting(values, attributes)).items():
            issues[name] = pc.coalesce(issues[name], found)
    return MappedRecords(
        mapping=mapping,
        place=place,
        local_id=local_ids(mapping, cells),
        operation=_operations(mapping.operation, cells),
        document_date=document_date,
        values=values,
        issues=issues,
    )


def contradicting(values: Mapping[str, _V], attributes: Mapping[str, Attribute]) -> dict[str, _V]:
    """Of values by attribute those that can contradict each other, as far as they are of the types that the rules are about."""
    types = {
        "personal_id": "personal_id", "sex": "sex", "birth_date": "date", "mother_personal_id": "personal_id",
        "father_personal_id": "personal_id", "tax_code": "tax_code", "social_insurance_no": "social_insurance_no",
        "health_card_no": "health_card_no",
    }  # fmt: skip
    return {
        name: values[name]
        for name, type_ in types.items()
        if name in values and attributes[name].type == type_ and not attributes[name].many
    }


def map_renumbering(
    mapping: RenumberingMapping, table: pa.Table, *, attribute: Attribute, delivered_on: date | None
) -> MappedRenumbering:
    """An old number that its type no longer accepts is kept as it was written: that is why it was replaced."""
    cells, place = _taken(mapping, table)
    columns = mapping.columns
    one = attribute.model_copy(update={"many": False})
    old = parsed_values(columns.old, cells, one).values
    as_written = parsed_values(columns.old, cells, one.model_copy(update={"type": "code"})).values
    return MappedRenumbering(
        mapping=mapping,
        place=place,
        attribute=columns.attribute,
        old=pc.coalesce(old, as_written),
        new=parsed_values(columns.new, cells, one).values,
        date=_dates(columns.date, cells, delivered_on),
    )


def parsed_values(mapping: ValueMapping, cells: Cells, attribute: Attribute) -> ParsedColumn:
    """Canonical values and issues of one attribute, one for each row."""
    if mapping.first_of is not None:
        return _first_of(mapping, cells, attribute)
    text, issue = mapped_text(mapping, cells)
    parsed = _parsed(mapping, text, attribute)
    return ParsedColumn(parsed.values, pc.coalesce(parsed.issues, issue))


def _parsed(mapping: ValueMapping, text: pa.Array, attribute: Attribute) -> ParsedColumn:
    options: dict[str, Any] = dict(mapping.options)
    if mapping.formats:
        # Spreadsheets and databases give true dates as ISO 8601, whatever an office writes.
        options["formats"] = [*mapping.formats, *(["iso"] if "iso" not in mapping.formats else [])]
    if mapping.calendar == "lunar":
        options["calendar"] = "lunar"
    if not attribute.many:
        return parse_column(attribute.type, text, options=options)
    return parse_many_column(attribute.type, text, options=options, split=mapping.split)


def _first_of(mapping: ValueMapping, cells: Cells, attribute: Attribute) -> ParsedColumn:
    """The first alternative that is not empty; with `valid`, the first that parses, else the first issue."""
    values: pa.Array | None = None
    issues: pa.Array | None = None
    for part in mapping.first_of or ():
        inherited = {name: getattr(mapping, name) for name in INHERITED if getattr(part, name) is None}
        whole = part.model_copy(
            update={**inherited, "options": mapping.options | part.options, "split": mapping.split}
        )
        parsed = parsed_values(whole, cells, attribute)
        if values is None or issues is None:
            values, issues = parsed.values, parsed.issues
            continue
        empty = pc.is_null(values)
        if not mapping.valid:
            empty = pc.and_(empty, pc.is_null(issues))
        better = pc.and_(empty, pc.or_(pc.is_valid(parsed.values), pc.is_null(issues)))
        values = pc.if_else(better, parsed.values, values)
        issues = pc.if_else(better, parsed.issues, issues)
    return ParsedColumn(values, issues)


def _taken(mapping: RecordMapping | RenumberingMapping, table: pa.Table) -> tuple[Cells, pa.Array]:
    cells = Cells(table)
    if not mapping.when:
        return cells, pa.array(np.arange(len(cells)))
    mask = all_hold(mapping.when, cells)
    return cells.filtered(mask), pc.indices_nonzero(mask).cast(pa.int64())


def local_ids(mapping: RecordMapping, cells: Cells) -> pa.Array:
    """Null where a part of the key is empty."""
    joined = pc.binary_join_element_wise(*(cells.text(column) for column in mapping.key), "|")
    return pc.binary_join_element_wise(mapping.key_prefix, joined, "") if mapping.key_prefix else joined


def _operations(operation: Operation | None, cells: Cells) -> pa.Array:
    """upsert, withdraw, or null for an operation that is not declared."""
    if operation is None:
        return pa.repeat(pa.scalar(UPSERT), len(cells))
    text = cells.text(operation.column)
    told = code_values(text, dict(operation.values), operation.otherwise)[0]
    if operation.otherwise is not None:
        told = told.fill_null(operation.otherwise)
    op = pc.if_else(pc.equal(told, "withdrawn"), WITHDRAW, UPSERT)
    return pc.if_else(pc.is_valid(told), op, pa.scalar(None, pa.string()))


def _document_date(mapping: RecordMapping, cells: Cells, delivered_on: date | None) -> pa.Array:
    return _dates(mapping.document_date, cells, delivered_on)


def _dates(mapping: ValueMapping | None, cells: Cells, otherwise: date | None) -> pa.Array:
    """date32; a date known to the month or year counts from its first day."""
    default = pa.scalar(otherwise, pa.date32())
    if mapping is None:
        return pa.repeat(default, len(cells)) if otherwise else pa.nulls(len(cells), pa.date32())
    text, _ = mapped_text(mapping, cells)
    options: dict[str, Any] = {"formats": [*mapping.formats, "iso"]} if mapping.formats else {}
    iso = parse_column("date", text, options=options).values
    whole = pc.binary_join_element_wise(iso, pa.scalar("-01-01"), "")
    days = pc.utf8_slice_codeunits(whole, 0, 10).cast(pa.date32())
    return pc.fill_null(days, default) if otherwise else days


def _address(
    mapping: AddressMapping, cells: Cells, document_date: pa.Array, units: Units
) -> tuple[dict[str, pa.Array], pa.Array]:
    """The attributes of the address group, and the issue of `address_unit`."""
    empty = pa.nulls(len(cells), pa.string())
    parts = dict.fromkeys(ADDRESS_PARTS, empty)
    for name, part in mapping.parts().items():
        parts[name] = mapped_text(part, cells)[0]
    resolved = resolve_columns(pa.table({**parts, "as_of": document_date}), units=units)
    written = joined([parts[name] for name in ("street", "commune", "district", "province")], ", ")
    values = {
        "address_text": pc.coalesce(parts["text"], written),
        "address_street": resolved.column("street").combine_chunks(),
        "address_unit": resolved.column("unit").combine_chunks(),
        "address_province": resolved.column("province").combine_chunks(),
    }
    return values, resolved.column("issue").combine_chunks()
