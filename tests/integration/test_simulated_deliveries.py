"""What the simulated offices send goes through their declarations: every row is taken but those made to be refused."""

from collections import Counter
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from matching.standardise.units import Units
from mdm.registries.declaration import load_registries
from mdm.registries.delivery import find_files, read_delivery
from mdm.registries.landing import LandedChunk
from mdm.simulation.deliveries.offices.roll import OFFICES
from mdm.simulation.settings import load_simulation_settings
from mdm.simulation.simulate import simulate
from mdm.simulation.truth import RECORDS, REJECTS, TRUTH_FOLDER

CONFIGS = Path(__file__).parents[2] / "configs"
DAYS = {1: date(2025, 6, 15), 2: date(2025, 12, 15)}
NOT_SEEN_BY_READING = "record.unknown"  # only the store knows that a withdrawn record never was


@pytest.fixture(scope="module")
def deliveries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("simulated") / "out"
    settings = load_simulation_settings(CONFIGS / "simulation.yaml")
    # Small deliveries would hold next to no refused rows at the default rates.
    more = {
        code: one.model_copy(update={"faults": one.faults.model_copy(update={"refused": 0.02})})
        for code, one in settings.deliveries.registries.items()
    }
    settings = settings.model_copy(
        update={"deliveries": settings.deliveries.model_copy(update={"registries": more})}
    )
    simulate(people=2000, seed=11, out=out, settings=settings)
    return out


@pytest.fixture(scope="module")
def units() -> Units:
    return Units.load(CONFIGS / "reference")


@pytest.fixture(scope="module")
def landed(deliveries: Path, units: Units) -> dict[tuple[str, int], list[LandedChunk]]:
    declarations = load_registries(CONFIGS / "registries")
    chunks = {}
    for office in OFFICES:
        for number, day in DAYS.items():
            folder = deliveries / f"delivery-{number}" / office.code
            if folder.is_dir():
                found = find_files(declarations[office.code], folder)
                assert not found.unmatched
                chunks[office.code, number] = list(
                    read_delivery(declarations[office.code], found.files, delivered_on=day, units=units)
                )
    return chunks


def test_every_simulated_registry_is_declared():
    assert {office.code for office in OFFICES} <= set(load_registries(CONFIGS / "registries"))


def test_exactly_the_rows_made_to_be_refused_are_quarantined(deliveries: Path, landed):
    rejects = pq.read_table(deliveries / TRUTH_FOLDER / REJECTS).to_pylist()
    assert len(rejects) > 100
    expected: Counter[tuple[str, int, str, int, str]] = Counter(
        tuple(row.values()) for row in rejects if row["reason"] != NOT_SEEN_BY_READING
    )
    found: Counter[tuple[str, int, str, int, str]] = Counter()
    for (code, number), chunks in landed.items():
        for chunk in chunks:
            for row in chunk.quarantine.select(["row_number", "reason"]).to_pylist():
                found[code, number, chunk.file, row["row_number"], row["reason"]] += 1
    assert found == expected


def test_records_are_named_as_the_truth_names_them(deliveries: Path, landed):
    truth = pq.read_table(deliveries / TRUTH_FOLDER / RECORDS)
    expected = {(row["registry"], row["kind"], row["local_id"]) for row in truth.to_pylist()}
    assert len(expected) == truth.num_rows
    found = {
        (chunk.registry, row["kind"], row["local_id"])
        for chunks in landed.values()
        for chunk in chunks
        for row in chunk.table.select(["kind", "local_id", "op"]).to_pylist()
        if row["op"] == "upsert"
    }
    residences = {name for name in found if name[:2] == ("population", "household")}
    assert residences  # told on the rows of people, not by the truth
    assert found - residences == expected


def test_withdrawn_records_were_sent_before_or_are_told_unknown(deliveries: Path, landed):
    truth = pq.read_table(deliveries / TRUTH_FOLDER / RECORDS)
    known = set(zip(truth["registry"].to_pylist(), truth["local_id"].to_pylist(), strict=True))
    rejects = pq.read_table(deliveries / TRUTH_FOLDER / REJECTS).to_pylist()
    unknown = {
        (row["registry"], row["file"], row["row_number"])
        for row in rejects
        if row["reason"] == NOT_SEEN_BY_READING
    }
    withdrawn = [
        (chunk.registry, chunk.file, row["row_number"], row["local_id"])
        for chunks in landed.values()
        for chunk in chunks
        for row in chunk.table.to_pylist()
        if row["op"] == "withdraw"
    ]
    assert len(withdrawn) > len(unknown) > 0
    assert {one[:3] for one in withdrawn if (one[0], one[3]) not in known} == unknown


def test_names_sexes_and_birth_years_arrive(landed):
    """Encodings, code values and date forms are declared as the offices write them."""
    for (code, number), chunks in landed.items():
        people = [
            chunk.table
            for chunk in chunks
            if chunk.table.num_rows and "full_name" in chunk.table.column_names
        ]
        table = pa.concat_tables([part.select(["full_name", "sex", "birth_date", "op"]) for part in people])
        rows = [row for row in table.to_pylist() if row["op"] == "upsert"]
        for name in ("full_name", "sex", "birth_date"):
            filled = sum(row[name] is not None for row in rows)
            assert filled >= 0.95 * len(rows) - 3, (code, number, name)


def test_numbers_are_told_as_renumbered(landed):
    pairs = [
        row
        for chunk in landed["population", 1]
        if chunk.renumbering is not None
        for row in chunk.renumbering.to_pylist()
    ]
    assert pairs
    assert all(row["old"] != row["new"] for row in pairs)


def test_most_addresses_are_found_among_the_units(landed):
    for (code, number), chunks in landed.items():
        tables = [chunk.table for chunk in chunks if "address_unit" in chunk.table.column_names]
        units = pa.concat_tables([table.select(["address_unit", "op"]) for table in tables]).to_pylist()
        upserts = [row["address_unit"] for row in units if row["op"] == "upsert"]
        found = sum(unit is not None for unit in upserts)
        if len(upserts) >= 20:
            assert found >= 0.85 * len(upserts), (code, number, found / len(upserts))
