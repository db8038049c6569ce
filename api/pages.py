"""Pages of long lists. A cursor is a place in a list; what it holds is nobody's business but ours."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from typing import Annotated, TypeVar

from fastapi import Query

from api.problems import ProblemError

Item = TypeVar("Item")

Limit = Annotated[int, Query(ge=1, le=200, description="At most so many")]
Cursor = Annotated[str | None, Query(max_length=200, description="`next` of the page before")]


def place_of(cursor: str | None, of: str) -> str:
    """What a cursor of a list holds, empty for none. Raises ProblemError for one of another list, or none of ours."""
    if cursor is None:
        return ""
    try:
        name, mark, place = base64.urlsafe_b64decode(cursor.encode()).decode().partition(":")
    except ValueError:
        name, mark, place = "", "", ""
    if name != of or not mark or not place:
        raise ProblemError(
            422, "request.cursor", "This is no cursor of this list.", hint="Begin without one."
        )
    return place


def number_in(cursor: str | None, of: str) -> int:
    """As `place_of`, where the place is a number; 0 for none."""
    place = place_of(cursor, of) or "0"
    if not (place.isascii() and place.isdecimal() and len(place) < 19):
        raise ProblemError(
            422, "request.cursor", "This is no cursor of this list.", hint="Begin without one."
        )
    return int(place)


def cursor(of: str, place: object) -> str:
    return base64.urlsafe_b64encode(f"{of}:{place}".encode()).decode()


def page(
    found: Sequence[Item], *, limit: int, of: str, place: Callable[[Item], object]
) -> tuple[Sequence[Item], str | None]:
    """Of `limit` + 1 that were looked for: those to show, and the cursor of the next page if there is one."""
    shown = found[:limit]
    return shown, cursor(of, place(shown[-1])) if len(found) > limit else None
