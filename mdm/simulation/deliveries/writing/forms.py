"""The forms of a file: CSV in any encoding, nested JSON, Parquet and an SQLite table. XLSX has a module of its own."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import duckdb
import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mdm.simulation.deliveries.legacy_text import to_cp1258, to_tcvn3, to_vni

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Rows = NDArray[np.int64]
_CHUNK = 100_000
_LEGACY: dict[str, tuple[Callable[[str], str], str]] = {
    "tcvn3": (to_tcvn3, "latin-1"),
    "vni": (to_vni, "latin-1"),
    "cp1258": (to_cp1258, "cp1258"),
}


class Form(Protocol):
    def write(self, path: Path, table: pa.Table, malformed: NDArray[np.bool_]) -> Rows: ...

    @property
    def lines(self) -> bool:
        """True where a row is a line of text that can be malformed."""
        ...


@dataclass(frozen=True)
class Csv:
    delimiter: str = ","
    encoding: str = "utf-8"
    lines: bool = True

    def write(self, path: Path, table: pa.Table, malformed: NDArray[np.bool_]) -> Rows:
        """A malformed row loses all but its first two fields, or gains three."""
        translate, codec = _LEGACY.get(self.encoding, (str, self.encoding))
        if codec == "utf-16":
            codec = "utf-16-le"
        with path.open("wb") as file:
            if self.encoding == "utf-16":
                file.write(b"\xff\xfe")
            if self.encoding == "utf-8-sig":
                file.write(b"\xef\xbb\xbf")
                codec = "utf-8"
            file.write((self.delimiter.join(table.column_names) + "\r\n").encode(codec))
            for start in range(0, table.num_rows, _CHUNK):
                lines = self._lines(table.slice(start, _CHUNK)).to_pylist()
                for place in np.flatnonzero(malformed[start : start + _CHUNK]).tolist():
                    lines[place] = self._broken(lines[place], place)
                file.write(translate("\r\n".join([*lines, ""])).encode(codec, "replace"))
        return np.arange(table.num_rows, dtype=np.int64) + 2

    def _lines(self, table: pa.Table) -> pa.Array:
        cells = [self._quoted(column.combine_chunks()) for column in table.columns]
        return pc.binary_join_element_wise(*cells, self.delimiter)

    def _quoted(self, column: pa.Array) -> pa.Array:
        text = column.cast(pa.string()).fill_null("")
        special = pc.or_(pc.match_substring(text, self.delimiter), pc.match_substring(text, '"'))
        if not pc.any(special).as_py():
            return text
        doubled = pc.replace_substring(text, '"', '""')
        return pc.if_else(special, pc.binary_join_element_wise('"', doubled, '"', ""), text)

    def _broken(self, line: str, place: int) -> str:
        fields = [field for field in line.split(self.delimiter) if '"' not in field]
        if place % 2:
            return self.delimiter.join(fields[:2])
        return self.delimiter.join([line, "", "", "?"])


@dataclass(frozen=True)
class JsonLines:
    """One object a line; struct and list columns become nested objects and arrays."""

    lines: bool = False

    def write(self, path: Path, table: pa.Table, malformed: NDArray[np.bool_]) -> Rows:
        del malformed
        with duckdb.connect() as database:
            database.execute("SET threads = 1; SET preserve_insertion_order = true")
            database.register("rows_to_write", table)
            database.execute(f"COPY rows_to_write TO '{_quoted_path(path)}' (FORMAT json)")
        return np.arange(table.num_rows, dtype=np.int64) + 1


@dataclass(frozen=True)
class GroupedJsonLines:
    """One object a group of neighbouring rows (a household), the rows inside it under `inside`."""

    group: tuple[str, ...]
    inside: str
    lines: bool = False

    def write(self, path: Path, table: pa.Table, malformed: NDArray[np.bool_]) -> Rows:
        key = table[self.group[0]].combine_chunks().dictionary_encode().indices.to_numpy()
        starts = np.flatnonzero(np.diff(key, prepend=-1) != 0)
        offsets = pa.array(np.append(starts, table.num_rows).astype(np.int32))
        members = [name for name in table.column_names if name not in self.group]
        elements = pa.StructArray.from_arrays(
            [table[name].combine_chunks() for name in members], names=members
        )
        grouped = table.select(self.group).take(pa.array(starts))
        grouped = grouped.append_column(self.inside, pa.ListArray.from_arrays(offsets, elements))
        JsonLines().write(path, grouped, malformed)
        return np.arange(table.num_rows, dtype=np.int64) + 1


@dataclass(frozen=True)
class JsonDocument:
    """One document with a head and the rows in one array; for small lists."""

    head: tuple[tuple[str, str], ...]
    inside: str
    lines: bool = False

    def write(self, path: Path, table: pa.Table, malformed: NDArray[np.bool_]) -> Rows:
        del malformed
        document = {**dict(self.head), self.inside: table.to_pylist()}
        path.write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2))
        return np.arange(table.num_rows, dtype=np.int64) + 1


@dataclass(frozen=True)
class Parquet:
    lines: bool = False

    def write(self, path: Path, table: pa.Table, malformed: NDArray[np.bool_]) -> Rows:
        del malformed
        pq.write_table(table, path, compression="zstd")
        return np.arange(table.num_rows, dtype=np.int64) + 1


@dataclass(frozen=True)
class SqliteTable:
    table: str
    lines: bool = False

    def write(self, path: Path, table: pa.Table, malformed: NDArray[np.bool_]) -> Rows:
        del malformed
        names = ", ".join(f'"{name}" TEXT' for name in table.column_names)
        marks = ", ".join("?" * table.num_columns)
        database = sqlite3.connect(path, isolation_level=None)
        try:
            database.execute("BEGIN")
            database.execute(f'CREATE TABLE "{self.table}" ({names})')
            columns = [column.to_pylist() for column in table.columns]
            database.executemany(f'INSERT INTO "{self.table}" VALUES ({marks})', zip(*columns, strict=True))
            database.execute("COMMIT")
            database.execute("VACUUM")
        finally:
            database.close()
        return np.arange(table.num_rows, dtype=np.int64) + 1


def _quoted_path(path: Path) -> str:
    return str(path).replace("'", "''")
