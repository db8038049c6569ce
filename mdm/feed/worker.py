"""Delivery of webhooks: to each subscription in order, at least once, for as long as it takes.

What is to be sent stands in the store, and a message is made of it anew at each attempt, with the same ID and the same bytes. So a worker
that was killed is followed by any other one. On PostgreSQL workers share: who sends to a subscription has its row locked, and what
was taken is noted before the lock is let go. On SQLite there is one worker, and it does not hold the store while it waits.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import random
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import orjson

from mdm.errors import ConfigurationError, StoreBusyError, StoreError
from mdm.feed.events import Page, read_page
from mdm.feed.position import Position
from mdm.feed.sending import Outcome, Sender
from mdm.feed.signing import signed_headers
from mdm.feed.subscriptions import Subscriptions, secrets_of
from mdm.identity.clock import utc_now
from mdm.store import webhooks
from mdm.store.affected import last_event
from mdm.store.engine import looking, make_engine, to_write
from mdm.store.webhooks import ACTIVE, DEAD, PENDING, STOPPED, Span, Subscription

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Connection, Engine

    from mdm.settings import Settings

EVENTS_A_MESSAGE = 100
_MESSAGES_A_TURN = 100
_AT_ONCE = 8
_POLL_SECONDS = 0.5
_LONGEST_WAIT = 6 * 3600
_chance = random.SystemRandom()
log = logging.getLogger("mdm.webhooks")


@dataclass(frozen=True)
class Message:
    """`id` is of what it tells: the same events to the same subscription have the same one."""

    id: str
    body: bytes


def message_of(found: Subscription, span: Span, page: Page) -> Message:
    """The same bytes for the same span and page."""
    data = {
        "subscription": found.id,
        "events": [asdict(event) for event in page.events],
        "next": page.next,
    }
    body = {"type": "mdm.events", "timestamp": page.events[-1].at, "data": data}
    told = f"{found.id} {span.after}.{span.after_key} {page.next}"
    return Message(f"msg_{hashlib.sha256(told.encode()).hexdigest()[:32]}", orjson.dumps(body))


def wait_before(attempt: int, *, first: float, asked: float = 0) -> float:
    """Seconds before the next attempt, after `attempt` have failed: twice as long each time, by chance up to a half less."""
    longest: float = min(first * 2 ** (attempt - 1), _LONGEST_WAIT)
    return max(longest * _chance.uniform(0.5, 1), min(asked, float(_LONGEST_WAIT)))


class Worker:
    """Sends to several subscriptions at once, each in a thread."""

    def __init__(self, settings: Settings, *, engine: Engine | None = None) -> None:
        """`engine` is one of a server that keeps the store open; it is not closed with the worker."""
        self._own = engine is None
        self._engine = make_engine(settings, keep_open=True) if engine is None else engine
        self._settings = settings
        self._subscriptions = Subscriptions(self._engine, settings)
        self._at_work: dict[str, Future[bool]] = {}

    def close(self) -> None:
        if self._own:
            self._engine.dispose()

    def run(self, stop: threading.Event) -> None:
        """Until it is told to stop; what is being sent is then finished. A store that goes away is waited for."""
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="webhooks") as threads:
            is_away = False
            while not stop.is_set():
                try:
                    due = self._due()
                    is_away = False
                except StoreError as error:
                    if not is_away:
                        log.warning("the store cannot be read (%s)", error.code)
                    due, is_away = [], True
                except Exception:
                    log.exception("a fault of the worker")
                    due = []
                self._at_work = {name: turn for name, turn in self._at_work.items() if not turn.done()}
                for name in due:
                    if name not in self._at_work:
                        self._at_work[name] = threads.submit(self._turn, name, stop)
                stop.wait(_POLL_SECONDS)

    def deliver_due(self) -> None:
        """All that is due now, one subscription after the other."""
        for name in self._due():
            while self._turn(name, threading.Event()):
                pass

    def _due(self) -> list[str]:
        """Subscriptions with events to be handed out, or with a message whose time has come."""
        now = utc_now()
        with looking(self._engine) as connection:
            last = last_event(connection)
            active = [found for found in webhooks.subscriptions(connection) if found.state == ACTIVE]
            heads: dict[str, Span] = {}
            for span in webhooks.spans(connection, state=PENDING):
                heads.setdefault(span.subscription, span)
        return [
            found.id
            for found in active
            if (heads[found.id].next_at <= now if found.id in heads else found.position < last)
        ]

    def _turn(self, name: str, stop: threading.Event) -> bool:
        """Sends messages to one subscription until nothing is due or one fails; whether there may be more."""
        try:
            with Sender(self._settings) as sender:
                for _ in range(_MESSAGES_A_TURN):
                    if stop.is_set() or not self._send_next(name, sender):
                        return False
                return True
        except (StoreError, ConfigurationError) as error:
            log.warning("subscription %s: nothing can be sent (%s): %s", name, error.code, error.message)
        except Exception:
            log.exception("subscription %s: a fault of the worker", name)
        return False

    def _send_next(self, name: str, sender: Sender) -> bool:
        with to_write(self._engine) as connection:
            found = webhooks.locked(connection, name, waits=False)
            if found is None or found.state != ACTIVE:
                return False
            waiting = webhooks.spans(connection, name, state=PENDING)
            if not waiting:
                is_new = self._hand_out(connection, found)
                connection.commit()  # before it is sent, so that whoever comes after a kill sends the same messages
                return is_new
            span = waiting[0]
            if span.next_at > utc_now():
                return False
            page = read_page(
                connection,
                self._subscriptions.viewer(found),
                Position(span.after, span.after_key),
                upto=span.upto,
                limit=EVENTS_A_MESSAGE,
                kinds=found.kinds,
                rules=self._subscriptions.rules,
            )
            if not page.events:
                self._goes_on(connection, span, page)
                connection.commit()
                return True
            message = message_of(found, span, page)
            at = datetime.now(UTC)
            headers = signed_headers(
                secrets_of(self._settings, found, now=utc_now()), message=message.id, body=message.body, at=at
            )
            if self._settings.is_sqlite:
                connection.commit()  # others may write while the receiver is waited for
            outcome = sender.send(found.url, message.body, headers)
            if outcome.error is None:
                if self._goes_on(connection, span, page):
                    webhooks.change(
                        connection,
                        name,
                        delivered=max(found.delivered or 0, page.events[-1].seq),
                        delivered_at=utc_now(),
                    )
            else:
                log.warning("subscription %s: message %s was not taken: %s", name, message.id, outcome.error)
                self._failed(connection, found, span, page, outcome)
            connection.commit()
            return outcome.error is None

    def _hand_out(self, connection: Connection, found: Subscription) -> bool:
        """The events since; False where there is none."""
        last = last_event(connection)
        if found.position >= last:
            return False
        webhooks.change(connection, found.id, position=last)
        webhooks.add_span(connection, found.id, after=found.position, upto=last, now=utc_now())
        return True

    def _goes_on(self, connection: Connection, span: Span, page: Page) -> bool:
        if not page.more:
            return webhooks.remove_span(connection, span)
        reached = page.position
        return webhooks.change_span(
            connection,
            span,
            after=reached.seq,
            after_key=reached.key,
            attempts=0,
            error=None,
            next_at=utc_now(),
        )

    def _failed(
        self, connection: Connection, found: Subscription, span: Span, page: Page, outcome: Outcome
    ) -> None:
        attempts = span.attempts + 1
        if attempts < self._settings.webhook_attempts and not outcome.is_gone:
            seconds = wait_before(attempts, first=self._settings.webhook_retry, asked=outcome.retry_after)
            at = datetime.now(UTC) + timedelta(seconds=seconds)
            webhooks.change_span(
                connection,
                span,
                attempts=attempts,
                error=outcome.error,
                next_at=at.isoformat(timespec="microseconds"),
            )
            return
        reached = page.position
        upto = min(span.upto, reached.seq + (1 if reached.key else 0))
        dead = webhooks.change_span(
            connection, span, state=DEAD, attempts=attempts, error=outcome.error, upto=upto
        )
        if dead and page.more:
            webhooks.add_span(
                connection,
                found.id,
                after=reached.seq,
                after_key=reached.key,
                upto=span.upto,
                now=utc_now(),
            )
        if dead and (found.ordered or outcome.is_gone):
            webhooks.change(connection, found.id, state=STOPPED)
            log.error("subscription %s has stopped: see mdm webhooks dead", found.id)


@contextmanager
def alone(settings: Settings) -> Iterator[None]:
    """On SQLite there is one worker. Raises StoreBusyError for a second one."""
    if not settings.is_sqlite:
        yield
        return
    path = _lock_file(settings)
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StoreBusyError(
                "Another worker sends this store's webhooks.",
                where=str(path),
                hint="One is enough; on PostgreSQL several share the work.",
            ) from error
        yield
    finally:
        os.close(handle)


@contextmanager
def in_background(settings: Settings, *, engine: Engine | None = None) -> Iterator[bool]:
    """A worker in a thread of this process, until the end. False where, on SQLite, another process has one."""
    with ExitStack() as held:
        try:
            held.enter_context(alone(settings))
        except StoreBusyError:
            log.warning("another process sends this store's webhooks")
            yield False
            return
        worker = Worker(settings, engine=engine)
        held.callback(worker.close)
        stop = threading.Event()
        thread = threading.Thread(target=worker.run, args=(stop,), name="webhooks")
        thread.start()
        held.callback(thread.join)
        held.callback(stop.set)
        yield True


def _lock_file(settings: Settings) -> Path:
    return settings.store_file.with_name(settings.store_file.name + ".webhooks-lock")
