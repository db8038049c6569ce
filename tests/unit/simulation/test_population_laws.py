"""Laws of the simulation itself: repeatability, scale, settings, tables."""

import hashlib
import os
import subprocess
import sys
import time

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdm.errors import ConfigurationError
from mdm.simulation.population import tables as shapes
from mdm.simulation.population.demography import expectancy, level
from mdm.simulation.population.lives import spread_excess
from mdm.simulation.population.reference import load_demography
from mdm.simulation.population.simulate import simulate_population
from mdm.simulation.randomness import stream
from mdm.simulation.settings import load_simulation_settings
from tests.unit.simulation.conftest import CONFIGS

TABLES = ("persons", "residence_spells", "households", "employers", "life_events")


def digest(population):
    result = hashlib.sha256()
    for name in TABLES:
        sink = pa.BufferOutputStream()
        table = getattr(population, name)
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        result.update(sink.getvalue())
    return result.hexdigest()


FRESH = """
from pathlib import Path
from mdm.simulation.population.simulate import simulate_population
from mdm.simulation.settings import load_simulation_settings
from tests.unit.simulation.test_population_laws import digest
print(digest(simulate_population(load_simulation_settings(Path("configs/simulation.yaml")), people=800, seed=11)))
"""


def test_one_seed_gives_one_output_in_every_process(settings):
    digests = {digest(simulate_population(settings, people=800, seed=11))}
    for hash_seed in ("1", "2"):
        result = subprocess.run(
            [sys.executable, "-c", FRESH],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            cwd=CONFIGS.parent,
            capture_output=True,
            text=True,
            check=True,
        )
        digests.add(result.stdout.strip())
    assert len(digests) == 1


def test_another_seed_gives_other_people(settings):
    first, second = (simulate_population(settings, people=500, seed=seed) for seed in (1, 2))
    assert first.persons["full_name"].to_pylist() != second.persons["full_name"].to_pylist()


def test_tables_have_the_declared_columns(population):
    for name in TABLES:
        assert getattr(population, name).schema == getattr(shapes, name.upper())
    vocabulary = {
        "occupation_status": shapes.OCCUPATIONS,
        "merit": shapes.MERIT,
        "education_level": shapes.EDUCATION,
        "sex": ("male", "female"),
    }
    for column, words in vocabulary.items():
        assert set(population.persons[column].to_pylist()) <= set(words)
    assert set(population.residence_spells["relation_to_head"].to_pylist()) == set(shapes.RELATIONS)
    assert set(population.life_events["kind"].to_pylist()) == set(shapes.EVENT_KINDS)
    assert set(population.households["income_class"].to_pylist()) == set(shapes.INCOME_CLASSES)


@pytest.mark.parametrize("people", [1, 7, 60])
def test_a_handful_of_people_can_be_simulated(settings, people):
    population = simulate_population(settings, people=people, seed=3)
    assert len(population.persons) >= 1


def test_progress_rises_from_nothing_to_all(settings):
    told = []
    simulate_population(settings, people=100, seed=1, progress=lambda step, done: told.append((step, done)))
    shares = [done for _, done in told]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0, 1)


def test_no_people_are_refused(settings):
    with pytest.raises(ValueError, match="people"):
        simulate_population(settings, people=0, seed=1)


def test_a_wrong_setting_is_named(tmp_path):
    text = (CONFIGS / "simulation.yaml").read_text(encoding="utf-8")
    (tmp_path / "simulation.yaml").write_text(
        text.replace("twin_deliveries: 0.012", "twin_deliveries: 1.2"), encoding="utf-8"
    )
    with pytest.raises(ConfigurationError, match=r"population\.births\.twin_deliveries"):
        load_simulation_settings(tmp_path / "simulation.yaml")


def test_a_settings_file_that_is_no_yaml_is_refused(tmp_path):
    (tmp_path / "simulation.yaml").write_text("population: [", encoding="utf-8")
    with pytest.raises(ConfigurationError, match="YAML"):
        load_simulation_settings(tmp_path / "simulation.yaml")


@pytest.mark.parametrize("target", [45.0, 60.0, 79.3])
def test_mortality_is_scaled_to_the_life_expectancy_of_the_year(target):
    rates = load_demography(CONFIGS / "reference").mortality[1]
    assert expectancy(level(rates, target)) == pytest.approx(target, abs=0.01)


@given(
    chances=st.lists(st.floats(0, 0.6, allow_subnormal=False), min_size=2, max_size=50),
    excess=st.floats(0.7, 3),
)
def test_chances_stay_below_certainty_and_their_sum_is_kept_where_there_is_room(chances, excess):
    chance = np.array([*chances, excess])
    capped = spread_excess(chance)
    assert capped.max() <= 0.7
    if chance.sum() < 0.7 * np.count_nonzero(chance) * 0.5 and capped.max() < 0.7:
        assert capped.sum() == pytest.approx(chance.sum())


def test_streams_are_told_apart_by_name_and_repeat():
    assert stream(1, "a", 2).integers(1 << 60) == stream(1, "a", 2).integers(1 << 60)
    assert (
        len({int(stream(seed, name).integers(1 << 60)) for seed in (1, 2) for name in ("a", "b", "a/b")}) == 6
    )


@pytest.mark.nightly
def test_time_grows_in_step_with_the_people(settings):
    seconds = []
    for people in (50_000, 200_000):
        start = time.process_time()
        simulate_population(settings, people=people, seed=5)
        seconds.append(time.process_time() - start)
    assert np.log(seconds[1] / seconds[0]) / np.log(4) < 1.15
