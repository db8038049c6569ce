"""What people do and what they are entitled to: occupation, employer, schooling, disability, merit, poverty."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mdm.simulation.population.tables import EDUCATION, MERIT, OCCUPATIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from mdm.simulation.population.settings import Society

    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]

OCCUPATION = {name: number for number, name in enumerate(OCCUPATIONS)}
SCHOOL_AGE, WORKING_AGE, PRIME_AGE, LATE_AGE = 6, 18, 25, 45


def occupations(
    rng: np.random.Generator, *, rules: Society, age: Ints, female: Bools, urban: Bools, disabled: Bools
) -> Ints:
    """Indices into OCCUPATIONS."""
    result = np.full(len(age), OCCUPATION["child"])
    result[age >= SCHOOL_AGE] = OCCUPATION["student"]
    from_age = np.where(female, rules.pension_from_age[1], rules.pension_from_age[0])
    brackets = {
        "young": (age >= WORKING_AGE) & (age < PRIME_AGE),
        "prime": (age >= PRIME_AGE) & (age < LATE_AGE),
        "late": (age >= LATE_AGE) & (age < from_age),
    }
    dropped_out = (age >= 15) & (age < WORKING_AGE) & (rng.random(len(age)) < 0.15)
    result[dropped_out] = np.where(urban[dropped_out], OCCUPATION["unemployed"], OCCUPATION["farmer"])
    for bracket, inside in brackets.items():
        for is_urban in (False, True):
            for is_female in (False, True):
                who = np.flatnonzero(inside & (urban == is_urban) & (female == is_female))
                weights = {
                    work: weight
                    * (1 if is_urban else rules.rural_factor.get(work, 1))
                    * (rules.female_factor.get(work, 1) if is_female else 1)
                    for work, weight in rules.work[bracket].items()
                }
                result[who] = choose(rng, weights, len(who))
    old = age >= from_age
    pensioned = rng.random(len(age)) < rules.pension * np.where(urban, 1.5, 0.7)
    result[old] = np.where(pensioned, OCCUPATION["retired_pension"], OCCUPATION["elderly_no_pension"])[old]
    unable = disabled & (age >= WORKING_AGE) & ~old & (rng.random(len(age)) < 0.5)
    result[unable] = OCCUPATION["disabled"]
    return result


def choose(rng: np.random.Generator, weights: Mapping[str, float], count: int) -> Ints:
    names = list(weights)
    cumulative = np.cumsum([weights[name] for name in names])
    drawn = np.searchsorted(cumulative / cumulative[-1], rng.random(count), side="right")
    return np.array([OCCUPATION[name] for name in names])[np.minimum(drawn, len(names) - 1)]


def education(
    rng: np.random.Generator, *, age: Ints, birth_year: Ints, occupation: Ints, urban: Bools
) -> Ints:
    """Indices into EDUCATION: what the age allows, then more for the young, the town and contract workers."""
    finished = np.select([age < 11, age < 15, age < 18], [0, 1, 2], 5)
    inclination = rng.random(len(age)) + np.clip((birth_year - 1975) * 0.012, -0.5, 0.35) + urban * 0.12
    inclination += (occupation == OCCUPATION["formal_employee"]) * 0.25
    reached = np.searchsorted([-0.3, 0.1, 0.5, 0.95, 1.12], inclination)
    return np.asarray(np.clip(np.minimum(finished, reached), 0, len(EDUCATION) - 1))


def disability(rng: np.random.Generator, *, rules: Society, age: Ints) -> Bools:
    ages = sorted(rules.disabled_by_age)
    share = np.array([rules.disabled_by_age[a] for a in ages])
    return np.asarray(rng.random(len(age)) < share[np.searchsorted(ages, age, side="right") - 1])


def martyrs(
    rng: np.random.Generator,
    *,
    rules: Society,
    birth_year: Ints,
    death_year: Ints,
    female: Bools,
    wanted: int,
) -> Bools:
    """Of those who died in the years of war at the age of soldiers; mostly men."""
    first, last = rules.martyr_years
    age = death_year - birth_year
    fit = (death_year >= first) & (death_year <= last) & (age >= 17) & (age <= 45)
    fit &= ~female | (rng.random(len(female)) < 0.1)
    candidates = np.flatnonzero(fit)
    chosen = rng.permutation(candidates)[:wanted]
    result = np.zeros(len(birth_year), bool)
    result[chosen] = True
    return result


def merit(
    rng: np.random.Generator,
    *,
    rules: Society,
    martyr: Bools,
    relative: Bools,
    alive: Bools,
    birth_year: Ints,
    female: Bools,
) -> NDArray[np.str_]:
    """Values of MERIT. Those who fought or helped were grown up before 1989; the dead of the window keep theirs."""
    old_enough = birth_year < 1971
    draw = rng.random(len(martyr))
    result = np.full(len(martyr), "none", dtype="U20")
    result[relative & alive] = "martyr_relative"
    heroic = relative & female & (birth_year < 1940) & (draw < rules.merit["heroic_mother"])
    result[heroic] = "heroic_mother"
    threshold = 0.0
    for kind in ("wounded", "veteran", "resistance_activist"):
        share = rules.merit[kind] * np.where(female, 0.2, 1.6)
        inside = old_enough & (result == "none") & (draw >= threshold) & (draw < threshold + share)
        result[inside] = kind
        threshold += float(share.max())
    result[martyr] = "martyr"
    if not set(np.unique(result)) <= set(MERIT):
        raise AssertionError("a merit outside the table's vocabulary")
    return result


def income_classes(
    rng: np.random.Generator, *, rules: Society, rural: Bools, minority: Bools
) -> tuple[NDArray[np.str_], NDArray[np.str_], Ints]:
    """Class now, class before, and how many years ago it changed. Rural and minority households are poor more often."""
    weight = np.where(rural, rules.rural_poverty_factor, 1.0) * np.where(
        minority, rules.minority_poverty_factor, 1.0
    )
    weight = weight / weight.mean() if len(weight) else weight
    draw = rng.random(len(rural))
    poor, near = rules.poor * weight, rules.near_poor * weight
    now = np.where(draw < poor, "poor", np.where(draw < poor + near, "near_poor", "other"))
    better = np.where(now == "other", np.where(rng.random(len(now)) < 0.06, "near_poor", "other"), "poor")
    before = np.where(now == "poor", np.where(rng.random(len(now)) < 0.8, "poor", "near_poor"), better)
    return now, before, rng.integers(0, 6, len(now))
