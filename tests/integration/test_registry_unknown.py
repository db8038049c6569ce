"""A registry that no code knows: the declaration and the file of the user documentation go through as they stand."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import orjson
import pyarrow as pa
import pytest

from matching.standardise.units import Units
from mdm.registries.check import check
from mdm.registries.declaration import RegistryDeclaration, load_registries
from mdm.registries.delivery import find_files, read_delivery

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "registries.md").read_text("utf-8")


def example(start: str) -> str:
    """The code block of the documentation that starts so."""
    blocks = re.findall(r"^```(?:yaml)?\n(.*?)^```$", DOCUMENT, flags=re.DOTALL | re.MULTILINE)
    return next(block for block in blocks if block.startswith(start) and len(block) > 200)


@pytest.fixture(scope="module")
def units() -> Units:
    return Units.load(ROOT / "configs" / "reference")


@pytest.fixture
def declaration(tmp_path: Path) -> RegistryDeclaration:
    configs = tmp_path / "configs" / "registries"
    configs.mkdir(parents=True)
    shutil.copy(ROOT / "configs" / "attributes.yaml", configs.parent)
    (configs / "monthly_assistance.yaml").write_text(example("# yaml-language-server"), "utf-8")
    return load_registries(configs)["monthly_assistance"]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "delivery" / "monthly_assistance" / "tc_202401.csv"
    path.parent.mkdir(parents=True)
    path.write_text(example("SỞ Y TẾ"), "utf-8")
    return path


def test_the_documented_example_lands_as_documented(declaration, file, units):
    found = find_files(declaration, file.parent)
    chunks = list(read_delivery(declaration, found.files, delivered_on=None, units=units))
    table = pa.concat_tables(chunk.table for chunk in chunks).to_pylist()
    records = {record["local_id"]: {k: v for k, v in record.items() if v is not None} for record in table}
    assert [(key, record["op"], record["row_number"]) for key, record in records.items()] == [
        ("TC001", "upsert", 5),
        ("TC002", "upsert", 6),
        ("TC003", "withdraw", 7),
    ]
    an = records["TC001"]
    assert (an["full_name"], an["sex"], an["birth_date"]) == ("Nguyễn Văn An", "male", "1940-05-17")
    assert (an["personal_id"], an["nationality"], an["address_unit"]) == ("001040000001", "VN", "L00001")
    binh = records["TC002"]
    assert (binh["full_name"], binh["sex"], binh["birth_date"], binh["cmnd"]) == (
        "Trần Thị Bình",
        "female",
        "1938",
        ["013579246"],
    )
    assert orjson.loads(binh["raw"])["CMND cũ"] == "CMND số 013579246"
    assert (sum(chunk.received for chunk in chunks), sum(chunk.skipped for chunk in chunks)) == (4, 2)
    refused = pa.concat_tables(chunk.quarantine for chunk in chunks).to_pylist()
    assert [(row["row_number"], row["reason"], row["local_id"]) for row in refused] == [
        (8, "required.missing:full_name", "TC004")
    ]


def test_the_check_of_the_documented_example_tells_the_same(declaration, file, units):
    report = check(declaration, file, units=units)
    assert (report.received, report.accepted_rows, report.quarantined, report.skipped) == (4, 3, 1, 2)
    assert report.reasons[0].first_rows == [8]
    assert report.unmapped_columns == []
