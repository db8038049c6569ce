"""The outer form of an unknown file: format, encoding, delimiter, header rows, rows that are no records."""

from __future__ import annotations

import csv
import re
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import viparse
from charset_normalizer import from_bytes
from python_calamine import CalamineWorkbook

from mdm.errors import InputError
from mdm.registries.reading.csv import DELIMITERS, join_header
from mdm.registries.reading.flattening import expand, steps_of
from mdm.registries.reading.parquet import as_text, flattened
from mdm.registries.reading.raw import header_name
from mdm.registries.reading.sql import SQLITE
from mdm.registries.reading.xlsx import OLE_FILE, check_package, sheet_rows, unmerged

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

SAMPLE_BYTES = 1 << 18
SAMPLE_ROWS = 500
HEADER_WITHIN = 20
SHEET_COLUMN = "Trang tính"
DATA_CELL = re.compile(r"[\d\s./:,+-]+")
SECTION_WORD = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True, slots=True)
class Sniffed:
    """`settings`: keys of a source declaration as YAML text. `rows`: sample rows by column name."""

    format: str
    settings: Mapping[str, str]
    names: Sequence[str]
    rows: Sequence[Mapping[str, str]]
    skip: tuple[str, str] | None = None
    tables: Sequence[str] = field(default_factory=tuple)


def sniff(path: Path) -> Sniffed:
    """Raises InputError for a file that is empty or of no format that can be read."""
    with path.open("rb") as file:
        start = file.read(SAMPLE_BYTES)
    if not start.strip():
        raise InputError("is empty", where=path.name)
    if start.startswith((b"PK\x03\x04", OLE_FILE)):
        check_package(path)
        return _xlsx(path)
    if start.startswith(b"PAR1"):
        return _parquet(path)
    if start.startswith(SQLITE):
        return _sqlite(path)
    encoding, text = _decoded(start, path.name)
    if text.lstrip()[:1] in {"{", "["}:
        return _json(path, encoding, text)
    return _csv(encoding, text)


def _decoded(start: bytes, name_of: str) -> tuple[str, str]:
    for mark, name in ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if start.startswith(mark):
            return name, start.decode("utf-8-sig" if name == "utf-8" else name, "ignore")
    if start.count(b"\0") > len(start) // 5:
        name = "utf-16-le" if start[1::2].count(b"\0") > len(start) // 5 else "utf-16-be"
        return name, start.decode(name, "ignore")
    if b"\0" in start:
        raise InputError(
            "is of no format that can be read",
            where=name_of,
            hint="Expected CSV, XLSX, JSON, Parquet or SQLite.",
        )
    try:
        # The sample may end inside a letter.
        text = start[: len(start) - 4].decode() if len(start) == SAMPLE_BYTES else start.decode()
    except UnicodeDecodeError:
        text = start.decode("latin-1")
        return _legacy(text) or _one_byte(start)
    return _legacy(text) or ("utf-8", text)


def _legacy(text: str) -> tuple[str, str] | None:
    """Text typed in a font of the time before Unicode; judged by its words alone, as digits say nothing."""
    words = {word for word in re.findall(r"[^\d;,|\t\r\n\"]+", text) if not word.isascii()}
    found = viparse.detect_text_encoding(" ".join(sorted(words)))
    return (found, viparse.fix(text, encoding=found)) if found else None


def _one_byte(start: bytes) -> tuple[str, str]:
    try:
        return "cp1258", start.decode("cp1258")
    except UnicodeDecodeError:
        guess = from_bytes(start).best()
        name = guess.encoding if guess else "latin-1"
        return name, start.decode(name, "replace")


def _csv(encoding: str, text: str) -> Sniffed:
    lines = text.splitlines()[: SAMPLE_ROWS + HEADER_WITHIN]
    delimiter = max(DELIMITERS, key=lambda mark: _regularity(lines, mark))
    rows = list(csv.reader(lines, delimiter=delimiter))
    header = [_header_row(rows)]
    settings = {"encoding": encoding, "delimiter": orjson.dumps(delimiter).decode(), "header": str(header)}
    return _tabular("csv", settings, rows, header)


def _regularity(lines: Sequence[str], delimiter: str) -> tuple[int, int]:
    widths = [len(row) for row in csv.reader(lines, delimiter=delimiter)]
    common = max(set(widths), key=widths.count)
    return (widths.count(common) if common > 1 else 0, common)


def _xlsx(path: Path) -> Sniffed:
    workbook = CalamineWorkbook.from_path(str(path))
    for name in workbook.sheet_names:
        sheet = workbook.get_sheet_by_name(name)
        rows = sheet_rows(sheet)
        if not any(any(row) for row in rows):
            continue
        legacy = _legacy("\n".join(cell for row in rows for cell in row))
        if legacy:
            rows = [[viparse.fix(cell, encoding=legacy[0]) for cell in row] for row in rows]
        merged = sheet.merged_cell_ranges or ()
        first = _header_row(rows)
        # A cell merged downwards from the header row shows how many rows the header has.
        last = max([first, *(bottom + 1 for (top, _), (bottom, _) in merged if top == first - 1)])
        header = list(range(first, last + 1))
        filled = unmerged(rows, merged, header)
        rows = [*rows[: first - 1], *filled, *rows[last:]]
        settings = {"header": str(header)} | ({"encoding": legacy[0]} if legacy else {})
        if len(workbook.sheet_names) > 1:
            # Numbers often start again on each sheet: its name belongs to the key.
            settings |= {"sheet": "all", "sheet_column": SHEET_COLUMN}
        return _tabular("xlsx", settings, rows, header)
    raise InputError("holds no rows", where=path.name)


def _header_row(rows: Sequence[Sequence[str]]) -> int:
    """The first row, from 1, that is mostly filled and has no cell that looks like data."""
    width = max(len(row) for row in rows)
    for number, row in enumerate(rows[:HEADER_WITHIN], start=1):
        cells = [cell for cell in row if cell.strip()]
        if len(cells) >= max(1, 0.6 * width) and not any(DATA_CELL.fullmatch(cell.strip()) for cell in cells):
            return number
    return 1


def _tabular(
    format_: str, settings: Mapping[str, str], rows: Sequence[Sequence[str]], header: Sequence[int]
) -> Sniffed:
    joined = join_header([rows[number - 1] for number in header])
    names = [header_name(cell) or f"column {place}" for place, cell in enumerate(joined, start=1)]
    data = [
        dict(zip(names, (cell.strip() for cell in row), strict=False))
        for row in rows[header[-1] : header[-1] + SAMPLE_ROWS]
        if any(cell.strip() for cell in row)
    ]
    skip = _sections(names, data)
    if skip:
        data = [row for row in data if not re.match(skip[1], row.get(skip[0], ""))]
    return Sniffed(format_, settings, names, data, skip)


def _sections(names: Sequence[str], rows: Sequence[Mapping[str, str]]) -> tuple[str, str] | None:
    """Rows with little but words in their first column, which no full row starts with: section titles and totals."""
    sparse: set[str] = set()
    full: set[str] = set()
    for row in rows:
        word = SECTION_WORD.match(row.get(names[0], ""))
        if word:
            filled = sum(bool(row.get(name)) for name in names)
            (sparse if filled <= max(1, len(names) // 3) else full).add(word[0])
    found = sparse - full
    return (names[0], f"^({'|'.join(sorted(found))})") if found else None


def _json(path: Path, encoding: str, text: str) -> Sniffed:
    lines = [line for line in text.splitlines() if line.strip()]
    settings = {"encoding": encoding}
    # The last line of a sample may be cut.
    whole = [_parsed(line) for line in (lines if len(lines) == 1 else lines[:-1])[:SAMPLE_ROWS]]
    by_line = all(isinstance(document, dict) for document in whole) and (
        len(lines) > 1 or not _repeated(whole[0]) or path.suffix == ".jsonl"
    )
    format_ = "jsonl" if by_line else "json"
    documents = whole if by_line else [_whole(path, encoding)]
    repeated = _repeated(documents[0])
    if repeated and repeated != "[]":
        settings["rows"] = repeated
    steps = steps_of(repeated)
    rows = [row for document in documents for row in _expanded(document, steps)][:SAMPLE_ROWS]
    names = list(dict.fromkeys(name for row in rows for name in row))
    return Sniffed(format_, settings, names, rows)


def _parsed(line: str) -> object:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        return None


def _whole(path: Path, encoding: str) -> object:
    try:
        return orjson.loads(path.read_text(encoding))
    except (orjson.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError("is no valid JSON", where=path.name) from error


def _expanded(document: object, steps: Sequence[str]) -> list[dict[str, str]]:
    if steps and steps[0] == "" and isinstance(document, list):
        return [row for element in document for row in expand(element, steps[1:], {}, "$")]
    return list(expand(document, steps, {}, "$"))


def _repeated(document: object) -> str:
    """The path of the innermost list of objects, following the first of each."""
    if isinstance(document, list):
        inner = _repeated(document[0]) if document else ""
        return f"[].{inner}" if inner else "[]"
    if isinstance(document, dict):
        for name, value in document.items():
            if isinstance(value, list) and value and isinstance(value[0], dict):
                inner = _repeated(value[0])
                return f"{name}[].{inner}" if inner else f"{name}[]"
            if isinstance(value, dict) and (inner := _repeated(value)):
                return f"{name}.{inner}"
    return ""


def _parquet(path: Path) -> Sniffed:
    with pq.ParquetFile(path) as file:
        table = flattened(pa.Table.from_batches([next(file.iter_batches(SAMPLE_ROWS))]))
    names = [header_name(name) for name in table.column_names]
    texts = [as_text(column).to_pylist() for column in table.columns]
    return Sniffed(
        "parquet", {}, names, [dict(zip(names, row, strict=True)) for row in zip(*texts, strict=True)]
    )


def _sqlite(path: Path) -> Sniffed:
    with closing(sqlite3.connect(f"file:{path.resolve()}?mode=ro", uri=True)) as database:
        tables = [
            row[0]
            for row in database.execute(
                "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') ORDER BY name"
            )
        ]
        if not tables:
            raise InputError("holds no table", where=path.name)
        cursor = database.execute(f'SELECT * FROM "{tables[0]}" LIMIT {SAMPLE_ROWS}')
        names = [header_name(column[0]) for column in cursor.description]
        rows = [["" if cell is None else str(cell) for cell in row] for row in cursor]
    return Sniffed(
        "sql",
        {"table": tables[0]},
        names,
        [dict(zip(names, row, strict=True)) for row in rows],
        tables=tables[1:],
    )
