"""Which version a change was decided on (If-Match), and which request it is (Idempotency-Key)."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Annotated

from fastapi import Depends, Header

from api.problems import ProblemError

_TAG = re.compile(r'"(?P<name>[0-9a-f-]{1,36}):(?P<version>[0-9]{1,18})"')
_HINT = 'If-Match: "ID:VERSION", one for each that changes, with commas between: as ETag had them.'


async def versions(
    if_match: Annotated[
        str | None,
        Header(
            description="The versions you decided on, as ETag had them, one for each entity that you name",
            examples=['"01936d2e-7c1a-7b60-9f3e-2f6f0a4d5c11:3"'],
        ),
    ] = None,
) -> dict[str, int]:
    """Name to version. Raises ProblemError for what cannot be read."""
    if if_match is None:
        return {}
    found = {}
    for tag in if_match.split(","):
        read = _TAG.fullmatch(tag.strip())
        if read is None or not int(read["version"]):
            raise ProblemError(400, "request.if_match", "If-Match cannot be read.", hint=_HINT)
        found[read["name"]] = int(read["version"])
    return found


Versions = Annotated[dict[str, int], Depends(versions)]
Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=r"^[!-~]{1,200}$",
        description="The same request with the same key is carried out once, and gets the first answer",
        examples=["3f1c0e6a-merge-17"],
    ),
]


def require_versions(given: Mapping[str, int], names: Collection[str]) -> dict[str, int]:
    """Those of the names. Raises ProblemError where one is missing, or where another is given."""
    if set(given) != set(names):
        raise ProblemError(
            428,
            "request.if_match",
            "Say which version you decided on of each entity that changes, and of no other.",
            hint=_HINT,
        )
    return dict(given)


def etag(name: object, version: int) -> str:
    return f'"{name}:{version}"'
