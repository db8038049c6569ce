"""Laws of reading: what was written comes back, and every row received is accepted or quarantined."""

from __future__ import annotations

import csv
import io
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from matching.standardise.units import Units
from mdm.registries.attributes import Attributes, load_attributes
from mdm.registries.declaration import RegistryDeclaration, parse_registry
from mdm.registries.delivery import delivery_file, file_rows, find_files, read_delivery
from mdm.registries.reading import ROW
from mdm.registries.validation import SeenKeys

CONFIGS = Path(__file__).parents[2] / "configs"
HEADER = ["ma", "Họ tên", "ghi chú"]
DECLARATION = """
code: law
name: {vi: Luật, en: Law}
owner: {vi: Không, en: None}
holds: people
trust: {default: 0.5}
sources:
  - name: people
    files: ["*.csv"]
    format: csv
    encoding: %s
    delimiter: "%s"
    records:
      - kind: person
        key: [ma]
        when: {column: ghi chú, not_in: [bỏ]}
        columns: {full_name: Họ tên, birth_date: {first_of: [ghi chú, ma], valid: true}}
        required: [full_name]
"""
# Text of a cell as a spreadsheet holds it: any letters, quotes, delimiters and line breaks, but no bare carriage return.
CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), max_size=12)

WESTERN = st.text(st.characters(codec="cp1252", min_codepoint=32), max_size=6)


@cache
def attributes() -> Attributes:
    return load_attributes(CONFIGS / "attributes.yaml")


@cache
def units() -> Units:
    return Units.load(CONFIGS / "reference")


@cache
def declared(encoding: str, delimiter: str) -> RegistryDeclaration:
    text = DECLARATION % (encoding, delimiter.replace("\t", "\\t"))
    return parse_registry(text, name="law.yaml", attributes=attributes())


def write(
    folder: Path, rows: list[tuple[str, ...]], encoding: str, delimiter: str, header: list[str]
) -> Path:
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerows([header, *rows])
    path = folder / "a.csv"
    path.write_bytes(text.getvalue().encode(encoding))
    return path


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1, max_size=8),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32"]),
    delimiter=st.sampled_from([",", ";", "\t", "|"]),
)
def test_any_table_comes_back_as_it_was_written(rows, encoding, delimiter):
    source = declared(encoding, delimiter).sources[0]
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder), rows, encoding, delimiter, HEADER)
        table = pa.concat_tables(chunk.columns for chunk in file_rows(delivery_file(source, path), source))
    assert list(zip(*(table.column(name).to_pylist() for name in HEADER), strict=True)) == rows
    assert table.column(ROW).to_pylist() == list(range(2, 2 + len(rows)))


NAMES = st.sampled_from(["Lê A", "nguyễn thị b", "", "  ", "không có", "Trần Văn C"])
NOTES = st.sampled_from(["", "bỏ", "1980", "31/02/1990", "x", "17/05/1980"])
KEYS = st.sampled_from(["", "1", " 1", "2", "3", "4"])
LINES = st.one_of(
    st.tuples(KEYS, NAMES, NOTES),
    st.tuples(KEYS, NAMES),
    st.tuples(KEYS, NAMES, NOTES, NOTES),
    st.just(("", "", "")),
)


@settings(max_examples=40, deadline=None)
@given(rows=st.lists(st.tuples(WESTERN, WESTERN, WESTERN), min_size=1, max_size=6))
def test_a_table_in_a_one_byte_encoding_comes_back(rows):
    source = declared("cp1252", ";").sources[0].model_copy(update={"header": [], "column_names": HEADER})
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder), rows, "cp1252", ";", ["a", "b", "c"])
        table = pa.concat_tables(chunk.columns for chunk in file_rows(delivery_file(source, path), source))
    assert list(zip(*(table.column(name).to_pylist() for name in HEADER), strict=True)) == [
        ("a", "b", "c"),
        *rows,
    ]


@settings(max_examples=80, deadline=None)
@given(lines=st.lists(LINES, min_size=1, max_size=30))
def test_received_rows_are_accepted_or_quarantined_and_none_twice(lines):
    declaration = declared("utf-8", ";")
    if all(not any(line) for line in lines):
        return
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), lines, "utf-8", ";", HEADER)
        found = find_files(declaration, Path(folder))
        chunks = list(read_delivery(declaration, found.files, delivered_on=None, units=units()))
    received = sum(chunk.received for chunk in chunks)
    skipped = sum(chunk.skipped for chunk in chunks)
    accepted = [row for chunk in chunks for row in chunk.table.column("row_number").to_pylist()]
    refused = [row for chunk in chunks for row in chunk.quarantine.column("row_number").to_pylist()]
    assert received + skipped == len(lines)
    assert sorted(accepted + refused) == [
        number
        for number, line in enumerate(lines, start=2)
        if any(cell.strip() for cell in line) or len(line) != 3
    ]
    keys = [key for chunk in chunks for key in chunk.table.column("local_id").to_pylist()]
    assert len(keys) == len(set(keys)) == len(accepted) == sum(chunk.accepted_rows for chunk in chunks)


@settings(max_examples=60, deadline=None)
@given(batches=st.lists(st.lists(st.integers(0, 60).map(str), max_size=20), max_size=8))
def test_a_seen_key_is_told_exactly_from_a_new_one(batches):
    seen = SeenKeys()
    known: set[str] = set()
    for batch in batches:
        expected = []
        for key in batch:
            expected.append(key in known)
            known.add(key)
        assert np.array_equal(seen.add(pa.array(batch, pa.string())), np.array(expected, dtype=np.bool_))
