"""What waits for a person: open questions, and requests that a second person must approve."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import func, select

from mdm.errors import NotFoundError
from mdm.store.references import EventRef, RecordRef, event_bodies, event_ref, record_refs
from mdm.store.tables import approval, entity, membership, review

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from sqlalchemy import Connection, RowMapping


@dataclass(frozen=True)
class Held:
    """A record and the entity that it belongs to now; None after its withdrawal."""

    record: RecordRef
    entity_id: str | None


@dataclass(frozen=True)
class Question:
    review: int
    reason: str
    state: str
    version: int
    weight: float | None
    """Bits of evidence for a match, where the question is about a pair."""
    records: tuple[Held, ...]
    hidden_records: int
    raised: EventRef
    decided: EventRef | None


@dataclass(frozen=True)
class Request:
    """`command` is what will be done once a second person approves."""

    approval: int
    requested_by: str
    reason: str
    asked_at: str
    command: Mapping[str, Any]


def questions(
    connection: Connection,
    *,
    state: str = "open",
    reason: str | None = None,
    after: int = 0,
    limit: int = 50,
    hidden: Collection[str] = (),
) -> tuple[list[Question], int]:
    """The first `limit` after question `after`, in the order in which they were raised, strongest evidence first; and how
    many there are in all.

    Records of `hidden` registries are only counted.
    """
    wanted = [review.c.state == state]
    if reason is not None:
        wanted.append(review.c.reason == reason)
    total = connection.scalar(select(func.count()).select_from(review).where(*wanted)) or 0
    rows = connection.execute(
        select(review).where(*wanted, review.c.review_id > after).order_by(review.c.review_id).limit(limit)
    ).mappings()
    return _told(connection, list(rows), hidden), int(total)


def question(connection: Connection, number: int, *, hidden: Collection[str] = ()) -> Question:
    """Raises NotFoundError where there is none."""
    return _told(connection, [question_row(connection, number)], hidden)[0]


def question_row(connection: Connection, number: int) -> RowMapping:
    """Raises NotFoundError where there is none."""
    row = connection.execute(select(review).where(review.c.review_id == number)).mappings().first()
    if row is None:
        raise NotFoundError(f"There is no question {number}.", hint="`mdm review list` shows the open ones.")
    return row


def requests(connection: Connection) -> list[Request]:
    """Those that are open, oldest first."""
    rows = connection.execute(
        select(approval).where(approval.c.state == "open").order_by(approval.c.approval_id)
    ).mappings()
    found = list(rows)
    events = event_bodies(connection, [row["from_event"] for row in found])
    return [
        Request(
            approval=row["approval_id"],
            requested_by=row["requested_by"],
            reason=events[row["from_event"]]["reason"],
            asked_at=events[row["from_event"]]["at"],
            command=orjson.loads(row["request"]),
        )
        for row in found
    ]


def _told(connection: Connection, rows: Sequence[RowMapping], hidden: Collection[str]) -> list[Question]:
    details = {row["review_id"]: orjson.loads(row["detail"]) for row in rows}
    records = {record for detail in details.values() for record in detail.get("records", ())}
    refs = record_refs(connection, records)
    homes = _homes(connection, records)
    events = event_bodies(
        connection, [seq for row in rows for seq in (row["raised_event"], row["decided_event"]) if seq]
    )
    told = []
    for row in rows:
        detail = details[row["review_id"]]
        held = [
            Held(refs[record], homes.get(record)) for record in detail.get("records", ()) if record in refs
        ]
        shown = tuple(one for one in held if one.record.registry not in hidden)
        told.append(
            Question(
                review=row["review_id"],
                reason=row["reason"],
                state=row["state"],
                version=row["version"],
                weight=detail.get("weight"),
                records=shown,
                hidden_records=len(held) - len(shown),
                raised=event_ref(events[row["raised_event"]]),
                decided=event_ref(events[row["decided_event"]]) if row["decided_event"] else None,
            )
        )
    return told


def _homes(connection: Connection, records: Collection[int]) -> dict[int, str]:
    rows = connection.execute(
        select(membership.c.record_id, entity.c.entity_id)
        .join(entity, entity.c.entity_key == membership.c.entity_key)
        .where(membership.c.record_id.in_(sorted(records)), membership.c.until_event.is_(None))
    )
    return {row.record_id: row.entity_id for row in rows}
