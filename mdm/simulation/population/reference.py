"""The reference tables that the population is made from, read once from configs/reference."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mdm.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

OLDEST = 110


def rows(folder: Path, name: str) -> Iterator[dict[str, str]]:
    path = folder / name
    try:
        with path.open(encoding="utf-8", newline="") as file:
            yield from csv.DictReader(file)
    except OSError as error:
        raise ConfigurationError(
            "reference table cannot be read.", where=str(path), hint=str(error)
        ) from error


@dataclass(frozen=True)
class Demography:
    """Sex is the first axis everywhere: 0 male, 1 female."""

    pyramid: NDArray[np.float64]
    """[sex, age] people of mid-2025, five-year groups spread evenly."""
    mortality: NDArray[np.float64]
    """[sex, age] central death rate, mean of 2015-20 and 2020-25."""
    fertility: NDArray[np.float64]
    """[age] share of a woman's births that fall at this age."""
    first_year: int
    life_expectancy: NDArray[np.float64]
    """[sex, year]"""
    total_fertility: NDArray[np.float64]
    sex_ratio: NDArray[np.float64]
    """[year] boys born for each girl."""

    def year_index(self, year: int) -> int:
        """The series end before the window does; the last year known stands for what follows, the first for before."""
        return min(max(year - self.first_year, 0), len(self.total_fertility) - 1)


def load_demography(folder: Path) -> Demography:
    pyramid = np.zeros((2, OLDEST))
    for row in rows(folder, "age_sex.csv"):
        first = int(row["age_group"].split("-")[0].rstrip("+"))
        width = 5 if "-" in row["age_group"] else 3
        pyramid[0, first : first + width] = float(row["male_2025_thousand"]) / width
        pyramid[1, first : first + width] = float(row["female_2025_thousand"]) / width
    mortality = np.zeros((2, OLDEST))
    for row in rows(folder, "mortality_mx.csv"):
        first = int(row["age_start"].rstrip("+"))
        for sex, name in enumerate(("male", "female")):
            mortality[sex, first:] = (float(row[f"mx_{name}_2015_20"]) + float(row[f"mx_{name}_2020_25"])) / 2
    fertility = np.zeros(OLDEST)
    for row in rows(folder, "fertility_age_pattern.csv"):
        first, last = (int(age) for age in row["mother_age"].split("-"))
        mean = (float(row["percent_of_TFR_2019"]) + float(row["percent_of_TFR_2023"])) / 2
        fertility[first : last + 1] = mean / 100 / (last + 1 - first)
    series = list(rows(folder, "vital_series_1950_2023.csv"))
    return Demography(
        pyramid=pyramid,
        mortality=mortality,
        fertility=fertility / fertility.sum(),
        first_year=int(series[0]["year"]),
        life_expectancy=np.array(
            [[float(r["e0_male"]) for r in series], [float(r["e0_female"]) for r in series]]
        ),
        total_fertility=np.array([float(r["tfr"]) for r in series]),
        sex_ratio=np.array([float(r["sex_ratio_at_birth"]) for r in series]),
    )


@dataclass(frozen=True)
class EthnicGroup:
    code: str
    share: float
    style: str
    maternal: bool
    """The child takes the mother's clan, and the couple lives with hers."""
    provinces: dict[str, float]
    """Legacy province code -> weight; empty: everywhere."""


def load_ethnic_groups(folder: Path) -> tuple[EthnicGroup, ...]:
    groups = []
    for row in rows(folder, "names/ethnic_naming.csv"):
        provinces = dict(part.split(":") for part in row["provinces"].split())
        groups.append(
            EthnicGroup(
                code=row["code"],
                share=float(row["percent"]) / 100,
                style=row["style"],
                maternal=row["lineage"] == "mother",
                provinces={f"L{code}": float(weight) for code, weight in provinces.items()},
            )
        )
    return tuple(groups)
