from __future__ import annotations

import pytest

from mdm.errors import InputError
from mdm.registries.check import ReasonCount, check

SOURCES = """
- name: people
  files: ["tc_*.csv"]
  format: csv
  lookup: {source: households, on: {Ho: MaHo}}
  records:
    - kind: person
      key: [Ma]
      columns: {full_name: Ten, birth_date: Sinh, household_ref: Ho, file_no: households.SoNha}
      required: [full_name]
- {name: households, files: ["ho.csv"], format: csv}
"""


@pytest.fixture
def report(delivery):
    delivery.write("ho.csv", "MaHo,SoNha\nH1,12\n")
    rows = "".join(f"{n},,H1,,\n" for n in range(20, 40))
    path = delivery.write(
        "tc_1.csv", f"Ma,Ten,Ho,Sinh,La\n1,Nguyễn Văn An,H1,31/02/1980,x\n2,Lê B,,,\n{rows}3,Lê C\n"
    )
    return check(delivery.declare(SOURCES), path, units=delivery.units)


def test_rows_are_counted_with_the_first_of_each_reason(report):
    assert (report.received, report.accepted_rows, report.quarantined) == (23, 2, 21)
    assert report.reasons == [
        ReasonCount("required.missing:full_name", 20, list(range(4, 14))),
        ReasonCount("row.malformed", 1, [24]),
    ]


def test_attributes_show_fill_and_issues(report):
    fills = {fill.attribute: fill for fill in report.attributes}
    assert fills["full_name"].filled == fills["full_name"].records == 2
    assert fills["birth_date"].filled == 1
    assert sum(fills["birth_date"].issues.values()) == 1
    assert fills["file_no"].filled == 1
    assert report.unmapped_columns == ["La"]


def test_samples_hide_whose_they_are(report):
    assert report.samples[0]["full_name"] == "N••••• V•• A•"
    assert report.samples[0]["row_number"] == 2
    assert "raw" not in report.samples[0]


def test_a_file_of_no_source_is_refused_by_name(delivery):
    sources = (
        SOURCES.replace("ho.csv", "ho.csv")
        .replace(
            '- {name: households, files: ["ho.csv"], format: csv}',
            """\
- name: households
  files: ["ho.csv"]
  format: csv
  records:
    - {kind: household, key: [MaHo], columns: {}}
""",
        )
        .replace("columns: {}", "columns: {household_kind: MaHo}")
    )
    path = delivery.write("other.csv", "Ma\n1\n")
    with pytest.raises(InputError, match="is named like no file"):
        check(delivery.declare(sources), path, units=delivery.units)
