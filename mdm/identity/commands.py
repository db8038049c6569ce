"""What a person or a program can ask of identity, as values that travel: over the API, into an approval, into a log."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from mdm.identity.decisions import DecisionKind  # pydantic reads it
from mdm.identity.numbers import NumberState, Reason  # pydantic reads it

Version = Annotated[int, Field(ge=1)]


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


class ChangeNumber(_Command):
    """A number's state, set by a person. Superseded is set by merges only."""

    type: Literal["change_number"] = "change_number"
    number: str
    state: NumberState
    reason: Reason


Command = Annotated[Merge | Unmerge | Split | Decide | Revoke | ChangeNumber, Field(discriminator="type")]
