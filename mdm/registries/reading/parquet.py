"""Parquet files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mdm.errors import InputError
from mdm.registries.reading.flattening import text_of
from mdm.registries.reading.raw import CHUNK_ROWS, ROW, Alternatives, RawChunk, named_columns, no_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from mdm.registries.source import SourceDeclaration


def read_parquet(
    path: Path, source: SourceDeclaration, *, needed: Sequence[Alternatives]
) -> Iterator[RawChunk]:
    del source  # nothing of it concerns Parquet
    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise _damaged(path) from error
    with file:
        if file.metadata.num_rows == 0:
            raise no_rows(path)
        names = named_columns(_leaves(file.schema_arrow), needed=needed, where=path.name)
        # Pages are checked before anything is yielded; a damaged one is only seen when it is decoded.
        try:
            for batch in file.iter_batches(CHUNK_ROWS):
                batch.validate(full=True)
        except (pa.ArrowInvalid, OSError) as error:
            raise _damaged(path) from error
        row = 1
        for batch in file.iter_batches(CHUNK_ROWS):
            columns = [as_text(column) for column in flattened(pa.Table.from_batches([batch])).columns]
            numbers = pa.array(range(row, row + batch.num_rows), pa.int64())
            yield RawChunk(pa.table([*columns, numbers], names=[*names, ROW]))
            row += batch.num_rows


def _leaves(schema: pa.Schema) -> list[str]:
    return flattened(schema.empty_table()).column_names  # type: ignore[no-any-return]


def flattened(table: pa.Table) -> pa.Table:
    while any(pa.types.is_struct(field.type) for field in table.schema):
        table = table.flatten()
    return table


def as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Values as an office would type them; missing ones as empty text."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
        kind = kind.value_type
    if pa.types.is_nested(kind) or pa.types.is_binary(kind):
        values = [None if value is None else text_of(value) for value in column.to_pylist()]
        return pa.chunked_array([pa.array(values, pa.string())]).fill_null("")
    text = column.cast(pa.string())
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        text = pc.replace_substring_regex(text, r"\.0+$", "")
    if pa.types.is_timestamp(kind):
        text = pc.replace_substring_regex(text, r" 00:00:00(\.0+)?Z?$", "")
    return text.fill_null("")


def _damaged(path: Path) -> InputError:
    return InputError(
        "cannot be read as Parquet: it is cut off or damaged",
        where=path.name,
        hint="Ask the sender for the file again.",
    )
