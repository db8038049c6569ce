"""Points of the log, and what stood at one of them.

Every read of a person is as of an event: the present is the last event there is. So one reading is whole whatever is
written meanwhile, and a read of the past asks the same queries as a read of the present.

Statements that use `stands` or `version_at` are built once and executed with `Moment.bound`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import BigInteger, Text, and_, bindparam, case, cast, func, literal, or_, select

from mdm.errors import InputError
from mdm.identity.events import EventKind
from mdm.store.tables import event, record_version

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection, FromClause, ScalarSelect, Select

VIETNAM = timezone(timedelta(hours=7))
_WHERE = "--as-of"
_HINT = "Give an event's number, a day (YYYY-MM-DD, until its end in Vietnam), or a time with its zone (2026-03-01T08:00:00+07:00)."

_BIGGEST = 2**63 - 1

SEQ = bindparam("seq", type_=BigInteger)
BATCH = bindparam("batch", type_=BigInteger)


@dataclass(frozen=True)
class Moment:
    """Events up to `seq` had happened, deliveries up to `batch` had landed; 0 where there was none."""

    seq: int
    batch: int

    def bound(self, **given: Any) -> dict[str, Any]:
        """Parameters of a statement as of this moment."""
        return {"seq": self.seq, "batch": self.batch, **given}


def stands(of: FromClause) -> ColumnElement[bool]:
    """That a row with from_event and until_event held at the moment."""
    since, until = of.c.from_event, of.c.until_event
    return and_(since <= SEQ, or_(until.is_(None), until > SEQ))


def version_at(record_id: ColumnElement[int]) -> ScalarSelect[int]:
    """The version of a record at the moment: a version lands with its delivery."""
    versions = record_version.alias("versions")
    return (
        select(func.max(versions.c.version))
        .where(versions.c.record_id == record_id, versions.c.batch_id <= BATCH)
        .scalar_subquery()
    )


def read_moment(connection: Connection, when: str | int | None = None) -> Moment:
    """One query, whatever is asked for.

    Args:
        connection: to the store.
        when: an event's number; a day, until its end in UTC+7; a time (RFC 3339), the last event at or before it;
            None, the last event there is.

    Raises:
        InputError: it is none of these, or an event that has not happened.
    """
    asked = _parsed(when)
    if asked is None:
        found, newest, body = connection.execute(_NOW).one()
    elif isinstance(asked, int):
        found, newest, body = connection.execute(_AT_EVENT, {"seq": asked}).one()
    else:
        found, newest, body = connection.execute(_AT_TIME, {"at": asked}).one()
    if found > newest:
        raise InputError(
            f"event {found} has not happened: the last one is {newest}", where=_WHERE, hint=_HINT
        )
    return Moment(found, 0 if body is None else int(orjson.loads(body)["data"]["batch_id"]))


def _parsed(when: str | int | None) -> int | str | None:
    """An event's number, a time as events have it, or None."""
    if when is None or isinstance(when, int):
        return when
    if when.isdecimal():
        return min(int(when), _BIGGEST)
    try:
        if len(when) == len("YYYY-MM-DD"):
            ended = datetime.combine(date.fromisoformat(when) + timedelta(days=1), time(), VIETNAM)
            given = ended - timedelta(microseconds=1)
        else:
            given = datetime.fromisoformat(when)
    except (ValueError, OverflowError) as error:
        raise InputError(f"`{when}` is no point in time", where=_WHERE, hint=_HINT) from error
    if given.tzinfo is None:
        raise InputError(f"`{when}` does not tell its time zone", where=_WHERE, hint=_HINT)
    return given.astimezone(UTC).isoformat(timespec="microseconds")


_LAST = select(func.coalesce(func.max(event.c.seq), 0)).scalar_subquery()


def _reaching(seq: Any) -> Select[int, int, str | None]:
    """The event's number, the last one there is, and the body of the last delivery's event at or before it."""
    reached = select(cast(seq, BigInteger).label("seq")).cte("reached")
    landed = (
        select(event.c.body)
        .where(event.c.kind == EventKind.BATCH_LANDED.value, event.c.seq <= reached.c.seq)
        .order_by(event.c.seq.desc())
        .limit(1)
        .correlate(reached)
        .scalar_subquery()
    )
    return select(reached.c.seq, _LAST, landed)


def _last_at(at: Any) -> ScalarSelect[int]:
    """The last event at or before a time, 0 for none. Times ascend with event numbers, so it is found by halving."""
    bounds = select(cast(literal(0), BigInteger).label("low"), _LAST.label("high")).cte(
        "bounds", recursive=True
    )
    middle = (bounds.c.low + bounds.c.high + 1) // 2
    happened = event.c.at <= at
    halves = bounds.union_all(
        select(
            case((happened, event.c.seq), else_=bounds.c.low),
            case((happened, bounds.c.high), else_=event.c.seq - 1),
        )
        .join_from(bounds, event, event.c.seq == middle)
        .where(bounds.c.low < bounds.c.high)
    )
    return select(func.max(halves.c.low)).where(halves.c.low == halves.c.high).scalar_subquery()


_NOW = _reaching(_LAST)
_AT_EVENT = _reaching(SEQ)
_AT_TIME = _reaching(_last_at(bindparam("at", type_=Text)))
