"""Data of another country through a configuration folder alone: no personal numbers, no days of birth, several scripts."""

from __future__ import annotations

import csv
import random
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mdm.errors import ConfigurationError
from mdm.pipeline.evaluation import anchor_of, evaluate
from mdm.pipeline.ingest import Ingest
from mdm.pipeline.run import run
from mdm.pipeline.verify import verify
from mdm.registries.declaration import load_registries
from mdm.settings import Settings
from mdm.store.engine import bulk
from mdm.store.keys import make_key, make_log_key
from mdm.store.schema import create

CONFIGS = Path(__file__).parent / "foreign"
FIRST = [
    "Anika",
    "Borin",
    "Calla",
    "Dovan",
    "Edda",
    "Fenno",
    "Greta",
    "Hasko",
    "Ilka",
    "Jorin",
    "Katla",
    "Leif",
    "Mirte",
    "Nolan",
    "Oda",
    "Pelle",
    "Runa",
    "Sjoerd",
    "Tilda",
    "Ubbo",
    "Vesna",
    "Wiebe",
    "Ylva",
    "Zoran",
    "Пётр",
    "Ольга",
    "Игорь",
    "محمد",
    "ليلى",
    "明",
    "美",
    "Zoë",
]
FAMILY = [
    "Abelsma",
    "Brandvik",
    "Corneel",
    "Dykstra",
    "Eldjarn",
    "Fossmo",
    "Grimsrud",
    "Haugland",
    "Idsinga",
    "Jaspers",
    "Kvisle",
    "Lindqvist",
    "Marseul",
    "Nordahl",
    "Oosterhof",
    "Pettersen",
    "Rademaker",
    "Sandvik",
    "Terpstra",
    "Ulriksen",
    "Вавилова",
    "Орлов",
    "Müller",
    "O’Rourke",
    "الحسن",
    "王",
]
STREETS = (
    "Harbour Lane",
    "Mill Road",
    "Old Market",
    "Station Street",
    "Church Walk",
    "Ropery",
    "Quay",
    "Elm Row",
)
TOWNS = ("Northhaven", "Lower Firth", "Ansby", "Korsund", "Weldmoor", "Tarnwick")
PEOPLE = 110


def people(seed: int) -> list[list[str]]:
    draw = random.Random(seed)
    return [
        [draw.choice(FIRST), draw.choice(FAMILY), f"{draw.randint(1, 90)} {draw.choice(STREETS)}", draw.choice(TOWNS),
         f"0{draw.randint(10**7, 10**8)}"]
        for _ in range(PEOPLE)
    ]  # fmt: skip


def copied(person: list[str], draw: random.Random) -> list[str]:
    """The other club's record: one field lost or mistyped now and then, names in capitals, a second phone."""
    first, family, street, town, phone = person
    place = draw.randrange(1, len(family)) if len(family) > 4 else 0
    if place and draw.random() < 0.15:
        family = family[:place] + family[place + 1 :]
    if draw.random() < 0.1:
        street = ""
    first, family = first.upper(), family.replace("’", "'").upper()
    phone = "" if draw.random() < 0.1 else f"+99 {draw.randint(10**6, 10**7)}; {phone[:3]}-{phone[3:]}"
    return [first, family, street, town, phone]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clubs")
    known, draw = people(5), random.Random(6)
    clubs = {"chess": known, "rowing": [copied(person, draw) for person in known]}
    empty = ["", "N/A", "", "-", ""]
    truth: list[dict[str, object]] = []
    for club, rows in clubs.items():
        numbered = list(enumerate([*rows, empty, empty]))
        draw.shuffle(numbered)
        target = folder / "files" / club / "members.csv"
        target.parent.mkdir(parents=True)
        with target.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["no", "first", "family", "street", "town", "phones"])
            writer.writerows([f"{club}{place}", *row] for place, (_, row) in enumerate(numbered))
        for place, (person, _) in enumerate(numbered):
            # the records without anything are people of their own
            who = person if person < PEOPLE else 1000 * (club == "chess") + person
            truth.append({"registry": club, "local_id": f"{club}{place}", "person_id": who, "kind": "person"})
    (folder / "truth").mkdir()
    pq.write_table(pa.Table.from_pylist(truth), folder / "truth" / "records.parquet")
    refused = pa.schema([("registry", pa.string()), ("file", pa.string()), ("row_number", pa.int64())])
    pq.write_table(refused.empty_table(), folder / "truth" / "rejects.parquet")
    return folder


def store(folder: Path, files: Path, configs: Path) -> Settings:
    settings = Settings(store=str(folder / "mdm.db"), configs=configs)
    create(settings)
    make_key(settings)
    make_log_key(settings)
    report = Ingest(settings).folder(files)
    assert not report.failed
    assert not report.unmatched
    return settings


@pytest.fixture(scope="module")
def finished(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    settings = store(tmp_path_factory.mktemp("store"), folder / "files", CONFIGS)
    run(settings)
    return settings


def test_people_are_found_by_name_address_and_phone_alone(finished: Settings, folder: Path) -> None:
    anchor = anchor_of(load_registries(finished.registries_folder))
    assert anchor is None
    result = evaluate(finished, folder / "truth", anchor=anchor)
    assert (result.records, result.without_truth) == (2 * PEOPLE + 4, 0)
    assert result.pairs.precision >= 0.98
    assert result.pairs.recall >= 0.95


def test_records_that_say_nothing_stay_alone(finished: Settings) -> None:
    with bulk(finished) as opened:
        sizes = opened.read(
            "SELECT (SELECT COUNT(*) FROM membership AS o WHERE o.entity_key = m.entity_key AND o.until_event IS NULL) AS size"
            " FROM record AS r JOIN membership AS m ON m.record_id = r.record_id AND m.until_event IS NULL"
            " JOIN record_version AS v ON v.record_id = r.record_id AND v.version = r.version WHERE v.attributes = '{}'",
            pa.schema([("size", pa.int64())]),
        )
    assert sizes["size"].to_pylist() == [1, 1, 1, 1]


def test_without_an_anchor_everybody_has_a_temporary_number(finished: Settings) -> None:
    with bulk(finished) as opened:
        kinds = opened.read("SELECT DISTINCT kind FROM ssn", pa.schema([("kind", pa.string())]))
        numbers = opened.scalar("SELECT COUNT(*) FROM ssn")
        assert numbers == opened.scalar("SELECT COUNT(*) FROM entity WHERE status = 'active'")
    assert kinds["kind"].to_pylist() == ["temporary"]
    assert [check.name for check in verify(finished) if check.wrong] == []


def test_a_model_that_compares_what_no_attribute_gives_is_told_so(folder: Path, tmp_path: Path) -> None:
    configs = tmp_path / "configs"
    shutil.copytree(CONFIGS, configs)
    model = configs / "matching" / "person.yaml"
    model.write_text(model.read_text().replace("town_folded", "town_lower"))
    settings = store(tmp_path, folder / "files", configs)
    with pytest.raises(ConfigurationError, match="no attribute gives: town_lower") as told:
        run(settings)
    assert told.value.where == str(model)
