"""What lies on the stewards' desk beside the changes themselves: approvals, answered requests, questions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, insert, or_, select, update

from mdm.errors import IdentityError, NotFoundError, RepeatedKeyError
from mdm.identity.events import EventKind, canonical_json
from mdm.store.reviews import reviews_digest
from mdm.store.tables import approval as approvals
from mdm.store.tables import edge, entity, event, event_entity, idempotency, record, review

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from mdm.identity.events import Stamp
    from mdm.identity.reconcile import Question
    from mdm.store.unit_of_work import UnitOfWork


# --- requests that were answered -------------------------------------------------------------------------------------


def answered(work: UnitOfWork, key: str, request: str) -> list[int] | None:
    """The events of the request that used this key before; None for a new key."""
    row = work.connection.execute(select(idempotency).where(idempotency.c.key == key)).mappings().first()
    if row is None:
        return None
    if row["request"] != request:
        raise RepeatedKeyError(
            "This idempotency key was used for another request.", hint="Give each request a key of its own."
        )
    return list(range(row["first_event"], row["last_event"] + 1))


def keep_answer(work: UnitOfWork, key: str, request: str, events: Sequence[int]) -> None:
    row = {"key": key, "request": request, "first_event": events[0], "last_event": events[-1]}
    work.connection.execute(insert(idempotency), row)


def affected(work: UnitOfWork, events: Sequence[int]) -> list[str]:
    """IDs of the entities that the events name or touch."""
    named = work.connection.scalars(
        select(event.c.entity).where(event.c.seq.in_(events), event.c.entity.is_not(None))
    )
    beside = work.connection.scalars(
        select(entity.c.entity_id)
        .join(event_entity, event_entity.c.entity_key == entity.c.entity_key)
        .where(event_entity.c.seq.in_(events))
    )
    return sorted({*named, *beside})


# --- four eyes -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Asked:
    command: dict[str, Any]
    requested_by: str
    reason: str


def ask_approval(
    work: UnitOfWork, command: dict[str, Any], *, request: list[str] | None, stamp: Stamp
) -> tuple[list[int], int]:
    """Keeps a request that needs a second person; returns its event and number."""
    number = int(work.connection.scalar(select(func.coalesce(func.max(approvals.c.approval_id), 0))) or 0) + 1
    data: dict[str, Any] = {"approval": number, "command": command}
    if request is not None:
        data["request"] = request
    events = work.append([(EventKind.APPROVAL_ASKED, None, data)], stamp=stamp)
    row = {
        "approval_id": number,
        "request": canonical_json(command),
        "requested_by": stamp.actor,
        "state": "open",
        "from_event": events[0],
    }
    work.connection.execute(insert(approvals), row)
    return events, number


def open_approval(work: UnitOfWork, number: int) -> Asked:
    row = (
        work.connection.execute(select(approvals).where(approvals.c.approval_id == number)).mappings().first()
    )
    if row is None:
        raise NotFoundError(f"There is no request {number}.")
    if row["state"] != "open":
        raise IdentityError(f"Request {number} is {row['state']} already.")
    asked = work.event(row["from_event"])
    return Asked(asked["data"]["command"], asked["actor"], asked["reason"])


def close_approval(
    work: UnitOfWork, number: int, *, state: str, stamp: Stamp, request: list[str] | None = None
) -> list[int]:
    data: dict[str, Any] = {"approval": number, "state": state}
    if request is not None:
        data["request"] = request
    events = work.append([(EventKind.APPROVAL_GIVEN, None, data)], stamp=stamp)
    work.connection.execute(
        update(approvals).where(approvals.c.approval_id == number).values(state=state, until_event=events[0])
    )
    return events


# --- questions -------------------------------------------------------------------------------------------------------


def raise_questions(work: UnitOfWork, questions: Sequence[Question], *, stamp: Stamp) -> None:
    """New questions only: one that is open or decided already is not asked twice."""
    if not questions:
        return
    known = set(
        work.connection.scalars(
            select(review.c.subject).where(review.c.subject.in_([q.subject for q in questions]))
        )
    )
    rows = [
        {"reason": q.reason, "subject": q.subject, "detail": canonical_json(q.detail)}
        for q in sorted(questions, key=lambda q: q.subject)
        if q.subject not in known
    ]
    if not rows:
        return
    data = {"count": len(rows), "digest": reviews_digest(rows)}
    (seq,) = work.append([(EventKind.REVIEWS_RAISED, None, data)], stamp=stamp)
    following = int(work.connection.scalar(select(func.coalesce(func.max(review.c.review_id), 0))) or 0)
    work.connection.execute(
        insert(review),
        [
            {"review_id": following + place, "state": "open", "version": 1, "raised_event": seq, **row}
            for place, row in enumerate(rows, start=1)
        ],
    )


def close_question(work: UnitOfWork, number: int, *, state: str, event: int) -> None:
    work.connection.execute(
        update(review)
        .where(review.c.review_id == number)
        .values(state=state, version=review.c.version + 1, decided_event=event)
    )


def resembling(work: UnitOfWork, records: Collection[int], others: Collection[int]) -> list[int]:
    """Of `records` those that have an edge to one of `others`."""
    pairs = work.connection.execute(
        select(edge.c.record_l, edge.c.record_r).where(
            or_(
                edge.c.record_l.in_(records) & edge.c.record_r.in_(others),
                edge.c.record_r.in_(records) & edge.c.record_l.in_(others),
            )
        )
    ).all()
    return sorted({record for pair in pairs for record in pair} & set(records))


def visible(work: UnitOfWork, records: Collection[int], *, hidden: Collection[str]) -> list[int]:
    """Records that are of no `hidden` registry, in order."""
    if not hidden:
        return sorted(records)
    known = select(record.c.record_id).where(
        record.c.record_id.in_(records), record.c.registry.not_in(hidden)
    )
    return sorted(work.connection.scalars(known))


def registries_of(work: UnitOfWork, records: Collection[int]) -> set[str]:
    return set(
        work.connection.scalars(
            select(record.c.registry).where(record.c.record_id.in_(records), record.c.status == "active")
        )
    )
