"""The change feed and webhooks as the API tells them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from api.schemas.common import EXAMPLE_ID, Body, Code, Moment, Told
from mdm.identity.events import EventKind

_SUBSCRIPTION = "sub_1f0c2ab34d5e6f70"

Position = Annotated[
    str,
    Field(
        pattern=r"^[0-9]{1,18}(\.[0-9]{1,18})?(-[0-9a-f]{8})?$",
        description="`next` of an earlier answer or message, or an event's number",
        examples=["5120-9a3f01bc"],
    ),
]


class ChangedEntity(Told):
    """How an entity stood after the event."""

    id: str = Field(examples=[EXAMPLE_ID])
    kind: str = Field(examples=["person"])
    status: str = Field(examples=["active"], description="active, superseded or retired")
    superseded_by: str | None = Field(examples=[None])
    version: int | None = Field(
        examples=[3],
        description="Null for registries, and for staff who may not see all registries: it would count hidden changes",
    )


class Event(Told):
    """A change. No personal data: ask for the entity if you need what changed."""

    id: str = Field(examples=["5120"], description="Of the event or part, the same whenever it is told")
    seq: int = Field(examples=[5120], description="The event's number in the log")
    at: Moment
    kind: EventKind = Field(examples=["entity.merged"])
    entities: list[ChangedEntity]
    is_last: bool = Field(
        examples=[True], description="False while more parts of an event with very many entities follow"
    )


class Events(Told):
    events: list[Event]
    next: str = Field(
        examples=["5120-9a3f01bc"], description="Give it as `after`, also where there was no event"
    )
    more: bool = Field(examples=[False], description="More events are in the log already")


class NewSubscription(Body):
    url: str = Field(
        min_length=1, max_length=2000, examples=["https://receiver.example/hooks"], description="https"
    )
    kinds: list[EventKind] | None = Field(
        None, min_length=1, examples=[["entity.merged", "entity.unmerged"]], description="Null for all"
    )
    registry: Code | None = Field(
        None, description="Only people with a record of it. A registry has no other choice than its own"
    )
    ordered: bool = Field(
        True, description="Stop at a message that cannot be delivered; false: go on without it"
    )
    after: Position | None = Field(None, description="Begin after it; null for from now on")


class Subscription(Told):
    id: str = Field(examples=[_SUBSCRIPTION])
    url: str = Field(examples=["https://receiver.example/hooks"])
    kinds: list[EventKind] | None = Field(examples=[["entity.merged"]], description="Null for all")
    registry: str | None = Field(examples=["tax"])
    ordered: bool
    state: str = Field(examples=["active"], description="active, paused, or stopped at a dead letter")
    created_by: str = Field(examples=["key:hospital"])
    created_at: Moment
    delivered: int | None = Field(examples=[5120], description="The last event that was taken")
    delivered_at: Moment | None
    behind: int = Field(examples=[0], description="Events of the log that may still be sent")
    attempts: int = Field(examples=[0], description="That failed of the message that is being tried")
    next_attempt_at: Moment | None
    error: str | None = Field(
        examples=[None], description="http.STATUS, timeout, connect, broken, name, or address (not allowed)"
    )
    dead: int = Field(examples=[0], description="Dead letters")


class Subscriptions(Told):
    subscriptions: list[Subscription]


class Secret(Told):
    """Shown now and never again."""

    secret: str = Field(examples=["whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"])


class CreatedSubscription(Secret):
    subscription: Subscription


class Rotation(Body):
    keep_hours: float = Field(
        24, ge=0, le=720, description="How long messages are signed by the former secret too"
    )


class Replay(Body):
    after: Position
    upto: int | None = Field(
        None, ge=1, le=2**63 - 1, examples=[5120], description="Null for the last one that was handed out"
    )


class DeadLetter(Told):
    number: int = Field(examples=[7])
    after: int = Field(examples=[5000], description="Its events come after this one")
    upto: int = Field(examples=[5100], description="and end with this one")
    attempts: int = Field(examples=[16])
    error: str | None = Field(examples=["http.500"])


class DeadLetters(Told):
    dead_letters: list[DeadLetter]
