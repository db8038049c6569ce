"""Subscriptions and what is still to be sent to them.

These rows tell nothing of identity: a change of them is no event, and on PostgreSQL it does not wait for its turn among the writers of the log.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import orjson
from sqlalchemy import and_, delete, func, insert, select, update

from mdm.store.tables import outgoing, subscription

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy import ColumnElement, Connection, RowMapping

ACTIVE, PAUSED, STOPPED = "active", "paused", "stopped"
PENDING, DEAD = "pending", "dead"


@dataclass(frozen=True)
class Subscription:
    """`state` is active, paused (by a person) or stopped (by a message that was given up)."""

    id: str
    url: str
    kinds: frozenset[str] | None
    registry: str | None
    sees_sealed: bool
    ordered: bool
    state: str
    position: int
    salt: str
    former_salt: str | None
    former_until: str | None
    key_fingerprint: str
    created_by: str
    created_at: str
    delivered: int | None
    delivered_at: str | None


@dataclass(frozen=True)
class Span:
    """Events to be sent: over `after` (of the one that follows, entities with keys over `after_key`) and up to `upto`."""

    subscription: str
    number: int
    after: int
    after_key: int
    upto: int
    state: str
    attempts: int
    next_at: str
    error: str | None


# --- subscriptions ---------------------------------------------------------------------------------------------------


def add(connection: Connection, made: Subscription) -> None:
    kinds = None if made.kinds is None else orjson.dumps(sorted(made.kinds)).decode()
    row = {
        **{name: getattr(made, name) for name in _FIELDS},
        "subscription_id": made.id,
        "kinds": kinds,
        "sees_sealed": int(made.sees_sealed),
        "ordered": int(made.ordered),
    }
    connection.execute(insert(subscription), row)


def subscriptions(connection: Connection, *, registries: Collection[str] | None = None) -> list[Subscription]:
    """The oldest first; with `registries` only those of them."""
    wanted = select(subscription).order_by(subscription.c.created_at, subscription.c.subscription_id)
    if registries is not None:
        wanted = wanted.where(subscription.c.registry.in_(registries))
    return [_subscription(row) for row in connection.execute(wanted).mappings()]


def locked(connection: Connection, subscription_id: str, *, waits: bool = True) -> Subscription | None:
    """Until the transaction ends no other one has it; None if there is none, or another has it and this is not to wait.

    On SQLite the transaction is alone anyway.
    """
    wanted = select(subscription).where(subscription.c.subscription_id == subscription_id)
    row = connection.execute(wanted.with_for_update(skip_locked=not waits)).mappings().first()
    return None if row is None else _subscription(row)


def change(connection: Connection, subscription_id: str, **values: str | int | None) -> None:
    connection.execute(
        update(subscription).where(subscription.c.subscription_id == subscription_id).values(**values)
    )


def remove(connection: Connection, subscription_id: str) -> None:
    for table in (outgoing, subscription):
        connection.execute(delete(table).where(table.c.subscription_id == subscription_id))


# --- spans -----------------------------------------------------------------------------------------------------------


def spans(
    connection: Connection, subscription_id: str | None = None, *, state: str | None = None
) -> list[Span]:
    """In the order in which they are sent."""
    wanted = select(outgoing).order_by(outgoing.c.subscription_id, outgoing.c.number)
    if subscription_id is not None:
        wanted = wanted.where(outgoing.c.subscription_id == subscription_id)
    if state is not None:
        wanted = wanted.where(outgoing.c.state == state)
    return [Span(*row) for row in connection.execute(wanted)]


def add_span(
    connection: Connection, subscription_id: str, *, after: int, after_key: int = 0, upto: int, now: str
) -> Span:
    """Behind all others of the subscription, which the transaction has locked."""
    most = select(func.coalesce(func.max(outgoing.c.number), 0)).where(
        outgoing.c.subscription_id == subscription_id
    )
    number = int(connection.scalar(most) or 0) + 1
    made = Span(subscription_id, number, after, after_key, upto, PENDING, 0, now, None)
    row = {name: getattr(made, name) for name in _SPAN_FIELDS}
    connection.execute(insert(outgoing), {"subscription_id": subscription_id, **row})
    return made


def change_span(connection: Connection, span: Span, **values: str | int | None) -> bool:
    """False if it is not as it was read any more: another has changed it or taken it away since."""
    return connection.execute(update(outgoing).where(_same(span)).values(**values)).rowcount == 1


def remove_span(connection: Connection, span: Span) -> bool:
    """False as `change_span`."""
    return connection.execute(delete(outgoing).where(_same(span))).rowcount == 1


def revive(connection: Connection, subscription_id: str, *, now: str, number: int | None = None) -> int:
    """Dead spans, or one of them, are tried anew; returns how many."""
    wanted = update(outgoing).where(outgoing.c.subscription_id == subscription_id, outgoing.c.state == DEAD)
    if number is not None:
        wanted = wanted.where(outgoing.c.number == number)
    return connection.execute(wanted.values(state=PENDING, attempts=0, next_at=now)).rowcount


def discard(connection: Connection, subscription_id: str, number: int) -> int:
    """Takes a dead span away; returns how many."""
    return connection.execute(
        delete(outgoing).where(
            outgoing.c.subscription_id == subscription_id,
            outgoing.c.number == number,
            outgoing.c.state == DEAD,
        )
    ).rowcount


# --- rows ------------------------------------------------------------------------------------------------------------


def _same(span: Span) -> ColumnElement[bool]:
    """That a row is as it was read."""
    return and_(
        outgoing.c.subscription_id == span.subscription,
        outgoing.c.number == span.number,
        outgoing.c.after == span.after,
        outgoing.c.after_key == span.after_key,
        outgoing.c.state == span.state,
        outgoing.c.attempts == span.attempts,
    )


def _subscription(row: RowMapping) -> Subscription:
    values = {name: row[name] for name in _FIELDS}
    values["kinds"] = None if row["kinds"] is None else frozenset(orjson.loads(row["kinds"]))
    values["sees_sealed"], values["ordered"] = bool(row["sees_sealed"]), bool(row["ordered"])
    return Subscription(id=row["subscription_id"], **values)


_FIELDS = [each.name for each in fields(Subscription) if each.name != "id"]
_SPAN_FIELDS = [each.name for each in fields(Span) if each.name != "subscription"]
