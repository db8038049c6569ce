"""Street addresses and names of firms."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mdm.simulation.population.reference import rows

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

SOUTH_FROM = 70  # legacy province number from which a hamlet is called ấp
MOUNTAIN = (2, 4, 6, 8, 10, 11, 12, 14, 15, 17, 20)


class Places:
    def __init__(self, folder: Path) -> None:
        lists: dict[str, list[str]] = {}
        for row in rows(folder, "names/places.csv"):
            lists.setdefault(row["kind"], []).append(row["name"])
        self._lists = {kind: pa.array(names) for kind, names in lists.items()}

    def _pick(self, kind: str, rng: np.random.Generator, count: int) -> pa.Array:
        names = self._lists[kind]
        return names.take(pa.array(rng.integers(0, len(names), count)))

    def streets(
        self, rng: np.random.Generator, *, urban: NDArray[np.bool_], province: Ints, without: float
    ) -> pa.Array:
        """One line for each household; null for the share `without`. `province` is the legacy number."""
        count = len(urban)
        number = text(rng.integers(1, 420, count))
        alley = text(rng.integers(1, 90, count))
        quarter = text(rng.integers(1, 16, count))
        road, hamlet = self._pick("street", rng, count), self._pick("hamlet", rng, count)
        form = rng.random(count)
        town = choose(
            [form < 0.5, form < 0.75, form < 0.9],
            [
                joined("Số ", number, " đường ", road),
                joined(number, "/", alley, " đường ", road),
                joined("Tổ ", quarter, ", khu phố ", text(rng.integers(1, 10, count))),
            ],
            joined("Ngõ ", alley, " ", road),
        )
        south, mountain = province >= SOUTH_FROM, np.isin(province, MOUNTAIN)
        country = choose(
            [south & (form < 0.7), mountain & (form < 0.6), form < 0.6, form < 0.8],
            [
                joined("Ấp ", hamlet),
                joined("Bản ", hamlet),
                joined("Thôn ", quarter),
                joined("Xóm ", quarter),
            ],
            joined("Thôn ", hamlet),
        )
        streets = pc.if_else(pa.array(urban), town, country)
        return pc.if_else(pa.array(rng.random(count) < without), pa.scalar(None, pa.string()), streets)

    def firms(self, rng: np.random.Generator, count: int) -> pa.Array:
        form = self._pick("firm_form", rng, count)
        trade = self._pick("firm_trade", rng, count)
        return joined(form, " ", trade, " ", self._pick("firm_name", rng, count))


def text(numbers: Ints) -> pa.Array:
    return pa.array(numbers).cast(pa.string())


def joined(*parts: pa.Array | str) -> pa.Array:
    return pc.binary_join_element_wise(*parts, "")


def choose(conditions: list[NDArray[np.bool_]], choices: list[pa.Array], otherwise: pa.Array) -> pa.Array:
    """The choice of the first condition that holds."""
    result = otherwise
    for condition, choice in zip(reversed(conditions), reversed(choices), strict=True):
        result = pc.if_else(pa.array(condition), choice, result)
    return result
