"""Excel workbooks: titles above the header, header over several rows, merged cells, formulas."""

from __future__ import annotations

import zipfile
from datetime import datetime, time
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import openpyxl
import pyarrow as pa
from openpyxl.utils import get_column_letter
from python_calamine import CalamineError, CalamineSheet, CalamineWorkbook, PasswordError

from mdm.errors import InputError
from mdm.registries.reading.csv import join_header
from mdm.registries.reading.raw import CHUNK_ROWS, ROW, Alternatives, RawChunk, named_columns, no_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from mdm.registries.source import SourceDeclaration

OLE_FILE = b"\xd0\xcf\x11\xe0"
MAX_UNPACKED = 4 << 30
Place = tuple[int, int]


def read_xlsx(path: Path, source: SourceDeclaration, *, needed: Sequence[Alternatives]) -> Iterator[RawChunk]:
    """Raises InputError for a locked, old, damaged or empty workbook and for formulas without values."""
    check_package(path)
    try:
        workbook = CalamineWorkbook.from_path(str(path))
        sheets = [
            workbook.get_sheet_by_name(name) for name in _chosen(workbook.sheet_names, source.sheet, path)
        ]
    except PasswordError as error:
        raise _locked(path) from error
    except CalamineError as error:
        raise _damaged(path, str(error)) from error
    formulas = _formulas(path)
    tables = [_table(sheet, path, source, needed=needed) for sheet in sheets]
    filled = [(sheet, table) for sheet, table in zip(sheets, tables, strict=True) if table.num_rows]
    if not filled:
        raise no_rows(path)
    for sheet, table in filled:
        computed = _by_row(formulas.get(sheet.name, ()), table.column_names)
        for start in range(0, table.num_rows, CHUNK_ROWS):
            yield RawChunk(
                table.slice(start, CHUNK_ROWS),
                sheet=sheet.name if len(sheets) > 1 else None,
                formulas=computed,
            )


def sheet_rows(sheet: CalamineSheet) -> list[list[str]]:
    """All cells from A1 on, as text."""
    return [[cell_text(cell) for cell in row] for row in sheet.to_python(skip_empty_area=False)]


def cell_text(cell: Any) -> str:
    """A cell as it would be typed: whole numbers without a point, dates as ISO 8601."""
    match cell:
        case None:
            return ""
        case bool():
            return "TRUE" if cell else "FALSE"
        case float() if cell.is_integer():
            return str(int(cell))
        case datetime():
            return cell.date().isoformat() if cell.time() == time() else cell.isoformat(sep=" ")
        case _:
            return str(cell)


def _chosen(names: Sequence[str], sheet: str, path: Path) -> Sequence[str]:
    if sheet == "all":
        return names
    if sheet.isdigit() and sheet not in names and 1 <= int(sheet) <= len(names):
        return [names[int(sheet) - 1]]
    matching = [name for name in names if name == sheet or fnmatchcase(name, sheet)]
    if matching:
        return matching
    listed = ", ".join(f"`{name}`" for name in names)
    raise InputError(f"has no sheet `{sheet}`", where=path.name, hint=f"Its sheets are {listed}.")


def _table(
    sheet: CalamineSheet, path: Path, source: SourceDeclaration, *, needed: Sequence[Alternatives]
) -> pa.Table:
    rows = sheet_rows(sheet)
    where = f"{path.name}[{sheet.name}]"
    if not any(any(row) for row in rows):
        return pa.table({ROW: pa.array([], pa.int64())})
    names: Sequence[str] = source.column_names
    last = 0
    if source.header:
        last = source.header[-1]
        if len(rows) < last:
            raise InputError(f"ends before its header row {last}", where=where)
        header = unmerged(rows, sheet.merged_cell_ranges or (), source.header)
        names = named_columns(
            join_header(header),
            needed=needed,
            where=f"{where}:{last}",
            encoding=source.encoding_of(path.name),
        )
    data = rows[last:]
    width = len(names)
    # A row wider than the header keeps its cells under made-up names, so that nothing is lost.
    widest = max((len(row) for row in data), default=width)
    names = [*names, *(f"column {place}" for place in range(width + 1, widest + 1))]
    columns = {
        name: pa.array([row[place] if place < len(row) else "" for row in data], pa.string())
        for place, name in enumerate(names)
    }
    if source.sheet_column:
        columns[source.sheet_column] = pa.repeat(pa.scalar(sheet.name), len(data))
    return pa.table(columns).append_column(ROW, pa.array(range(last + 1, last + 1 + len(data)), pa.int64()))


def unmerged(
    rows: Sequence[list[str]], merged: Sequence[tuple[Place, Place]], header: Sequence[int]
) -> list[list[str]]:
    """The header rows with each merged range filled with its first cell."""
    filled = {number - 1: list(rows[number - 1]) for number in header}
    for (top, left), (bottom, right) in merged:
        for row in range(top, bottom + 1):
            for column in range(left, right + 1):
                if row in filled and column < len(filled[row]):
                    filled[row][column] = rows[top][left]
    return [filled[number - 1] for number in header]


def check_package(path: Path) -> None:
    with path.open("rb") as file:
        start = file.read(4)
        rest = file.read(1 << 20) if start == OLE_FILE else b""
    if start == OLE_FILE:
        if "EncryptedPackage".encode("utf-16-le") in rest:
            raise _locked(path)
        raise InputError(
            "is an old Excel file (.xls)", where=path.name, hint="Open it in Excel and save it as .xlsx."
        )
    if not start:
        raise InputError("is empty", where=path.name, hint="Ask the sender for the file again.")
    try:
        with zipfile.ZipFile(path) as package:
            unpacked = sum(entry.file_size for entry in package.infolist())
    except zipfile.BadZipFile as error:
        raise _damaged(path, "it is cut off or no Excel file") from error
    if unpacked > MAX_UNPACKED:
        raise InputError("unpacks to more than 4 GB", where=path.name, hint="Send it as CSV or Parquet.")


def _formulas(path: Path) -> Mapping[str, Sequence[Place]]:
    """Places of formulas by sheet, rows and columns from 1. Raises InputError for one without a value."""
    with zipfile.ZipFile(path) as package:
        sheets = [name for name in package.namelist() if name.startswith("xl/worksheets/sheet")]
        if not any(_holds_formula(package, name) for name in sheets):
            return {}
    written = openpyxl.load_workbook(path, read_only=True, data_only=False)
    computed = openpyxl.load_workbook(path, read_only=True, data_only=True)
    try:
        found = {name: list(_formulas_of(written[name], computed[name])) for name in written.sheetnames}
    finally:
        written.close()
        computed.close()
    for name, cells in found.items():
        empty = next(((row, column) for row, column, has_value in cells if not has_value), None)
        if empty is not None:
            raise InputError(
                "is a formula without a value",
                where=f"{path.name}[{name}]:{get_column_letter(empty[1])}{empty[0]}",
                hint="Open the file in Excel, let it compute, save it and send it again.",
            )
    return {name: [(row, column) for row, column, _ in cells] for name, cells in found.items()}


def _formulas_of(written: Any, computed: Any) -> Iterator[tuple[int, int, bool]]:
    for cells, values in zip(written.iter_rows(), computed.iter_rows(), strict=True):
        for cell, value in zip(cells, values, strict=True):
            if cell.data_type == "f":
                yield cell.row, cell.column, value.value is not None


def _holds_formula(package: zipfile.ZipFile, name: str) -> bool:
    end = b""
    with package.open(name) as sheet:
        while block := sheet.read(1 << 20):
            if b"<f>" in end + block or b"<f " in end + block:
                return True
            end = block[-2:]
    return False


def _by_row(places: Sequence[Place], names: Sequence[str]) -> Mapping[int, Sequence[str]]:
    rows: dict[int, list[str]] = {}
    for row, column in places:
        if column <= len(names):
            rows.setdefault(row, []).append(names[column - 1])
    return rows


def _locked(path: Path) -> InputError:
    return InputError(
        "is protected by a password", where=path.name, hint="Ask the sender for a copy without a password."
    )


def _damaged(path: Path, reason: str) -> InputError:
    return InputError(
        f"cannot be read as an Excel file: {reason}",
        where=path.name,
        hint="Ask the sender for the file again.",
    )
