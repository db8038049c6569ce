"""Webhooks: who is told of events, and what could not be delivered."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Path

from api.schemas import feed as told
from mdm.errors import InputError
from mdm.feed.subscriptions import Subscriptions

Name = Annotated[str, Path(pattern=r"^sub_[0-9a-f]{16}$", examples=["sub_1f0c2ab34d5e6f70"])]
Number = Annotated[int, Path(ge=1, le=2**63 - 1, description="Of the dead letter", examples=[7])]
Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=r"^[!-~]{1,200}$",
        description="The same request with the same key is carried out once, and gets the first answer",
        examples=["3f1c0e6a-subscribe"],
    ),
]


@dataclass(frozen=True)
class Asker:
    """`registries` are those for which it may subscribe; None for whoever runs the installation."""

    actor: str
    registries: frozenset[str] | None


def router(
    *,
    subscriptions: Callable[..., Subscriptions],
    asker: Callable[..., Asker],
    responses: dict[int | str, dict[str, Any]] | None = None,
) -> APIRouter:
    """`subscriptions` and `asker` are dependencies; the second one refuses who may not subscribe."""
    routes = APIRouter(prefix="/subscriptions", tags=["subscriptions"], responses=responses)
    _of_subscriptions(routes, subscriptions, asker)
    _of_delivery(routes, subscriptions, asker)
    return routes


def _of_subscriptions(
    routes: APIRouter, subscriptions: Callable[..., Subscriptions], asker: Callable[..., Asker]
) -> None:
    Desk = Annotated[Subscriptions, Depends(subscriptions)]  # noqa: N806
    By = Annotated[Asker, Depends(asker)]  # noqa: N806

    @routes.get("", name="subscriptions", summary="Subscriptions, and how far each has come")
    def listed(desk: Desk, by: By) -> told.Subscriptions:
        return told.Subscriptions(
            subscriptions=[told.Subscription.model_validate(each) for each in desk.all(of=by.registries)]
        )

    @routes.post("", name="subscription_create", summary="Subscribe a URL", status_code=201)
    def create(body: told.NewSubscription, desk: Desk, by: By, key: Key = None) -> told.CreatedSubscription:
        """The secret of the answer signs the messages (Standard Webhooks). It is shown here and never again."""
        made = desk.create(
            body.url,
            actor=by.actor,
            kinds=body.kinds,
            registry=_registry(body.registry, by),
            ordered=body.ordered,
            after=body.after,
            key=key,
        )
        return told.CreatedSubscription.model_validate(made)

    @routes.get("/{name}", name="subscription", summary="One subscription")
    def one(name: Name, desk: Desk, by: By) -> told.Subscription:
        return told.Subscription.model_validate(desk.get(name, of=by.registries))

    @routes.delete("/{name}", name="subscription_delete", summary="End it", status_code=204)
    def delete(name: Name, desk: Desk, by: By) -> None:
        """What was still to be sent is not."""
        desk.delete(name, of=by.registries)

    @routes.post("/{name}/rotate", name="subscription_rotate", summary="Make a new secret")
    def rotate(
        name: Name, desk: Desk, by: By, body: told.Rotation | None = None, key: Key = None
    ) -> told.Secret:
        """For a time messages carry a signature by each of both secrets."""
        hours = (body or told.Rotation()).keep_hours
        return told.Secret(secret=desk.rotate(name, of=by.registries, keep_hours=hours, key=key))


def _of_delivery(
    routes: APIRouter, subscriptions: Callable[..., Subscriptions], asker: Callable[..., Asker]
) -> None:
    Desk = Annotated[Subscriptions, Depends(subscriptions)]  # noqa: N806
    By = Annotated[Asker, Depends(asker)]  # noqa: N806

    @routes.post("/{name}/pause", name="subscription_pause", summary="Send nothing for now")
    def pause(name: Name, desk: Desk, by: By) -> told.Subscription:
        """Nothing is lost meanwhile."""
        desk.pause(name, of=by.registries)
        return told.Subscription.model_validate(desk.get(name, of=by.registries))

    @routes.post("/{name}/resume", name="subscription_resume", summary="Go on")
    def resume(name: Name, desk: Desk, by: By) -> told.Subscription:
        """One that stopped at a dead letter goes on with that one."""
        desk.resume(name, of=by.registries)
        return told.Subscription.model_validate(desk.get(name, of=by.registries))

    @routes.post("/{name}/replay", name="subscription_replay", summary="Send events again", status_code=202)
    def replay(name: Name, body: told.Replay, desk: Desk, by: By) -> told.Subscription:
        """In order, before what has not been sent yet."""
        desk.replay(name, after=body.after, upto=body.upto, of=by.registries)
        return told.Subscription.model_validate(desk.get(name, of=by.registries))

    @routes.get("/{name}/dead-letters", name="dead_letters", summary="What was given up")
    def dead(name: Name, desk: Desk, by: By) -> told.DeadLetters:
        found = desk.dead(name, of=by.registries)
        return told.DeadLetters(dead_letters=[told.DeadLetter.model_validate(each) for each in found])

    @routes.post("/{name}/dead-letters/{number}/retry", name="dead_letter_retry", summary="Try it anew")
    def retry(name: Name, number: Number, desk: Desk, by: By) -> told.Subscription:
        desk.retry(name, number, of=by.registries)
        return told.Subscription.model_validate(desk.get(name, of=by.registries))

    @routes.delete(
        "/{name}/dead-letters/{number}",
        name="dead_letter_discard",
        summary="Give it up for good",
        status_code=204,
    )
    def discard(name: Name, number: Number, desk: Desk, by: By) -> None:
        """A subscription that stopped there goes on without it."""
        desk.discard(name, number, of=by.registries)


def _registry(given: str | None, by: Asker) -> str | None:
    """A registry that has just one need not say which."""
    if by.registries is None:
        return given
    if given is None and len(by.registries) == 1:
        return next(iter(by.registries))
    if given not in by.registries:
        raise InputError("subscribe for a registry that is yours", where="registry")
    return given
