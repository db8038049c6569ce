"""Files as offices write them come back as rows, with the row numbers a clerk sees."""

from __future__ import annotations

import sqlite3
from datetime import date

import duckdb
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xlsxwriter

from mdm.registries.reading import csv
from mdm.registries.reading.raw import BadRow

PEOPLE = """
- name: people
  files: ["*.{suffix}"]
  format: {format}
  {more}
  records:
    - kind: person
      key: [MaHS]
      columns: {{full_name: HoTen, birth_date: NgaySinh}}
      required: [full_name]
"""


def people(format_: str, *, suffix: str | None = None, more: str = "") -> str:
    return PEOPLE.format(format=format_, suffix=suffix or format_, more=more)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1258"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_csv_in_every_encoding_and_delimiter(delivery, encoding, delimiter):
    text = "MaHS,HoTen,NgaySinh\nHS1,Nguyễn Thị Hường,17/05/1980\n".replace(",", delimiter)
    if encoding == "cp1258":
        # The code page holds tone marks apart from their letters.
        text = text.replace("ễ", "ê\u0303").replace("ị", "i\u0323").replace("ờ", "ơ\u0300")
    delivery.write("a.csv", text, encoding=encoding)
    landed = delivery.land(people("csv", more=f'encoding: {encoding}\n  delimiter: "{delimiter}"'))
    assert landed.values("full_name") == ["Nguyễn Thị Hường"]
    assert landed.values("birth_date") == ["1980-05-17"]


@pytest.mark.parametrize("saved_as", ["latin-1", "utf-8"])
def test_csv_typed_in_a_tcvn3_font(delivery, saved_as):
    delivery.write("a.csv", "MaHS,Hä Tªn,NgaySinh\n1,NguyÔn V¨n §øc,1980\n", encoding=saved_as)
    sources = people("csv", more="encoding: tcvn3").replace("HoTen", "Họ Tên")
    landed = delivery.land(sources)
    assert landed.values("full_name") == ["Nguyễn Văn Đức"]


def test_encoding_by_file(delivery):
    delivery.write("ha_giang.csv", "MaHS,HoTen,NgaySinh\n1,NguyÔn V¨n An,1980\n", encoding="latin-1")
    delivery.write("ha_noi.csv", "MaHS,HoTen,NgaySinh\n2,Nguyễn Văn An,1980\n")
    landed = delivery.land(people("csv", more='encoding: {default: utf-8, files: {"ha_g*.csv": tcvn3}}'))
    assert landed.values("full_name") == ["Nguyễn Văn An", "Nguyễn Văn An"]


def test_csv_row_numbers_are_those_of_a_spreadsheet(delivery):
    delivery.write(
        "a.csv",
        'MaHS,HoTen,NgaySinh\nHS1,"Nguyễn\nVăn An",1980\nHS2,Lê B\n\nHS4,Lê C,1980,thừa\nHS5,Lê D,1980\n',
    )
    landed = delivery.land(people("csv"))
    assert [(record["local_id"], record["row_number"]) for record in landed.records] == [
        ("HS1", 2),
        ("HS5", 6),
    ]
    assert landed.reasons == [(3, "row.malformed"), (5, "row.malformed")]
    assert [row["raw"] for row in landed.quarantine] == ["HS2,Lê B", "HS4,Lê C,1980,thừa"]
    assert landed.received == 4
    assert landed.skipped == 1


def test_csv_row_numbers_stay_right_over_many_blocks(delivery, monkeypatch):
    monkeypatch.setattr("mdm.registries.reading.csv.BLOCK", 2000)
    monkeypatch.setattr("mdm.registries.reading.csv.CHUNK_ROWS", 100)
    lines = [f"HS{n},Lê A,1980" if n % 7 else f"HS{n},Lê A" for n in range(2, 1000)]
    delivery.write("a.csv", "MaHS,HoTen,NgaySinh\n" + "\n".join(lines) + "\n")
    landed = delivery.land(people("csv"))
    assert len(landed.chunks) > 5
    assert all(record["local_id"] == f"HS{record['row_number']}" for record in landed.records)
    assert all(row["row_number"] % 7 == 0 for row in landed.quarantine)
    assert landed.received == len(lines) == len(landed.records) + len(landed.quarantine)


def test_no_bad_row_is_lost_while_a_chunk_is_worked_on(delivery, monkeypatch):
    """The parser reads ahead in a thread of its own: rows that it refuses meanwhile belong to the next chunk."""
    parsed = csv._batches

    def ahead(*given):
        for batch, bad in parsed(*given):
            yield batch, refused
            refused.extend(bad[len(refused) :])

    refused = []
    monkeypatch.setattr(csv, "_batches", ahead)
    monkeypatch.setattr(csv, "CHUNK_ROWS", 1)
    real = csv.RawChunk

    def meanwhile(*given):
        chunk = real(*given)
        if not refused:
            refused.append(BadRow(9, "HS9", "row.malformed", "told while the first chunk is made"))
        return chunk

    monkeypatch.setattr(csv, "RawChunk", meanwhile)
    delivery.write("a.csv", "MaHS,HoTen,NgaySinh\nHS1,Lê A,1980\n")
    landed = delivery.land(people("csv"))
    assert landed.reasons == [(9, "row.malformed")]
    assert landed.received == 2


def test_quotes_as_plain_text(delivery):
    delivery.write("a.csv", 'MaHS;HoTen;NgaySinh\n1;"Lê A;1980\n2;Lê B";1981\n')
    landed = delivery.land(people("csv", more='delimiter: ";"\n  quote: none'))
    assert [record["local_id"] for record in landed.records] == ["1", "2"]


def test_a_file_without_header(delivery):
    delivery.write("a.csv", "1,Lê A,1980\n2,Lê B,1981\n")
    landed = delivery.land(people("csv", more="header: []\n  column_names: [MaHS, HoTen, NgaySinh]"))
    assert [(record["row_number"], record["full_name"]) for record in landed.records] == [
        (1, "Lê A"),
        (2, "Lê B"),
    ]


def test_headers_match_whatever_their_spaces_and_unicode_form(delivery):
    delivery.write("a.csv", "MaHS , Ho\u0323  te\u0302n,NgaySinh\n1,Lê A,1980\n")
    assert delivery.land(people("csv").replace("HoTen", "Họ tên")).values("full_name") == ["Lê A"]


def write_province_workbook(path) -> None:
    book = xlsxwriter.Workbook(str(path))
    for name, code in [("Huyện A", "A"), ("Huyện B", "B")]:
        sheet = book.add_worksheet(name)
        sheet.merge_range(0, 0, 0, 4, "DANH SÁCH ĐỐI TƯỢNG HƯỞNG TRỢ CẤP")
        sheet.merge_range(2, 0, 3, 0, "STT")
        sheet.merge_range(2, 1, 3, 1, "MaHS")
        sheet.merge_range(2, 2, 3, 2, "Họ và tên")
        sheet.merge_range(2, 3, 2, 4, "Giới tính")
        sheet.write(3, 3, "Nam")
        sheet.write(3, 4, "Nữ")
        sheet.write(2, 5, "Ngày sinh")
        sheet.write(4, 0, "Mục I. Người cao tuổi")
        day = book.add_format({"num_format": "dd/mm/yyyy"})
        for place in range(2):
            row = 5 + place
            sheet.write_number(row, 0, place + 1)
            sheet.write_number(row, 1, 1000 + place)
            sheet.write(row, 2, f"Nguyễn Thị {code}")
            sheet.write(row, 3 + place, "x")
            sheet.write_datetime(row, 5, date(1950, 3, 4 + place), day)
        sheet.write(7, 0, "Tổng cộng")
        sheet.write_formula(7, 2, "=COUNTA(C6:C7)", value=2)
    book.close()


WORKBOOK = """
- name: people
  files: ["*.xlsx"]
  format: xlsx
  sheet: all
  header: [3, 4]
  name_pattern: 'tc_(?P<district>\\w+)_(?P<date>\\d{8})\\.xlsx'
  skip: [{column: STT, pattern: "^(Mục|Tổng)"}]
  records:
    - kind: person
      key: [district, MaHS]
      columns:
        full_name: Họ và tên
        sex: {marked: {male: Giới tính / Nam, female: Giới tính / Nữ}}
        birth_date: Ngày sinh
"""


def test_a_workbook_with_titles_two_header_rows_sections_and_totals(delivery):
    write_province_workbook(delivery.folder / "tc_caobang_20240115.xlsx")
    sources = WORKBOOK.replace("key: [district, MaHS]", "key: [district, Họ và tên, MaHS]")
    landed = delivery.land(sources)
    assert [(record["row_number"], record["local_id"]) for record in landed.records] == [
        (6, "caobang|Nguyễn Thị A|1000"),
        (7, "caobang|Nguyễn Thị A|1001"),
        (6, "caobang|Nguyễn Thị B|1000"),
        (7, "caobang|Nguyễn Thị B|1001"),
    ]
    assert landed.values("sex") == ["male", "female"] * 2
    assert landed.values("birth_date") == ["1950-03-04", "1950-03-05"] * 2
    assert landed.values("document_date") == [date(2024, 1, 15)] * 4
    assert (landed.received, landed.skipped) == (4, 4)
    assert [chunk.sheet for chunk in landed.chunks] == ["Huyện A", "Huyện B"]


def test_a_key_repeated_over_the_sheets_of_a_file_is_a_duplicate(delivery):
    write_province_workbook(delivery.folder / "tc_caobang_20240115.xlsx")
    landed = delivery.land(WORKBOOK)
    assert landed.reasons == [(6, "key.duplicate"), (7, "key.duplicate")]
    assert landed.received == landed.accepted_rows + len(landed.quarantine)


def test_a_formula_with_its_value_is_taken_and_marked(delivery):
    book = xlsxwriter.Workbook(str(delivery.folder / "a.xlsx"))
    sheet = book.add_worksheet()
    sheet.write_row(0, 0, ["MaHS", "HoTen", "NgaySinh"])
    sheet.write_row(1, 0, ["1", "Lê A"])
    sheet.write_formula(1, 2, "=1979+1", value=1980)
    sheet.write_row(2, 0, ["2", "Lê B", "1981"])
    book.close()
    landed = delivery.land(people("xlsx"))
    assert landed.values("birth_date") == ["1980", "1981"]
    assert landed.issues("birth_date")[0] in {"cell.formula", "date.month_missing"}


def test_nested_json_with_fields_around_the_elements(delivery):
    document = {
        "kyBaoCao": "2024-06",
        "danhSach": [
            {
                "maHo": "H1",
                "thanhVien": [
                    {
                        "ma": "1",
                        "hoTen": "Lê A",
                        "giayTo": {"soDinhDanh": "001080000001"},
                        "dt": ["0912345678"],
                    },
                    {"ma": "2", "hoTen": None},
                ],
            },
            {"maHo": "H2", "thanhVien": [{"ma": 1, "hoTen": "Lê C"}]},
            {"maHo": "H3"},
        ],
        "soHo": 3,
    }
    sources = """
    - name: people
      files: ["*.json"]
      format: json
      rows: danhSach[].thanhVien[]
      records:
        - kind: person
          key: [$.danhSach.maHo, ma]
          document_date: {column: $.kyBaoCao, formats: ["%Y-%m"]}
          columns:
            full_name: hoTen
            personal_id: giayTo.soDinhDanh
            household_ref: $.danhSach.maHo
            phone: dt
          required: [full_name]
    - name: households
      files: ["*.json"]
      format: json
      rows: danhSach[]
      records:
        - {kind: household, key: [maHo], columns: {reference_year: $.soHo}}
    """
    delivery.write("a.json", orjson.dumps(document))
    landed = delivery.land(sources)
    people_ = [record for record in landed.records if record["kind"] == "person"]
    assert [(record["local_id"], record["row_number"]) for record in people_] == [("H1|1", 1), ("H2|1", 3)]
    assert people_[0]["personal_id"] == "001080000001"
    assert people_[0]["phone"] == ["0912345678"]
    assert people_[0]["document_date"] == date(2024, 6, 1)
    assert landed.reasons == [(2, "required.missing:full_name")]
    assert [record["local_id"] for record in landed.records if record["kind"] == "household"] == [
        "H1",
        "H2",
        "H3",
    ]


def test_json_lines_keep_their_line_numbers_and_malformed_lines(delivery):
    delivery.write(
        "a.jsonl",
        '{"MaHS": 1, "HoTen": "Lê A", "NgaySinh": 1980}\n\n{"MaHS": 2, "HoTen"\n[1]\n{"MaHS": 5, "HoTen": "Lê B"}\n',
    )
    landed = delivery.land(people("jsonl"))
    assert [(record["local_id"], record["row_number"]) for record in landed.records] == [("1", 1), ("5", 5)]
    assert landed.reasons == [(3, "row.malformed"), (4, "row.malformed")]


def test_a_nul_in_json_is_marked_and_kept_in_the_row_as_received(delivery):
    delivery.write("a.jsonl", '{"MaHS": "1\\u00002", "HoTen": "Lê\\u0000 A"}\n')
    (record,) = delivery.land(people("jsonl")).records
    assert record["local_id"] == "1\ufffd2"
    assert record["full_name"] == "Lê A"
    assert record["raw"] == '{"MaHS":"1\\u00002","HoTen":"Lê\\u0000 A"}'


def test_elements_inside_json_lines(delivery):
    delivery.write("a.jsonl", '{"ho": "H1", "tv": [{"ma": 1, "ten": "Lê A"}, {"ma": 2, "ten": "Lê B"}]}\n')
    sources = """
    - name: people
      files: ["*.jsonl"]
      format: jsonl
      rows: tv[]
      records:
        - {kind: person, key: [$.ho, ma], columns: {full_name: ten}}
    """
    assert [record["local_id"] for record in delivery.land(sources).records] == ["H1|1", "H1|2"]


def test_parquet_with_typed_and_nested_columns(delivery):
    table = pa.table(
        {
            "MaHS": pa.array([1, 2], pa.int64()),
            "HoTen": pa.array(["Lê A", "Lê B"]).dictionary_encode(),
            "NgaySinh": pa.array([date(1980, 5, 17), None], pa.date32()),
            "lienHe": pa.array([{"dt": ["0912345678", "0912345679"]}, None]),
            "nam": pa.array([1980.0, None]),
        }
    )
    pq.write_table(table, delivery.folder / "a.parquet")
    sources = people("parquet").replace(
        "birth_date: NgaySinh", 'birth_date: NgaySinh, phone: {column: lienHe.dt, split: ";"}, file_no: nam'
    )
    landed = delivery.land(sources)
    assert landed.values("local_id") == ["1", "2"]
    assert landed.values("birth_date") == ["1980-05-17", None]
    assert landed.values("phone") == [["0912345678", "0912345679"], None]
    assert landed.values("file_no") == ["1980", None]


@pytest.mark.parametrize("more", ["table: hồ sơ", 'query: SELECT * FROM "hồ sơ" WHERE 1 = 1;'])
@pytest.mark.parametrize("engine", ["sqlite", "duckdb"])
def test_a_table_or_query_of_a_database(delivery, engine, more):
    path = delivery.folder / "a.sqlite"
    database = sqlite3.connect(path) if engine == "sqlite" else duckdb.connect(str(path))
    database.execute('CREATE TABLE "hồ sơ" ("MaHS" INTEGER, "HoTen" VARCHAR, "NgaySinh" VARCHAR)')
    database.execute("""INSERT INTO "hồ sơ" VALUES (1, 'Lê A', '17/05/1980'), (2, NULL, NULL)""")
    database.commit()
    database.close()
    landed = delivery.land(people("sql", suffix="sqlite", more=more))
    assert [(record["local_id"], record["birth_date"]) for record in landed.records] == [("1", "1980-05-17")]
    assert landed.reasons == [(2, "required.missing:full_name")]


def test_a_database_named_by_its_url(delivery):
    database = sqlite3.connect(delivery.folder / "data.db")
    database.execute("CREATE TABLE hs (MaHS, HoTen, NgaySinh)")
    database.execute("INSERT INTO hs VALUES (1, 'Lê A', 1980)")
    database.commit()
    database.close()
    delivery.write("a.url", f"sqlite:///{delivery.folder / 'data.db'}\n")
    assert delivery.land(people("sql", suffix="url", more="table: hs")).values("full_name") == ["Lê A"]


def test_the_raw_text_of_a_json_row_does_not_depend_on_its_neighbours(delivery):
    row = '{"MaHS": "1", "HoTen": "Lê A", "NgaySinh": "1980"}'
    delivery.write("a.jsonl", row + "\n")
    alone = delivery.land(people("jsonl")).records[0]["raw"]
    delivery.write("a.jsonl", row + '\n{"MaHS": "2", "HoTen": "Lê B", "NgaySinh": "1981", "GhiChu": "x"}\n')
    assert (
        delivery.land(people("jsonl")).records[0]["raw"] == alone == row.replace(": ", ":").replace(", ", ",")
    )


def test_a_database_column_with_a_quote_in_its_name(delivery):
    database = sqlite3.connect(delivery.folder / "a.sqlite")
    database.execute('CREATE TABLE "h""s" (MaHS, HoTen, NgaySinh, "số ""cũ""")')
    database.execute("""INSERT INTO "h""s" VALUES (1, 'Lê A', 1980, 'x')""")
    database.commit()
    database.close()
    assert delivery.land(people("sql", suffix="sqlite", more="table: 'h\"s'")).values("full_name") == ["Lê A"]


def test_sections_and_totals_of_a_csv_typed_without_delimiters(delivery):
    delivery.write(
        "a.csv", "MaHS;HoTen;NgaySinh\nMục I. Trẻ em\n1;Lê A;1980\n;;\n2;Lê B\nTổng cộng: 2;;\nCộng mục I;1\n"
    )
    skip = "delimiter: ';'\n  skip: [{column: MaHS, pattern: '^(Mục|Tổng|Cộng)'}]"
    landed = delivery.land(people("csv", more=skip))
    assert [(record["local_id"], record["row_number"]) for record in landed.records] == [("1", 3)]
    assert landed.reasons == [(5, "row.malformed")]
    assert (landed.received, landed.skipped) == (2, 4)


@pytest.mark.parametrize(
    ("sheet", "sheets"), [("all", ["Huyện A", "Huyện B"]), ("Huyện*", ["Huyện A", "Huyện B"]), ("2", [None])]
)
def test_sheets_by_name_number_or_pattern(delivery, sheet, sheets):
    write_province_workbook(delivery.folder / "tc_caobang_20240115.xlsx")
    landed = delivery.land(WORKBOOK.replace("sheet: all", f"sheet: {sheet}"))
    assert [chunk.sheet for chunk in landed.chunks] == sheets


def test_the_sheets_name_as_a_column(delivery):
    write_province_workbook(delivery.folder / "tc_caobang_20240115.xlsx")
    sources = WORKBOOK.replace("key: [district, MaHS]", "key: [Huyện, MaHS]").replace(
        "sheet: all", "sheet: all\n  sheet_column: Huyện"
    )
    landed = delivery.land(sources)
    assert [record["local_id"] for record in landed.records] == [
        "Huyện A|1000",
        "Huyện A|1001",
        "Huyện B|1000",
        "Huyện B|1001",
    ]
    assert (landed.received, landed.skipped) == (4, 4)
