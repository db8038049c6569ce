"""From the log of residence to stays, heads of households and relations to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mdm.simulation.population.state import NEVER, PERMANENT
from mdm.simulation.population.tables import RELATIONS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mdm.simulation.population.state import Columns, State

    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]

DAY_SHIFT, DAY_RANGE = 1 << 15, 1 << 16  # days since 1970 from 1880 to 2059 as 16 bits
HEAD, SPOUSE, CHILD, GRANDCHILD, PARENT, OTHER = range(len(RELATIONS))


@dataclass(frozen=True)
class Spells:
    """One row for each stay, in the order of person, kind, from."""

    person: Ints
    household: Ints
    start: Ints
    end: Ints
    """NEVER: still open."""
    kind: Ints

    def where(self, chosen: Bools) -> Spells:
        return Spells(
            *(column[chosen] for column in (self.person, self.household, self.start, self.end, self.kind))
        )

    def household_on(self, *, persons: Ints, days: Ints) -> Ints:
        """Where each person is registered on a day; before the first registration, the first; -1 without any."""
        permanent = self.kind == PERMANENT
        person, household, start = self.person[permanent], self.household[permanent], self.start[permanent]
        keys = person * DAY_RANGE + start + DAY_SHIFT
        found = np.searchsorted(keys, persons * DAY_RANGE + days + DAY_SHIFT, side="right") - 1
        early = (found < 0) | (person[found] != persons)
        found = np.minimum(np.where(early, found + 1, found), len(person) - 1)
        return np.where(person[found] == persons, household[found], -1)


def stays(state: State) -> Spells:
    people = state.people
    person, day, kind, household = (column.astype(np.int64) for column in state.residence.columns())
    birth, death = people.birth[person], people.death[person]
    # A move planned for after the death of one who goes along did not happen for him.
    real = (day < death) | (day <= birth)
    person, day, kind, household = person[real], day[real], kind[real], household[real]
    order = np.lexsort((np.arange(len(person)), day, kind, person))
    person, day, kind, household = person[order], day[order], kind[order], household[order]
    same_owner = np.zeros(len(person), bool)
    same_owner[:-1] = (person[1:] == person[:-1]) & (kind[1:] == kind[:-1])
    overruled = same_owner.copy()
    overruled[:-1] &= day[1:] == day[:-1]  # of several changes on one day (a newborn's) the last holds
    kept = np.flatnonzero(~overruled)
    person, day, kind, household = person[kept], day[kept], kind[kept], household[kept]
    repeats = np.zeros(len(person), bool)
    repeats[1:] = (person[1:] == person[:-1]) & (kind[1:] == kind[:-1]) & (household[1:] == household[:-1])
    kept = np.flatnonzero(~repeats)
    person, day, kind, household = person[kept], day[kept], kind[kept], household[kept]
    death = people.death[person].astype(np.int64)
    end = death.copy()
    following = (person[1:] == person[:-1]) & (kind[1:] == kind[:-1])
    end[:-1][following] = day[1:][following]
    spells = Spells(person, household, day, np.minimum(end, death), kind)
    return spells.where(household >= 0)


def heads(spells: Spells, people: Columns, *, households: int, until: int) -> Ints:
    """[household] the head at the end, or of the last members; -1 for a household without stays.

    By custom the grown-up man of the middle or older generation, as long as he is not very old; else the widow.
    """
    last = np.full(households, -NEVER, np.int64)
    np.maximum.at(last, spells.household, spells.end)
    present = np.flatnonzero(spells.end == last[spells.household])
    person, household = spells.person[present], spells.household[present]
    day = np.minimum(spells.end[present], until)
    age = (day - people.birth[person]) / 365.25
    man, married = people.sex[person] == 0, people.spouse[person] >= 0
    standing = np.where(
        man & married, 300, np.where(~married & ~man & (age > 40), 150, np.where(man, 100, 0))
    )
    score = 1000 * (age >= 18) + standing + np.minimum(age, 65) - 5 * np.maximum(age - 75, 0)
    order = np.lexsort((person, score, household))
    result = np.full(households, -1, np.int64)
    result[household[order]] = person[order]
    return result


def relations(spells: Spells, people: Columns, head: Ints) -> Ints:
    """Indices into RELATIONS. The wife or husband of a child counts as other, as do brothers and sisters."""
    person, chief = spells.person, head[spells.household]
    partner = people.spouse[chief]
    mother, father = people.mother[person], people.father[person]

    def same(a: NDArray[np.integer], b: NDArray[np.integer]) -> Bools:
        return np.asarray((a == b) & (a >= 0))

    def of_the_couple(candidates: NDArray[np.integer]) -> Bools:
        return same(candidates, chief) | same(candidates, partner)

    grandparents = [
        np.where(parent >= 0, line[parent], -1)
        for parent in (mother, father)
        for line in (people.mother, people.father)
    ]
    parents_of_couple = [
        np.where(one >= 0, line[one], -1)
        for one in (chief, partner)
        for line in (people.mother, people.father)
    ]
    return np.select(
        [
            person == chief,
            same(people.spouse[person], chief) | same(partner, person),
            of_the_couple(mother) | of_the_couple(father),
            np.logical_or.reduce([of_the_couple(one) for one in grandparents]),
            np.logical_or.reduce([same(one, person) for one in parents_of_couple]),
        ],
        [HEAD, SPOUSE, CHILD, GRANDCHILD, PARENT],
        OTHER,
    )
