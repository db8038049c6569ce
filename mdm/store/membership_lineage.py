"""Why a record belongs to an entity: the events that moved it, and the edges, decisions or commands behind them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from sqlalchemy import BigInteger, bindparam, select, union_all

from mdm.errors import NotFoundError
from mdm.identity.events import EventKind
from mdm.store.moments import SEQ, Moment, read_moment, stands
from mdm.store.references import EventRef, RecordRef, event_bodies, event_ref, record_refs
from mdm.store.tables import decision, edge, edge_past, entity, membership

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from sqlalchemy import ColumnElement, Connection, FromClause, Select


class Evidence(Protocol):
    """Compares two records again with the model that scored them."""

    def __call__(self, record_l: int, record_r: int, *, model: str) -> Any: ...


@dataclass(frozen=True)
class Edge:
    """A scored pair: weight in bits, the model by its hash, the event that told of the scoring."""

    other: RecordRef
    weight: float
    model: str
    since: int
    evidence: Any = None


@dataclass(frozen=True)
class Word:
    """A person's decision on this record and another; `until` is the event that revoked it."""

    kind: str
    other: RecordRef
    author: str
    reason: str
    since: EventRef
    until: int | None


@dataclass(frozen=True)
class Act:
    """The merge, unmerge or split that moved the record. `other` is the entity on the other side."""

    kind: str
    other: str
    undone: int | None
    """Of an unmerge: the event of the merge."""
    approved_by: str | None


@dataclass(frozen=True)
class Stay:
    """A record's time in one entity.

    `edges` are to other records that were its members when it joined, strongest first: several may have led it there, and
    a record may stand without any. `decisions` are those that held during the stay, whoever the other record belongs to.
    """

    entity_id: str
    since: EventRef
    until: EventRef | None
    act: Act | None
    edges: list[Edge]
    decisions: list[Word]


@dataclass(frozen=True)
class MembershipLineage:
    """`entity_id` is None where the record belonged to no entity at the moment."""

    record: RecordRef
    entity_id: str | None
    stays: list[Stay]


def membership_lineage(
    connection: Connection,
    record_id: int,
    moment: Moment | None = None,
    *,
    hidden: Collection[str] = (),
    evidence: Evidence | None = None,
) -> MembershipLineage:
    """Every stay of a record up to the moment, in order.

    Args:
        connection: to the store.
        record_id: the record's number.
        moment: as of when; None for now.
        hidden: registries whose records are not shown on the other side.
        evidence: tells how a pair was compared; without it edges come with their weight alone.

    Raises:
        NotFoundError: there is no such record.
    """
    at = moment or read_moment(connection)
    stays = connection.execute(_STAYS, at.bound(record=record_id)).all()
    edges = {stay.from_event: _edges(connection, record_id, stay) for stay in stays}
    decided = connection.execute(_DECISIONS, at.bound(record=record_id)).all()
    sides = {_other(row, record_id) for rows in edges.values() for row in rows}
    sides |= {_other(row, record_id) for row in decided}
    others = record_refs(connection, {record_id, *sides})
    if record_id not in others:
        raise NotFoundError(f"There is no record {record_id}.")
    shown = {number for number, other in others.items() if other.registry not in hidden}
    events = event_bodies(
        connection,
        {stay.from_event for stay in stays}
        | {stay.until_event for stay in stays if _has_ended(stay, at)}
        | {row.from_event for row in decided},
    )
    told = [
        Stay(
            entity_id=stay.entity_id,
            since=event_ref(events[stay.from_event]),
            until=event_ref(events[stay.until_event]) if _has_ended(stay, at) else None,
            act=_act(events[stay.from_event], stay.entity_id),
            edges=[
                _edge(row, others[other], evidence)
                for row in edges[stay.from_event]
                if (other := _other(row, record_id)) in shown
            ],
            decisions=[
                Word(
                    kind=row.kind,
                    other=others[other],
                    author=row.author,
                    reason=row.reason,
                    since=event_ref(events[row.from_event]),
                    until=row.until_event if _has_ended(row, at) else None,
                )
                for row in decided
                if _overlap(row, stay) and (other := _other(row, record_id)) in shown
            ],
        )
        for stay in stays
    ]
    present = told[-1] if told and told[-1].until is None else None
    return MembershipLineage(others[record_id], present.entity_id if present else None, told)


def _edges(connection: Connection, record_id: int, stay: Any) -> list[Any]:
    """To the members at the event that made the record one."""
    bound = {"seq": stay.from_event, "key": stay.entity_key, "record": record_id}
    return list(connection.execute(_EDGES, bound))


def _edge(row: Any, other: RecordRef, evidence: Evidence | None) -> Edge:
    compared = evidence(row.record_l, row.record_r, model=row.model) if evidence else None
    return Edge(other, row.weight, row.model, row.from_event, compared)


def _other(row: Any, record_id: int) -> int:
    return int(row.record_r if row.record_l == record_id else row.record_l)


def _has_ended(row: Any, moment: Moment) -> bool:
    return row.until_event is not None and row.until_event <= moment.seq


def _overlap(row: Any, stay: Any) -> bool:
    """An undone merge forbids what it takes apart, by one event: the decision belongs to what came after."""
    began = stay.until_event is None or row.from_event < stay.until_event
    return began and (row.until_event is None or row.until_event > stay.from_event)


def _act(body: Mapping[str, Any], entity_id: str) -> Act | None:
    data, kind = body["data"], body["kind"]
    if kind == EventKind.ENTITY_MERGED:
        other = data["merged"]
    elif kind == EventKind.ENTITY_UNMERGED:
        other = body["entity"] if entity_id == data["restored"] else data["restored"]
    elif kind == EventKind.ENTITY_SPLIT:
        other = body["entity"] if entity_id == data["into"] else data["into"]
    else:
        return None
    return Act(kind, other, data.get("merge"), data.get("approved_by"))


# --- statements ------------------------------------------------------------------------------------------------------

_GIVEN = bindparam("record", type_=BigInteger)


def _stays() -> Select[Any]:
    """By the index of memberships that stand, and the one of those that ended."""
    of_record = (
        select(membership.c.entity_key, membership.c.from_event, membership.c.until_event, entity.c.entity_id)
        .join(entity, entity.c.entity_key == membership.c.entity_key)
        .where(membership.c.record_id == _GIVEN, membership.c.from_event <= SEQ)
    )
    rows = union_all(
        of_record.where(membership.c.until_event.is_(None)),
        of_record.where(membership.c.until_event.is_not(None)),
    ).subquery("stays")
    return select(rows).order_by(rows.c.from_event)


def _edges_with_members() -> Select[Any]:
    """Of the record with members of the entity as of the event; each half by the primary key."""
    member = (
        select(membership.c.record_id)
        .where(membership.c.entity_key == bindparam("key", type_=BigInteger), stands(membership))
        .cte("member")
    )

    def between(table: FromClause, mine: ColumnElement[int], theirs: ColumnElement[int]) -> Select[Any]:
        return (
            select(table.c.record_l, table.c.record_r, table.c.weight, table.c.model, table.c.from_event)
            .join_from(member, table, theirs == member.c.record_id)
            .where(mine == _GIVEN)
        )

    halves = []
    for table, holds in ((edge, edge.c.from_event <= SEQ), (edge_past, stands(edge_past))):
        halves.append(between(table, table.c.record_l, table.c.record_r).where(holds))
        halves.append(between(table, table.c.record_r, table.c.record_l).where(holds))
    rows = union_all(*halves).subquery("edges")
    return select(rows).order_by(rows.c.weight.desc(), rows.c.record_l, rows.c.record_r)


def _decisions() -> Select[Any]:
    of_record = select(
        decision.c.kind,
        decision.c.record_l,
        decision.c.record_r,
        decision.c.author,
        decision.c.reason,
        decision.c.from_event,
        decision.c.until_event,
    ).where(decision.c.from_event <= SEQ)
    rows = union_all(
        of_record.where(decision.c.record_l == _GIVEN), of_record.where(decision.c.record_r == _GIVEN)
    ).subquery("decisions")
    return select(rows).order_by(rows.c.from_event, rows.c.record_l, rows.c.record_r)


_STAYS = _stays()
_EDGES = _edges_with_members()
_DECISIONS = _decisions()
