"""A canonical attribute is traced to the office's cells, wherever the declaration can tell them."""

import pytest

from mdm.registries.declaration import parse_registry
from mdm.registries.origin import received_row
from tests.unit.registries.scenario import declaration_text

SOURCES = """
- name: district
  files: ["QUAN_*.csv"]
  format: csv
  records:
    - kind: person
      key: [Mã]
      when: {column: Loại, in: [cá nhân]}
      columns:
        full_name: {join: [Họ, Tên]}
        personal_id: {first_of: [CCCD, CMND]}
        sex: {marked: {male: Nam, female: Nữ}}
        nationality: {constant: VN}
        address: {street: Thôn, commune: Xã}
- name: province
  files: ["TINH_*.csv"]
  format: csv
  records:
    - kind: person
      key: [Mã]
      columns: {full_name: Họ và tên, file_no: Mã}
    - kind: household
      key: [Hộ]
      columns: {head_name: Chủ hộ}
"""
ROW = {
    "Mã": " 7 ",
    "Loại": "cá nhân",
    "Họ": "Lê",
    "Tên": "Na",
    "CCCD": None,
    "CMND": "123456789",
    "Nữ": "x",
    "Thôn": "Xóm 1",
    "Xã": "",
}


@pytest.fixture
def declared(attributes):
    return parse_registry(declaration_text(SOURCES), name="test", attributes=attributes)


def row_of(declared, *, file="QUAN_1.csv", kind="person", local_id="7", raw=ROW):
    return received_row(declared, raw, file=file, kind=kind, local_id=local_id)


@pytest.mark.parametrize(
    ("attribute", "cells"),
    [
        ("full_name", {"Họ": "Lê", "Tên": "Na"}),
        ("personal_id", {"CCCD": None, "CMND": "123456789"}),
        ("sex", {"Nam": None, "Nữ": "x"}),
        ("address", {"Thôn": "Xóm 1", "Xã": ""}),
        ("address_unit", {"Thôn": "Xóm 1", "Xã": ""}),
        ("address_text", {"Thôn": "Xóm 1", "Xã": ""}),
        ("nationality", None),
        ("birth_date", None),
    ],
)
def test_an_attribute_has_the_cells_of_its_columns(declared, attribute, cells):
    assert row_of(declared).cells_of(attribute) == cells


def test_the_source_is_known_by_the_files_name(declared):
    raw = {**ROW, "Họ và tên": "Lê Na"}
    assert row_of(declared, file="TINH_2.csv", raw=raw).cells_of("full_name") == {"Họ và tên": "Lê Na"}
    assert row_of(declared, file="TINH_2.csv (repaired)", raw=raw).cells_of("file_no") == {"Mã": " 7 "}


def test_a_row_gives_the_record_of_its_own_key_and_kind_only(declared):
    assert row_of(declared, local_id="8").cells_of("full_name") is None
    assert row_of(declared, kind="household").cells_of("head_name") is None
    raw = {**ROW, "Hộ": "H1", "Chủ hộ": "Lê Na"}
    assert row_of(declared, file="TINH_2.csv", kind="household", local_id="H1", raw=raw).cells_of(
        "head_name"
    ) == {"Chủ hộ": "Lê Na"}


def test_a_mapping_whose_condition_does_not_hold_is_not_meant(declared):
    assert row_of(declared, raw={**ROW, "Loại": "tập thể"}).cells_of("full_name") is None


def test_what_two_sources_read_from_different_columns_cannot_be_told(declared):
    """A file of a name that no source declares may be of either."""
    row = row_of(declared, file="other.csv", raw={**ROW, "Họ và tên": "Lê Na"})
    assert row.cells_of("full_name") is None
    assert row.cells_of("personal_id") == {"CCCD": None, "CMND": "123456789"}
