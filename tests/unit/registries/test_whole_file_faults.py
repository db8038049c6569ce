"""What makes a file unusable as a whole: a clear error, and nothing of the file is yielded."""

from __future__ import annotations

import io
import sqlite3
import tracemalloc
import zipfile

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mdm.errors import InputError

PEOPLE = """
- name: people
  files: ["*.{suffix}"]
  format: {format}
  {more}
  records:
    - kind: person
      key: [MaHS]
      columns: {{full_name: HoTen, birth_date: NgaySinh}}
"""
HEADER = "MaHS,HoTen,NgaySinh\n"
ROWS = "".join(f"HS{n},Nguyễn Văn An,01/02/1980\n" for n in range(2000))


def people(format_: str, *, suffix: str | None = None, more: str = "") -> str:
    return PEOPLE.format(format=format_, suffix=suffix or format_, more=more)


def fault(delivery, sources: str) -> str:
    with pytest.raises(InputError) as caught:
        delivery.land(sources)
    return str(caught.value)


@pytest.mark.parametrize("content", ["", "\n\n", HEADER])
def test_an_empty_csv(delivery, content):
    delivery.write("a.csv", content)
    told = fault(delivery, people("csv"))
    assert told.startswith("a.csv")
    assert "empty" in told or "no rows" in told


def test_a_missing_column_names_the_nearest(delivery):
    delivery.write("a.csv", "MaHS,HoVaTen,NgaySinh\n1,A,2000\n")
    told = fault(delivery, people("csv"))
    assert "column `HoTen` (nearest: `HoVaTen`) is missing" in told
    assert told.startswith("a.csv:1")


def test_a_repeated_column_that_is_needed(delivery):
    delivery.write("a.csv", "MaHS,HoTen,NgaySinh,HoTen\n1,A,2000,B\n")
    assert "two columns are named `HoTen`" in fault(delivery, people("csv"))


def test_a_wrong_delimiter(delivery):
    delivery.write("a.csv", (HEADER + ROWS).replace(",", ";"))
    assert "separated by ';'" in fault(delivery, people("csv"))


def test_bytes_of_another_encoding_are_told_with_line_and_guess(delivery):
    delivery.write(
        "a.csv", HEADER.encode() + ROWS.encode("utf-8") + "9,Ðặng,2000\n".encode("utf-16-le")[:3] + b"\xff\n"
    )
    told = fault(delivery, people("csv"))
    assert told.startswith("a.csv:2002")
    assert "is not utf-8: byte" in told


@pytest.mark.parametrize(
    ("written", "declared", "looks"),
    [("utf-16", "utf-8", "utf-16"), ("utf-16-le", "utf-8", "utf-16-le"), ("utf-8", "cp1258", "utf-8")],
)
def test_a_declared_encoding_that_decodes_but_is_not_it(delivery, written, declared, looks):
    delivery.write("a.csv", HEADER + ROWS, encoding=written)
    told = fault(delivery, people("csv", more=f"encoding: {declared}"))
    assert f"looks like {looks}" in told


def test_text_saved_with_the_wrong_encoding(delivery):
    delivery.write(
        "a.csv",
        HEADER + "1,Nguyễn Văn Hoà,1980\n2,Lê Đức,1980\n3,Phạm Thuý,1980\n".encode().decode("latin-1"),
    )
    assert "decoded with the wrong encoding" in fault(delivery, people("csv"))


@pytest.mark.parametrize(
    "end", ["HS1,Nguyễn", 'HS1,Nguyễn Văn An,"01/02', 'HS1,"Nguyễn Văn An,1980\nHS2,Lê B,1981\n']
)
def test_a_file_cut_in_the_middle(delivery, end):
    delivery.write("a.csv", HEADER + ROWS + end)
    told = fault(delivery, people("csv"))
    assert "cut off" in told or "not closed" in told


def test_a_complete_last_row_without_line_end_is_no_fault(delivery):
    delivery.write("a.csv", HEADER + "HS1,Nguyễn Văn An,1980")
    assert delivery.land(people("csv")).received == 1


@pytest.mark.parametrize("format_", ["csv", "jsonl"])
def test_a_line_of_100_mb_fails_fast_with_flat_memory(delivery, format_):
    with (delivery.folder / f"a.{format_}").open("wb") as file:
        file.write(HEADER.encode())
        for _ in range(100):
            file.write(b"x" * 1_000_000)
    tracemalloc.start()
    told = fault(delivery, people(format_))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert told.startswith(f"a.{format_}:2")
    assert "longer than 1,000,000 bytes" in told
    assert peak < 20_000_000


def test_a_quote_never_closed_in_a_large_file(delivery):
    delivery.write("a.csv", HEADER + 'HS,"Nguyễn,1980\n' + ROWS * 60)
    assert "not closed" in fault(delivery, people("csv")) or "cut off" in fault(delivery, people("csv"))


def workbook(delivery, *, value: object = "HS1") -> bytes:
    book = openpyxl.Workbook()
    book.active.append(["MaHS", "HoTen", "NgaySinh"])
    book.active.append([value, "Nguyễn Văn An", 1980])
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


def test_a_spreadsheet_whose_formula_has_no_value(delivery):
    delivery.write("a.xlsx", workbook(delivery, value='="HS"&1'))
    told = fault(delivery, people("xlsx"))
    assert told.startswith("a.xlsx[Sheet]:A2: is a formula without a value")


def test_a_spreadsheet_cut_in_the_middle(delivery):
    content = workbook(delivery)
    delivery.write("a.xlsx", content[: len(content) // 2])
    assert "cut off" in fault(delivery, people("xlsx"))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"\xd0\xcf\x11\xe0" + "EncryptedPackage".encode("utf-16-le"), "protected by a password"),
        (b"\xd0\xcf\x11\xe0" + b"Workbook", "old Excel file"),
        (b"", "is empty"),
        (b"MaHS,HoTen", "no Excel file"),
    ],
)
def test_what_is_no_new_workbook(delivery, content, expected):
    delivery.write("a.xlsx", content)
    assert expected in fault(delivery, people("xlsx"))


def test_a_sheet_that_is_not_there(delivery):
    delivery.write("a.xlsx", workbook(delivery))
    assert "Its sheets are `Sheet`" in fault(delivery, people("xlsx", more="sheet: Quý 1"))


def test_an_empty_workbook(delivery):
    content = io.BytesIO()
    openpyxl.Workbook().save(content)
    delivery.write("a.xlsx", content.getvalue())
    assert "holds no rows" in fault(delivery, people("xlsx"))


def test_a_workbook_that_unpacks_to_more_than_it_should(delivery, monkeypatch):
    monkeypatch.setattr("mdm.registries.reading.xlsx.MAX_UNPACKED", 100)
    delivery.write("a.xlsx", workbook(delivery))
    assert "unpacks to more than" in fault(delivery, people("xlsx"))


@pytest.mark.parametrize(
    ("format_", "content", "expected"),
    [
        ("json", '[{"MaHS": "1", "HoTen": "A"}, {"MaHS"', "cut off"),
        ("json", '{"ds": []}', "no elements"),
        ("json", "", "is empty"),
        ("jsonl", '{"MaHS": "1", "HoTen": "A"}\n{"MaHS": "2", "Ho', "cut off"),
        ("jsonl", "\n", "is empty"),
        ("jsonl", '{"SoHS": "1", "HoTen": "A"}\n', "`MaHS`"),
    ],
)
def test_broken_json(delivery, format_, content, expected):
    delivery.write(f"a.{format_}", content)
    assert expected in fault(delivery, people(format_))


def test_parquet_cut_damaged_or_empty(delivery):
    table = pa.table({"MaHS": ["1"], "HoTen": ["A"], "NgaySinh": ["1980"]})
    pq.write_table(table, delivery.folder / "a.parquet")
    whole = (delivery.folder / "a.parquet").read_bytes()
    delivery.write("a.parquet", whole[:-10])
    assert "cut off or damaged" in fault(delivery, people("parquet"))
    pq.write_table(table.slice(0, 0), delivery.folder / "a.parquet")
    assert "no rows" in fault(delivery, people("parquet"))


def test_a_database_without_the_table_or_not_a_database(delivery):
    with sqlite3.connect(delivery.folder / "a.sqlite") as database:
        database.execute("CREATE TABLE hs (MaHS TEXT)")
    database.close()
    assert "no such table" in fault(delivery, people("sql", suffix="sqlite", more="table: people"))
    assert "`HoTen`" in fault(delivery, people("sql", suffix="sqlite", more="table: hs"))
    delivery.write("a.sqlite", b"no database at all, just text")
    assert "cannot be read" in fault(delivery, people("sql", suffix="sqlite", more="table: hs"))


def test_nothing_of_a_faulty_file_is_yielded(delivery):
    delivery.write("a.csv", HEADER + ROWS + 'x,"Nguyễn')
    with pytest.raises(InputError):
        delivery.land(people("csv"))


def test_zip_bombs_are_measured_before_they_are_unpacked(delivery, monkeypatch):
    monkeypatch.setattr("mdm.registries.reading.xlsx.MAX_UNPACKED", 1_000_000)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as package:
        package.writestr("xl/worksheets/sheet1.xml", b"0" * 2_000_000)
    delivery.write("a.xlsx", content.getvalue())
    assert "unpacks to more than" in fault(delivery, people("xlsx"))
