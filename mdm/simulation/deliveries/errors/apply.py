"""Change chosen rows of an Arrow column: by a function of one string, or by a table over all its letters at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from numpy.typing import NDArray

Change = Callable[[str, int, int], str]


def replaced(column: pa.Array, rows: NDArray[np.int64], values: pa.Array) -> pa.Array:
    """The column with `values` at `rows` (distinct)."""
    if len(rows) == 0:
        return column
    index = np.arange(len(column), dtype=np.int64)
    index[rows] = len(column) + np.arange(len(rows))
    return pa.concat_arrays([column, values.cast(column.type)]).take(pa.array(index))


def blanked(column: pa.Array, rows: NDArray[np.int64]) -> pa.Array:
    return replaced(column, rows, pa.nulls(len(rows), column.type))


def changed(
    column: pa.Array, rows: NDArray[np.int64], change: Change, random: np.random.Generator
) -> pa.Array:
    """Only the chosen rows pass through Python; nulls stay."""
    if len(rows) == 0:
        return column
    texts = column.take(pa.array(rows)).to_pylist()
    draws = random.integers(0, 1 << 30, size=(2, len(rows)))
    values = [
        None if text is None else change(text, first, second)
        for text, first, second in zip(texts, draws[0].tolist(), draws[1].tolist(), strict=True)
    ]
    return replaced(column, rows, pa.array(values, pa.string()))


def changed_by_kind(
    column: pa.Array,
    rows: NDArray[np.int64],
    kinds: NDArray[np.str_],
    changes: Mapping[str, Change],
    random: np.random.Generator,
) -> pa.Array:
    for kind, change in changes.items():
        column = changed(column, rows[kinds == kind], change, random)
    return column


def translated(column: pa.Array, rows: NDArray[np.int64], translate: Callable[[str], str]) -> pa.Array:
    """A letter-by-letter translation of many rows in one call; no text may hold a line break."""
    if len(rows) == 0:
        return column
    chosen = column.take(pa.array(rows))
    filled = chosen.fill_null("")
    values = pa.array(translate("\n".join(filled.to_pylist())).split("\n"), pa.string())
    if chosen.null_count:
        values = replaced(
            values,
            np.flatnonzero(chosen.is_null().to_numpy(zero_copy_only=False)),
            pa.nulls(chosen.null_count, pa.string()),
        )
    return replaced(column, rows, values)


def drawn_kinds(weights: Mapping[str, float], count: int, random: np.random.Generator) -> NDArray[np.str_]:
    names = np.array(list(weights))
    shares = np.array([weights[name] for name in names])
    places = np.searchsorted(np.cumsum(shares / shares.sum()), random.random(count), side="right")
    drawn: NDArray[np.str_] = names[places.clip(0, len(names) - 1)]
    return drawn
