"""The table of persons: everything that is true of each at the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mdm.simulation.population import society
from mdm.simulation.population.names import Namer
from mdm.simulation.population.numbers import CARD_AGE, Holders, Numbers
from mdm.simulation.population.state import NEVER, first_day
from mdm.simulation.population.tables import EDUCATION, OCCUPATIONS, PERSONS
from mdm.simulation.randomness import stream

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from mdm.simulation.population.geography import Geography
    from mdm.simulation.population.households import HouseholdFacts
    from mdm.simulation.population.name_lists import NameLists
    from mdm.simulation.population.settings import PopulationSettings
    from mdm.simulation.population.spells import Spells
    from mdm.simulation.population.state import Columns

    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]

REFORM = first_day(2025) + 181  # 1 July
NEW_YEAR_2016 = first_day(2016)
NAMELESS_DAYS = 60
YEAR = 365.2425


@dataclass(frozen=True)
class Scene:
    """What all parts of the end state are made from. Persons and households have the state's own numbers here."""

    people: Columns
    spells: Spells
    geography: Geography
    commune: Ints
    """[household]"""
    lists: NameLists
    settings: PopulationSettings
    folder: Path
    seed: int
    since: int
    until: int

    def stream(self, *name: str) -> np.random.Generator:
        return stream(self.seed, "persons", *name)

    @property
    def minority(self) -> Bools:
        return np.array([group.code != "01" for group in self.lists.groups])

    @property
    def province_number(self) -> Ints:
        """[household] 1 for L01."""
        numbers = np.array([int(code[1:]) for code in self.geography.provinces])
        return np.asarray(numbers[self.geography.province[self.commune]])

    def home_province(self, persons: Ints, days: Ints) -> Ints:
        """Legacy number of the province in which each was registered on a day; that of birth where never."""
        household = self.spells.household_on(persons=persons, days=days)
        born = self.geography.province[self.people.birth_commune[persons]]
        numbers = np.array([int(code[1:]) for code in self.geography.provinces])
        return np.where(household >= 0, self.province_number[household], numbers[born])


@dataclass(frozen=True)
class Cast:
    """Who appears in the tables, by the state's numbers, and the roles of the dead and their kin."""

    kept: Ints
    in_window: Bools
    martyr: Bools
    martyr_kin: Bools


def cast(scene: Scene) -> Cast:
    people, count = scene.people, scene.people.count
    death, birth = people.death[:count], people.birth_year[:count].astype(np.int64)
    mother, father, spouse = people.mother[:count], people.father[:count], people.spouse[:count]
    in_window = death >= scene.since
    alive = death == NEVER
    death_year = np.where(alive, 9999, 1970 + np.floor_divide(death, YEAR).astype(np.int64))
    martyr = society.martyrs(
        scene.stream("martyrs"),
        rules=scene.settings.society,
        birth_year=birth,
        death_year=death_year,
        female=people.sex[:count] == 1,
        wanted=round(scene.settings.society.martyrs * int(alive.sum())),
    )
    kin = np.zeros(count, bool)
    for parent in (mother, father):
        kin[parent[martyr & (parent >= 0)]] = True
        kin |= (parent >= 0) & martyr[parent]
    kin[spouse[martyr & (spouse >= 0)]] = True
    kept = in_window | martyr
    for parent in (mother, father):
        kept[parent[in_window & (parent >= 0)]] = True
    chosen = np.flatnonzero(kept)
    return Cast(chosen, in_window[chosen], martyr[chosen], kin[chosen])


def persons_table(scene: Scene, roles: Cast, *, households: HouseholdFacts) -> pa.Table:
    people, kept = scene.people, roles.kept
    birth, death = people.birth[kept].astype(np.int64), people.death[kept].astype(np.int64)
    alive = death == NEVER
    last_day = np.minimum(death, scene.until)
    age = ((last_day - birth) / YEAR).astype(np.int64)
    female = people.sex[kept] == 1
    birth_year = people.birth_year[kept].astype(np.int64)
    minority = scene.minority[people.ethnic[kept]]
    home = np.where(roles.in_window, people.home[kept], -1)
    urban = scene.geography.urban[scene.commune[home]]
    poverty = np.where(home >= 0, households.income_class[home], "other")
    # The dead have no residence at the end; what they were entitled to follows the house they died in.
    disabled = society.disability(scene.stream("disabled"), rules=scene.settings.society, age=age)
    work = society.occupations(
        scene.stream("work"),
        rules=scene.settings.society,
        age=age,
        female=female,
        urban=urban,
        disabled=disabled,
    )
    merit = society.merit(
        scene.stream("merit"),
        rules=scene.settings.society,
        martyr=roles.martyr,
        relative=roles.martyr_kin,
        alive=roles.in_window,
        birth_year=birth_year,
        female=female,
    )
    birth_registered = registration(
        scene.stream("birth registration"),
        days=birth,
        on_time=np.where(
            minority,
            scene.settings.identifiers.birth_on_time_minority,
            scene.settings.identifiers.birth_on_time,
        ),
        within=60,
        late_mean=400,
    )
    registered = birth_registered <= last_day
    death_registered = registration(
        scene.stream("death registration"),
        days=death,
        on_time=np.where(
            minority,
            scene.settings.identifiers.death_on_time_minority,
            scene.settings.identifiers.death_on_time,
        ),
        within=15,
        late_mean=250,
    )
    never = scene.stream("death never").random(len(kept)) < scene.settings.identifiers.death_never
    death_known = ~alive & ~never & (death_registered <= scene.until)
    holders = Holders(
        alive=alive,
        in_window=roles.in_window,
        female=female.astype(np.int64),
        birth_year=birth_year,
        age=age,
        death=death,
        registered_birth=registered,
        birth_province=scene.home_province(kept, birth),
        province_at_card=scene.home_province(kept, birth + int(CARD_AGE * YEAR)),
        province_2016=scene.home_province(kept, np.minimum(NEW_YEAR_2016, last_day)),
        province_now=scene.home_province(kept, last_day),
        occupation=work,
        poverty=poverty,
        merit=merit,
        family_member=family_members(scene, roles, heads=households.head),
        until=scene.until,
    )
    columns: dict[str, object] = {
        "person_id": np.arange(len(kept)),
        "sex": np.where(female, "female", "male"),
        "birth_date": dates(birth),
        "death_date": dates(death, present=~alive),
        "birth_registered_on": dates(birth_registered, present=registered),
        "death_registered_on": dates(death_registered, present=death_known),
        **names(scene, roles, last_day=last_day),
        "ethnicity": np.array([group.code for group in scene.lists.groups])[people.ethnic[kept]],
        "nationality": np.full(len(kept), "VN"),
        "birth_commune": birth_communes(scene, kept, households),
        "native_province": np.array(scene.geography.provinces)[people.native[kept]],
        **{
            f"{role}_id": renumbered(getattr(people, role)[kept], kept)
            for role in ("mother", "father", "spouse")
        },
        "twin_of": renumbered(people.twin[kept], kept),
        "education_level": np.array(EDUCATION)[
            society.education(
                scene.stream("education"), age=age, birth_year=birth_year, occupation=work, urban=urban
            )
        ],
        "occupation_status": np.array(OCCUPATIONS)[work],
        "employer_id": np.full(len(kept), -1),
        "disabled": disabled,
        "orphan": orphans(people, kept, alive=alive, age=age),
        "merit": merit,
        "is_foreign": np.zeros(len(kept), bool),
        "died_before_window": ~roles.in_window,
        **Numbers(holders, rules=scene.settings.identifiers, folder=scene.folder, seed=scene.seed).columns(),
    }
    return pa.table([pa.array(columns[field.name], field.type) if isinstance(columns[field.name], np.ndarray)
                     else columns[field.name] for field in PERSONS], schema=PERSONS)  # fmt: skip


def dates(days: Ints, *, present: Bools | None = None) -> pa.Array:
    clean = days if present is None else np.where(present, days, 0)
    return pa.array(clean.astype(np.int32), mask=None if present is None else ~present).cast(pa.date32())


def renumbered(persons: NDArray[np.int32], kept: Ints) -> Ints:
    """The table's numbers of people told by the state's; -1 for those who are not in the table."""
    place = np.searchsorted(kept, persons)
    found = (persons >= 0) & (place < len(kept))
    place = np.where(found, place, 0)
    return np.where(found & (kept[place] == persons), place, -1)


def registration(
    rng: np.random.Generator, *, days: Ints, on_time: NDArray[np.float64], within: int, late_mean: float
) -> Ints:
    """Day of registration: within so many days for the share on time, else later by an exponential delay."""
    prompt = rng.integers(1, within + 1, len(days))
    late = within + 1 + rng.exponential(late_mean, len(days)).astype(np.int64)
    return np.asarray(days + np.where(rng.random(len(days)) < on_time, prompt, late))


def names(scene: Scene, roles: Cast, *, last_day: Ints) -> dict[str, pa.Array]:
    people, kept, rules = scene.people, roles.kept, scene.settings.names
    rng = scene.stream("names")
    namer = Namer(scene.lists, settings=rules)
    everyone = namer.name(people, rng)
    changes = (
        roles.in_window
        & (last_day - people.birth[kept] > 14 * 365)
        & (rng.random(len(kept)) < rules.legal_change)
    )
    renamed = np.flatnonzero(changes)
    former = namer.rename(people, everyone, kept[renamed], rng)
    words = pa.array(scene.lists.words.texts)
    texts = everyone.part(kept).texts(words)
    nameless = (people.birth[kept] > scene.until - NAMELESS_DAYS) & (
        rng.random(len(kept)) < rules.unnamed_babies
    )
    named = pa.array(~nameless)
    for column in ("full_name", "middle", "given"):
        texts[column] = pc.if_else(named, texts[column], pa.scalar(None, pa.string()))
    former_name = np.full(len(kept), None, object)
    former_name[renamed] = former.texts(words)["full_name"].to_pylist()
    earliest = np.maximum(scene.since, people.birth[kept] + 14 * 365)
    until = earliest + ((last_day - earliest) * rng.random(len(kept))).astype(np.int64)
    return {
        **texts,
        "former_name": pa.array(former_name, pa.string()),
        "former_name_until": dates(until, present=changes),
    }


def birth_communes(scene: Scene, kept: Ints, households: HouseholdFacts) -> NDArray[np.str_]:
    people = scene.people
    legacy = np.array(scene.geography.codes)[people.birth_commune[kept]]
    first_home = scene.spells.household_on(persons=kept, days=people.birth[kept].astype(np.int64))
    now = households.commune_now[first_home]
    return np.where((people.birth[kept] >= REFORM) & (first_home >= 0), now, legacy)


def orphans(people: Columns, kept: Ints, *, alive: Bools, age: Ints) -> Bools:
    result = alive & (age < 16)
    for parent in (people.mother[kept], people.father[kept]):
        result &= (parent < 0) | (people.death[parent] != NEVER)
    return np.asarray(result)


def family_members(scene: Scene, roles: Cast, *, heads: Ints) -> Ints:
    """The relative in the same house whose phone a person without one gives: mother, father, spouse or the head."""
    people, kept = scene.people, roles.kept
    home = people.home[kept]
    result = np.full(len(kept), -1)
    for candidate in (people.mother[kept], people.father[kept], people.spouse[kept], heads[home]):
        near = (candidate >= 0) & (people.home[candidate] == home) & (candidate != kept)
        result = np.where((result < 0) & near, candidate, result)
    return renumbered(np.where(roles.in_window, result, -1).astype(np.int32), kept)
