"""Columns as offices type them: dates in their formats, padded numbers, code values."""

from __future__ import annotations

from functools import cache, reduce
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mdm.simulation.deliveries.errors.dates import FIRST_YEAR
from mdm.simulation.deliveries.world import numbers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

_YEARS = 200
_STYLES = {  # full date, month and year, year only
    "dmy": ("{d:02}/{m:02}/{y}", "{m:02}/{y}", "{y}"),
    "dmy_dots": ("{d:02}.{m:02}.{y}", "{m:02}.{y}", "{y}"),
    "dmy_dashes": ("{d}-{m}-{y}", "{m}-{y}", "{y}"),
    "ymd": ("{y}{m:02}{d:02}", "{y}{m:02}", "{y}"),
    "iso": ("{y}-{m:02}-{d:02}", "{y}-{m:02}", "{y}"),
    "zeros": ("{d:02}/{m:02}/{y}", "00/{m:02}/{y}", "00/00/{y}"),
}


@cache
def _all_dates(style: str) -> pa.Array:
    full, month, year = _STYLES[style]
    texts: list[str | None] = []
    for y in range(FIRST_YEAR, FIRST_YEAR + _YEARS):
        texts += [year.format(y=y)] * 32
        for m in range(1, 13):
            texts.append(month.format(m=m, y=y))
            texts += [full.format(d=d, m=m, y=y) for d in range(1, 32)]
    return pa.array(texts, pa.string())


def date_text(
    year: NDArray[np.int64], month: NDArray[np.int64], day: NDArray[np.int64], *, style: str
) -> pa.Array:
    """A blank day or month gives the style's shorter form; a blank year gives null."""
    place = (year - FIRST_YEAR) * 416 + month * 32 + np.where(month == 0, 0, day)
    return _all_dates(style).take(pa.array(place, mask=(year < FIRST_YEAR) | (year >= FIRST_YEAR + _YEARS)))


def birth_text(observed: pa.Table, *, style: str) -> pa.Array:
    return date_text(*(numbers(observed[f"birth_{part}"]) for part in ("year", "month", "day")), style=style)


def day_text(days: NDArray[np.datetime64], *, style: str) -> pa.Array:
    blank = np.isnat(days)
    safe = np.where(blank, np.datetime64("2000-01-01", "D"), days).astype("datetime64[D]")
    months = safe.astype("datetime64[M]")
    year = np.where(blank, 0, safe.astype("datetime64[Y]").astype(np.int64) + 1970)
    return date_text(
        year, months.astype(np.int64) % 12 + 1, (safe - months).astype(np.int64) + 1, style=style
    )


def part_text(values: NDArray[np.int64]) -> pa.Array:
    """A day, month or year in a column of its own; blank where 0."""
    return pa.array(values, mask=values == 0).cast(pa.string())


def scattered(serial: NDArray[np.int64], digits: int) -> NDArray[np.int64]:
    """A one-to-one scramble of 0..10^digits-1, so that a number tells nothing of the order in which it was given."""
    size = 10**digits
    factor = int(size * 0.6180339887) // 10 * 10 + 7  # ends in 7: prime to every power of ten
    numbers: NDArray[np.int64] = (serial % size * factor + size // 3) % size
    return numbers


def padded(values: NDArray[np.int64], width: int, *, prefix: str = "") -> pa.Array:
    text = pc.utf8_lpad(pa.array(values).cast(pa.string()), width, "0")
    return pc.binary_join_element_wise(prefix, text, "") if prefix else text


def coded(column: pa.Array | pa.ChunkedArray, codes: Mapping[str, str]) -> pa.Array:
    """Null where the value has no code."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    place = pc.index_in(column, value_set=pa.array(list(codes), pa.string()))
    return pa.array(list(codes.values()), pa.string()).take(place)


def picked(choices: list[str], places: NDArray[np.int64]) -> pa.Array:
    return pa.array(choices, pa.string()).take(pa.array(places))


def joined(*columns: pa.Array | pa.ChunkedArray, separator: str = ", ") -> pa.Array:
    """Skips nulls; null where all are null."""
    arrays = [
        column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column for column in columns
    ]
    # Arrow leaves a row out of its answer where all are null, so such a row is given an empty text first.
    nothing = pc.invert(reduce(pc.or_, [pc.is_valid(array) for array in arrays]))
    arrays[0] = pc.if_else(nothing, "", arrays[0])
    text = pc.binary_join_element_wise(*arrays, separator, null_handling="skip")
    return pc.if_else(nothing, pa.scalar(None, pa.string()), text)


def name_parts(names: pa.Array | pa.ChunkedArray) -> tuple[pa.Array, pa.Array, pa.Array]:
    """Surname, middle and given name as three columns; a name of one word stands in the last."""
    if isinstance(names, pa.ChunkedArray):
        names = names.combine_chunks()
    found = pc.extract_regex(names, r"^(?:(?P<first>\S+)\s+)?(?:(?P<middle>.*\S)\s+)?(?P<last>\S+)$")
    return tuple(_filled(pc.struct_field(found, part)) for part in ("first", "middle", "last"))


def _filled(text: pa.Array) -> pa.Array:
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)
