"""Records as a registry sends them, and whom they may be of."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from api.schemas.common import EXAMPLE_ID, Body, Changed, LocalId, Told

_Text = Annotated[str, StringConstraints(max_length=5_000)]
_Texts = Annotated[list[_Text], Field(max_length=50)]


class Address(Body):
    """Parts of an address as they are written, or the whole as `text`; `commune_code` is the official code of five digits."""

    text: _Text | None = Field(None, examples=["Thôn 3, xã Hòa Bình, huyện Thủy Nguyên, Hải Phòng"])
    street: _Text | None = Field(None, examples=["Thôn 3"])
    commune: _Text | None = Field(None, examples=["xã Hòa Bình"])
    district: _Text | None = Field(None, examples=["huyện Thủy Nguyên"])
    province: _Text | None = Field(None, examples=["Hải Phòng"])
    commune_code: _Text | None = Field(None, examples=["11506"])


Attributes = Annotated[
    dict[
        Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")],
        _Text | _Texts | Address,
    ],
    Field(
        min_length=1,
        max_length=60,
        description="Canonical attributes (configs/attributes.yaml) as you write them; numbers and dates in any usual spelling",
        examples=[
            {
                "full_name": "Nguyễn Thị Hoa",
                "birth_date": "07/09/1983",
                "sex": "nữ",
                "personal_id": "001183000217",
                "phone": ["0912 345 678"],
                "address": {"text": "Xã Hồng Vân, thành phố Hà Nội"},
            }
        ],
    ),
]
ObservedOn = Annotated[
    date | None,
    Field(description="The day of what is said; today where it is left out", examples=["2026-03-01"]),
]


class Record(Body):
    attributes: Attributes
    observed_on: ObservedOn = None

    def given(self) -> dict[str, Any]:
        return given(self.attributes)


class RecordLine(Body):
    """One line of a batch. `op` withdraw needs no attributes."""

    local_id: LocalId
    op: Literal["upsert", "withdraw"] = "upsert"
    attributes: Attributes | None = None
    observed_on: ObservedOn = None


class RecordAnswer(Told):
    """What became of a record, and of the people around it."""

    id: str | None = Field(
        None, examples=[EXAMPLE_ID], description="The person it belongs to now; absent once it is withdrawn"
    )
    version: int = Field(examples=[1], description="Of the record")
    created: bool = Field(False, description="The store did not know it before")
    unchanged: bool = Field(False, description="It says what it said before: nothing was done")
    issues: dict[str, str] = Field(
        default_factory=dict,
        description="What is wrong with a value, by attribute; the record was taken all the same",
        examples=[{"birth_date": "date.impossible"}],
    )
    changed: list[Changed] = Field(
        default_factory=list, description="People whom it changed, as far as you may know"
    )
    events: list[int] = Field(
        default_factory=list, description="Staff only: its events in the log", examples=[[5120]]
    )
    numbers: list[str] = Field(
        default_factory=list, description="Staff only: numbers that were issued", examples=[["160884891421"]]
    )


class LineAnswer(Told):
    """Of one line of a batch, in the order of the lines."""

    line: int = Field(examples=[1], description="From 1")
    local_id: str | None = Field(None, examples=["8801"])
    status: int = Field(examples=[200], description="As the same record by itself would have got")
    code: str | None = Field(None, examples=[None], description="Of what was refused")
    detail: str | None = Field(None, examples=[None], description="Why, and what to do")
    answer: RecordAnswer | None = None


class Search(Body):
    attributes: Attributes
    observed_on: ObservedOn = None
    limit: int = Field(10, ge=1, le=100, description="At most so many people", examples=[10])
    unlikely: bool = Field(False, strict=True, description="Also those below the band of review")

    def given(self) -> dict[str, Any]:
        return given(self.attributes)


class Evidence(Told):
    """What one comparison says; absent from the list where a value is missing on either side."""

    comparison: str = Field(examples=["full_name"])
    level: int = Field(examples=[0], description="0 is the strongest agreement")
    bits: float = Field(examples=[14.2], description="For one person if positive, against it if negative")


class Candidate(Told):
    """A person whom the record may be of."""

    id: str = Field(examples=[EXAMPLE_ID])
    band: str = Field(
        examples=["link"],
        description="link: a run would make it this person; review: a steward would be asked; unlikely: neither",
    )
    weight: float = Field(
        examples=[31.4], description="Bits of evidence, of the record of theirs that agrees best"
    )
    probability: float = Field(
        examples=[0.9999], description="That it is this person and none of the others found, nor a new one"
    )
    conflict: str | None = Field(
        None, examples=[None], description="What keeps them apart whatever the weight is"
    )
    evidence: list[Evidence] = Field(description="The weight begins at the prior of two random records")


class Candidates(Told):
    candidates: list[Candidate] = Field(description="The likeliest first")
    issues: dict[str, str] = Field(examples=[{}], description="What is wrong with a value, by attribute")
    model: str = Field(examples=["3f9e0c3f5211"], description="Hash of the model that weighed them")


def given(attributes: dict[str, Any]) -> dict[str, Any]:
    return {
        name: said.model_dump(exclude_none=True) if isinstance(said, Address) else said
        for name, said in attributes.items()
    }
