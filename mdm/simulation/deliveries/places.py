"""Administrative units as the deliveries write them: official codes and the several ways to spell a unit."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from mdm.simulation.deliveries.errors.names import spelling_slip

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

REFORM = np.datetime64("2025-07-01", "D")
FULL, SHORT, ABBREVIATED, CAPITAL, OWN = range(5)  # ways to spell a unit
_KINDS = {
    "thị trấn": "TT.",
    "thị xã": "TX.",
    "thành phố": "TP.",
    "phường": "P.",
    "quận": "Q.",
    "huyện": "H.",
    "tỉnh": "T.",
    "xã": "X.",
    "đặc khu": "ĐK.",
}


@dataclass(frozen=True)
class Places:
    """Units by position. `parent` and `province` are positions, -1 for none; `successor` is one unit of today."""

    code: pa.Array
    name: pa.Array
    short: pa.Array
    kind: pa.Array
    parent: NDArray[np.int64]
    province: NDArray[np.int64]

    @classmethod
    def load(cls, folder: Path) -> Places:
        text = {
            name: pa.string()
            for name in ("code", "name", "short_name", "kind", "parent_code", "province_code")
        }
        table = pa_csv.read_csv(
            folder / "units.csv", convert_options=pa_csv.ConvertOptions(column_types=text)
        ).combine_chunks()
        columns = {name: table[name].combine_chunks() for name in text}
        code = columns["code"]
        return cls(
            code=code,
            name=columns["name"],
            short=columns["short_name"],
            kind=columns["kind"],
            parent=_position(columns["parent_code"], code),
            province=_position(columns["province_code"], code),
        )

    def position(self, codes: pa.Array | pa.ChunkedArray) -> NDArray[np.int64]:
        """-1 where the code is unknown or null."""
        return _position(codes, self.code)

    @cached_property
    def official(self) -> pa.Array:
        return pc.utf8_slice_codeunits(self.code, 1)

    @cached_property
    def spellings(self) -> pa.Array:
        """All spellings one after another: position in it = way * len(units) + unit."""
        names, shorts, kinds = self.name.to_pylist(), self.short.to_pylist(), self.kind.to_pylist()
        abbreviated = [
            f"{_KINDS.get(kind, '')} {short.removeprefix(kind.capitalize()).strip()}".strip()
            for kind, short in zip(kinds, shorts, strict=True)
        ]
        random = np.random.Generator(
            np.random.PCG64(20250701)
        )  # an office keeps its spelling whatever the seed
        draws = random.integers(0, 1 << 30, size=(len(names), 2)).tolist()
        own = [spelling_slip(short, *draw) for short, draw in zip(shorts, draws, strict=True)]
        return pa.array([*names, *shorts, *abbreviated, *(name.upper() for name in names), *own], pa.string())

    def written(self, units: NDArray[np.int64], ways: NDArray[np.int64]) -> pa.Array:
        """Null where the unit is -1."""
        index = pa.array(ways * len(self.code) + units, mask=units < 0)
        return self.spellings.take(index)

    def official_codes(self, units: NDArray[np.int64]) -> pa.Array:
        return self.official.take(pa.array(units, mask=units < 0))


def _position(codes: pa.Array | pa.ChunkedArray, all_codes: pa.Array) -> NDArray[np.int64]:
    found = pc.index_in(codes, value_set=all_codes)
    if isinstance(found, pa.ChunkedArray):
        found = found.combine_chunks()
    positions: NDArray[np.int64] = found.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return positions
