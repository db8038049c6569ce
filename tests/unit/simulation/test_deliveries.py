"""The simulated deliveries as a whole: shares, correlated errors, the second delivery, the truth, determinism."""

import hashlib
import os
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from matching.standardise.names import canonical_name
from mdm.errors import ConfigurationError, InputError
from mdm.simulation import simulate as simulate_module
from mdm.simulation.deliveries.deliver import first_observation, second_observation
from mdm.simulation.deliveries.errors.dates import Dates
from mdm.simulation.deliveries.offices.base import CORRECTED, NEW, UNCHANGED, WITHDRAWN, Sheet
from mdm.simulation.deliveries.offices.roll import OFFICES
from mdm.simulation.deliveries.offices.social_assistance import ELDERLY
from mdm.simulation.deliveries.spoil import spoiled
from mdm.simulation.deliveries.tags import Tag, words
from mdm.simulation.deliveries.world import Snapshot, numbers
from mdm.simulation.deliveries.writing.forms import Csv
from mdm.simulation.population.simulate import simulate_population
from mdm.simulation.population.tables import Population
from mdm.simulation.settings import SimulationSettings, load_simulation_settings
from mdm.simulation.simulate import SimulationSummary, context_of, simulate
from mdm.simulation.truth import HOUSEHOLDS, PERSONS, RECORDS, TRUTH_FOLDER

CONFIGS = Path(__file__).parents[3] / "configs"
SEED = 5
PEOPLE = 6000


@cache
def settings(profile: str = "default") -> SimulationSettings:
    loaded = load_simulation_settings(CONFIGS / "simulation.yaml")
    return loaded.model_copy(update={"deliveries": loaded.deliveries.model_copy(update={"profile": profile})})


@dataclass(frozen=True)
class Seen:
    """All offices' observations of one population, without files."""

    context: simulate_module.Context
    snapshots: tuple[Snapshot, Snapshot]
    first: dict[str, pa.Table]
    second: dict[str, pa.Table]


EVERY_CODE = frozenset(office.code for office in OFFICES)


def seen(profile: str, *, codes: frozenset[str] = EVERY_CODE, population: Population | None = None) -> Seen:
    deliveries = settings(profile).deliveries
    context = context_of(
        population or _population(), settings=deliveries, seed=SEED, reference=CONFIGS / "reference"
    )
    snapshots = (Snapshot(context.world, deliveries.first), Snapshot(context.world, deliveries.second))
    first = {}
    second = {}
    for office in OFFICES:
        if office.code in codes:
            first[office.code] = first_observation(context, office, snapshots[0])
            context.lists[office.code] = first[office.code]
            second[office.code] = second_observation(context, office, snapshots[1], first[office.code])
    return Seen(context, snapshots, first, second)


@cache
def _population():
    return simulate_population(settings(), people=PEOPLE, seed=SEED)


@pytest.fixture(scope="module")
def default() -> Seen:
    return seen("default")


@cache
def _canonical(name: str | None) -> str | None:
    return canonical_name(name).value if name else None


def clean(of: Seen, code: str) -> np.ndarray:
    """Rows whose number, name and birth date equal the truth, as a first comparison with the population would find."""
    table, world = of.first[code], of.context.world
    person = numbers(table["person"])
    true_name = world.column("full_name").take(pa.array(person)).to_pylist()
    pairs = zip(table["full_name"].to_pylist(), true_name, strict=True)
    name = np.array([_canonical(written) == _canonical(true) for written, true in pairs])
    birth = Dates.of(world.birth).take(person)
    written = [numbers(table[f"birth_{part}"]) for part in ("year", "month", "day")]
    born = (written[0] == birth.year) & (written[1] == birth.month) & (written[2] == birth.day)
    number = pc.equal(
        table["personal_id"].combine_chunks(), of.snapshots[0].personal_id.take(pa.array(person))
    )
    return name & born & number.fill_null(False).to_numpy(zero_copy_only=False)


FIRST_MATCH = {
    "health_insurance": 0.91,  # insurance participants, 07/2023
    "social_assistance": 0.58,  # 07/2023
    "children": 0.64,  # 0.60 to 0.68, 12/2022
    "labour_force": 0.672,  # as records captured ad hoc, 03/2022
}


@pytest.mark.parametrize(
    ("code", "tolerance"),
    [("health_insurance", 0.03), ("social_assistance", 0.12), ("children", 0.06), ("labour_force", 0.05)],
)
def test_first_match_shares_are_those_of_the_sources(default: Seen, code: str, tolerance: float):
    assert clean(default, code).mean() == pytest.approx(FIRST_MATCH[code], abs=tolerance)


@pytest.mark.nightly
def test_first_match_shares_of_many_people():
    people = simulate_population(settings(), people=60_000, seed=SEED)
    offices = frozenset({*FIRST_MATCH, "poverty", "merit"})
    many = seen("default", codes=offices, population=people)
    for code, share in FIRST_MATCH.items():
        assert clean(many, code).mean() == pytest.approx(share, abs=0.04), code


@pytest.mark.parametrize(
    ("code", "share", "tolerance"),
    [
        ("health_insurance", 0.9, 0.05),
        ("identity_cards", 0.776, 0.05),
        ("social_assistance", 0.038, 0.15),
        ("labour_force", 0.527, 0.05),
        ("merit", 0.094, 0.1),
        ("children", 0.245, 0.1),
        ("poverty", 0.071, 0.3),  # about a hundred households, in or out as a whole
        ("tax", 0.25, 0.05),
    ],
)
def test_coverage_is_near_the_table(default: Seen, code: str, share: float, tolerance: float):
    people = len(np.unique(numbers(default.first[code]["person"])))
    assert people / default.snapshots[0].alive.sum() == pytest.approx(share, rel=tolerance)


@pytest.mark.parametrize("code", ["labour_force", "children", "tax"])
def test_errors_are_as_frequent_as_the_settings_say(default: Seen, code: str):
    """Names and birth dates by their tags, numbers and phones by what is missing; offices differ, their mean does not."""
    faults = settings().deliveries.faults(code)
    table = default.first[code]
    copied = numbers(table["tags"]) & int(Tag.COPIED) > 0
    own = numbers(table["tags"])[~copied]
    assert (own & int(Tag.NAME_ERROR) > 0).mean() == pytest.approx(faults.name, rel=0.25)
    assert (own & int(Tag.BIRTH_ERROR) > 0).mean() == pytest.approx(faults.birth, rel=0.25)
    world, person = default.context.world, table["person"].combine_chunks()
    for written, true, rate in (
        (table["personal_id"], default.snapshots[0].personal_id.take(person), faults.number_missing),
        (table["phone"], world.column("phone").take(person), faults.phone_missing),
    ):
        had = (true.is_valid().to_numpy(zero_copy_only=False)) & ~copied
        missing = written.combine_chunks().is_null().to_numpy(zero_copy_only=False)[had].mean()
        assert missing == pytest.approx(rate, rel=0.25)


def test_people_on_assistance_for_the_old_have_no_pension(default: Seen):
    table = default.first["social_assistance"]
    elderly = numbers(table["person"])[numbers(table["category"]) == ELDERLY]
    assert len(elderly) > 20
    status = default.context.world.column("occupation_status").take(pa.array(elderly))
    assert set(status.to_pylist()) == {"elderly_no_pension"}


def test_profiles_go_from_mild_to_hard(default: Seen):
    insurance = frozenset({"health_insurance", "poverty", "social_assistance", "merit"})
    shares = [
        clean(one, "health_insurance").mean()
        for one in (seen("mild", codes=insurance), default, seen("hard", codes=insurance))
    ]
    assert shares[0] > shares[1] + 0.02 > shares[2] + 0.04


def test_errors_come_in_clusters_by_district(default: Seen):
    """The error rate varies between offices by more than chance: Pearson's dispersion is well above 1."""
    table = default.first["labour_force"]
    error = (numbers(table["tags"]) & int(Tag.NAME_ERROR)) > 0
    office = numbers(table["office"])
    rate = error.mean()
    codes, count = np.unique(office, return_counts=True)
    large = codes[count >= 20]
    found = np.array([error[office == one].sum() for one in large])
    expected = np.array([(office == one).sum() * rate for one in large])
    dispersion = ((found - expected) ** 2 / (expected * (1 - rate))).sum() / (len(large) - 1)
    assert len(large) >= 30
    assert dispersion > 1.5


def test_a_person_shows_the_same_second_papers_everywhere(default: Seen):
    shown: dict[int, set[tuple]] = {}
    times = 0
    for code in ("health_insurance", "labour_force", "tax", "social_insurance"):
        table = default.first[code]
        rows = np.flatnonzero(numbers(table["tags"]) & int(Tag.SECOND_PAPERS) > 0)
        rows = rows[
            numbers(table["tags"])[rows] & int(Tag.NAME_ERROR | Tag.BIRTH_ERROR | Tag.COPIED | Tag.DUPLICATE)
            == 0
        ]
        for row in table.take(pa.array(rows)).to_pylist():
            times += 1
            shown.setdefault(row["person"], set()).add(
                (row["birth_year"], row["birth_month"], row["birth_day"])
            )
    assert times > len(shown) > 20
    assert all(len(births) == 1 for births in shown.values())


def test_copied_rows_repeat_the_source_with_its_errors(default: Seen):
    source, copy = default.first["social_insurance"], default.first["unemployment_insurance"]
    at = {person: row for row, person in enumerate(numbers(source["person"]).tolist())}
    rows = np.flatnonzero(numbers(copy["tags"]) & int(Tag.COPIED) > 0)
    assert len(rows) > 100
    errors = 0
    for row in copy.take(pa.array(rows)).to_pylist():
        original = source.slice(at[row["person"]], 1).to_pylist()[0]
        assert row["personal_id"] == original["personal_id"]
        assert row["birth_day"] == original["birth_day"]
        errors += bool(original["tags"] & int(Tag.BIRTH_ERROR))
    assert errors > 0


def test_borrowed_papers_describe_a_relative_of_the_same_sex(default: Seen):
    world = default.context.world
    table = default.first["social_insurance"]
    table = pa.concat_tables(
        [table, seen("hard", codes=frozenset({"social_insurance"})).first["social_insurance"]]
    )
    person, actual = numbers(table["person"]), numbers(table["actual"])
    borrowed = person != actual
    assert 0 < borrowed.sum() < 0.02 * len(person)
    assert (world.female[person[borrowed]] == world.female[actual[borrowed]]).all()
    assert (numbers(table["tags"])[borrowed] & int(Tag.BORROWED_IDENTITY) > 0).all()


def test_namesakes_are_strangers_with_true_numbers(default: Seen):
    world = default.context.world
    rows = np.flatnonzero(default.context.namesakes)
    assert len(rows) >= PEOPLE * settings().deliveries.active.namesakes * 0.5
    for row in rows.tolist():
        number = world.column("personal_id")[row].as_py()
        if number and not world.column("former_personal_id")[row].is_valid:
            year = int(str(world.birth[row])[:4])
            assert number[4:6] == f"{year % 100:02}"
            assert int(number[3]) % 2 == int(world.female[row])


def test_the_second_delivery_tells_what_changed(default: Seen):
    table, before = default.second["health_insurance"], default.first["health_insurance"]
    operation = numbers(table["operation"])
    assert {NEW, CORRECTED, WITHDRAWN} == set(operation.tolist())
    known = set(numbers(before["serial"]).tolist())
    serial = numbers(table["serial"])
    assert known.isdisjoint(serial[operation == NEW].tolist())
    assert set(serial[operation != NEW].tolist()) <= known
    assert len(np.unique(serial)) == len(serial)
    dead = default.context.world.death[numbers(table["person"])] <= default.snapshots[1].day
    assert (operation[dead] == WITHDRAWN).all()
    assert dead.sum() > 0
    assert table.num_rows < 0.2 * before.num_rows


def test_a_snapshot_holds_everybody_again(default: Seen):
    before, table = default.first["social_assistance"], default.second["social_assistance"]
    operation = numbers(table["operation"])
    assert (operation == UNCHANGED).sum() > 0.7 * before.num_rows
    assert WITHDRAWN not in operation


def test_corrected_records_are_true(default: Seen):
    table = default.second["children"]
    rows = np.flatnonzero(numbers(table["operation"]) == CORRECTED)
    part = table.take(pa.array(rows))
    fixed = numbers(part["tags"]) & int(Tag.NAME_ERROR | Tag.BIRTH_ERROR | Tag.NUMBER_ERROR) == 0
    names = [_canonical(name) for name in part["full_name"].to_pylist()]
    truth = default.context.world.column("full_name").take(part["person"].combine_chunks()).to_pylist()
    equal = np.array([one == _canonical(other) for one, other in zip(names, truth, strict=True)])
    assert fixed.sum() > 10
    assert equal[fixed].mean() > 0.97  # the rest shows other habits of its office


def test_addresses_after_the_reform_use_the_new_units(default: Seen):
    table = default.second["labour_force"]
    fresh = table.take(pa.array(np.flatnonzero(numbers(table["operation"]) != WITHDRAWN)))
    codes = default.context.world.places.code.take(fresh["unit"].combine_chunks())
    new = pc.starts_with(codes, "N").to_numpy(zero_copy_only=False)
    assert 0.3 < new.mean() < 0.8  # many offices still write the old ones
    district = fresh["district"].combine_chunks().is_valid().to_numpy(zero_copy_only=False)
    assert not district[new].any()
    before = default.context.world.places.code.take(default.first["labour_force"]["unit"].combine_chunks())
    assert pc.all(pc.starts_with(before, "L")).as_py()


def test_faulty_rows_are_extra_and_told():
    table = pa.table({"Ma": [f"{n}" for n in range(200)], "Ten": ["x"] * 200, "Op": ["M"] * 200})
    sheet = Sheet(
        file="a.csv",
        source="a",
        table=table,
        rows=np.arange(200),
        key=("Ma",),
        form=Csv(),
        required={"Ten": "full_name"},
        operation="Op",
        withdrawal="X",
    )
    made = spoiled(sheet, share=0.3, corrects=True, random=np.random.default_rng(3))
    good = made.rows >= 0
    assert made.table.filter(pa.array(good)).equals(table)
    rows = [
        row | {"reason": reason}
        for row, reason in zip(made.table.to_pylist(), made.reason.to_pylist(), strict=True)
    ]
    by_reason = {row["reason"]: row for row in rows if row["reason"]}
    assert set(by_reason) == {
        "key.missing",
        "key.duplicate",
        "required.missing:full_name",
        "row.malformed",
        "operation.unknown",
        "record.unknown",
    }
    assert by_reason["key.missing"]["Ma"] == ""
    assert by_reason["required.missing:full_name"]["Ten"] is None
    assert by_reason["operation.unknown"]["Op"] == "?"
    assert by_reason["record.unknown"]["Op"] == "X"
    assert (made.reason.is_valid().to_numpy(zero_copy_only=False) == ~good).all()
    seen_keys: set[str] = set()
    for row in rows:
        assert (row["Ma"] in seen_keys) == (row["reason"] == "key.duplicate")
        if row["reason"] is None:
            seen_keys.add(row["Ma"])
    assert rows[-1]["reason"] is None


def test_tags_become_words():
    bits = np.array([0, int(Tag.TWIN | Tag.COPIED), 0])
    assert words(bits).to_pylist() == [[], ["twin", "copied"], []]


def _digest(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
    }


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SimulationSummary]:
    out = tmp_path_factory.mktemp("simulated") / "out"
    return out, simulate(people=400, seed=3, out=out, settings=settings())


def test_one_seed_gives_one_output_in_any_process(simulated: tuple[Path, SimulationSummary], tmp_path: Path):
    script = (
        "import sys; from pathlib import Path; from mdm.simulation.simulate import simulate;"
        "from mdm.simulation.settings import load_simulation_settings as load;"
        "simulate(people=400, seed=3, out=Path(sys.argv[1]), settings=load(Path(sys.argv[2])))"
    )
    arguments = [sys.executable, "-c", script, str(tmp_path / "two"), str(CONFIGS / "simulation.yaml")]
    subprocess.run(arguments, check=True, env={**os.environ, "PYTHONHASHSEED": "77"})
    one, two = _digest(simulated[0]), _digest(tmp_path / "two")
    assert len(one) > 40
    assert one == two


def test_the_truth_tells_persons_records_and_households(simulated: tuple[Path, SimulationSummary]):
    out, summary = simulated
    truth = out / TRUTH_FOLDER
    persons, records = pq.read_table(truth / PERSONS), pq.read_table(truth / RECORDS)
    assert persons["person_id"].to_pylist() == list(range(persons.num_rows))
    people = [row for row in records.to_pylist() if row["kind"] == "person"]
    assert {row["registry"] for row in people} == {code for code, rows in summary.rows.items() if rows}
    assert all(0 <= row["person_id"] < persons.num_rows for row in people)
    households = pq.read_table(truth / HOUSEHOLDS).to_pylist()
    assert {row["delivery"] for row in households} == {1, 2}
    living = {row["person_id"] for row in persons.to_pylist() if row["household_id"] >= 0}
    members = {person for row in households if row["delivery"] == 2 for person in row["members"] or []}
    assert len(members & living) > 0.95 * len(living)


def test_a_folder_with_something_in_it_is_refused(tmp_path: Path):
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(InputError, match="not empty"):
        simulate(people=100, seed=1, out=tmp_path, settings=settings())
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_simulation_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def fail(*_args: object, **_named: object) -> None:
        raise RuntimeError("disk full")

    monkeypatch.setattr(simulate_module, "simulate_population", lambda *_args, **_named: _population())
    monkeypatch.setattr(simulate_module, "deliver", fail)
    with pytest.raises(RuntimeError, match="disk full"):
        simulate(people=100, seed=1, out=tmp_path / "out", settings=settings())
    assert list(tmp_path.iterdir()) == []


def test_a_list_can_be_copied_only_once_it_is_made(tmp_path: Path):
    registries = dict(settings().deliveries.registries)
    registries["poverty"] = registries["poverty"].model_copy(update={"copies": {"tax": 0.5}})
    wrong = settings().deliveries.model_copy(update={"registries": registries})
    with pytest.raises(ConfigurationError, match="tax"):
        simulate(
            people=100,
            seed=1,
            out=tmp_path / "out",
            settings=settings().model_copy(update={"deliveries": wrong}),
        )
