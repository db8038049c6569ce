"""Rows that no registry can accept, strewn among the good ones: without a name or key, a key seen before, an operation
nobody knows, a line cut short, the correction of a record that never was.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mdm.simulation.deliveries.offices.base import Sheet
    from mdm.simulation.deliveries.world import Rows

MALFORMED = "row.malformed"


@dataclass(frozen=True)
class Spoiled:
    """The sheet's table with the faulty rows in it. `rows` is -1 and `reason` is set where a row is faulty."""

    table: pa.Table
    rows: Rows
    reason: pa.Array
    malformed: NDArray[np.bool_]


def spoiled(sheet: Sheet, *, share: float, corrects: bool, random: np.random.Generator) -> Spoiled:
    """`corrects`: an earlier delivery exists, so a row may change a record that was never sent."""
    table, size = sheet.table, sheet.table.num_rows
    count = int(random.binomial(size, share)) if sheet.spoilable and size > 1 else 0
    if count == 0:
        none = pa.nulls(size, pa.string())
        return Spoiled(table, sheet.rows, none, np.zeros(size, dtype=bool))
    reasons = random.choice(_possible(sheet, corrects=corrects), size=count)
    # A duplicate must come after its original; no faulty row may be the last, where it would look like a cut file.
    models = random.integers(0, size - 1, size=count)
    extra = table.take(pa.array(models))
    for reason in sorted(set(reasons.tolist())):
        extra = _made_faulty(sheet, extra, reason, np.flatnonzero(reasons == reason))
    order = np.argsort(np.concatenate([np.arange(size) * 2, models * 2 + 1]), kind="stable")
    rows = np.concatenate([sheet.rows, np.full(count, -1)])[order]
    reason = pa.concat_arrays([pa.nulls(size, pa.string()), pa.array(reasons.tolist(), pa.string())]).take(
        pa.array(order)
    )
    malformed = np.concatenate([np.zeros(size, dtype=bool), reasons == MALFORMED])[order]
    return Spoiled(
        pa.concat_tables([table, extra]).combine_chunks().take(pa.array(order)), rows, reason, malformed
    )


def _possible(sheet: Sheet, *, corrects: bool) -> list[str]:
    reasons = ["key.missing", "key.duplicate"]
    if sheet.required:
        reasons.append(f"required.missing:{next(iter(sheet.required.values()))}")
    if sheet.form is not None and sheet.form.lines:
        reasons.append(MALFORMED)
    if sheet.operation:
        reasons.append("operation.unknown")
        if corrects:
            reasons.append("record.unknown")
    return reasons


def _made_faulty(sheet: Sheet, extra: pa.Table, reason: str, at: Rows) -> pa.Table:
    key = sheet.key[-1]
    if reason == "key.missing":
        return _with(extra, key, at, [""] * len(at))
    if reason == "key.duplicate":
        return extra
    extra = _with(extra, key, at, [f"99{place:06}" for place in at.tolist()])
    if reason.startswith("required.missing"):
        for column in sheet.required:
            extra = _with(extra, column, at, [None] * len(at))
    if sheet.operation and reason == "operation.unknown":
        extra = _with(extra, sheet.operation, at, ["?"] * len(at))
    if sheet.operation and reason == "record.unknown":
        extra = _with(extra, sheet.operation, at, [sheet.withdrawal] * len(at))
    return extra


def _with(table: pa.Table, column: str, at: Rows, values: list[str] | list[None]) -> pa.Table:
    cells = table[column].to_pylist()
    for place, value in zip(at.tolist(), values, strict=True):
        cells[place] = value
    index = table.schema.get_field_index(column)
    return table.set_column(index, column, pa.array(cells, table.schema.field(index).type))
