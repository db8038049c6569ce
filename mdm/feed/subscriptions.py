"""Who is told of events by webhook: subscriptions, their secrets, and what a person does where a receiver fails."""

from __future__ import annotations

import hashlib
import secrets
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from mdm.errors import (
    ConfigurationError,
    InputError,
    NoDeadLetterError,
    NoSubscriptionError,
    RepeatedKeyError,
)
from mdm.feed import signing
from mdm.feed.addresses import check_url
from mdm.feed.events import known_kinds
from mdm.feed.position import parse_cursor
from mdm.identity.clock import utc_now
from mdm.queries.viewer import Viewer, viewer_on_behalf
from mdm.registries.attributes import load_attributes
from mdm.registries.declaration import load_registries
from mdm.store import webhooks
from mdm.store.affected import last_event
from mdm.store.engine import looking, writing
from mdm.store.keys import make_webhook_key, webhook_key
from mdm.store.sealing import sealing_rules
from mdm.store.webhooks import ACTIVE, DEAD, PAUSED, PENDING, STOPPED, Span, Subscription

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from sqlalchemy import Connection, Engine

    from mdm.settings import Settings

FORMER_SECRET_HOURS = 24


@dataclass(frozen=True)
class Listed:
    """A subscription without what is secret. `behind` counts events of the log that it may still be told of."""

    id: str
    url: str
    kinds: list[str] | None
    registry: str | None
    sees_sealed: bool
    ordered: bool
    state: str
    created_by: str
    created_at: str
    delivered: int | None
    delivered_at: str | None
    behind: int
    attempts: int
    next_attempt_at: str | None
    error: str | None
    """Why the last attempt failed; None when it did not."""
    dead: int


@dataclass(frozen=True)
class Created:
    """`secret` is shown here and never again."""

    subscription: Listed
    secret: str


@dataclass(frozen=True)
class DeadLetter:
    """Events over `after` and up to `upto` that were given up; `number` names it within its subscription."""

    subscription: str
    number: int
    after: int
    upto: int
    attempts: int
    error: str | None


class Subscriptions:
    """Of one store. Each method is a transaction of its own; safe to share between threads.

    Where a method takes `of`, registries, there are only the subscriptions of these. All raise NoSubscriptionError, and those that take
    the number of a dead letter NoDeadLetterError.
    """

    def __init__(self, engine: Engine, settings: Settings) -> None:
        attributes = load_attributes(settings.attributes_file)
        self._registries = load_registries(settings.registries_folder, attributes=attributes)
        self.rules = sealing_rules(settings, self._registries, attributes)
        self._engine, self._settings = engine, settings

    def viewer(self, found: Subscription) -> Viewer:
        """As whom it is told."""
        return viewer_on_behalf(self._registries, registry=found.registry, sees_sealed=found.sees_sealed)

    def create(
        self,
        url: str,
        *,
        actor: str,
        kinds: Collection[str] | None = None,
        registry: str | None = None,
        sees_sealed: bool = False,
        ordered: bool = True,
        after: str | None = None,
        key: str | None = None,
    ) -> Created:
        """A subscription to events from now on.

        Args:
            url: where messages go.
            actor: who asks for it.
            kinds: of events; None for all.
            registry: only people with a record of this one, and of these only what it may know.
            sees_sealed: also what only concerns records of sealed registries.
            ordered: stop at a message that cannot be delivered, rather than go on without it.
            after: begin after this position in the log instead.
            key: idempotency key of the request: the actor's same request gets the first answer, with the secret.

        Raises:
            InputError: the URL, a kind, the registry or the position is none.
            RepeatedKeyError: the key was used for another request.
            ConfigurationError: the webhook key is missing.
        """
        check_url(url, self._settings)
        wanted = known_kinds(kinds)
        if registry is not None and registry not in self._registries:
            raise InputError("there is no such registry", where="registry")
        with writing(self._engine) as connection:
            last = last_event(connection)
            position = last if after is None else parse_cursor(after)[0].seq
            if position > last:
                raise InputError(f"this event has not happened: the last one is {last}", where="after")
            if not webhooks.subscriptions(connection):
                make_webhook_key(self._settings)
            signing_key = webhook_key(self._settings)
            made = Subscription(
                id=_new_id(actor, key),
                url=url,
                kinds=wanted,
                registry=registry,
                sees_sealed=sees_sealed,
                ordered=ordered,
                state=ACTIVE,
                position=position,
                salt=signing.new_salt(),
                former_salt=None,
                former_until=None,
                key_fingerprint=signing.fingerprint(signing_key),
                created_by=actor,
                created_at=utc_now(),
                delivered=None,
                delivered_at=None,
            )
            before = webhooks.locked(connection, made.id)
            if before is None:
                webhooks.add(connection, made)
            elif _asked(before) != _asked(made):
                raise RepeatedKeyError(
                    "This idempotency key was used for another request.",
                    hint="Give each request a key of its own.",
                )
            stands = before or made
            return Created(
                self._listed(connection, stands, last),
                signing.secret(signing_key, subscription=stands.id, salt=stands.salt),
            )

    def all(self, *, of: Collection[str] | None = None) -> list[Listed]:
        with looking(self._engine) as connection:
            last = last_event(connection)
            return [
                self._listed(connection, found, last)
                for found in webhooks.subscriptions(connection, registries=of)
            ]

    def get(self, subscription: str, *, of: Collection[str] | None = None) -> Listed:
        found = [listed for listed in self.all(of=of) if listed.id == subscription]
        if not found:
            raise _none()
        return found[0]

    def rotate(
        self,
        subscription: str,
        *,
        of: Collection[str] | None = None,
        keep_hours: float = FORMER_SECRET_HOURS,
        key: str | None = None,
    ) -> str:
        """A new secret, shown here and never again. Until the time is over messages are signed by both.

        A request that is repeated with its idempotency key gets the secret that it made.
        """
        if not 0 <= keep_hours <= 24 * 30:
            raise InputError("not from 0 to 720 hours", where="keep_hours")
        with self._changing(subscription, of) as (connection, found):
            signing_key = key_of(self._settings, found)
            salt = signing.new_salt() if key is None else _digest(subscription, key)
            if salt == found.salt:
                return signing.secret(signing_key, subscription=subscription, salt=salt)
            until = datetime.now(UTC) + timedelta(hours=keep_hours)
            webhooks.change(
                connection,
                subscription,
                salt=salt,
                former_salt=found.salt if keep_hours else None,
                former_until=until.isoformat(timespec="microseconds") if keep_hours else None,
            )
            return signing.secret(signing_key, subscription=subscription, salt=salt)

    def pause(self, subscription: str, *, of: Collection[str] | None = None) -> None:
        """Nothing is sent until it is resumed; nothing is lost meanwhile."""
        with self._changing(subscription, of) as (connection, _):
            webhooks.change(connection, subscription, state=PAUSED)

    def resume(self, subscription: str, *, of: Collection[str] | None = None) -> None:
        """One that stopped at a dead letter goes on with that one."""
        with self._changing(subscription, of) as (connection, found):
            webhooks.change(connection, subscription, state=ACTIVE)
            if found.ordered:
                webhooks.revive(connection, subscription, now=utc_now())

    def delete(self, subscription: str, *, of: Collection[str] | None = None) -> None:
        with self._changing(subscription, of) as (connection, _):
            webhooks.remove(connection, subscription)

    # --- what could not be delivered -----------------------------------------------------------------------------

    def dead(self, subscription: str | None = None, *, of: Collection[str] | None = None) -> list[DeadLetter]:
        with looking(self._engine) as connection:
            own = {found.id for found in webhooks.subscriptions(connection, registries=of)}
            if subscription is not None and subscription not in own:
                raise _none()
            return [
                DeadLetter(s.subscription, s.number, s.after, s.upto, s.attempts, s.error)
                for s in webhooks.spans(connection, subscription, state=DEAD)
                if s.subscription in own
            ]

    def retry(self, subscription: str, number: int, *, of: Collection[str] | None = None) -> None:
        """A dead letter is tried anew; a subscription that stopped goes on."""
        with self._changing(subscription, of) as (connection, found):
            if not webhooks.revive(connection, subscription, now=utc_now(), number=number):
                raise _no_letter()
            if found.state == STOPPED:
                webhooks.change(connection, subscription, state=ACTIVE)

    def discard(self, subscription: str, number: int, *, of: Collection[str] | None = None) -> None:
        """A dead letter is given up for good; a subscription that stopped goes on without it."""
        with self._changing(subscription, of) as (connection, found):
            if not webhooks.discard(connection, subscription, number):
                raise _no_letter()
            if found.state == STOPPED and not webhooks.spans(connection, subscription, state=DEAD):
                webhooks.change(connection, subscription, state=ACTIVE)

    def replay(
        self, subscription: str, *, after: str, upto: int | None = None, of: Collection[str] | None = None
    ) -> Span:
        """Sends events again: those after a position and up to an event, None for the last one that was sent.

        They come before what has not been handed out yet. What already waits to be sent again is not added a second time.
        """
        with self._changing(subscription, of) as (connection, found):
            ends = found.position if upto is None else upto
            begins = parse_cursor(after)[0].seq
            if not begins < ends <= found.position:
                raise InputError(
                    f"there is nothing to send again: events up to {found.position} were handed out",
                    where="upto",
                    hint="Give a position before an event that was.",
                )
            for waits in webhooks.spans(connection, subscription, state=PENDING):
                if (waits.after, waits.after_key, waits.upto, waits.attempts) == (begins, 0, ends, 0):
                    return waits
            return webhooks.add_span(connection, subscription, after=begins, upto=ends, now=utc_now())

    # --- parts ---------------------------------------------------------------------------------------------------

    @contextmanager
    def _changing(
        self, subscription: str, of: Collection[str] | None
    ) -> Iterator[tuple[Connection, Subscription]]:
        with writing(self._engine) as connection:
            found = webhooks.locked(connection, subscription)
            if found is None or (of is not None and found.registry not in of):
                raise _none()
            yield connection, found

    def _listed(self, connection: Connection, found: Subscription, last: int) -> Listed:
        waiting = webhooks.spans(connection, found.id)
        pending = [span for span in waiting if span.state != DEAD]
        failed = next((span for span in waiting if span.error is not None), None)
        return Listed(
            id=found.id,
            url=found.url,
            kinds=None if found.kinds is None else sorted(found.kinds),
            registry=found.registry,
            sees_sealed=found.sees_sealed,
            ordered=found.ordered,
            state=found.state,
            created_by=found.created_by,
            created_at=found.created_at,
            delivered=found.delivered,
            delivered_at=found.delivered_at,
            behind=last - found.position + sum(span.upto - span.after for span in pending),
            attempts=failed.attempts if failed else 0,
            next_attempt_at=failed.next_at if failed and failed.state != DEAD else None,
            error=failed.error if failed else None,
            dead=len(waiting) - len(pending),
        )


def key_of(settings: Settings, found: Subscription) -> bytes:
    """The webhook key; refuses one other than the subscription's secret derives from."""
    key = webhook_key(settings)
    if signing.fingerprint(key) != found.key_fingerprint:
        raise ConfigurationError(
            "This webhook key is not the one that the subscription's secret derives from.",
            where=str(settings.webhook_key_file),
            hint="Restore the right key file, or delete the subscription and make it anew.",
        )
    return key


def secrets_of(settings: Settings, found: Subscription, *, now: str) -> list[str]:
    """That sign a message now, the newest first."""
    key = key_of(settings, found)
    salts = [found.salt]
    if found.former_salt is not None and found.former_until is not None and now < found.former_until:
        salts.append(found.former_salt)
    return [signing.secret(key, subscription=found.id, salt=salt) for salt in salts]


def _new_id(actor: str, key: str | None) -> str:
    return f"sub_{secrets.token_hex(8) if key is None else _digest(actor, key)[:16]}"


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _asked(of: Subscription) -> tuple[object, ...]:
    return (of.url, of.kinds, of.registry, of.sees_sealed, of.ordered)


def _none() -> NoSubscriptionError:
    return NoSubscriptionError("There is no such subscription.", hint="See the list of subscriptions.")


def _no_letter() -> NoDeadLetterError:
    return NoDeadLetterError("There is no such dead letter.", hint="See the list of dead letters.")
