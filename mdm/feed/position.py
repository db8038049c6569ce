"""How far a reader has come in the log, as a text that it hands back."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from mdm.errors import InputError

_TEXT = re.compile(r"(\d{1,18})(?:\.(\d{1,18}))?(?:-([0-9a-f]{8}))?", re.ASCII)


@dataclass(frozen=True, order=True)
class Position:
    """Events up to `seq` are known, and of the event after it the entities with keys up to `key`."""

    seq: int
    key: int = 0

    def __str__(self) -> str:
        return f"{self.seq}.{self.key}" if self.key else str(self.seq)


def cursor(position: Position, at: str | None) -> str:
    """`at` is the time of the position's event: it tells the same event from another one that later got its number."""
    return f"{position}-{mark(position.seq, at)}"


def mark(seq: int, at: str | None) -> str:
    """Of an event, without anything that was said in it."""
    return hashlib.sha256(f"{seq} {at or ''}".encode()).hexdigest()[:8]


def parse_cursor(text: str) -> tuple[Position, str | None]:
    """A cursor, or a plain event number. Raises InputError."""
    found = _TEXT.fullmatch(text)
    if found is None:
        raise InputError(
            "this is no position in the event log",
            where="after",
            hint="Give `next` of an earlier answer, or an event's number.",
        )
    seq, key, known = found.groups()
    return Position(int(seq), int(key or 0)), known
