"""Answers about people and households."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from api.schemas.common import (
    EXAMPLE_ID,
    OTHER_ID,
    Body,
    Code,
    EntityId,
    LocalId,
    Moment,
    Record,
    Told,
)
from mdm.queries.people import Person as Known


class Number(Told):
    number: str = Field(examples=["360884891421"])
    kind: str = Field(examples=["ssn"], description="ssn or temporary")
    state: str = Field(examples=["active"])
    superseded_by: str | None = Field(None, examples=[None])


class Alias(Told):
    scheme: str = Field(examples=["personal_id"])
    value: str = Field(examples=["001099012345"])


class Person(Told):
    """A person or household. What you are not granted is absent.

    Of one that was merged you get the one that stands for it: `superseded` then lists the IDs that led to it, beginning with
    the one you asked for.
    """

    id: str = Field(examples=[EXAMPLE_ID])
    kind: str = Field(examples=["person"])
    status: str = Field(examples=["active"], description="active, superseded or retired")
    superseded: list[str] = Field(examples=[[OTHER_ID]])
    version: int | None = Field(None, examples=[3], description="Staff only; also in ETag")
    event: int | None = Field(
        None, examples=[5120], description="Staff only: the last event that had happened"
    )
    golden: dict[str, Any] | None = Field(
        None,
        examples=[{"full_name": "Nguyễn Thị An", "birth_date": "1990-02-28"}],
        description="The golden record's values; for a registry those that its declaration grants",
    )
    numbers: list[Number] = Field(default_factory=list)
    aliases: list[Alias] = Field(default_factory=list, description="Staff only")
    records: list[Record] = Field(
        default_factory=list, description="For a registry its own; for staff all that are not sealed"
    )


def told(known: Known) -> Person:
    return Person(
        id=known.id,
        kind=known.kind,
        status=known.status,
        superseded=list(known.superseded),
        version=known.version,
        event=known.event,
        golden=None if known.golden is None else dict(known.golden),
        numbers=[Number.model_validate(held) for held in known.numbers],
        aliases=[Alias.model_validate(alias) for alias in known.aliases],
        records=[Record.model_validate(member) for member in known.records],
    )


class Event(Told):
    seq: int = Field(examples=[5120])
    at: Moment
    kind: str = Field(examples=["entity.merged"])
    actor: str = Field(examples=["lan"])
    reason: str = Field(examples=["one person"])
    run: str | None = Field(examples=[None])


class Words(Told):
    vi: str = Field(examples=["Gộp với hồ sơ khác"])
    en: str = Field(examples=["Merged with another"])


class Happening(Told):
    event: Event
    words: Words
    approved_by: str | None = Field(examples=[None])
    records: list[Record]


class History(Told):
    id: str = Field(examples=[EXAMPLE_ID])
    events: list[Happening]
    next: str | None = Field(None, description="Cursor of the next page; null on the last one")


class Member(Record):
    version: int = Field(examples=[2], description="Of the record")
    status: str = Field(examples=["active"], description="active or withdrawn")
    since: int = Field(examples=[17], description="The event that made it a member")


class Members(Told):
    id: str = Field(examples=[EXAMPLE_ID])
    members: list[Member]


class Lineage(Told):
    """Where values come from (`values`) and why records belong to it (`members`), as `mdm entity lineage --json` tells them."""

    id: str = Field(examples=[EXAMPLE_ID])
    values: list[dict[str, Any]]
    members: list[dict[str, Any]]


class Found(Told):
    """Several only where an office gave one number to several people."""

    matches: list[Person]


class Name(Body):
    """One name of one person: a registry's own ID, a number, or a canonical ID."""

    registry: Code | None = None
    local_id: LocalId | None = None
    ssn: Annotated[str, Field(pattern=r"^[1-9][0-9]{11}$", examples=["360884891421"])] | None = None
    personal_id: Annotated[str, Field(pattern=r"^[0-9]{9,12}$", examples=["001099012345"])] | None = None
    id: EntityId | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        given = [self.registry, self.ssn, self.personal_id, self.id]
        if sum(one is not None for one in given) != 1 or (self.registry is None) != (self.local_id is None):
            raise ValueError("give one name: registry with local_id, or ssn, or personal_id, or id")
        return self


class Names(Body):
    names: list[Name] = Field(
        min_length=1, max_length=1000, examples=[[{"registry": "tax", "local_id": "8801"}]]
    )


class FoundEach(Told):
    """`code` is set where nobody was found: `identity.not_found`."""

    matches: list[Person]
    code: Literal["identity.not_found"] | None = None


class FoundAll(Told):
    """In the order of the names."""

    results: list[FoundEach]
