"""Single rows go through the same mapping as whole files."""

from __future__ import annotations

from datetime import date

import orjson

from mdm.registries.replay import Rejection, RepairedRow, map_record, remap

SOURCES = """
- name: people
  files: ["tc_*.csv"]
  name_pattern: 'tc_(?P<huyen>\\w+)\\.csv'
  format: csv
  lookup: {source: households, on: {Ho: MaHo}}
  records:
    - kind: person
      key: [huyen, Ma]
      columns:
        full_name: Ten
        birth_date: {day: d, month: m, year: y}
        address: {text: households.DiaChi}
      required: [full_name, birth_date]
- {name: households, files: ["ho.csv"], format: csv}
"""


def quarantined(delivery):
    delivery.write("ho.csv", "MaHo,DiaChi\nH1,Thôn 2\n")
    delivery.write("tc_a.csv", "Ma,Ten,Ho,d,m,y\n1,Lê A,H1,1,2,1980\n2,,H1,1,2,1981\n3,Lê C,H1\n")
    return delivery.land(SOURCES)


def test_a_repaired_row_gives_what_the_correct_row_would_have_given(delivery):
    landed = quarantined(delivery)
    refused = landed.quarantine[0]
    repaired = orjson.loads(refused["raw"]) | {"Ten": "Lê B"}
    chunks = remap(
        delivery.declare(SOURCES),
        [RepairedRow(refused["row_number"], orjson.dumps(repaired).decode())],
        source="people",
        file="tc_a.csv",
        delivered_on=None,
        units=delivery.units,
    )
    replayed = chunks[0].table.to_pylist()[0]
    delivery.write("tc_a.csv", "Ma,Ten,Ho,d,m,y\n1,Lê A,H1,1,2,1980\n2,Lê B,H1,1,2,1981\n")
    expected = delivery.land(SOURCES).chunks[0].table.to_pylist()[1]
    assert replayed == expected


def test_a_row_that_is_still_wrong_stays_in_quarantine(delivery):
    rows = [RepairedRow(4, "3,Lê C,H1"), RepairedRow(3, '{"huyen":"a","Ma":"2"}'), RepairedRow(5, "[1]")]
    chunks = remap(
        delivery.declare(SOURCES),
        rows,
        source="people",
        file="tc_a.csv",
        delivered_on=None,
        units=delivery.units,
    )
    assert [(row["row_number"], row["reason"]) for row in chunks[0].quarantine.to_pylist()] == [
        (3, "required.missing:full_name"),
        (4, "row.malformed"),
        (5, "row.malformed"),
    ]
    assert chunks[0].received == 3


def one(delivery, row):
    declaration = delivery.declare(SOURCES)
    return map_record(declaration, row, source="people", delivered_on=date(2025, 1, 1), units=delivery.units)


def test_one_record_online_equals_the_record_of_a_file(delivery):
    landed = quarantined(delivery).records[0]
    row = {
        "huyen": "a",
        "Ma": 1,
        "Ten": "Lê A",
        "Ho": "H1",
        "d": 1,
        "m": 2,
        "y": 1980,
        "households": {"DiaChi": "Thôn 2"},
    }
    mapped = one(delivery, row)
    assert not isinstance(mapped, Rejection)
    assert len(mapped) == 1
    assert mapped[0].local_id == landed["local_id"]
    assert mapped[0].document_date == date(2025, 1, 1)
    assert mapped[0].attributes == {name: landed[name] for name in mapped[0].attributes}
    assert mapped[0].attributes["full_name"] == "Lê A"


def test_one_record_that_is_refused(delivery):
    assert one(delivery, {"huyen": "a", "Ma": "1", "Ten": "Lê A"}) == Rejection(
        "required.missing:birth_date", None
    )
