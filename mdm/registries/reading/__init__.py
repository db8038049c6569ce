"""Readers of what offices send, one module per format."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa

from matching.standardise.encodings import LEGACY_ENCODINGS, decode_legacy_column
from mdm.registries.reading.csv import read_csv
from mdm.registries.reading.flattening import row_fields, text_table
from mdm.registries.reading.json import read_json, read_jsonl
from mdm.registries.reading.parquet import read_parquet
from mdm.registries.reading.raw import ROW, Alternatives, BadRow, RawChunk, header_name
from mdm.registries.reading.sql import read_sql
from mdm.registries.reading.xlsx import read_xlsx

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from mdm.registries.source import SourceDeclaration

__all__ = [
    "ROW",
    "Alternatives",
    "BadRow",
    "RawChunk",
    "header_name",
    "read_file",
    "row_fields",
    "text_table",
]

READERS = {
    "csv": read_csv,
    "xlsx": read_xlsx,
    "jsonl": read_jsonl,
    "json": read_json,
    "parquet": read_parquet,
    "sql": read_sql,
}


def read_file(path: Path, source: SourceDeclaration, *, needed: Sequence[Alternatives]) -> Iterator[RawChunk]:
    """Rows of a file as Unicode text, in chunks. Faults of the whole file raise InputError before the first chunk."""
    encoding = source.encoding_of(path.name)
    for chunk in READERS[source.format](path, source, needed=needed):
        if encoding not in LEGACY_ENCODINGS:
            yield chunk
            continue
        columns = {
            name: column if name == ROW else decode_legacy_column(column, encoding)
            for name, column in zip(chunk.columns.column_names, chunk.columns.columns, strict=True)
        }
        yield replace(chunk, columns=pa.table(columns))
