"""Answers for auditors, and sessions."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from api.schemas.common import EXAMPLE_ID, Body, Moment, Told


class Checkpoint(Told):
    """A signed statement of the first `size` events. `note` is what is signed; keep it where nobody here can write."""

    size: int = Field(examples=[1203])
    at: Moment
    root: str = Field(examples=["00" * 32])
    note: str = Field(description="As c2sp.org/tlog-checkpoint", examples=["mdm-log/...\n1203\n..."])
    public_key: str = Field(examples=["mdm-log/...+0123abcd+..."])


class Proof(Told):
    """For `mdm/identity/verifier.py`, which needs nothing else of this engine."""

    proof: dict[str, Any]


class Access(Told):
    at: Moment
    actor: str = Field(examples=["key:hospital"])
    purpose: str = Field(examples=["benefit_claim"])
    operation: str = Field(examples=["person.read"])
    id: str = Field(examples=[EXAMPLE_ID], description="The entity as it was asked for")
    fields: list[str] = Field(examples=[["full_name", "numbers"]])
    request_id: str = Field(examples=["01936d2e-7c1a-7b60-9f3e-2f6f0a4d5c77"])


class Accesses(Told):
    accesses: list[Access]
    next: str | None = Field(None, description="Cursor of the next page; null on the last one")


class SignIn(Body):
    name: str = Field(min_length=1, max_length=40, examples=["lan"])
    password: str = Field(
        min_length=1,
        max_length=256,
        examples=["five small lemons today"],
        json_schema_extra={"format": "password"},
    )


class Session(Told):
    access_token: str = Field(description="For Authorization: Bearer", examples=["eyJhbGciOi..."])
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105
    expires_in: int = Field(examples=[900], description="Seconds")


class Ready(Told):
    ready: bool
    failing: dict[str, str] = Field(
        examples=[{}], description="What is not as it must be: the code of the error"
    )


class Alive(Told):
    alive: Literal[True] = True
