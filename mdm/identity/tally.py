"""A count and a sum over rows, in no order: any row changed, added or missing gives another.

An event that begins or ends many rows of a table carries their tally, so that the rows need not stand in it twice. The
sum is that of the low halves of the rows' MD5, modulo 2^64; it finds accidents and edits, it is no commitment by itself:
the event that carries it is sealed in the log.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_MODULUS = 1 << 64


def tally(rows: Iterable[Sequence[object]]) -> dict[str, Any]:
    """Of rows of texts and whole numbers: {"count", "sum"}, the sum as a text."""
    count = total = 0
    for row in rows:
        text = "\x1f".join("" if value is None else str(value) for value in row)
        # DuckDB reads a digest as a little-endian number
        total += int.from_bytes(hashlib.md5(text.encode(), usedforsecurity=False).digest()[8:], "little")
        count += 1
    return {"count": count, "sum": str(total % _MODULUS)}


def tally_sql(columns: Sequence[str]) -> str:
    """The same in DuckDB: two columns, count and sum, over the rows of a table."""
    row = " || chr(31) || ".join(f"COALESCE(CAST({column} AS VARCHAR), '')" for column in columns)
    return (
        f"COUNT(*) AS count, CAST(COALESCE(SUM(md5_number_lower({row})), 0) % {_MODULUS} AS VARCHAR) AS sum"
    )


def told(count: int, total: str) -> dict[str, Any]:
    """What `tally_sql` found, as it stands in an event."""
    return {"count": count, "sum": total}
