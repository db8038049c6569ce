"""What every reader yields: rows as the office sent them, as text."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rapidfuzz import process

from matching.standardise.encodings import LEGACY_ENCODINGS, decode_legacy
from mdm.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import pyarrow as pa

# Columns of which a file must have at least one.
Alternatives = tuple[str, ...]

ROW = "__row"
CHUNK_ROWS = 100_000


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be split into columns; `text` is the row as far as it could be read."""

    row: int
    text: str
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class RawChunk:
    """`columns`: text columns by the office's own names, and `__row` (int64), the row number in the file or sheet.

    `formulas`: row number -> names of the columns whose value a formula computed.
    """

    columns: pa.Table
    bad: Sequence[BadRow] = ()
    sheet: str | None = None
    formulas: Mapping[int, Sequence[str]] = field(default_factory=dict)


def header_name(text: str) -> str:
    """A header as declarations write it: NFC, single spaces, no spaces around."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def named_columns(
    cells: Sequence[str], *, needed: Sequence[Alternatives], where: str, encoding: str = "utf-8"
) -> list[str]:
    """Column names from header cells; unnamed ones are called after their place, repeated ones get a number.

    Raises InputError when a needed column is missing or its name is not unique.
    """
    if encoding in LEGACY_ENCODINGS:
        cells = [decode_legacy(cell, encoding) for cell in cells]
    names = [header_name(cell) or f"column {place}" for place, cell in enumerate(cells, start=1)]
    require_columns(needed, found=names, where=where)
    wanted = {name for group in needed for name in group}
    seen: dict[str, int] = {}
    unique = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        if seen[name] > 1 and name in wanted:
            raise InputError(
                f"two columns are named `{name}`",
                where=where,
                hint="Rename one in the file, or join two header rows with `header: [m, n]`.",
            )
        unique.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return unique


def require_columns(needed: Sequence[Alternatives], *, found: Sequence[str], where: str) -> None:
    present = set(found)
    missing = [group for group in needed if not present.intersection(group)]
    if not missing:
        return
    told = []
    for group in missing:
        near = process.extractOne(group[0], found, score_cutoff=60)
        told.append(" or ".join(f"`{name}`" for name in group) + (f" (nearest: `{near[0]}`)" if near else ""))
    listed = ", ".join(f"`{name}`" for name in list(found)[:30])
    raise InputError(
        f"column {', '.join(told)} is missing", where=where, hint=f"The file has: {listed or 'no columns'}."
    )


def no_rows(path: Path) -> InputError:
    return InputError("holds no rows", where=path.name, hint="If nothing was to be sent, leave the file out.")
