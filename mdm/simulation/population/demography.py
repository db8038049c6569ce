"""Rates by calendar year, from the reference tables: who dies, who is born, who marries."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from mdm.simulation.population.reference import OLDEST

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from mdm.simulation.population.reference import Demography
    from mdm.simulation.population.settings import PopulationSettings

FIRST_YEAR_DEATHS = 0.75
"""Share of the first year's deaths that falls in the calendar year of birth (most are of newborns)."""
PYRAMID_YEAR = 2025


def expectancy(rates: NDArray[np.float64]) -> float:
    return float(np.exp(-np.concatenate([[0.0], np.cumsum(rates)])).sum() - 0.5)


def level(rates: NDArray[np.float64], target: float) -> NDArray[np.float64]:
    """The age pattern scaled so that life expectancy at birth is `target` years (bisection on the factor)."""
    low, high = 0.05, 20.0
    for _ in range(50):
        factor = (low * high) ** 0.5
        low, high = (factor, high) if expectancy(rates * factor) > target else (low, factor)
    return np.asarray(rates * factor)


class Rates:
    def __init__(self, reference: Demography, settings: PopulationSettings) -> None:
        self._reference = reference
        self._settings = settings

    @cached_property
    def death(self) -> NDArray[np.float64]:
        """[year - begin_year, sex, years since the birth year] probability to die within the calendar year."""
        window = self._settings.window
        years = range(window.begin_year, window.last_year + 1)
        table = np.empty((len(years), 2, OLDEST))
        for index, year in enumerate(years):
            for sex in (0, 1):
                target = self._reference.life_expectancy[sex, self._reference.year_index(year)]
                rates = level(self._reference.mortality[sex], float(target))
                # Someone k years after the birth year is k-1 at the year's start and k at its end, half a year each.
                mean = (rates[:-1] + rates[1:]) / 2
                table[index, sex, 0] = rates[0] * FIRST_YEAR_DEATHS
                table[index, sex, 1] = rates[0] * (1 - FIRST_YEAR_DEATHS) + rates[1] / 2
                table[index, sex, 2:] = mean[1:]
        return np.asarray(1 - np.exp(-table))

    @cached_property
    def births(self) -> NDArray[np.float64]:
        """[year - begin_year, sex] births that leave exactly the pyramid of mid-2025 behind, as shares of its total.

        Used for the unrecorded past, where only the outcome matters; within the window births come from the women.
        """
        window = self._settings.window
        pyramid = self._reference.pyramid / self._reference.pyramid.sum()
        result = np.zeros((PYRAMID_YEAR - window.begin_year + 1, 2))
        for offset in range(len(result)):
            born = window.begin_year + offset
            for sex in (0, 1):
                survival = 1.0
                for year in range(born, PYRAMID_YEAR):
                    survival *= 1 - self._death_in(year, sex, year - born)
                survival *= (1 - self._death_in(PYRAMID_YEAR, sex, PYRAMID_YEAR - born)) ** 0.5
                age = PYRAMID_YEAR - born
                alive = pyramid[sex, age] / 2 + (pyramid[sex, age - 1] / 2 if age else 0)
                result[offset, sex] = alive / survival
        return result

    def _death_in(self, year: int, sex: int, since_birth: int) -> float:
        window = self._settings.window
        index = min(year, window.last_year) - window.begin_year
        return float(self.death[index, sex, min(since_birth, OLDEST - 1)])

    def fertility(self, year: int) -> NDArray[np.float64]:
        """[age] births a year of one woman."""
        reference = self._reference
        pattern = reference.fertility
        if year < self._settings.births.widening_before:
            # Women with many children had them over more years: the pattern is smeared towards higher ages.
            ages = np.arange(OLDEST)
            later = np.interp(ages - 4.0, ages, pattern) + np.interp(ages - 8.0, ages, pattern)
            pattern = np.where((ages >= 15) & (ages < 48), (pattern + later) / 3, 0)
            pattern /= pattern.sum()
        return np.asarray(pattern * reference.total_fertility[reference.year_index(year)])

    def boys(self, year: int) -> float:
        """Share of boys among the births; before the window, the share that leaves the pyramid behind."""
        window = self._settings.window
        if year < window.first_year:
            boys, girls = self.births[year - window.begin_year]
            return float(boys / (boys + girls))
        ratio = float(self._reference.sex_ratio[self._reference.year_index(year)])
        return ratio / (1 + ratio)

    def marriage(self, year: int, sex: int) -> NDArray[np.float64]:
        """[age] yearly hazard of a first marriage: that of a logistic age at marriage with the year's mean."""
        settings = self._settings.marriage
        means = settings.mean_age_women if sex else settings.mean_age_men
        scale = settings.spread * 3**0.5 / np.pi
        ages = np.arange(OLDEST)
        hazard = 1 / (1 + np.exp(-(ages + 0.5 - by_year(means, year)) / scale)) / scale
        ever = settings.ever_women if sex else settings.ever_men
        fading = np.interp(ages, [30, 40, 50, 60], [1, 0.45, 0.1, 0.0])
        return np.where(ages >= (16 if sex else 18), np.minimum(hazard * fading * ever, 0.6), 0)


def by_year(points: Mapping[int, float], year: int) -> float:
    years = sorted(points)
    return float(np.interp(year, years, [points[y] for y in years]))
