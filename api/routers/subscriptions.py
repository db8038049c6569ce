"""Webhooks: who is told of events, and what could not be delivered."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path

from api.conditions import Key
from api.schemas import feed as told
from api.schemas.common import ALWAYS, problems
from api.security import Asked, ByOwnerOfSubscriptions
from mdm.access.principal import Role
from mdm.errors import InputError

Name = Annotated[str, Path(pattern=r"^sub_[0-9a-f]{16}$", examples=["sub_1f0c2ab34d5e6f70"])]
Number = Annotated[int, Path(ge=1, le=2**63 - 1, description="Of the dead letter", examples=[7])]

routes = APIRouter(prefix="/subscriptions", tags=["subscriptions"], responses=problems(*ALWAYS))


@routes.get("", name="subscriptions", summary="Subscriptions, and how far each has come")
def listed(asked: ByOwnerOfSubscriptions) -> told.Subscriptions:
    """A registry has its own, an administrator all."""
    found = asked.serving.subscriptions.all(of=_of(asked))
    return told.Subscriptions(subscriptions=[told.Subscription.model_validate(each) for each in found])


@routes.post("", name="subscription_create", summary="Subscribe a URL", status_code=201)
def create(
    body: told.NewSubscription, asked: ByOwnerOfSubscriptions, key: Key = None
) -> told.CreatedSubscription:
    """The secret of the answer signs the messages (Standard Webhooks). It is shown here and never again."""
    made = asked.serving.subscriptions.create(
        body.url,
        actor=asked.actor,
        kinds=body.kinds,
        registry=_registry(body.registry, asked),
        ordered=body.ordered,
        after=body.after,
        key=key,
    )
    return told.CreatedSubscription.model_validate(made)


@routes.get("/{name}", name="subscription", summary="One subscription", responses=problems(404))
def one(name: Name, asked: ByOwnerOfSubscriptions) -> told.Subscription:
    return _one(name, asked)


@routes.delete(
    "/{name}", name="subscription_delete", summary="End it", status_code=204, responses=problems(404)
)
def delete(name: Name, asked: ByOwnerOfSubscriptions) -> None:
    """What was still to be sent is not."""
    asked.serving.subscriptions.delete(name, of=_of(asked))


@routes.post(
    "/{name}/rotate", name="subscription_rotate", summary="Make a new secret", responses=problems(404)
)
def rotate(name: Name, body: told.Rotation, asked: ByOwnerOfSubscriptions, key: Key = None) -> told.Secret:
    """For a time messages carry a signature by each of both secrets."""
    made = asked.serving.subscriptions.rotate(name, of=_of(asked), keep_hours=body.keep_hours, key=key)
    return told.Secret(secret=made)


@routes.post(
    "/{name}/pause", name="subscription_pause", summary="Send nothing for now", responses=problems(404)
)
def pause(name: Name, asked: ByOwnerOfSubscriptions) -> told.Subscription:
    """Nothing is lost meanwhile."""
    asked.serving.subscriptions.pause(name, of=_of(asked))
    return _one(name, asked)


@routes.post("/{name}/resume", name="subscription_resume", summary="Go on", responses=problems(404))
def resume(name: Name, asked: ByOwnerOfSubscriptions) -> told.Subscription:
    """One that stopped at a dead letter goes on with that one."""
    asked.serving.subscriptions.resume(name, of=_of(asked))
    return _one(name, asked)


@routes.post(
    "/{name}/replay",
    name="subscription_replay",
    summary="Send events again",
    status_code=202,
    responses=problems(404),
)
def replay(name: Name, body: told.Replay, asked: ByOwnerOfSubscriptions) -> told.Subscription:
    """In order, before what has not been sent yet. The same again while it waits changes nothing."""
    asked.serving.subscriptions.replay(name, after=body.after, upto=body.upto, of=_of(asked))
    return _one(name, asked)


@routes.get("/{name}/dead-letters", name="dead_letters", summary="What was given up", responses=problems(404))
def dead(name: Name, asked: ByOwnerOfSubscriptions) -> told.DeadLetters:
    found = asked.serving.subscriptions.dead(name, of=_of(asked))
    return told.DeadLetters(dead_letters=[told.DeadLetter.model_validate(each) for each in found])


@routes.post(
    "/{name}/dead-letters/{number}/retry",
    name="dead_letter_retry",
    summary="Try it anew",
    responses=problems(404),
)
def retry(name: Name, number: Number, asked: ByOwnerOfSubscriptions) -> told.Subscription:
    asked.serving.subscriptions.retry(name, number, of=_of(asked))
    return _one(name, asked)


@routes.delete(
    "/{name}/dead-letters/{number}",
    name="dead_letter_discard",
    summary="Give it up for good",
    status_code=204,
    responses=problems(404),
)
def discard(name: Name, number: Number, asked: ByOwnerOfSubscriptions) -> None:
    """A subscription that stopped there goes on without it."""
    asked.serving.subscriptions.discard(name, number, of=_of(asked))


def _one(name: str, asked: Asked) -> told.Subscription:
    return told.Subscription.model_validate(asked.serving.subscriptions.get(name, of=_of(asked)))


def _of(asked: Asked) -> frozenset[str] | None:
    """The registries whose subscriptions these are; None for all."""
    return None if Role.ADMIN in asked.principal.roles else asked.principal.registries


def _registry(given: str | None, asked: Asked) -> str | None:
    """A registry that has just one need not say which."""
    own = _of(asked)
    if own is None:
        return given
    if given is None and len(own) == 1:
        return next(iter(own))
    if given not in own:
        raise InputError("Subscribe for a registry that is yours.", where="registry")
    return given
