from pathlib import Path

import pytest

from mdm.simulation.population.simulate import simulate_population
from mdm.simulation.settings import load_simulation_settings
from tests.unit.simulation import population_measures

CONFIGS = Path(__file__).parents[3] / "configs"
PEOPLE = 20_000


@pytest.fixture(scope="session")
def settings():
    return load_simulation_settings(CONFIGS / "simulation.yaml")


@pytest.fixture(scope="session")
def population(settings):
    return simulate_population(settings, people=PEOPLE, seed=7)


@pytest.fixture(scope="session")
def tables(population):
    """The population behind SQL, with the administrative units; see population_measures."""
    connection = population_measures.connect(population)
    units = CONFIGS / "reference" / "units.csv"
    connection.execute(f"CREATE TABLE units AS SELECT * FROM read_csv('{units}', all_varchar = true)")
    yield connection
    connection.close()
