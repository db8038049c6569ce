"""The communes that people live in, how many live where, and where a move leads."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mdm.simulation.population.reference import rows

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from mdm.simulation.population.settings import PopulationSettings

    Ints = NDArray[np.int64]

URBAN_KINDS = ("phường", "thị trấn")


@dataclass(frozen=True)
class Geography:
    """Communes are numbered in the order of (province, district, code); cells are province x (rural, urban)."""

    codes: tuple[str, ...]
    province: NDArray[np.int16]
    """[commune] index into `provinces`."""
    district: NDArray[np.int32]
    """[commune] number of the district, rising with the commune."""
    urban: NDArray[np.bool_]
    weight: NDArray[np.float64]
    """[commune] share of the people of today."""
    successors: tuple[tuple[str, ...], ...]
    """[commune] codes since 1 July 2025; several where the commune was divided."""
    provinces: tuple[str, ...]
    """Legacy codes."""

    @property
    def cell(self) -> NDArray[np.int64]:
        return self.province.astype(np.int64) * 2 + self.urban

    def draw(self, rng: np.random.Generator, *, count: int, weight: NDArray[np.float64]) -> Ints:
        cumulative = np.cumsum(weight)
        return np.asarray(np.searchsorted(cumulative, rng.random(count) * cumulative[-1], side="right"))

    def draw_within(
        self,
        rng: np.random.Generator,
        *,
        groups: NDArray[np.integer],
        wanted: Ints,
        weight: NDArray[np.float64],
    ) -> Ints:
        """For each `wanted` group (province or district, contiguous in `groups`) a commune of it.

        It may be the commune that the mover comes from: only then do the flows leave every commune its share.
        """
        edges = np.concatenate([[0.0], np.cumsum(weight)])
        first = np.searchsorted(groups, wanted, side="left")
        last = np.searchsorted(groups, wanted, side="right")
        point = edges[first] + rng.random(len(wanted)) * (edges[last] - edges[first])
        return np.asarray(np.clip(np.searchsorted(edges, point, side="right") - 1, first, last - 1))


def load_geography(
    folder: Path, *, settings: PopulationSettings, people: int, rng: np.random.Generator
) -> Geography:
    """Chooses whole groups of communes, so that even a small population has neighbours: see people_per_commune."""
    units = {row["code"]: row for row in rows(folder, "units.csv")}
    successors: dict[str, list[str]] = defaultdict(list)
    for row in rows(folder, "unit_changes.csv"):
        successors[row["old_code"]].append(row["new_code"])
    communes = [u for u in units.values() if u["level"] == "commune" and u["code"].startswith("L")]
    shares = province_shares(
        folder, communes=communes, successors=successors, urban_share=settings.geography.urban_share
    )
    chosen = choose_communes(communes, shares=shares, settings=settings, people=people, rng=rng)
    chosen.sort(key=lambda u: (u["province_code"], u["parent_code"], u["code"]))
    provinces = tuple(sorted({u["province_code"] for u in chosen}))
    districts = {
        code: n for n, code in enumerate(sorted({(u["province_code"], u["parent_code"]) for u in chosen}))
    }
    cells = [(u["province_code"], u["kind"] in URBAN_KINDS) for u in chosen]
    size = rng.gamma(6.0, 1.0, len(cells))  # communes of one cell differ, their sum is the cell's share
    crowd: dict[tuple[str, bool], float] = defaultdict(float)
    for cell, part in zip(cells, size, strict=True):
        crowd[cell] += float(part)
    weight = np.array([shares[cell] * part / crowd[cell] for cell, part in zip(cells, size, strict=True)])
    return Geography(
        codes=tuple(u["code"] for u in chosen),
        province=np.array([provinces.index(u["province_code"]) for u in chosen], np.int16),
        district=np.array([districts[u["province_code"], u["parent_code"]] for u in chosen], np.int32),
        urban=np.array([urban for _, urban in cells]),
        weight=weight / weight.sum(),
        successors=tuple(tuple(successors[u["code"]]) for u in chosen),
        provinces=provinces,
    )


def province_shares(
    folder: Path, *, communes: list[dict[str, str]], successors: dict[str, list[str]], urban_share: float
) -> dict[tuple[str, bool], float]:
    """Share of the people by old province and (rural, urban).

    Populations are published for the 34 new provinces; within one, an old province counts by its communes, and an
    urban commune as so many rural ones that the country's urban share comes out.
    """
    new_share = {
        f"N{row['new_code_2digit']}": float(row["share_of_34_total"])
        for row in rows(folder, "provinces_63_to_34.csv")
    }
    count: dict[str, dict[tuple[str, bool], int]] = defaultdict(lambda: defaultdict(int))
    for unit in communes:
        new_province = successors[unit["province_code"]][0]
        count[new_province][unit["province_code"], unit["kind"] in URBAN_KINDS] += 1

    def split(factor: float) -> dict[tuple[str, bool], float]:
        result = {}
        for new_province, cells in count.items():
            sizes = {cell: number * (factor if cell[1] else 1.0) for cell, number in cells.items()}
            for cell, size in sizes.items():
                result[cell] = new_share[new_province] * size / sum(sizes.values())
        total = sum(result.values())
        return {cell: value / total for cell, value in result.items()}

    low, high = 0.1, 20.0
    for _ in range(40):
        factor = (low * high) ** 0.5
        urban = sum(share for (_, is_urban), share in split(factor).items() if is_urban)
        low, high = (low, factor) if urban > urban_share else (factor, high)
    return split(low)


def choose_communes(
    communes: list[dict[str, str]],
    *,
    shares: dict[tuple[str, bool], float],
    settings: PopulationSettings,
    people: int,
    rng: np.random.Generator,
) -> list[dict[str, str]]:
    rules = settings.geography
    wanted = people / rules.people_per_commune
    by_district: dict[str, dict[str, list[dict[str, str]]]] = defaultdict(lambda: defaultdict(list))
    for unit in communes:
        by_district[unit["province_code"]][unit["parent_code"]].append(unit)
    chosen = []
    for province in sorted(by_district):
        districts = by_district[province]
        share = shares.get((province, False), 0) + shares.get((province, True), 0)
        quota = max(round(wanted * share), rules.least_communes_per_province)
        order = sorted(districts)
        rng.shuffle(order)
        # The most urban district first: every province keeps both town and country.
        order.sort(key=lambda code: sum(u["kind"] == "phường" for u in districts[code]) == 0)
        picked: list[dict[str, str]] = []
        left = {code: alternating(districts[code], rng) for code in order}
        while len(picked) < quota and left:
            for code in order:
                take = left.get(code, [])[: rules.communes_per_district]
                if len(picked) < quota and take:
                    picked += take
                left[code] = left.get(code, [])[len(take) :]
            left = {code: units for code, units in left.items() if units}
        # A cell without a commune would lose its people.
        for urban in (False, True):
            if shares.get((province, urban), 0) and not any(
                (u["kind"] in URBAN_KINDS) == urban for u in picked
            ):
                picked.append(
                    next(u for code in order for u in districts[code] if (u["kind"] in URBAN_KINDS) == urban)
                )
        chosen += picked
    return chosen


def alternating(units: list[dict[str, str]], rng: np.random.Generator) -> list[dict[str, str]]:
    """In random order, town and country by turns."""
    ordered = sorted(units, key=lambda u: u["code"])
    rng.shuffle(ordered)
    rank: dict[bool, int] = defaultdict(int)
    keys = []
    for unit in ordered:
        urban = unit["kind"] in URBAN_KINDS
        keys.append((rank[urban], not urban))
        rank[urban] += 1
    return [unit for _, unit in sorted(zip(keys, ordered, strict=True), key=lambda pair: pair[0])]
