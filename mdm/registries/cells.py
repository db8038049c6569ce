"""The rows of one chunk as text, and the text a mapping takes from them before a type parses it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from matching.standardise.encodings import decode_legacy_column
from mdm.registries.reading import header_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mdm.registries.record_mapping import Condition, EncodingByValue, ValueMapping
    from mdm.registries.source import Skip

UNICODE = "utf-8"
CODE_UNKNOWN = "code.unknown"
MARK_AMBIGUOUS = "mark.ambiguous"
# PostgreSQL's text cannot hold it; the row as received does, escaped
NUL, REPLACED = "\0", "\ufffd"
# What stands in a box that is not ticked.
NOT_MARKED = pa.array(["0", "-", "false", "FALSE", "không", "Không", "KHÔNG", "k", "K", "N", "n"])


class Cells:
    """Text columns by name: NFC, without spaces around, NUL replaced by U+FFFD, null where nothing is written."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table
        self._texts: dict[str, pa.Array] = {}

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def text(self, column: str) -> pa.Array:
        """A column that the file does not have is empty throughout."""
        name = header_name(column)
        if name not in self._texts:
            self._texts[name] = self._read(name)
        return self._texts[name]

    def _read(self, name: str) -> pa.Array:
        if name not in self._table.column_names:
            return pa.nulls(len(self), pa.string())
        return tidy(self._table.column(name).combine_chunks())

    def filtered(self, mask: pa.Array) -> Cells:
        return Cells(self._table.filter(mask))


def tidy(column: pa.Array) -> pa.Array:
    text = pc.utf8_trim_whitespace(column)
    if not pc.all(pc.string_is_ascii(text)).as_py():
        text = pc.utf8_normalize(text, form="NFC")
    if pc.any(pc.match_substring(text, NUL)).as_py():
        text = pc.replace_substring(text, NUL, REPLACED)
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)


def joined(parts: Sequence[pa.Array], separator: str) -> pa.Array:
    """The texts that are there, with the separator between them; null where none is.

    Arrow's own join with null_handling="skip" loses rows in which every part is null.
    """
    pieces = [
        pc.fill_null(pc.binary_join_element_wise(pa.scalar(separator), part, pa.scalar("")), "")
        for part in parts
    ]
    together = pc.binary_join_element_wise(*pieces, pa.scalar(""))
    text = pc.utf8_slice_codeunits(together, len(separator))
    return pc.if_else(pc.equal(together, ""), pa.scalar(None, pa.string()), text)


def holds(condition: Condition | Skip, cells: Cells) -> pa.Array:
    """A boolean without nulls for each row."""
    text = cells.text(condition.column)
    filled = pc.is_valid(text)
    if condition.filled is not None:
        return filled if condition.filled else pc.invert(filled)
    if condition.pattern is not None:
        return pc.match_substring_regex(text, condition.pattern).fill_null(False)
    listed = getattr(condition, "among", None)
    if listed is not None:
        return pc.is_in(text.fill_null(""), value_set=pa.array(listed, pa.string()))
    not_listed = pa.array(condition.not_in, pa.string())  # type: ignore[union-attr]
    return pc.invert(pc.is_in(text.fill_null(""), value_set=not_listed))


def all_hold(conditions: Sequence[Condition], cells: Cells) -> pa.Array:
    result = pa.repeat(pa.scalar(True), len(cells))
    for condition in conditions:
        result = pc.and_(result, holds(condition, cells))
    return result


def mapped_text(mapping: ValueMapping, cells: Cells) -> tuple[pa.Array, pa.Array]:
    """Text and issue of each row, for every origin but `first_of`."""
    text, issue = _origin(mapping, cells)
    if mapping.encoding is not None:
        text = _decoded(text, mapping.encoding, cells)
    if mapping.extract is not None:
        text = tidy(pc.struct_field(pc.extract_regex(text, mapping.extract), [0]))
    if mapping.values is not None:
        text, unknown = code_values(text, mapping.values, mapping.otherwise)
        issue = pc.coalesce(issue, unknown)
    return text, issue


def _origin(mapping: ValueMapping, cells: Cells) -> tuple[pa.Array, pa.Array]:
    no_issue = pa.nulls(len(cells), pa.string())
    if mapping.column is not None:
        return cells.text(mapping.column), no_issue
    if mapping.join is not None:
        return joined([cells.text(name) for name in mapping.join], mapping.separator), no_issue
    if mapping.constant is not None:
        return pa.repeat(pa.scalar(mapping.constant, pa.string()), len(cells)), no_issue
    if mapping.marked is not None:
        return _marked(mapping.marked, cells)
    return _date_parts(mapping, cells), no_issue


def _marked(marked: dict[str, str], cells: Cells) -> tuple[pa.Array, pa.Array]:
    text = pa.nulls(len(cells), pa.string())
    count = np.zeros(len(cells), dtype=np.int64)
    for value, column in marked.items():
        cell = cells.text(column)
        ticked = pc.and_(pc.is_valid(cell), pc.invert(pc.is_in(cell, value_set=NOT_MARKED)))
        text = pc.coalesce(text, pc.if_else(ticked, value, pa.scalar(None, pa.string())))
        count += ticked.to_numpy(zero_copy_only=False)
    twice = pa.array(count > 1)
    nothing = pa.scalar(None, pa.string())
    return pc.if_else(twice, nothing, text), pc.if_else(twice, MARK_AMBIGUOUS, nothing)


def _date_parts(mapping: ValueMapping, cells: Cells) -> pa.Array:
    """`day/month/year`, without the parts that are not given; nothing without a year."""

    def part(column: str | None) -> pa.Array:
        return cells.text(column) if column else pa.nulls(len(cells), pa.string())

    day, month, year = part(mapping.day), part(mapping.month), part(mapping.year)
    day = pc.if_else(pc.is_valid(month), day, pa.scalar(None, pa.string()))
    return pc.if_else(pc.is_valid(year), joined([day, month, year], "/"), pa.scalar(None, pa.string()))


def _decoded(text: pa.Array, encoding: str | EncodingByValue, cells: Cells) -> pa.Array:
    if isinstance(encoding, str):
        return text if encoding == UNICODE else decode_legacy_column(text, encoding)
    told = code_values(cells.text(encoding.column), encoding.values, encoding.otherwise)[0]
    told = told.fill_null(encoding.otherwise)
    for name in {*encoding.values.values(), encoding.otherwise} - {UNICODE}:
        here = pc.equal(told, name)
        if pc.any(here).as_py():
            decoded = decode_legacy_column(text.filter(here), name)
            text = pc.replace_with_mask(text, here, decoded)
    return text


def code_values(text: pa.Array, values: dict[str, str], otherwise: str | None) -> tuple[pa.Array, pa.Array]:
    """Codes to values, whatever their case; `otherwise` "keep" passes unknown ones on."""
    known = {tidy_code(code): value for code, value in values.items()}
    encoded = text.dictionary_encode()
    found: list[str | None] = []
    issues: list[str | None] = []
    for code in encoded.dictionary.to_pylist():
        value = known.get(tidy_code(code), code if otherwise == "keep" else otherwise)
        found.append(value or None)
        issues.append(CODE_UNKNOWN if value is None else None)
    mapped = pa.array(found, pa.string()).take(encoded.indices)
    if "" in known:
        mapped = pc.if_else(pc.is_valid(text), mapped, pa.scalar(known[""], pa.string()))
    return mapped, pa.array(issues, pa.string()).take(encoded.indices)


def tidy_code(code: str) -> str:
    return header_name(code).casefold()
