"""Columns of one source put beside the rows of another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from mdm.registries.cells import Cells
from mdm.registries.reading import header_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mdm.registries.reading import RawChunk
    from mdm.registries.source import Lookup, SourceDeclaration

KEY_SEPARATOR = "\x1f"


@dataclass(frozen=True, slots=True)
class LoadedLookup:
    """`keys` and `columns` of the looked-up source, row by row; columns are named `<source>.<column>`."""

    on: Sequence[str]
    keys: pa.Array
    columns: pa.Table

    def beside(self, table: pa.Table) -> pa.Table:
        """The table with the looked-up columns; empty where no row has the key. The first of equal keys counts."""
        places = pc.index_in(_joined_keys(table, self.on), value_set=self.keys, skip_nulls=True)
        for name in self.columns.column_names:
            table = table.append_column(name, self.columns.column(name).take(places).fill_null(""))
        return table


def load_lookup(source: SourceDeclaration, lookup: Lookup, rows: Iterable[RawChunk]) -> LoadedLookup:
    """Only the columns that the declaration uses are kept in memory."""
    prefix = f"{lookup.source}."
    wanted = [name.removeprefix(prefix) for name in source.columns_used() if name.startswith(prefix)]
    keys: list[pa.Array] = []
    tables: list[pa.Table] = []
    for chunk in rows:
        cells = Cells(chunk.columns)
        keys.append(_joined_keys(chunk.columns, list(lookup.on.values())))
        tables.append(pa.table({f"{prefix}{name}": cells.text(name) for name in wanted}))
    return LoadedLookup(
        [header_name(name) for name in lookup.on],
        pa.concat_arrays(keys),
        pa.concat_tables(tables).combine_chunks(),
    )


def _joined_keys(table: pa.Table, columns: Sequence[str]) -> pa.Array:
    cells = Cells(table)
    return pc.binary_join_element_wise(*(cells.text(column) for column in columns), KEY_SEPARATOR)
