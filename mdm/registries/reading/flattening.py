"""Nested JSON elements as flat rows of text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pyarrow as pa

from mdm.registries.reading.raw import ROW, header_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ROOT = "$"


def steps_of(rows: str) -> list[str]:
    """`danhSach[].thanhVien[]` -> the path of each repeated element below the one before."""
    return [step.lstrip(".") for step in rows.split("[]")[:-1]]


def expand(
    element: Any, steps: Sequence[str], outer: Mapping[str, str], path: str
) -> Iterator[dict[str, str]]:
    """The innermost elements below `element`, each with the fields around it under their path from the document."""
    if not steps:
        yield {**outer, **row_fields(element)}
        return
    step = steps[0]
    around = {
        **outer,
        **{f"{path}.{name}": value for name, value in row_fields(element, leave_out=step).items()},
    }
    inner = element
    for name in step.split("."):
        inner = inner.get(name) if isinstance(inner, dict) else None
    for item in inner if isinstance(inner, list) else ():
        yield from expand(item, steps[1:], around, f"{path}.{step}")


def row_fields(value: Any, *, leave_out: str = "") -> dict[str, str]:
    """Fields by dotted path, as text; empty ones are left out."""
    row: dict[str, str] = {}
    if isinstance(value, dict):
        _flatten(value, "", row, leave_out)
    elif value is not None:
        row["value"] = text_of(value)
    return row


def _flatten(mapping: dict[str, Any], prefix: str, row: dict[str, str], leave_out: str) -> None:
    for name, value in mapping.items():
        path = prefix + name
        if path == leave_out:
            continue
        if isinstance(value, str):
            row[path] = value
        elif isinstance(value, dict):
            _flatten(value, f"{path}.", row, leave_out)
        elif value is not None:
            row[path] = text_of(value)


def text_of(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        if any(isinstance(item, dict | list) for item in value):
            return orjson.dumps(value, default=str).decode()
        return "; ".join(text_of(item) for item in value if item is not None)
    return str(value)


def text_table(rows: Sequence[Mapping[str, str]], numbers: Sequence[int]) -> pa.Table:
    """A field that a row does not have is null."""
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {header_name(name): pa.array([row.get(name) for row in rows], pa.string()) for name in names}
    return pa.table({**columns, ROW: pa.array(numbers, pa.int64())})
