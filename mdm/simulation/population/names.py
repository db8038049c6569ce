"""The names of all people, given their sex, birth year, group, mother and inherited surname."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mdm.simulation.population.name_lists import NameLists
    from mdm.simulation.population.settings import Names
    from mdm.simulation.population.state import Columns

    Ints = NDArray[np.int64]

NONE = -1
KINH = "kinh"
REDRAWS = 6
GIVEN_FIRST = frozenset({"ede"})
HMONG_MIDDLE = (("A", "Seo", "Văn", "Mí"), ("Thị",))


@dataclass(frozen=True)
class Naming:
    """Numbers of words (see Words), -1 where there is none; one place for each person."""

    surname: Ints
    first_middle: Ints
    second_middle: Ints
    given: Ints
    given_first: NDArray[np.bool_]
    ways: NDArray[np.str_]
    """In which way each is named: kinh, or the style of the group."""

    def part(self, who: Ints) -> Naming:
        return Naming(*(column[who] for column in vars(self).values()))

    def texts(self, words: pa.Array) -> dict[str, pa.Array]:
        surname, first, second, given = (
            words.take(pa.array(part, mask=part == NONE))
            for part in (self.surname, self.first_middle, self.second_middle, self.given)
        )
        middle = join(first, second)
        usual = join(join(surname, middle), given)
        full = pc.if_else(pa.array(self.given_first), join(given, surname), usual)
        return {"full_name": full, "surname": surname, "middle": middle, "given": given}


def join(left: pa.Array, right: pa.Array) -> pa.Array:
    """With a space between; the one that is there where the other is null."""
    return pc.coalesce(pc.binary_join_element_wise(left, right, " "), left, right)


def alphabetical(text: str) -> tuple[str, str]:
    plain = "".join(
        letter for letter in unicodedata.normalize("NFD", text) if not unicodedata.combining(letter)
    )
    return plain.replace("Đ", "D").replace("đ", "d"), text


class Namer:
    def __init__(self, lists: NameLists, *, settings: Names) -> None:
        self._lists = lists
        self._settings = settings
        number = lists.words.number
        self._classic = np.array([number("Văn"), number("Thị")])
        cohorts = settings.words
        self._until = np.array([cohort.until for cohort in cohorts])
        self._two = np.array([cohort.two for cohort in cohorts])
        self._four = np.array([cohort.four for cohort in cohorts])
        self._classic_share = np.array([cohort.classic for cohort in cohorts])
        self._mothers = np.array([cohort.mothers_surname for cohort in cohorts])
        self._hmong = tuple(lists.words.numbers(words) for words in HMONG_MIDDLE)

    def name(self, people: Columns, rng: np.random.Generator) -> Naming:
        count = people.count
        sex, year = people.sex[:count].astype(np.int64), people.birth_year[:count].astype(np.int64)
        surname = people.surname[:count].astype(np.int64)
        styles = np.array([group.style for group in self._lists.groups])[people.ethnic[:count]]
        assimilated = (rng.random(count) < self._settings.assimilated) & (surname != NONE)
        kinh = (styles == KINH) | assimilated
        first, second = self._middles(rng, sex=sex, year=year, mothers=self._mothers_surname(people))
        self._share_middles(rng, people, kinh=kinh, middles=(first, second))
        ways = np.where(kinh, KINH, styles)
        given = self._given(rng, sex, year, ways)
        for side in (0, 1):
            hmong = np.flatnonzero((ways == "hmong") & (sex == side))
            first[~kinh & (sex == side)] = second[~kinh & (sex == side)] = NONE
            first[hmong] = rng.choice(self._hmong[side], len(hmong))
        self._twins_alike(rng, people, given, kinh=kinh)
        self._avoid_repeats(rng, people, given=given, others=(first, second), ways=ways)
        return Naming(surname, first, second, given, ~kinh & np.isin(styles, list(GIVEN_FIRST)), ways)

    def rename(self, people: Columns, naming: Naming, who: Ints, rng: np.random.Generator) -> Naming:
        """What these people were called before a legal change of name: another given name, the rest the same."""
        given = naming.given[who].copy()
        year, sex = people.birth_year[who].astype(np.int64), people.sex[who].astype(np.int64)
        for _ in range(REDRAWS):
            same = np.flatnonzero(given == naming.given[who])
            given[same] = self._given(rng, sex[same], year[same], naming.ways[who][same])
        return replace(naming.part(who), given=given)

    def _given(self, rng: np.random.Generator, sex: Ints, year: Ints, ways: NDArray[np.str_]) -> Ints:
        result = np.empty(len(sex), np.int64)
        for way in np.unique(ways):
            for side in (0, 1):
                who = np.flatnonzero((sex == side) & (ways == way))
                if way == KINH:
                    result[who] = self._lists.given[side].draw(rng, year[who])
                else:
                    result[who] = self._lists.own_given(rng, style=str(way), sex=side, count=len(who))
        return result

    def _middle(self, rng: np.random.Generator, sex: Ints, year: Ints) -> Ints:
        result = np.empty(len(sex), np.int64)
        for side in (0, 1):
            who = np.flatnonzero(sex == side)
            result[who] = self._lists.middle[side].draw(rng, year[who])
        return result

    def _mothers_surname(self, people: Columns) -> Ints:
        mother = people.mother[: people.count]
        return np.where(mother >= 0, people.surname[mother], NONE)

    def _middles(
        self, rng: np.random.Generator, *, sex: Ints, year: Ints, mothers: Ints
    ) -> tuple[Ints, Ints]:
        """First and second word between surname and given name. With one word only, it is the second."""
        cohort = np.searchsorted(self._until, year)
        length = rng.random(len(sex))
        two = length < self._two[cohort, sex]
        four = length >= 1 - self._four[cohort, sex]
        # The classic word stands beside the surname, whether a second one follows or not.
        classic = (
            rng.random(len(sex)) * (1 - self._two[cohort, sex]) < self._classic_share[cohort, sex]
        ) & ~two
        by_mother = ~classic & ~two & (mothers != NONE) & (rng.random(len(sex)) < self._mothers[cohort])
        by_mother &= four | (rng.random(len(sex)) < 0.3)
        beside = np.where(
            classic, self._classic[sex], np.where(by_mother, mothers, self._middle(rng, sex, year))
        )
        inner = self._middle(rng, sex, year)
        for _ in range(REDRAWS):
            same = np.flatnonzero(inner == beside)
            inner[same] = self._middle(rng, sex[same], year[same])
        first = np.where(four, beside, NONE)
        second = np.where(two, NONE, np.where(four, inner, beside))
        return first, second

    def _share_middles(
        self,
        rng: np.random.Generator,
        people: Columns,
        *,
        kinh: NDArray[np.bool_],
        middles: tuple[Ints, Ints],
    ) -> None:
        """Brothers, sisters and twins often have the middle names of the one before them."""
        count = people.count
        children = np.flatnonzero((people.mother[:count] >= 0) & kinh)
        mother, sex = people.mother[children], people.sex[children]
        order = np.lexsort((children, people.birth[children], sex, mother))
        children, mother, sex = children[order], mother[order], sex[order]
        follows = np.zeros(len(children), bool)
        follows[1:] = (mother[1:] == mother[:-1]) & (sex[1:] == sex[:-1])
        twin = np.zeros(len(children), bool)
        twin[1:] = people.twin[children[1:]] == children[:-1]
        chance = np.where(twin, self._settings.twins_share_middle, self._settings.siblings_share_middle)
        copies = follows & (rng.random(len(children)) < chance)
        leader = np.maximum.accumulate(np.where(copies, 0, np.arange(len(children))))
        for middle in middles:
            middle[children] = middle[children[leader]]

    def _twins_alike(
        self, rng: np.random.Generator, people: Columns, given: Ints, *, kinh: NDArray[np.bool_]
    ) -> None:
        """Twins of one sex are often called by names next to each other in the alphabet: Hoa and Hòa, Thu and Thư."""
        count = people.count
        second = np.flatnonzero((people.twin[:count] >= 0) & (people.twin[:count] < np.arange(count)))
        first = people.twin[second]
        second, first = second[kinh[second] & kinh[first]], first[kinh[second] & kinh[first]]
        alike = (people.sex[second] == people.sex[first]) & (
            rng.random(len(second)) < self._settings.twins_similar
        )
        texts = self._lists.words.texts
        for side in (0, 1):
            chosen = alike & (people.sex[second] == side)
            in_use = np.unique(given[kinh & (people.sex[:count] == side)])
            ordered = in_use[sorted(range(len(in_use)), key=lambda place: alphabetical(texts[in_use[place]]))]
            position = np.zeros(len(texts), np.int64)
            position[ordered] = np.arange(len(ordered))
            following = np.minimum(position[given[first[chosen]]] + 1, len(ordered) - 1)
            given[second[chosen]] = ordered[following]

    def _avoid_repeats(
        self,
        rng: np.random.Generator,
        people: Columns,
        *,
        given: Ints,
        others: tuple[Ints, Ints],
        ways: NDArray[np.str_],
    ) -> None:
        """No given name that repeats a middle name or the name of the brother or sister born before."""
        count = people.count
        order = np.lexsort((people.birth[:count], people.mother[:count]))
        before = np.full(count, NONE)
        kin = people.mother[order[1:]] == people.mother[order[:-1]]
        kin &= people.mother[order[1:]] >= 0
        before[order[1:][kin]] = order[:-1][kin]
        suspects = np.arange(count)
        for _ in range(REDRAWS):
            elder = before[suspects]
            name = given[suspects]
            repeated = (elder >= 0) & (given[elder] == name)
            for words in others:
                repeated |= words[suspects] == name
            suspects = suspects[repeated]
            sex, year = people.sex[suspects].astype(np.int64), people.birth_year[suspects].astype(np.int64)
            given[suspects] = self._given(rng, sex, year, ways[suspects])
