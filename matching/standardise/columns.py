"""Parsers over whole columns: each distinct text is parsed once."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from matching.standardise.parsed import MISSING, NO_OPTIONS, Options, Parsed
from matching.standardise.types import ValueType, value_type

if TYPE_CHECKING:
    from collections.abc import Iterable

_SPLIT = re.compile(r"[;,/|\n]+|\s-\s|\shoặc\s")


class ParsedColumn(NamedTuple):
    values: pa.Array  # string, or list<string> for many values
    issues: pa.Array  # string; for many values the distinct issues joined with commas


def parse_column(
    type_name: str, column: pa.Array | pa.ChunkedArray, *, options: Options | None = None
) -> ParsedColumn:
    """Parse a string column with one value in a cell.

    Raises:
        ValueError: unknown type name or unusable options.
    """
    kind = value_type(type_name)
    given = NO_OPTIONS if options is None else options
    texts, indices = _distinct(column)
    values: list[str | None] = []
    issues: list[str | None] = []
    for text in (
        texts
    ):  # no list of results: keeping many tuples alive costs a quarter of the time in garbage collection
        value, issue = MISSING if text is None else kind.parse(text, options=given)
        values.append(value)
        issues.append(issue)
    return ParsedColumn(
        pa.array(values, pa.string()).take(indices), pa.array(issues, pa.string()).take(indices)
    )


def parse_many_column(
    type_name: str,
    column: pa.Array | pa.ChunkedArray,
    *,
    options: Options | None = None,
    split: str | None = None,
) -> ParsedColumn:
    """Parse a column with several values in a cell: list<string>, or string to be split at the pattern `split`.

    A cell without usable value is null, never an empty list. Values keep their order; equal ones are kept once.

    Raises:
        ValueError: unknown type name or unusable options.
    """
    kind = value_type(type_name)
    given = NO_OPTIONS if options is None else options
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        return _lists(
            ((None if cell is None else [t for t in cell if t]) for cell in column.to_pylist()), kind, given
        )
    texts, indices = _distinct(column)
    pattern = _SPLIT if split is None else re.compile(split)
    cells = (
        text if text is None else pattern.split(text) if pattern.search(text) else [text] for text in texts
    )
    found = _lists(cells, kind, given)
    return ParsedColumn(found.values.take(indices), found.issues.take(indices))


def _lists(cells: Iterable[list[str] | None], kind: ValueType, options: Options) -> ParsedColumn:
    values: list[str] = []
    ends = [0]
    issues: list[str | None] = []
    for cell in cells:
        found, issue = parse_many(cell, kind, options=options) if cell else ([], None)
        values.extend(found)
        ends.append(len(values))
        issues.append(issue)
    offsets = np.array(ends, np.int32)
    empty = pa.array(offsets[1:] == offsets[:-1])
    lists = pa.ListArray.from_arrays(pa.array(offsets), pa.array(values, pa.string()), mask=empty)
    return ParsedColumn(lists, pa.array(issues, pa.string()))


def parse_many(
    texts: list[str], kind: ValueType, *, options: Options = NO_OPTIONS
) -> tuple[list[str], str | None]:
    """The usable values among the texts of one cell, and their issues joined with commas."""
    if len(texts) == 1:
        value, issue = kind.parse(texts[0], options=options)
        return [] if value is None else [value], issue
    parsed: list[Parsed] = [kind.parse(text, options=options) for text in texts]
    values = list(dict.fromkeys(p.value for p in parsed if p.value is not None))
    issues = list(dict.fromkeys(p.issue for p in parsed if p.issue is not None))
    return values, ",".join(issues) or None


def _distinct(column: pa.Array | pa.ChunkedArray) -> tuple[list[str | None], pa.Array]:
    """The distinct texts and each row's place among them (null for a null cell)."""
    encoded = column if pa.types.is_dictionary(column.type) else pc.dictionary_encode(column)
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.unify_dictionaries().combine_chunks()
        if isinstance(encoded, pa.ChunkedArray):  # no chunk at all
            encoded = pa.array([], pa.string()).dictionary_encode()
    return encoded.dictionary.to_pylist(), encoded.indices
