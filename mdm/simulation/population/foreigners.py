"""Foreigners who live in the country for work: no Vietnamese numbers but a passport, temporary residence only."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from mdm.simulation.population.households import table
from mdm.simulation.population.identifiers import digits_text, unique_within
from mdm.simulation.population.name_lists import Weighted, Words
from mdm.simulation.population.persons import dates
from mdm.simulation.population.places import Places, joined
from mdm.simulation.population.reference import rows
from mdm.simulation.population.tables import HOUSEHOLDS, PERSONS, RESIDENCE_SPELLS, Population

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from mdm.simulation.population.persons import Scene

    Ints = NDArray[np.int64]

MOST_YEARS = 8


def add_foreigners(population: Population, scene: Scene, *, number: int) -> Population:
    """The population with `number` foreigners behind the others, each in a household of their own."""
    rng = scene.stream("foreigners")
    people, homes = len(population.persons), len(population.households)
    female = rng.random(number) < 0.25
    birth = scene.until - rng.integers(24 * 365, 60 * 365, number)
    arrival = scene.until - rng.integers(30, MOST_YEARS * 365, number)
    metropolitan = np.isin(scene.geography.provinces, scene.settings.moves.metropolis)[
        scene.geography.province
    ]
    commune = scene.geography.draw(rng, count=number, weight=scene.geography.weight * metropolitan)
    identity = names_and_passports(rng, scene.folder, female=female)
    employers = len(population.employers)
    nothing: dict[str, object] = {field.name: pa.nulls(number, field.type) for field in PERSONS}
    persons = {
        **nothing,
        **identity,
        **{name: np.full(number, -1) for name in ("mother_id", "father_id", "spouse_id", "twin_of")},
        **{name: np.zeros(number, bool) for name in ("disabled", "orphan", "died_before_window")},
        "person_id": people + np.arange(number),
        "sex": np.where(female, "female", "male"),
        "birth_date": dates(birth),
        "ethnicity": np.full(number, "55"),
        "education_level": np.full(number, "university"),
        "occupation_status": np.full(number, "formal_employee"),
        "employer_id": rng.integers(0, employers, number) if employers else np.full(number, -1),
        "merit": np.full(number, "none"),
        "is_foreign": np.ones(number, bool),
        "phone": digits_text(90 * 10**7 + rng.integers(0, 10**7, number), 10),
    }
    province = np.array([int(code[1:]) for code in scene.geography.provinces])[
        scene.geography.province[commune]
    ]
    urban = scene.geography.urban[commune]
    households = {
        "household_id": homes + np.arange(number),
        "household_no": digits_text(province * 10**9 + unique_within(rng, group=province, digits=9), 11),
        "commune_legacy": np.array(scene.geography.codes)[commune],
        "commune_now": np.array([codes[0] for codes in scene.geography.successors])[commune],
        "street": Places(scene.folder).streets(rng, urban=urban, province=province, without=0),
        "urban": urban,
        "formed_on": dates(arrival),
        "dissolved_on": pa.nulls(number, pa.date32()),
        "head_id": people + np.arange(number),
        "income_class": np.full(number, "other"),
        "income_class_from": 1970 + arrival // 365,
        "income_class_before": np.full(number, "other"),
    }
    spells = {
        "person_id": people + np.arange(number),
        "household_id": homes + np.arange(number),
        "from_date": dates(arrival),
        "to_date": pa.nulls(number, pa.date32()),
        "kind": np.full(number, "temporary"),
        "relation_to_head": np.full(number, "head"),
    }
    return replace(
        population,
        persons=pa.concat_tables([population.persons, table(persons, PERSONS)]).combine_chunks(),
        households=pa.concat_tables([population.households, table(households, HOUSEHOLDS)]).combine_chunks(),
        residence_spells=pa.concat_tables(
            [population.residence_spells, table(spells, RESIDENCE_SPELLS)]
        ).combine_chunks(),
    )


def names_and_passports(
    rng: np.random.Generator, folder: Path, *, female: NDArray[np.bool_]
) -> dict[str, object]:
    words = Words()
    lists: dict[tuple[str, str, str], list[str]] = {}
    countries: dict[str, tuple[float, bool]] = {}
    for row in rows(folder, "names/foreign_names.csv"):
        lists.setdefault((row["nationality"], row["part"], row["sex"]), []).append(row["name"])
        countries[row["nationality"]] = (float(row["weight"]), row["order"] == "given_first")
    codes = list(countries)
    weights = np.array([countries[code][0] for code in codes])
    country = Weighted(np.arange(len(codes)), weights).draw(rng, len(female))
    surname, given = np.zeros(len(female), np.int64), np.zeros(len(female), np.int64)
    for (code, part, sex), texts in lists.items():
        chosen = country == codes.index(code)
        chosen &= female == (sex == "female") if sex else True
        target = surname if part == "surname" else given
        target[chosen] = rng.choice(words.numbers(texts), int(chosen.sum()))
    texts = pa.array(words.texts)
    family, own = texts.take(pa.array(surname)), texts.take(pa.array(given))
    given_first = np.array([countries[code][1] for code in codes])[country]
    first, last = np.where(given_first, given, surname), np.where(given_first, surname, given)
    serial = unique_within(rng, group=np.zeros(len(female), np.int64), digits=8)
    letter = pa.array(["E", "M", "G", "T", "X"]).take(pa.array(rng.integers(0, 5, len(female))))
    return {
        "full_name": joined(texts.take(pa.array(first)), " ", texts.take(pa.array(last))),
        "surname": family,
        "given": own,
        "nationality": np.array(codes)[country],
        "passport_no": joined(letter, digits_text(serial, 8)),
    }
