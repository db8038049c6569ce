"""Name lists with their weights: by sex and birth year for the Kinh way of naming, by group for the others."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

from mdm.simulation.population.reference import rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from mdm.simulation.population.reference import EthnicGroup
    from mdm.simulation.population.settings import Names

    Ints = NDArray[np.int64]

SEXES = ("male", "female")
PERIOD, FIRST_PERIOD, LAST_PERIOD = 5, 1880, 2100
SOUTH_FROM = "L48"  # Huỳnh and Võ are the southern forms of Hoàng and Vũ
SOUTHERN = 0.85
MINORITY_FLATNESS = 2.0


class Words:
    """Every word or fixed phrase that occurs in a name, told by a number."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._numbers: dict[str, int] = {}

    def number(self, text: str) -> int:
        if text not in self._numbers:
            self._numbers[text] = len(self.texts)
            self.texts.append(text)
        return self._numbers[text]

    def numbers(self, texts: Sequence[str]) -> Ints:
        return np.array([self.number(text) for text in texts], np.int64)


class Weighted:
    """A list of words drawn by weight."""

    def __init__(self, words: Ints, weights: NDArray[np.float64]) -> None:
        self._words = words
        self._cumulative = np.cumsum(weights) / weights.sum()

    def draw(self, rng: np.random.Generator, count: int) -> Ints:
        found = np.searchsorted(self._cumulative, rng.random(count), side="right")
        return self._words[np.minimum(found, len(self._words) - 1)]


class ByCohort:
    """A list drawn by weights that change with the birth year, by periods of five years."""

    def __init__(self, words: Ints, weights: NDArray[np.float64]) -> None:
        """`weights` is [period, word]."""
        self._words = words
        shares = np.cumsum(weights, axis=1) / weights.sum(axis=1, keepdims=True)
        shares[:, -1] = 1.0
        self._cumulative = (shares + np.arange(len(weights))[:, None]).ravel()

    def draw(self, rng: np.random.Generator, birth_year: Ints) -> Ints:
        period = (birth_year - FIRST_PERIOD) // PERIOD
        found = np.searchsorted(self._cumulative, period + rng.random(len(birth_year)), side="right")
        return np.asarray(self._words[found - period * len(self._words)])


def zipf(ranks: NDArray[np.float64], flatness: float) -> NDArray[np.float64]:
    """Zipf-Mandelbrot with exponent 1; the greater the flatness, the less the first names stand out."""
    weights = 1 / (ranks + flatness)
    return np.asarray(weights / weights.sum())


def load_by_cohort(
    path: Path, name: str, *, sex: str, words: Words, flatness: float, settings: Names
) -> ByCohort:
    by_era: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for row in rows(path, name):
        if row["sex"] == sex:
            by_era[row["era"]].append((int(row["rank"]), row["name"]))
    texts = sorted({text for era in by_era.values() for _, text in era})
    years = np.arange(FIRST_PERIOD, LAST_PERIOD, PERIOD) + PERIOD / 2
    weights = np.zeros((len(years), len(texts)))
    fashions = []
    for era, ranked in by_era.items():
        popularity = np.zeros(len(texts))
        place = [texts.index(text) for _, text in ranked]
        popularity[place] = zipf(np.array([float(rank) for rank, _ in ranked]), flatness)
        distance = (years - settings.era_centres[era]) / settings.era_spread
        fashions.append((popularity, -(distance**2) / 2))
    strongest = np.max([log for _, log in fashions], axis=0)
    for popularity, log in fashions:
        weights += np.exp(log - strongest)[:, None] * popularity
    return ByCohort(words.numbers(texts), weights)


class NameLists:
    def __init__(self, folder: Path, *, groups: Sequence[EthnicGroup], settings: Names) -> None:
        self.words = words = Words()
        self.groups = tuple(groups)
        self.given = [
            load_by_cohort(
                folder, "names/given_names.csv", sex=sex, words=words, flatness=flatness, settings=settings
            )
            for sex, flatness in zip(SEXES, settings.flatness, strict=True)
        ]
        self.middle = [
            load_by_cohort(
                folder,
                "names/middle_names.csv",
                sex=sex,
                words=words,
                flatness=settings.middle_flatness,
                settings=settings,
            )
            for sex in SEXES
        ]
        self._national = {
            south: self._load_national(folder, settings, south=south) for south in (False, True)
        }
        self._own = self._load_own(folder)

    def _load_national(self, folder: Path, settings: Names, *, south: bool) -> Weighted:
        shares: dict[str, float] = {}
        for row in rows(folder, "surnames.csv"):
            forms = row["surname"].split("/")
            share = float(row["name_generator_weight_pct"])
            parts = (
                [1.0] if len(forms) == 1 else [1 - SOUTHERN, SOUTHERN] if south else [SOUTHERN, 1 - SOUTHERN]
            )
            shares.update({form: share * part for form, part in zip(forms, parts, strict=True)})
        tail = [row["surname"] for row in rows(folder, "names/surname_tail.csv")]
        rest = (100 - sum(shares.values())) * zipf(
            np.arange(1.0, len(tail) + 1), settings.surname_tail_flatness
        )
        shares.update({name: float(share) for name, share in zip(tail, rest, strict=True)})
        return Weighted(self.words.numbers(list(shares)), np.array(list(shares.values())))

    def _load_own(self, folder: Path) -> Mapping[tuple[str, str, str], Weighted]:
        lists: dict[tuple[str, str, str], list[str]] = defaultdict(list)
        for row in rows(folder, "names/minority_names.csv"):
            lists[row["owner"], row["part"], row["sex"]].append(row["name"])
        own = {}
        for (owner, part, sex), texts in lists.items():
            spelled = [PREFIXES.get((owner, sex), "") + text for text in texts] if part == "given" else texts
            weights = zipf(np.arange(1.0, len(texts) + 1), MINORITY_FLATNESS)
            own[owner, part, sex] = Weighted(self.words.numbers(spelled), weights)
        return own

    def surnames(
        self, rng: np.random.Generator, *, ethnic: NDArray[np.integer], province: Sequence[str]
    ) -> Ints:
        """Of people without a known family; -1 where the group's naming has no surname."""
        result = np.full(len(ethnic), -1, np.int64)
        south = np.array([code >= SOUTH_FROM for code in province])
        for position, group in enumerate(self.groups):
            who = np.flatnonzero(ethnic == position)
            own = self._own.get((group.code, "surname", "")) or self._own.get((group.style, "surname", ""))
            if own is not None:
                result[who] = own.draw(rng, len(who))
            elif group.style not in WITHOUT_SURNAME:
                for side, people in ((False, who[~south[who]]), (True, who[south[who]])):
                    result[people] = self._national[side].draw(rng, len(people))
        return result

    def own_given(self, rng: np.random.Generator, *, style: str, sex: int, count: int) -> Ints:
        return self._own[style, "given", SEXES[sex]].draw(rng, count)


WITHOUT_SURNAME = frozenset({"coho", "mnong", "a_y", "dieu"})
PREFIXES = {
    ("ede", "male"): "Y ",
    ("ede", "female"): "H'",
    ("jrai", "female"): "H'",
    ("coho", "male"): "K'",
    ("coho", "female"): "Ka ",
    ("mnong", "male"): "Y ",
    ("mnong", "female"): "H'",
    ("a_y", "male"): "A ",
    ("a_y", "female"): "Y ",
    ("dieu", "male"): "Điểu ",
    ("dieu", "female"): "Thị ",
}
"""Marks of sex before the given name, which differ by group: Y is a man among the Ê Đê, a woman among the Xơ Đăng."""
