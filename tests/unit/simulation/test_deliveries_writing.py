"""Files as offices send them, read back by plain tools."""

import csv
import io
import json
import sqlite3
import unicodedata
from pathlib import Path

import numpy as np
import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import viparse

from mdm.simulation.deliveries.offices.text import (
    coded,
    date_text,
    day_text,
    joined,
    name_parts,
    padded,
    scattered,
)
from mdm.simulation.deliveries.writing.forms import (
    Csv,
    GroupedJsonLines,
    JsonDocument,
    JsonLines,
    Parquet,
    SqliteTable,
)
from mdm.simulation.deliveries.writing.xlsx import Xlsx

TABLE = pa.table(
    {"Ma": ["1", "2", "3"], "HoTen": ["Nguyễn Văn Ấn", None, 'Lê "Út", Đào'], "Xa": ["Hòa; An", "B|c", ""]}
)
NONE = np.zeros(3, dtype=bool)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1258", "tcvn3", "vni"])
@pytest.mark.parametrize("delimiter", [",", ";", "|", "\t"])
def test_csv_is_read_back_in_any_encoding(tmp_path: Path, encoding: str, delimiter: str):
    path = tmp_path / "a.csv"
    numbers = Csv(delimiter=delimiter, encoding=encoding).write(path, TABLE, NONE)
    text = path.read_bytes().decode({"tcvn3": "latin-1", "vni": "latin-1"}.get(encoding, encoding))
    if encoding in {"tcvn3", "vni"}:
        text = "\r\n".join(viparse.fix(line, encoding=encoding) for line in text.split("\r\n"))
    rows = list(csv.reader(io.StringIO(unicodedata.normalize("NFC", text), newline=""), delimiter=delimiter))
    assert rows[0] == ["Ma", "HoTen", "Xa"]
    expected = [[cell or "" for cell in row.values()] for row in TABLE.to_pylist()]
    if encoding == "tcvn3":  # its capitals with a tone are small letters in a capital font
        expected[0][1], expected[2][1] = "Nguyễn Văn ấn", 'Lê "út", Đào'
    assert rows[1:] == expected
    assert numbers.tolist() == [2, 3, 4]


def test_a_malformed_line_has_the_wrong_number_of_fields(tmp_path: Path):
    path = tmp_path / "a.csv"
    table = pa.table({name: ["x"] * 4 for name in ("A", "B", "C")})
    Csv().write(path, table, np.array([False, True, True, False]))
    lengths = [len(line.split(",")) for line in path.read_text().splitlines()]
    assert lengths == [3, 3, 2, 6, 3]


def test_json_lines_nest_structs(tmp_path: Path):
    path = tmp_path / "a.jsonl"
    table = pa.table({"ma": ["1", "2"], "me": [{"hoTen": "Lan"}, {"hoTen": None}]})
    JsonLines().write(path, table, NONE[:2])
    assert [json.loads(line) for line in path.read_text().splitlines()] == table.to_pylist()


def test_rows_of_a_household_stand_inside_it(tmp_path: Path):
    path = tmp_path / "a.jsonl"
    table = pa.table({"maHo": ["H1", "H1", "H2"], "xa": ["A", "A", "B"], "stt": ["1", "2", "1"]})
    numbers = GroupedJsonLines(group=("maHo", "xa"), inside="thanhVien").write(path, table, NONE)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["maHo"] for line in lines] == ["H1", "H2"]
    assert [[member["stt"] for member in line["thanhVien"]] for line in lines] == [["1", "2"], ["1"]]
    assert numbers.tolist() == [1, 2, 3]  # members count through the whole file


def test_a_document_has_a_head(tmp_path: Path):
    path = tmp_path / "a.json"
    JsonDocument(head=(("coQuan", "X"),), inside="danhSach").write(path, TABLE, NONE)
    assert json.loads(path.read_text()) == {"coQuan": "X", "danhSach": TABLE.to_pylist()}


def test_parquet_and_sqlite_hold_the_rows(tmp_path: Path):
    Parquet().write(tmp_path / "a.parquet", TABLE, NONE)
    assert pq.read_table(tmp_path / "a.parquet").to_pylist() == TABLE.to_pylist()
    SqliteTable("khai_sinh").write(tmp_path / "a.sqlite", TABLE, NONE)
    database = sqlite3.connect(tmp_path / "a.sqlite")
    rows = database.execute("SELECT * FROM khai_sinh").fetchall()
    database.close()
    assert rows == [tuple(row.values()) for row in TABLE.to_pylist()]


@pytest.mark.parametrize("encoding", ["unicode", "tcvn3"])
def test_a_spreadsheet_has_titles_sections_and_sums(tmp_path: Path, encoding: str):
    tcvn3 = encoding == "tcvn3"
    path = tmp_path / "a.xlsx"
    table = pa.table({"huyen": ["Huyện A", "Huyện A", "Huyện B"], "Họ và tên": ["An", "Bích", "Cúc"]})
    numbers = Xlsx(titles=("Sở Y tế", "Danh sách"), section="huyen", tcvn3=tcvn3).write(path, table, NONE)
    sheet = openpyxl.load_workbook(path).active

    def text(value: object) -> object:
        return viparse.fix(value, encoding="tcvn3") if tcvn3 and isinstance(value, str) else value

    rows = [[text(cell) for cell in row] for row in sheet.iter_rows(values_only=True)]
    assert rows == [
        ["Sở Y tế", None],
        ["Danh sách", None],
        ["STT", "Họ và tên"],
        ["Huyện A", None],
        [1, "An"],
        [2, "Bích"],
        ["Cộng", 2],
        ["Huyện B", None],
        [1, "Cúc"],
        ["Cộng", 1],
        ["Tổng cộng", 3],
    ]
    assert numbers.tolist() == [5, 6, 9]


def test_a_header_over_two_rows_spans_its_columns(tmp_path: Path):
    path = tmp_path / "a.xlsx"
    table = pa.table({"s": ["H"], "Ma": ["1"], "Ngày / Ngày": ["2"], "Ngày / Tháng": ["3"], "Ten": ["x"]})
    Xlsx(titles=("T",), section="s").write(path, table, NONE[:1])
    sheet = openpyxl.load_workbook(path).active
    rows = list(sheet.iter_rows(min_row=2, max_row=3, values_only=True))
    assert rows == [("STT", "Ma", "Ngày", None, "Ten"), (None, None, "Ngày", "Tháng", None)]
    assert [str(merged) for merged in sheet.merged_cells.ranges] == ["C2:D2"]


def test_every_form_writes_the_same_bytes_twice(tmp_path: Path):
    forms = [
        Csv(),
        JsonLines(),
        Parquet(),
        SqliteTable("t"),
        Xlsx(titles=("T",), section="Ma"),
        JsonDocument(head=(), inside="x"),
    ]
    for number, form in enumerate(forms):
        one, two = tmp_path / f"{number}a", tmp_path / f"{number}b"
        form.write(one, TABLE, NONE)
        form.write(two, TABLE, NONE)
        assert one.read_bytes() == two.read_bytes(), form


def test_dates_in_each_precision():
    year, month, day = np.array([1980, 1980, 1980, 0]), np.array([5, 5, 0, 0]), np.array([17, 0, 0, 0])
    assert date_text(year, month, day, style="dmy").to_pylist() == ["17/05/1980", "05/1980", "1980", None]
    assert date_text(year, month, day, style="zeros").to_pylist() == [
        "17/05/1980",
        "00/05/1980",
        "00/00/1980",
        None,
    ]
    days = np.array(["2024-02-29", "NaT"], dtype="datetime64[D]")
    assert day_text(days, style="ymd").to_pylist() == ["20240229", None]


def test_text_of_columns():
    assert padded(np.array([7]), 4, prefix="A").to_pylist() == ["A0007"]
    assert coded(pa.array(["male", "x", None]), {"male": "1"}).to_pylist() == ["1", None, None]
    assert joined(pa.array(["a", None, None]), pa.array(["b", "c", None])).to_pylist() == ["a, b", "c", None]
    parts = name_parts(pa.array(["Trần Thị Bích Ngọc", "Lê An", "Niê", None]))
    assert [part.to_pylist() for part in parts] == [
        ["Trần", "Lê", None, None],
        ["Thị Bích", None, None, None],
        ["Ngọc", "An", "Niê", None],
    ]


@pytest.mark.parametrize("digits", [3, 5, 8])
def test_scattered_numbers_are_one_to_one(digits: int):
    numbers = scattered(np.arange(min(10**digits, 200_000)), digits)
    assert len(np.unique(numbers)) == len(numbers)
    assert 0 <= numbers.min() <= numbers.max() < 10**digits
