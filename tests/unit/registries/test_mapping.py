"""Columns of offices to canonical attributes, as the declaration says."""

from __future__ import annotations

from datetime import date

import pytest

from mdm.errors import InputError
from mdm.registries.delivery import find_files

SOURCE = """
- name: people
  files: ["*.csv"]
  format: csv
  records:
    - kind: person
      key: [ma]
      columns:
        {columns}
      {more}
"""


def source(columns: str, more: str = "") -> str:
    return SOURCE.format(columns=columns, more=more)


def land(delivery, header: str, *rows: str, columns: str, more: str = "", **arguments):
    lines = [f"{place},{row}" for place, row in enumerate(rows, start=1)]
    delivery.write("a.csv", "\n".join([f"ma,{header}", *lines]) + "\n")
    return delivery.land(source(columns, more), **arguments)


def test_a_name_in_three_columns(delivery):
    landed = land(
        delivery, "ho,dem,ten", "Nguyễn,Văn,An", "Lê,,Bình", ",,", columns="full_name: {join: [ho, dem, ten]}"
    )
    assert landed.values("full_name") == ["Nguyễn Văn An", "Lê Bình", None]


def test_a_date_in_three_columns_with_missing_parts(delivery):
    landed = land(
        delivery,
        "d,m,y",
        "17,5,1980",
        ",5,1980",
        ",,1980",
        "3,,1980",
        "1,2,",
        columns="birth_date: {day: d, month: m, year: y}",
    )
    assert landed.values("birth_date") == ["1980-05-17", "1980-05", "1980", "1980", None]


def test_sex_as_a_mark_in_one_of_two_columns(delivery):
    landed = land(
        delivery, "nam,nu", "x,", ",X", "1,0", "x,x", ",", columns="sex: {marked: {male: nam, female: nu}}"
    )
    assert landed.values("sex") == ["male", "female", "male", None, None]
    assert landed.issues("sex") == [None, None, None, "mark.ambiguous", None]


def test_a_year_of_birth_that_stands_for_the_mark_of_sex(delivery):
    landed = land(
        delivery,
        "nam,nu",
        "1980,",
        ",1981",
        columns="""sex: {marked: {male: nam, female: nu}}
        birth_date: {first_of: [nam, nu]}""",
    )
    assert landed.values("sex") == ["male", "female"]
    assert landed.values("birth_date") == ["1980", "1981"]


def test_codes_to_values(delivery):
    mapped = "marital_status: {column: hn, values: {01: single, k: married, Góa: widowed}}"
    landed = land(delivery, "hn", "01", "K", "góa", "9", "", columns=mapped)
    assert landed.values("marital_status") == ["single", "married", "widowed", None, None]
    assert landed.issues("marital_status") == [None, None, None, "code.unknown", None]


@pytest.mark.parametrize(("otherwise", "expected"), [("other", "other"), ("keep", "9")])
def test_codes_that_are_not_listed(delivery, otherwise, expected):
    landed = land(
        delivery,
        "hn",
        "9",
        columns=f"marital_status: {{column: hn, values: {{1: single}}, else: {otherwise}}}",
    )
    assert landed.values("marital_status") == [expected]


def test_constants_and_parts_of_a_cell(delivery):
    landed = land(
        delivery,
        "giay",
        "CMND số 013579246 cấp 2005",
        "không",
        columns="""nationality: {constant: VN}
        cmnd: {column: giay, extract: '(?P<number>\\d{9})'}""",
    )
    assert landed.values("nationality") == ["VN", "VN"]
    assert landed.values("cmnd") == [["013579246"], None]


def test_alternatives_take_the_first_that_is_filled_or_the_first_that_is_valid(delivery):
    rows = ("001080000001,001080000002", ",001080000002", "12,001080000002", "12,")
    filled = land(delivery, "dd,cccd", *rows, columns="personal_id: {first_of: [dd, cccd]}")
    assert filled.values("personal_id") == ["001080000001", "001080000002", None, None]
    valid = land(delivery, "dd,cccd", *rows, columns="personal_id: {first_of: [dd, cccd], valid: true}")
    assert valid.values("personal_id") == ["001080000001", "001080000002", "001080000002", None]
    assert valid.issues("personal_id")[:3] == [None, None, None]
    assert valid.issues("personal_id")[3] is not None


def test_an_alternative_column_may_be_missing_from_the_file_but_not_all(delivery):
    landed = land(delivery, "cccd", "001080000001", columns="personal_id: {first_of: [dd, cccd]}")
    assert landed.values("personal_id") == ["001080000001"]


def test_alternatives_with_formats_of_their_own(delivery):
    columns = 'birth_date: {first_of: [{column: a, formats: ["%Y%m%d"]}, {column: b, formats: ["%d/%m/%Y"]}]}'
    landed = land(delivery, "a,b", "19800517,", ",17/05/1980", columns=columns)
    assert landed.values("birth_date") == ["1980-05-17", "1980-05-17"]


def test_date_formats_by_preference(delivery):
    rows = ("03/04/1980", "1980-04-03", "29313", "1980")
    day_first = land(
        delivery, "n", *rows, columns='birth_date: {column: n, formats: ["%d/%m/%Y", excel, "%Y"]}'
    )
    assert day_first.values("birth_date") == ["1980-04-03", "1980-04-03", "1980-04-02", "1980"]
    month_first = land(delivery, "n", rows[0], columns='birth_date: {column: n, formats: ["%m/%d/%Y"]}')
    assert month_first.values("birth_date") == ["1980-03-04"]


def test_several_values_in_a_cell(delivery):
    landed = land(
        delivery,
        "dt",
        "0912345678; 0987654321",
        "0912345678/0912345678",
        "x",
        columns='phone: {column: dt, split: "[;/]"}',
    )
    assert landed.values("phone") == [["0912345678", "0987654321"], ["0912345678"], None]


def test_encoding_by_column_and_by_the_value_of_another_column(delivery):
    rows = ("T,NguyÔn V¨n An,Lª B×nh", "U,Nguyễn Văn An,Lª B×nh")
    landed = land(
        delivery,
        "ma_bang,ten,me",
        *rows,
        columns="""full_name: {column: ten, encoding: {column: ma_bang, values: {T: tcvn3, U: utf-8}}}
        mother_name: {column: me, encoding: tcvn3}""",
    )
    assert landed.values("full_name") == ["Nguyễn Văn An", "Nguyễn Văn An"]
    assert landed.values("mother_name") == ["Lê Bình", "Lê Bình"]


def test_an_address_is_read_with_the_vocabulary_of_its_date(delivery):
    mapped = """address: {street: sn, commune: xa, district: huyen, province: tinh}"""
    dated = 'document_date: {column: ngay, formats: ["%d/%m/%Y"]}'
    landed = land(
        delivery,
        "ngay,sn,xa,huyen,tinh",
        "01/03/2024,12 Lê Lợi,Phúc Xá,Ba Đình,Hà Nội",
        "01/09/2025,12 Lê Lợi,Ba Đình,,Hà Nội",
        columns=mapped,
        more=dated,
    )
    assert landed.values("address_unit") == ["L00001", "N00004"]
    assert landed.values("address_province") == ["L01", "N01"] or landed.values("address_province") == [
        "N01",
        "N01",
    ]
    assert landed.values("address_street") == ["12 Lê Lợi", "12 Lê Lợi"]
    assert landed.values("address_text")[0] == "12 Lê Lợi, Phúc Xá, Ba Đình, Hà Nội"
    assert landed.values("document_date") == [date(2024, 3, 1), date(2025, 9, 1)]


def test_the_document_date_falls_back_to_the_day_of_delivery(delivery):
    dated = 'document_date: {column: ngay, formats: ["%d/%m/%Y", "%Y"]}'
    landed = land(
        delivery, "ngay", "2020", "", columns="file_no: ma", more=dated, delivered_on=date(2025, 1, 2)
    )
    assert landed.values("document_date") == [date(2020, 1, 1), date(2025, 1, 2)]


def test_operations_of_a_change_delivery(delivery):
    landed = land(
        delivery,
        "tt,ten",
        "M,Lê A",
        "s,Lê B",
        "R,",
        "?,Lê D",
        ",Lê E",
        columns="full_name: ten",
        more="operation: {column: tt, values: {M: new, S: corrected, R: withdrawn}}\n      required: [full_name]",
    )
    assert [(record["local_id"], record["op"]) for record in landed.records] == [
        ("1", "upsert"),
        ("2", "upsert"),
        ("3", "withdraw"),
    ]
    assert landed.reasons == [(5, "operation.unknown"), (6, "operation.unknown")]


def test_an_operation_for_whatever_is_not_listed(delivery):
    landed = land(
        delivery,
        "tt",
        "R",
        "?",
        "",
        columns="file_no: ma",
        more="operation: {column: tt, values: {R: withdrawn}, else: new}",
    )
    assert [record["op"] for record in landed.records] == ["withdraw", "upsert", "upsert"]


@pytest.mark.parametrize(
    ("condition", "taken"),
    [
        ('{column: loai, in: ["1", "2"]}', ["1", "2"]),
        ("{column: loai, not_in: [1]}", ["2", "3", "4"]),
        ("{column: loai, filled: true}", ["1", "2", "3"]),
        ("{column: loai, filled: false}", ["4"]),
        ("{column: loai, pattern: '^[23]$'}", ["2", "3"]),
        ("[{column: loai, filled: true}, {column: loai, not_in: [3]}]", ["1", "2"]),
    ],
)
def test_rows_that_yield_a_record(delivery, condition, taken):
    landed = land(delivery, "loai", "1", "2", "3", "", columns="file_no: ma", more=f"when: {condition}")
    assert [record["local_id"] for record in landed.records] == taken
    assert {reason for _, reason in landed.reasons} == {"row.unmatched"}
    assert landed.received == 4 == landed.accepted_rows + len(landed.quarantine)


def test_required_and_valid_attributes(delivery):
    landed = land(
        delivery,
        "ten,ngay",
        "Lê A,1980",
        ",1980",
        "không có,1980",
        "Lê D,99/99/9999",
        "Lê E,",
        columns="full_name: ten\n        birth_date: ngay",
        more="required: [full_name]\n      valid: [birth_date]",
    )
    assert [record["local_id"] for record in landed.records] == ["1", "5"]
    assert landed.reasons == [
        (3, "required.missing:full_name"),
        (4, "required.missing:full_name"),
        (5, "invalid:birth_date"),
    ]
    assert landed.quarantine[2]["detail"].startswith("date.")
    assert landed.quarantine[2]["local_id"] == "4"


def test_keys_missing_and_repeated(delivery):
    delivery.write("a.csv", "ma,phu,ten\n1,a,Lê A\n 1 ,a,Lê B\n1,b,Lê C\n,c,Lê D\n")
    landed = delivery.land(
        source("full_name: ten").replace("key: [ma]", "key: [ma, phu]\n      key_prefix: P-")
    )
    assert [record["local_id"] for record in landed.records] == ["P-1|a", "P-1|b"]
    assert landed.reasons == [(3, "key.duplicate"), (5, "key.missing")]


def test_a_key_is_no_novel(delivery):
    delivery.write("a.csv", f"ma,ten\n{'ư' * 256},Lê A\n{'b' * 257},Lê B\n")
    landed = delivery.land(source("full_name: ten"))
    assert landed.reasons == [(3, "key.too_long")]
    assert [record["local_id"] for record in landed.records] == ["ư" * 256]


def test_a_key_is_not_used_up_by_a_refused_row(delivery):
    delivery.write("a.csv", "ma,ten\n1,\n1,Lê A\n")
    landed = delivery.land(source("full_name: ten", "required: [full_name]"))
    assert landed.values("full_name") == ["Lê A"]


def test_keys_repeat_across_chunks(delivery, monkeypatch):
    monkeypatch.setattr("mdm.registries.reading.csv.BLOCK", 500)
    monkeypatch.setattr("mdm.registries.reading.csv.CHUNK_ROWS", 50)
    delivery.write("a.csv", "ma,ten\n" + "".join(f"{n % 300},Lê A\n" for n in range(1000)))
    landed = delivery.land(source("full_name: ten"))
    assert len(landed.chunks) > 5
    assert sorted(int(record["local_id"]) for record in landed.records) == list(range(300))
    assert {reason for _, reason in landed.reasons} == {"key.duplicate"}
    assert landed.received == 1000 == landed.accepted_rows + len(landed.quarantine)


HOUSEHOLDS_AND_MEMBERS = """
- name: households
  files: ["ho_*.csv"]
  format: csv
  records:
    - {kind: household, key: [MaHo], key_prefix: H-, columns: {head_name: ChuHo}}
- name: members
  files: ["tv_*.csv"]
  name_pattern: 'tv_(?P<huyen>\\w+)\\.csv'
  format: csv
  lookup: {source: households, on: {Ho: MaHo}}
  records:
    - kind: person
      key: [Ma]
      columns:
        full_name: Ten
        household_ref: Ho
        file_no: huyen
        address: {text: households.DiaChi}
"""


def test_members_in_one_file_and_their_households_in_another(delivery):
    delivery.write("ho_1.csv", "MaHo,ChuHo,DiaChi\nH1,Lê A,Phường Phúc Xá Quận Ba Đình Hà Nội\n")
    delivery.write("ho_2.csv", "MaHo,ChuHo,DiaChi\nH2,Lê B,Thôn 2\n")
    delivery.write("tv_ba_dinh.csv", "Ma,Ten,Ho\n1,Lê A,H1\n2,Lê B,H2\n3,Lê C,H3\n4,Lê D,\n")
    landed = delivery.land(HOUSEHOLDS_AND_MEMBERS)
    members = [record for record in landed.records if record["kind"] == "person"]
    assert [member.get("address_text") for member in members] == [
        "Phường Phúc Xá Quận Ba Đình Hà Nội",
        "Thôn 2",
        None,
        None,
    ]
    assert members[0]["file_no"] == "ba_dinh"
    assert '"households.DiaChi":"Thôn 2"' in members[1]["raw"]
    assert [record["local_id"] for record in landed.records if record["kind"] == "household"] == [
        "H-H1",
        "H-H2",
    ]


def test_a_missing_lookup_file_is_an_error(delivery):
    delivery.write("tv_a.csv", "Ma,Ten,Ho\n1,Lê A,H1\n")
    with pytest.raises(InputError, match="no file of source households"):
        delivery.land(HOUSEHOLDS_AND_MEMBERS)


def test_a_household_repeated_on_the_row_of_each_member(delivery):
    sources = """
    - name: members
      files: ["*.csv"]
      format: csv
      records:
        - {kind: household, key: [ho], key_prefix: H-, once_per_key: true, columns: {head_name: chu}}
        - {kind: person, key: [ma], columns: {full_name: ten}, required: [full_name]}
    """
    delivery.write("a.csv", "ma,ten,ho,chu\n1,Lê A,H1,Lê A\n2,Lê B,H1,Lê A\n3,,H2,Lê C\n4,Lê D,H2,Lê C\n")
    landed = delivery.land(sources)
    assert [record["local_id"] for record in landed.records] == ["H-H1", "H-H2", "1", "2", "4"]
    assert (landed.received, landed.accepted_rows) == (4, 3)
    assert landed.reasons == [(4, "required.missing:full_name")]


def test_a_list_of_re_established_numbers(delivery):
    sources = """
    - name: renumbered
      files: ["*.csv"]
      format: csv
      records:
        - kind: renumbering
          columns: {attribute: personal_id, old: cu, new: moi, date: {column: ngay, formats: ["%d/%m/%Y"]}}
    """
    delivery.write(
        "a.csv",
        "cu,moi,ngay\n001080000001,001080000002,05/06/2024\n0010800,001080000003,\n1,,\n001080000004,001080000004,\n",
    )
    landed = delivery.land(sources, delivered_on=date(2025, 1, 1))
    assert [(row["old"], row["new"], row["date"], row["row_number"]) for row in landed.renumbering] == [
        ("001080000001", "001080000002", date(2024, 6, 5), 2),
        ("0010800", "001080000003", date(2025, 1, 1), 3),
    ]
    assert landed.reasons == [(4, "renumbering.invalid"), (5, "renumbering.invalid")]
    assert landed.received == 4 == landed.accepted_rows + len(landed.quarantine)


def test_the_raw_row_keeps_the_offices_own_words(delivery):
    landed = land(delivery, "Họ tên", "  nguyễn văn AN ", columns="full_name: Họ tên")
    assert landed.records[0]["raw"] == '{"ma":"1","Họ tên":"  nguyễn văn AN "}'
    assert landed.values("full_name") == ["Nguyễn Văn An"]


def test_a_duplicate_row_does_not_use_up_the_household_it_repeats(delivery):
    sources = """
    - name: members
      files: ["*.csv"]
      format: csv
      records:
        - {kind: household, key: [ho], key_prefix: H-, once_per_key: true, columns: {head_name: chu}}
        - {kind: person, key: [ma], columns: {full_name: ten}}
    """
    delivery.write("a.csv", "ma,ten,ho,chu\n1,Lê A,H1,Lê A\n1,Lê A,H2,Lê C\n2,Lê D,H2,Lê C\n")
    landed = delivery.land(sources)
    assert [record["local_id"] for record in landed.records] == ["H-H1", "H-H2", "1", "2"]
    assert landed.reasons == [(3, "key.duplicate")]


def test_a_column_that_the_file_and_its_name_both_give(delivery):
    delivery.write("tc_a.csv", "ma,ten\n1,Lê A\n")
    sources = source("full_name: ten").replace(
        "format: csv", "format: csv\n  name_pattern: 'tc_(?P<ten>\\w+)\\.csv'"
    )
    with pytest.raises(InputError, match="its name gives one too"):
        delivery.land(sources)


def test_a_file_of_malformed_rows_alone_is_quarantined_whole(delivery):
    delivery.write("a.csv", "ma,ten\n1\n2,Lê B,x\n")
    landed = delivery.land(source("full_name: ten"))
    assert landed.reasons == [(2, "row.malformed"), (3, "row.malformed")]
    assert landed.received == 2


def test_files_that_no_source_declares_are_told(delivery):
    delivery.write("a.csv", "ma,ten\n1,Lê A\n")
    other = delivery.write("ghi_chu.txt", "x")
    found = find_files(delivery.declare(source("full_name: ten")), delivery.folder)
    assert list(found.unmatched) == [other]


def test_a_file_name_that_does_not_fit_its_pattern(delivery):
    delivery.write("a.csv", "ma,ten\n1,Lê A\n")
    sources = source("full_name: ten").replace(
        "format: csv", "format: csv\n  name_pattern: 'tc_(?P<date>\\d+).csv'"
    )
    with pytest.raises(InputError, match="does not fit `name_pattern`"):
        delivery.land(sources)
    delivery.write("tc_2024.csv", "ma,ten\n1,Lê A\n")
    (delivery.folder / "a.csv").unlink()
    with pytest.raises(InputError, match="date does not fit"):
        delivery.land(sources)


def test_options_of_the_parser_and_lunar_dates(delivery):
    landed = land(
        delivery,
        "n",
        "05/05/1980",
        columns="""birth_date: {column: n, calendar: lunar}
        death_date: {column: n, options: {not_after: 1979-12-31}}""",
    )
    # The fifth day of the fifth lunar month of 1980 fell on 17 June.
    assert landed.values("birth_date") == ["1980-06-17"]
    assert landed.values("death_date") == [None]
    assert landed.issues("death_date")[0].startswith("date.")
