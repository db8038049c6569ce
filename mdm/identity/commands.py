"""What a person or a program can ask of identity, as values that travel: over the API, into an approval, into a log."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from mdm.identity.numbers import NumberState, Reason  # pydantic reads it

Version = Annotated[int, Field(ge=1)]


class DecisionKind(StrEnum):
    """What a person says of two records: one person, or never."""

    MUST_LINK = "must_link"
    CANNOT_LINK = "cannot_link"


class _Command(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    expected: dict[str, Version] = Field(default_factory=dict)
    """Entity ID to the version on which the decision was made; a later version refuses the command."""


class Merge(_Command):
    """Two entities are one. `survivor` names the one that stays; without it the rules choose."""

    type: Literal["merge"] = "merge"
    left: str
    right: str
    survivor: str | None = None


class Unmerge(_Command):
    """Undoes the merge of one event."""

    type: Literal["unmerge"] = "unmerge"
    event: int = Field(ge=1)


class Split(_Command):
    """Takes chosen records out of an entity into a new one."""

    type: Literal["split"] = "split"
    entity: str
    records: Annotated[tuple[int, ...], Field(min_length=1)]


class Decide(_Command):
    """A person's word on two records; it stands until it is revoked."""

    type: Literal["decide"] = "decide"
    decision: DecisionKind
    left: int
    right: int


class Revoke(_Command):
    type: Literal["revoke"] = "revoke"
    left: int
    right: int


class Verdict(StrEnum):
    """A steward's answer to a question: one person, two people, or nothing to decide."""

    SAME = "same"
    DIFFERENT = "different"
    DISMISSED = "dismissed"


class DecideReview(_Command):
    """Answers a question. `version` is the question's version on which the answer was given; a later one refuses it."""

    type: Literal["decide_review"] = "decide_review"
    review: int = Field(ge=1)
    verdict: Verdict
    survivor: str | None = None
    version: Version | None = None


class ReserveNumbers(_Command):
    """Social-security numbers set aside, to be given to people by hand."""

    type: Literal["reserve_numbers"] = "reserve_numbers"
    count: int = Field(ge=1, le=10_000)


class AssignNumber(_Command):
    """Gives a number to a person whom the population database knows and who has none: a reserved one, or a new one."""

    type: Literal["assign_number"] = "assign_number"
    number: str | None = None
    entity: str


class ChangeNumber(_Command):
    """A number's state, set by a person. Superseded is set by merges only."""

    type: Literal["change_number"] = "change_number"
    number: str
    state: NumberState
    reason: Reason


Command = Annotated[
    Merge | Unmerge | Split | Decide | Revoke | DecideReview | ReserveNumbers | AssignNumber | ChangeNumber,
    Field(discriminator="type"),
]
