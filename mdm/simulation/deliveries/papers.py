"""The papers people hold: the true ones, and for some a second set with another spelling or another birthday, which
several offices then repeat alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mdm.simulation.deliveries.errors.apply import changed_by_kind, drawn_kinds
from mdm.simulation.deliveries.errors.dates import Dates, spoil_dates
from mdm.simulation.deliveries.errors.names import NAME_ERRORS
from mdm.simulation.deliveries.world import Mask, World, numbers, valid, whole
from mdm.simulation.population.tables import Population

_SECOND_NAMES = {
    "sounds_alike": 3.0,
    "middle_missing": 2.0,
    "middle_added": 2.0,
    "tone_confused": 2.0,
    "typing_slip": 1.5,
    "given_changed": 0.5,
}
_SECOND_BIRTHS = {
    "first_of_january": 3.0,
    "year_near": 3.0,
    "day_month_swapped": 1.0,
    "day_wrong": 2.0,
    "month_wrong": 1.0,
}
_ADULT_BORN_BEFORE = np.datetime64("2005-01-01", "D")


@dataclass(frozen=True)
class SecondPapers:
    holders: Mask
    name: pa.Array
    birth: Dates

    @classmethod
    def of(cls, world: World) -> SecondPapers:
        share = world.settings.active.second_papers
        grown = world.named & (world.birth < _ADULT_BORN_BEFORE)
        holders = grown & (world.luck("second papers") < share)
        random = world.stream("second papers")
        rows = np.flatnonzero(holders)
        what = random.random(len(rows))  # the name alone, the birthday alone, or both
        other_name, other_birth = rows[what < 0.6], rows[what > 0.4]
        name = changed_by_kind(
            world.column("full_name"),
            other_name,
            drawn_kinds(_SECOND_NAMES, len(other_name), random),
            NAME_ERRORS,
            random,
        )
        birth = Dates.of(world.birth)
        spoil_dates(birth, other_birth, drawn_kinds(_SECOND_BIRTHS, len(other_birth), random), random)
        return cls(holders, name, birth)


def with_namesakes(population: Population, *, share: float, random: np.random.Generator) -> Population:
    """Give some people the given name and birthday of a neighbour: same commune of birth, sex, surname and birth year,
    so that every number stays true to its holder.
    """
    persons = population.persons
    size = persons.num_rows
    birth = whole(persons["birth_date"]).to_numpy(zero_copy_only=False).astype("datetime64[D]")
    able = valid(persons["full_name"]) & valid(persons["surname"]) & valid(persons["birth_commune"])
    able &= (numbers(persons["twin_of"]) < 0) & ~valid(persons["former_name"]) & ~valid(persons["death_date"])
    able &= birth < np.datetime64("2024-01-01", "D")
    rows = np.flatnonzero(able)
    key = pc.binary_join_element_wise(
        *(
            persons[name].combine_chunks().take(pa.array(rows))
            for name in ("birth_commune", "sex", "surname")
        ),
        pc.strftime(persons["birth_date"].combine_chunks().take(pa.array(rows)), format="%Y"),
        "|",
    )
    codes = key.dictionary_encode().indices.to_numpy(zero_copy_only=False)
    order = np.lexsort((random.random(len(rows)), codes))
    same = np.flatnonzero(codes[order][1:] == codes[order][:-1])
    same = same[np.diff(same, prepend=-2) > 1]  # nobody in two pairs
    chosen = same[np.argsort(random.random(len(same)), kind="stable")[: round(size * share / 2)]]
    model, copy = rows[order[chosen]], rows[order[chosen + 1]]
    return _renamed(population, model, copy, birth)


def share_name_and_birthday(population: Population) -> Mask:
    """People who have both in common with somebody else, made so or by chance."""
    key = pc.binary_join_element_wise(
        whole(population.persons["full_name"]), whole(population.persons["birth_date"]).cast(pa.string()), "|"
    )
    codes = key.dictionary_encode().indices.fill_null(-1).to_numpy(zero_copy_only=False)
    _, first, count = np.unique(codes, return_inverse=True, return_counts=True)
    repeated: Mask = (count[first.reshape(-1)] > 1) & (codes >= 0)
    return repeated


def _renamed(population: Population, model: np.ndarray, copy: np.ndarray, birth: np.ndarray) -> Population:
    persons = population.persons
    source = np.arange(persons.num_rows, dtype=np.int64)
    source[copy] = model
    for name in ("full_name", "middle", "given"):
        persons = persons.set_column(
            persons.schema.get_field_index(name), name, persons[name].combine_chunks().take(pa.array(source))
        )
    new_birth = birth[source]
    persons = persons.set_column(
        persons.schema.get_field_index("birth_date"), "birth_date", pa.array(new_birth, pa.date32())
    )
    registered = whole(persons["birth_registered_on"]).to_numpy(zero_copy_only=False).astype("datetime64[D]")
    late = np.isin(source, model) & (registered < new_birth)
    registered = np.where(late, new_birth, registered)
    persons = persons.set_column(
        persons.schema.get_field_index("birth_registered_on"),
        "birth_registered_on",
        pa.array(registered, pa.date32()),
    )
    return Population(
        since=population.since,
        until=population.until,
        persons=persons,
        residence_spells=population.residence_spells,
        households=population.households,
        employers=population.employers,
        life_events=_births_moved(population.life_events, copy, new_birth),
    )


def _births_moved(events: pa.Table, people: np.ndarray, birth: np.ndarray) -> pa.Table:
    person = numbers(events["person_id"])
    moved = np.isin(person, people) & whole(pc.equal(events["kind"], "birth")).to_numpy(zero_copy_only=False)
    days = whole(events["date"]).to_numpy(zero_copy_only=False).astype("datetime64[D]").copy()
    days[moved] = birth[person[moved]]
    return events.set_column(events.schema.get_field_index("date"), "date", pa.array(days, pa.date32()))
