"""What all requests and answers have in common. A request with a field that is not described here is refused."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

ID_PATTERN = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
EXAMPLE_ID = "01936d2e-7c1a-7b60-9f3e-2f6f0a4d5c11"
OTHER_ID = "01936d2e-7c1a-7b60-9f3e-2f6f0a4d5c12"

EntityId = Annotated[
    str, Field(pattern=ID_PATTERN, description="Canonical ID: a UUIDv7, for ever", examples=[EXAMPLE_ID])
]
Moment = Annotated[
    str,
    Field(
        description="RFC 3339, UTC",
        examples=["2026-03-01T08:00:00.000000+00:00"],
        json_schema_extra={"format": "date-time"},
    ),
]
Seq = Annotated[int, Field(description="Number of an event", ge=0, le=2**63 - 1, examples=[5120])]
Code = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$", examples=["tax"])]
LocalId = Annotated[str, Field(min_length=1, max_length=256, examples=["8801"])]
Reason = Annotated[
    str,
    Field(
        min_length=3,
        max_length=500,
        description="Why, in your words: it stands in the log for ever. No personal data",
        examples=["seen both certificates"],
    ),
]


class Body(BaseModel):
    """Of a request."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)


class Told(BaseModel):
    """Part of an answer."""

    model_config = ConfigDict(from_attributes=True)


class RecordName(Body):
    """A record by its registry's own name for it."""

    registry: Code
    local_id: LocalId


class Record(Told):
    registry: str = Field(examples=["tax"])
    local_id: str = Field(examples=["8801"])


class Problem(BaseModel):
    """RFC 9457. `code` is stable; `detail` and `hint` are for people."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "urn:mdm:problem:identity.stale",
                    "title": "Precondition Failed",
                    "status": 412,
                    "detail": f"Entity {EXAMPLE_ID} is at version 4, not 3.",
                    "code": "identity.stale",
                    "hint": "Look at it again and decide on what it is now.",
                    "request_id": "01936d2e-7c1a-7b60-9f3e-2f6f0a4d5c77",
                }
            ]
        }
    )

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    hint: str = ""
    errors: list[dict[str, str]] = Field(
        default_factory=list, description="Of an invalid request: where, what kind, in words"
    )


class Changed(Told):
    """An entity as a change left it. `records` leaves out what you may not know of."""

    id: str = Field(examples=[EXAMPLE_ID])
    version: int | None = Field(examples=[4], description="Absent for registries")
    status: str = Field(examples=["active"], description="active, superseded or retired")
    superseded_by: str | None = Field(examples=[None])
    records: list[Record]


class ChangeAnswer(Told):
    """What a write did. With `approval` set nothing was done yet: a second person must agree."""

    changed: list[Changed]
    events: list[int] = Field(description="Numbers of its events in the log", examples=[[5120, 5121]])
    numbers: list[str] = Field(default_factory=list, description="Numbers that it issued")
    approval: int | None = Field(None, description="Number of the request that waits for a second person")


_DESCRIPTIONS = {
    400: "The request cannot be read, or states no purpose",
    401: "No valid key or token",
    403: "Your role may not do this",
    404: "There is none, or you may not know of it",
    405: "The path does not take this method",
    408: "The request came too slowly",
    409: "The rules refuse it as things stand",
    412: "It has changed since you looked",
    413: "The request is too large",
    422: "The request is not as described here",
    428: "Send If-Match with the version you decided on",
    429: "Too many requests",
    500: "A fault, noted under the request ID",
    503: "The store does not answer now",
}
ALWAYS = (400, 401, 403, 413, 422, 429, 500, 503)


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For `responses=` of a route."""
    return {
        status: {
            "description": _DESCRIPTIONS[status],
            "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in statuses
    }
