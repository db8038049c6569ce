"""What a plan needs to know beside the state: verified personal IDs, golden records as they stand, past merges."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import bindparam, func, select, union_all

from mdm.errors import IdentityError
from mdm.identity.commands import (
    AssignNumber,
    ChangeNumber,
    Decide,
    DecideReview,
    Merge,
    ReserveNumbers,
    Revoke,
    Split,
    Unmerge,
    Verdict,
)
from mdm.identity.events import EventKind
from mdm.identity.journeys import Arrival, taken_out
from mdm.identity.numbers import NumberKind
from mdm.identity.plans import Facts, OpenQuestion, PastMerge
from mdm.store.questions import question_row
from mdm.store.tables import event, golden, membership, record, record_version, renumbering

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from mdm.identity.clock import Source
    from mdm.identity.commands import Command
    from mdm.store.unit_of_work import UnitOfWork


_STANDING_GOLDEN = select(golden).where(
    golden.c.entity_key == bindparam("key"), golden.c.until_event.is_(None)
)


def load_for(
    work: UnitOfWork,
    command: Command,
    *,
    anchors: Collection[str],
    source: Source,
    by_hand: bool,
    approved_by: str | None = None,
    numbers: Callable[[int], list[tuple[int, str]]] | None = None,
) -> Facts:
    """Brings what the command is about into the state at hand, and what the rules ask beside it.

    Args:
        work: the transaction.
        command: what is asked.
        anchors: registries whose personal IDs count as verified.
        source: gives new entity IDs.
        by_hand: whether a person asks, not a run.
        approved_by: the second person, where there is one.
        numbers: gives so many new numbers, with their places in the sequence.
    """
    work.load(command.expected)
    facts = Facts()
    match command:
        case Merge():
            facts = _for_merge(
                work, [command.left, command.right], anchors, by_hand=by_hand, approved_by=approved_by
            )
        case Unmerge():
            past = _past_merge(work, command.event)
            _load_decided(work)
            facts = Facts(merge=past)
        case Split():
            work.load([command.entity])
            _load_decided(work)
            facts = Facts(golden=standing_golden(work, [command.entity]), new_id=lambda: source.mint(1)[0])
        case DecideReview():
            question = _question(work, command.review)
            work.load_records(question.records)
            if command.verdict is Verdict.SAME:
                sides = sorted(
                    {work.state.entity_of[r] for r in question.records if r in work.state.entity_of}
                )
                facts = _for_merge(work, sides, anchors, by_hand=by_hand, approved_by=approved_by)
            else:
                _load_decided(work)
            facts = replace(facts, question=question)
        case ReserveNumbers():
            assert numbers is not None, "nobody gives new numbers"
            facts = Facts(fresh_numbers=numbers(command.count))
        case AssignNumber():
            facts = _for_assign(work, command, anchors, numbers)
        case ChangeNumber():
            work.load_number(command.number)
        case Decide() | Revoke():
            work.load_records([command.left, command.right])
            _load_decided(work)
    return facts


def _for_merge(
    work: UnitOfWork,
    sides: Collection[str],
    anchors: Collection[str],
    *,
    by_hand: bool,
    approved_by: str | None,
) -> Facts:
    work.load(sides)
    if by_hand:
        _load_decided(work)
    verified = _verified(work, sides, anchors=anchors)
    return Facts(
        verified=verified,
        replaced=_replaced(work, {number for ids in verified.values() for number in ids}),
        golden=standing_golden(work, sides),
        seeds=_seeds(work, sides) if by_hand else None,
        approved_by=approved_by,
    )


def _for_assign(
    work: UnitOfWork,
    command: AssignNumber,
    anchors: Collection[str],
    numbers: Callable[[int], list[tuple[int, str]]] | None,
) -> Facts:
    """A new number is taken only where it will be given."""
    work.load([command.entity])
    anchored = _is_anchored(work, command.entity, anchors=anchors)
    if command.number is not None:
        work.load_number(command.number)
        return Facts(anchored=anchored)
    if not anchored or work.state.live_number(command.entity, NumberKind.SSN) is not None:
        return Facts(anchored=anchored)
    assert numbers is not None, "nobody gives new numbers"
    return Facts(anchored=anchored, fresh_numbers=numbers(1))


def _question(work: UnitOfWork, number: int) -> OpenQuestion:
    row = question_row(work.connection, number)
    records = orjson.loads(row["detail"]).get("records", ())
    return OpenQuestion(number, row["state"], row["version"], tuple(records))


def _is_anchored(work: UnitOfWork, entity: str, *, anchors: Collection[str]) -> bool:
    members = work.state.members.get(entity, ())
    found = select(record.c.record_id).where(
        record.c.record_id.in_(members), record.c.registry.in_(anchors), record.c.status == "active"
    )
    return work.connection.scalar(found.limit(1)) is not None


def _load_decided(work: UnitOfWork) -> None:
    """Adds the entities of all records to which decisions tie those at hand."""
    work.load_records({record for pair in work.state.decisions for record in pair})


def standing_golden(work: UnitOfWork, entities: Iterable[str]) -> dict[str, dict[str, Any] | None]:
    found: dict[str, dict[str, Any] | None] = {}
    for entity in entities:
        if entity not in work.state.entities:
            continue
        row = work.connection.execute(_STANDING_GOLDEN, {"key": work.key(entity)}).mappings().first()
        found[entity] = (
            None
            if row is None
            else {name: row[name] for name in ("as_of", "hash", "policy", "provenance", "values")}
        )
    return found


def _verified(
    work: UnitOfWork, entities: Iterable[str], *, anchors: Collection[str]
) -> dict[str, frozenset[str]]:
    """Personal IDs that an anchor registry gives the entities' active records."""
    found: dict[str, frozenset[str]] = {}
    for entity in entities:
        # what an entity's few records are is looked at here: a condition on the registry tempts SQLite to walk through all of it
        rows = work.connection.execute(
            select(record.c.registry, record.c.status, record_version.c.attributes, record_version.c.issues)
            .join(
                record_version,
                (record.c.record_id == record_version.c.record_id)
                & (record.c.version == record_version.c.version),
            )
            .where(record.c.record_id.in_(work.state.members.get(entity, ())))
        ).all()
        found[entity] = frozenset(
            number
            for registry, status, attributes, issues in rows
            if registry in anchors
            and status == "active"
            and (number := orjson.loads(attributes).get("personal_id"))
            and "personal_id" not in orjson.loads(issues or "{}")
        )
    return found


def _seeds(work: UnitOfWork, entities: Iterable[str]) -> dict[str, int]:
    """Entity to its smallest record that came to it by no merge; else its smallest one."""
    found: dict[str, int] = {}
    for entity in entities:
        if entity not in work.state.entities or not work.state.members[entity]:
            continue
        own = work.connection.scalar(
            select(func.min(membership.c.record_id))
            .join(event, event.c.seq == membership.c.from_event)
            .where(
                membership.c.entity_key == work.key(entity),
                membership.c.until_event.is_(None),
                event.c.kind != EventKind.ENTITY_MERGED.value,
            )
        )
        found[entity] = min(work.state.members[entity]) if own is None else int(own)
    return found


def _replaced(work: UnitOfWork, numbers: Collection[str]) -> dict[str, str]:
    """Old to new, followed as far as the offices told."""
    found: dict[str, str] = {}
    frontier = set(numbers)
    while frontier:
        rows = work.connection.execute(
            select(renumbering.c.old, renumbering.c.new).where(
                renumbering.c.attribute == "personal_id", renumbering.c.old.in_(frontier)
            )
        ).all()
        found.update(dict(rows))
        frontier = {new for _, new in rows} - found.keys()
    return found


def _past_merge(work: UnitOfWork, seq: int) -> PastMerge:
    body = work.event(seq)
    if body["kind"] != EventKind.ENTITY_MERGED:
        raise IdentityError(
            f"Event {seq} is no merge.", hint="`mdm entity history ID` lists an entity's events."
        )
    work.load([body["entity"], body["data"]["merged"]])
    for change in body["data"]["numbers"]:
        work.load_number(change["number"])
    numbers = [change["number"] for change in body["data"]["numbers"]]
    return PastMerge(
        seq,
        body["entity"],
        body["data"],
        number_changed=work.number_changed(numbers),
        taken_out=taken_out(seq, _arrivals(work, body["data"]["records"], since=seq)),
    )


def _arrivals(work: UnitOfWork, records: Collection[int], *, since: int) -> Iterator[Arrival]:
    stays = select(membership.c.record_id, membership.c.from_event).where(
        membership.c.record_id.in_(records), membership.c.from_event > since
    )
    # each half by its own partial index
    joined = union_all(
        stays.where(membership.c.until_event.is_(None)), stays.where(membership.c.until_event.is_not(None))
    ).subquery("joined")
    rows = work.connection.execute(
        select(joined.c.record_id, joined.c.from_event, event.c.kind, event.c.body)
        .join(event, event.c.seq == joined.c.from_event)
        .order_by(joined.c.from_event, joined.c.record_id)
    )
    for record_id, seq, kind, body in rows:
        undone = orjson.loads(body)["data"]["merge"] if kind == EventKind.ENTITY_UNMERGED else None
        yield Arrival(record_id, seq, kind, undone)
