from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from mdm.errors import ConfigurationError
from mdm.registries.declaration import (
    declaration_hash,
    json_schema,
    load_registries,
    load_registry,
    parse_registry,
)
from tests.unit.registries.conftest import CONFIGS
from tests.unit.registries.scenario import declaration_text

if TYPE_CHECKING:
    from pathlib import Path

SOURCES = """
- name: people
  files: ["*.csv"]
  format: csv
  records:
    - kind: person
      key: [MaHS]
      columns:
        full_name: HoTen
        sex: {column: GT, values: {1: male, 02: female}}
        address: {commune: Xa, province: Tinh}
      required: [full_name]
"""
TEXT = declaration_text(SOURCES)


def declared(text: str, attributes):
    return parse_registry(text, name="tro_cap.yaml", attributes=attributes)


def fault(text: str, attributes) -> str:
    with pytest.raises(ConfigurationError) as caught:
        declared(text, attributes)
    return str(caught.value)


def place_of(text: str, word: str) -> str:
    """file:line:column of a word."""
    before = text[: text.index(word)]
    return f"tro_cap.yaml:{before.count(chr(10)) + 1}:{len(before.rpartition(chr(10))[2]) + 1}"


def test_codes_keep_their_leading_zeros(attributes):
    record = declared(TEXT, attributes).sources[0].records[0]
    assert record.columns["sex"].values == {"1": "male", "02": "female"}


@pytest.mark.parametrize(
    ("written", "changed", "expected"),
    [
        ("full_name: HoTen", "full_nam: HoTen", "Did you mean `full_name`?"),
        ("commune: Xa", "comune: Xa", "Did you mean `commune`?"),
        ("required: [full_name]", "requird: [full_name]", "Did you mean `required`?"),
        ("format: csv", "format: cvs", "'csv', 'xlsx'"),
        ("default: 0.5", "default: 1.5", "less than or equal to 1"),
        ("kind: person", "kind: people", "'person', 'household'"),
        ("files: [", "encoding: utf-88\n    files: [", "any Python codec, or tcvn3"),
        ("full_name: HoTen", "full_name: {column: HoTen, constant: A}", "found column and constant"),
        ("full_name: HoTen", "full_name: {column: HoTen, extract: '(a'}", "RE2"),
        ("full_name: HoTen", "full_name: {column: HoTen, split: ','}", "holds one value"),
        ("full_name: HoTen", "birth_date: {column: N, formats: ['%Q']}", "not a date format"),
        ("key: [MaHS]", "when: {column: A, in: [1], filled: true}\n        key: [MaHS]", "exactly one of in"),
    ],
)
def test_a_fault_is_told_with_what_was_expected(attributes, written, changed, expected):
    told = fault(TEXT.replace(written, changed), attributes)
    assert told.startswith("tro_cap.yaml:")
    assert expected in told


def test_a_fault_is_told_with_line_column_and_key(attributes):
    changed = TEXT.replace("full_name: HoTen", "full_nam: HoTen")
    told = fault(changed, attributes)
    assert told.startswith(f"{place_of(changed, 'full_nam:')} (sources[0].records[0].columns.full_nam)")


def test_every_fault_is_told_at_once(attributes):
    told = fault(TEXT.replace("commune: Xa", "comune: Xa").replace("format: csv", "format: cvs"), attributes)
    assert "cvs" in told or "'csv'" in told
    assert "`comune`" in told


def test_broken_yaml_and_repeated_keys_name_their_line(attributes):
    assert fault("code: a\n  name: b\n", attributes).startswith("tro_cap.yaml:2:")
    assert "given twice" in fault(TEXT + "code: again\n", attributes)


def test_a_looked_up_column_needs_its_lookup(attributes):
    text = (
        TEXT.replace("full_name: HoTen", "full_name: ho.ChuHo")
        + "  - {name: ho, files: [ho.csv], format: csv}\n"
    )
    assert "needs a lookup of source `ho`" in fault(text, attributes)


def test_the_hash_depends_on_what_is_said_not_on_how(attributes):
    same = "# a comment\n" + TEXT.replace("required: [full_name]", "required:\n          - full_name")
    other = TEXT.replace("default: 0.5", "default: 0.6")
    original = declaration_hash(declared(TEXT, attributes))
    assert declaration_hash(declared(same, attributes)) == original
    assert declaration_hash(declared(other, attributes)) != original


def test_a_folder_of_declarations_is_loaded_by_code(tmp_path: Path):
    (tmp_path / "registries").mkdir()
    (tmp_path / "attributes.yaml").write_text((CONFIGS / "attributes.yaml").read_text("utf-8"), "utf-8")
    (tmp_path / "registries" / "tro_cap.yaml").write_text(TEXT, "utf-8")
    assert list(load_registries(tmp_path / "registries")) == ["tro_cap"]
    (tmp_path / "registries" / "tro_cap.yaml").rename(tmp_path / "registries" / "other.yaml")
    with pytest.raises(ConfigurationError, match="must equal the file's name"):
        load_registries(tmp_path / "registries")


def test_a_missing_or_foreign_file_is_a_configuration_error(tmp_path: Path, attributes):
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_registry(tmp_path / "none.yaml", attributes=attributes)
    (tmp_path / "latin.yaml").write_bytes("tên: Bảo".encode("cp1258", "replace") + b"\xff\n")
    with pytest.raises(ConfigurationError, match="is not UTF-8"):
        load_registry(tmp_path / "latin.yaml", attributes=attributes)


def test_the_exported_schema_is_that_of_the_model():
    exported = json.loads((CONFIGS / "registries" / "schema.json").read_text("utf-8"))
    assert exported == json_schema()
