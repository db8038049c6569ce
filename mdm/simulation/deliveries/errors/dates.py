"""Errors in birth dates, on whole arrays of days, months and years (0 where the paper is blank)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Part = NDArray[np.int64]
FIRST_YEAR = 1850


@dataclass
class Dates:
    """Written dates in three parts; a blank part is 0, a date not written at all is 0/0/0. Changed in place."""

    year: Part
    month: Part
    day: Part

    @classmethod
    def of(cls, days: NDArray[np.datetime64]) -> Dates:
        blank = np.isnat(days)
        safe = np.where(blank, np.datetime64("2000-01-01", "D"), days)
        months = safe.astype("datetime64[M]")
        year = safe.astype("datetime64[Y]").astype(np.int64) + 1970
        month = months.astype(np.int64) % 12 + 1
        day = (safe - months).astype(np.int64) + 1
        return cls(*(np.where(blank, 0, part) for part in (year, month, day)))

    def set(self, rows: NDArray[np.int64], other: Dates) -> None:
        self.year[rows], self.month[rows], self.day[rows] = other.year, other.month, other.day

    def take(self, rows: NDArray[np.int64]) -> Dates:
        return Dates(self.year[rows], self.month[rows], self.day[rows])


def spoil_dates(
    dates: Dates, rows: NDArray[np.int64], kinds: NDArray[np.str_], random: np.random.Generator
) -> None:
    """Apply to each row its kind of error; rows without a full date keep what they have."""
    full = dates.day[rows] > 0
    rows, kinds = rows[full], kinds[full]
    draws = random.integers(0, 1 << 30, size=len(rows))

    def chosen(kind: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        mask = kinds == kind
        return rows[mask], draws[mask]

    only, _ = chosen("year_only")
    dates.day[only] = dates.month[only] = 0
    only, _ = chosen("first_of_january")
    dates.day[only] = dates.month[only] = 1
    only, _ = chosen("month_and_year")
    dates.day[only] = 0
    _swap_day_and_month(dates, *chosen("day_month_swapped"))
    only, draw = chosen("day_wrong")
    dates.day[only] = (dates.day[only] - 1 + 1 + draw % 27) % 28 + 1
    only, draw = chosen("month_wrong")
    dates.month[only] = (dates.month[only] - 1 + 1 + draw % 11) % 12 + 1
    dates.day[only] = np.minimum(dates.day[only], 28)
    only, draw = chosen("year_near")
    dates.year[only] += np.where(draw % 2 == 0, 1, -1)
    dates.day[only] = np.minimum(dates.day[only], 28)
    only, draw = chosen("year_digit")
    dates.year[only] = _one_digit_of_year(dates.year[only], draw)
    dates.day[only] = np.minimum(dates.day[only], 28)
    only, draw = chosen("impossible")
    dates.day[only], dates.month[only] = 31 - draw % 2, np.array([2, 4, 6, 9, 11])[draw % 5]
    dates.day[only] = np.where((dates.month[only] != 2) & (dates.day[only] == 30), 31, dates.day[only])


def _swap_day_and_month(dates: Dates, rows: NDArray[np.int64], draws: NDArray[np.int64]) -> None:
    """Where the day cannot be a month, the day is one off instead."""
    possible = dates.day[rows] <= 12
    swap, other = rows[possible], rows[~possible]
    dates.day[swap], dates.month[swap] = dates.month[swap].copy(), dates.day[swap].copy()
    dates.day[other] = np.clip(dates.day[other] + np.where(draws[~possible] % 2 == 0, 1, -1), 1, 28)


def _one_digit_of_year(years: Part, draws: NDArray[np.int64]) -> Part:
    """The last digit or the one before it mistyped, never into the future."""
    step = np.where(draws % 3 == 0, 10, 1)
    digit = years // step % 10
    changed = years - digit * step + (digit + 1 + draws // 4 % 9) % 10 * step
    return np.where(changed > 2025, years - 10, changed)
