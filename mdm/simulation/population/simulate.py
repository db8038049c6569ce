"""The simulated population: lives year by year, then the tables of the window."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import numpy as np

from mdm.simulation.population.demography import Rates
from mdm.simulation.population.employment import employ
from mdm.simulation.population.foreigners import add_foreigners
from mdm.simulation.population.geography import load_geography
from mdm.simulation.population.households import events_table, household_facts, households_table, spells_table
from mdm.simulation.population.lives import Lives
from mdm.simulation.population.name_lists import NameLists
from mdm.simulation.population.persons import Scene, cast, persons_table
from mdm.simulation.population.reference import load_demography, load_ethnic_groups
from mdm.simulation.population.spells import stays
from mdm.simulation.population.state import NEVER, State, first_day
from mdm.simulation.population.tables import Population
from mdm.simulation.randomness import stream

if TYPE_CHECKING:
    from collections.abc import Callable

    from mdm.simulation.settings import SimulationSettings

    Progress = Callable[[str, float], None]
    """Told what is being done and which share of the whole is done (0 to 1)."""

LIVES_SHARE = 0.75  # of the time, roughly


def simulate_population(
    settings: SimulationSettings, *, people: int, seed: int, progress: Progress | None = None
) -> Population:
    """About `people` people alive on the last day of the window, with all who died within it.

    The same settings, number and seed give the same tables, byte for byte, on every machine.
    """
    if people < 1:
        raise ValueError("people must be 1 or more")
    report = progress or (lambda _step, _done: None)
    rules, folder = settings.population, settings.reference
    groups = load_ethnic_groups(folder)
    geography = load_geography(folder, settings=rules, people=people, rng=stream(seed, "geography"))
    lists = NameLists(folder, groups=groups, settings=rules.names)
    state = State(people=int(people * 1.5) + 200, households=int(people * 0.9) + 200)
    lives = Lives(
        state,
        rates=Rates(load_demography(folder), rules),
        geography=geography,
        groups=groups,
        settings=rules,
        people=people,
    )
    lives.found(stream(seed, "founders"), lists=lists)
    years = range(rules.window.begin_year, rules.window.last_year + 1)
    for done, year in enumerate(years):
        report(
            f"year {year}", LIVES_SHARE * (done / len(years)) ** 2
        )  # each year has more people than the one before
        lives.live(year, stream(seed, "year", year))
    report("tables", LIVES_SHARE)
    since, until = first_day(rules.window.first_year), first_day(rules.window.last_year + 1) - 1
    scene = Scene(
        people=state.people,
        spells=stays(state),
        geography=geography,
        commune=state.households.commune[: state.households.count].astype(np.int64),
        lists=lists,
        settings=rules,
        folder=folder,
        seed=seed,
        since=since,
        until=until,
    )
    roles = cast(scene)
    facts = household_facts(scene)
    persons, employers = employ(scene, roles, persons_table(scene, roles, households=facts))
    report("households", 0.9)
    chosen = (state.people.death[scene.spells.person] >= scene.since) & (
        (scene.spells.end == NEVER) | (scene.spells.end >= scene.since)
    )
    kept = np.unique(scene.spells.household[chosen])
    population = Population(
        since=date(rules.window.first_year, 1, 1),
        until=date(rules.window.last_year, 12, 31),
        persons=persons,
        residence_spells=spells_table(scene, facts, kept=kept, persons=roles.kept, chosen=chosen),
        households=households_table(scene, facts, kept=kept, persons=roles.kept),
        employers=employers,
        life_events=events_table(scene, state, roles, kept=kept, persons=persons),
    )
    population = add_foreigners(population, scene, number=max(round(people * rules.society.foreigners), 1))
    report("done", 1.0)
    return population
