"""Requests and answers of stewards' work."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import Field

from api.schemas.common import (
    EXAMPLE_ID,
    OTHER_ID,
    Body,
    EntityId,
    Moment,
    Reason,
    Record,
    RecordName,
    Told,
)
from mdm.identity.commands import Verdict
from mdm.identity.numbers import NumberState
from mdm.identity.numbers import Reason as ReasonCode

_DIGITS = re.compile(r"\d(?=\d{3})")
_LONG = re.compile(r"\d{6,}")


def masked(text: str) -> str:
    """All but the last three digits of each long number are stars."""
    return _LONG.sub(lambda found: _DIGITS.sub("*", found[0]), text)


Preview = Annotated[bool, Field(strict=True, description="Show what it would do, and do nothing")]


class Merge(Body):
    left: EntityId
    right: Annotated[EntityId, Field(examples=[OTHER_ID])]
    survivor: EntityId | None = Field(
        None, description="Which one stays; else who has an SSN, else the older"
    )
    reason: Reason
    preview: Preview = False


class Unmerge(Body):
    reason: Reason
    preview: Preview = False


class Split(Body):
    id: EntityId
    records: list[RecordName] = Field(min_length=1, max_length=1000, description="Those that go")
    reason: Reason
    preview: Preview = False


class Pair(Body):
    left: RecordName
    right: RecordName
    reason: Reason


class Decision(Body):
    verdict: Verdict = Field(
        description="`same` merges, `different` keeps apart for ever, `dismissed` only closes"
    )
    survivor: EntityId | None = Field(None, description="Of `same`: which one stays")
    reason: Reason
    preview: Preview = False


class Reasoned(Body):
    reason: Reason


class IssueNumber(Body):
    number: Annotated[str, Field(pattern=r"^[2-9][0-9]{11}$")] | None = Field(
        None, description="One that was reserved; else a new one"
    )
    reason: Reason


class ChangeNumber(Body):
    state: Literal["active", "suspended", "deceased"] = Field(examples=["suspended"])
    reason_code: ReasonCode = Field(examples=["investigation"])
    reason: Reason

    @property
    def to(self) -> NumberState:
        return NumberState(self.state)


class CancelNumber(Body):
    reason_code: ReasonCode = Field(examples=["issued_in_error"])
    reason: Reason


class ReserveNumbers(Body):
    count: Annotated[int, Field(strict=True, ge=1, le=10_000)] = Field(examples=[20])
    reason: Reason


class PreviewAnswer(Told):
    """What a change would do. `versions` is what If-Match is to name."""

    golden: dict[str, dict[str, Any] | None] = Field(description="Entity to its golden values afterwards")
    golden_before: dict[str, dict[str, Any] | None]
    numbers: list[dict[str, Any]] = Field(description="Each number that would change: before and after")
    records: dict[str, list[Record]] = Field(description="Entity to its records afterwards")
    versions: dict[str, int] = Field(examples=[{EXAMPLE_ID: 3, OTHER_ID: 1}])
    notified: list[str] = Field(description="Registries that would be told", examples=[["tax"]])
    joined_since: list[Record] = Field(description="Of an unmerge: joined after the merge, and stay")
    left_since: list[Record] = Field(description="Of an unmerge: went elsewhere, and do not come back")
    needs_approval: bool = Field(examples=[False])


class TaskRecord(Record):
    entity: str | None = Field(examples=[EXAMPLE_ID], description="Null after its withdrawal")


class Claim(Told):
    by: str = Field(examples=["lan"])
    at: Moment
    until: Moment


class Task(Told):
    """A question. In lists local IDs have their digits masked."""

    review: int = Field(examples=[17])
    reason: str = Field(examples=["grey_zone"])
    state: str = Field(examples=["open"])
    version: int = Field(examples=[1], description="Also in ETag, as `17:1`")
    weight: float | None = Field(examples=[6.2], description="Bits of evidence for a match")
    records: list[TaskRecord]
    raised: int = Field(examples=[90], description="Event")
    decided: int | None = Field(examples=[None], description="Event")
    claim: Claim | None


class Tasks(Told):
    reviews: list[Task]
    next: str | None = Field(None, description="Cursor of the next page; null on the last one")


class Request(Told):
    """A change that waits for a second person. Numbers are masked."""

    approval: int = Field(examples=[3])
    requested_by: str = Field(examples=["lan"])
    asked_at: Moment
    reason: str = Field(examples=["one person"])
    command: dict[str, Any] = Field(
        examples=[{"type": "merge", "left": EXAMPLE_ID, "right": OTHER_ID, "survivor": None}]
    )


class Requests(Told):
    approvals: list[Request]
    next: str | None = Field(None, description="Cursor of the next page; null on the last one")
