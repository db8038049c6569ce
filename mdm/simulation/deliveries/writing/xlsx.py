"""A spreadsheet as a provincial office fills it: title rows, a header in the third row or over two rows, a section row
for each district and total rows between. For small lists only.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import xlsxwriter
from numpy.typing import NDArray

from mdm.simulation.deliveries.legacy_text import to_tcvn3

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

Rows = NDArray[np.int64]
_CREATED = datetime(2025, 1, 1, tzinfo=UTC).replace(tzinfo=None)  # a spreadsheet's clock has no zone
_SPANNED = "<"  # the cell belongs to the group on its left


@dataclass(frozen=True)
class Xlsx:
    """`section` names the column whose changes start a section; it is not written itself. A column named "A / B" stands
    under the group A in the first of two header rows.
    """

    titles: tuple[str, ...]
    section: str
    tcvn3: bool = False
    lines: bool = False

    def write(self, path: Path, table: pa.Table, malformed: NDArray[np.bool_]) -> Rows:
        del malformed
        book = xlsxwriter.Workbook(str(path), {"in_memory": True})
        book.set_properties({"created": _CREATED, "author": ""})
        sheet = book.add_worksheet("Danh sach")
        names = [name for name in table.column_names if name != self.section]
        row = self._top(sheet, names)
        sections = table[self.section].to_pylist()
        columns = [table[name].to_pylist() for name in names]
        numbers = np.zeros(table.num_rows, dtype=np.int64)
        inside = 0
        for place in range(table.num_rows):
            if place == 0 or sections[place] != sections[place - 1]:
                if place:
                    row = self._sum(sheet, row, "Cộng", inside)
                sheet.write_string(row, 0, self._text(sections[place] or "Chưa rõ huyện"))
                row, inside = row + 1, 0
            inside += 1
            sheet.write_number(row, 0, inside)
            for column, values in enumerate(columns, start=1):
                if values[place] is not None:
                    sheet.write_string(row, column, self._text(values[place]))
            row += 1
            numbers[place] = row  # counted from 1
        row = self._sum(sheet, row, "Cộng", inside)
        self._sum(sheet, row, "Tổng cộng", table.num_rows)
        book.close()
        return numbers

    def _top(self, sheet: xlsxwriter.worksheet.Worksheet, names: list[str]) -> int:
        """Titles and header; the number of rows they take. A group's cell spans its columns."""
        for row, title in enumerate(self.titles):
            sheet.write_string(row, 0, self._text(title))
        headers = self._headers(names)
        for row, header in enumerate(headers, start=len(self.titles)):
            for column, text in enumerate(header):
                width = next(
                    (n for n, other in enumerate(header[column + 1 :], 1) if other != _SPANNED),
                    len(header) - column,
                )
                if text in {"", _SPANNED}:
                    continue
                if width > 1:
                    sheet.merge_range(row, column, row, column + width - 1, self._text(text))
                else:
                    sheet.write_string(row, column, self._text(text))
        return len(self.titles) + len(headers)

    def _headers(self, names: list[str]) -> list[list[str]]:
        """The first column, STT, counts the rows of a section."""
        if not any(" / " in name for name in names):
            return [["STT", *names]]
        upper, lower, open_group = ["STT"], [""], ""
        for name in names:
            group, _, below = name.rpartition(" / ")
            upper.append(_SPANNED if group and group == open_group else group or below)
            lower.append(below if group else "")
            open_group = group
        return [upper, lower]

    def _sum(self, sheet: xlsxwriter.worksheet.Worksheet, row: int, word: str, count: int) -> int:
        sheet.write_string(row, 0, self._text(word))
        sheet.write_number(row, 1, count)
        return row + 1

    def _text(self, text: str) -> str:
        return to_tcvn3(text) if self.tcvn3 else text
