"""Numbers of people whom a single record touched: what `mdm.pipeline.number_step` does for all, by the same rules."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import orjson
from sqlalchemy import bindparam, select

from mdm.identity.events import EventKind
from mdm.identity.numbering import number_changed
from mdm.identity.numbers import NumberKind, NumberState, Reason
from mdm.identity.reconcile import Question
from mdm.identity.state import ACTIVE
from mdm.store.arrivals import registry_of
from mdm.store.desk import raise_questions
from mdm.store.facts import standing_golden
from mdm.store.tables import ssn_past

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from mdm.identity.events import Stamp
    from mdm.identity.plans import Event
    from mdm.identity.state import Number
    from mdm.store.unit_of_work import UnitOfWork

    Fresh = Callable[[Mapping[NumberKind, int]], Mapping[NumberKind, list[tuple[int, str]]]]

_DEAD_BEFORE = (
    select(ssn_past.c.number)
    .where(ssn_past.c.number == bindparam("number"), ssn_past.c.state == NumberState.DECEASED)
    .limit(1)
)
_NONE = frozenset({NumberState.SUPERSEDED, NumberState.CANCELLED})


def give_numbers(
    work: UnitOfWork, entities: Collection[str], *, anchors: Collection[str], fresh: Fresh, stamp: Stamp
) -> list[str]:
    """A social-security number to whoever is anchored, else a temporary one; deaths are told. Returns the new numbers.

    `fresh` gives so many new numbers of each kind, with their places in the sequence.
    """
    lacking: dict[NumberKind, list[str]] = defaultdict(list)
    people = []
    for entity in sorted(entities):
        members = registry_of(work, work.state.members[entity])
        if work.state.entities[entity].status != ACTIVE or not members:
            continue
        people.append(entity)
        held = _held(work, entity)
        anchored = any(registry in anchors for registry in members.values())
        if NumberKind.SSN not in held and (anchored or NumberKind.TEMPORARY not in held):
            lacking[NumberKind.SSN if anchored else NumberKind.TEMPORARY].append(entity)
    issued: list[Event] = []
    if lacking:
        given = fresh({kind: len(its) for kind, its in lacking.items()})
        for kind, its in lacking.items():
            reason = Reason.ANCHORED if kind is NumberKind.SSN else Reason.NOT_ANCHORED
            issued += [
                (
                    EventKind.NUMBER_ISSUED,
                    entity,
                    {"kind": kind, "number": number, "reason": reason, "sequence": sequence},
                )
                for entity, (sequence, number) in zip(its, given[kind], strict=True)
            ]
    work.append(issued, stamp=stamp)
    for entity in people:
        _settle(work, entity, stamp)
    return [data["number"] for _, _, data in issued]


def _settle(work: UnitOfWork, entity: str, stamp: Stamp) -> None:
    """A temporary number beside a social-security number becomes an alias of it; a death is told of the latter."""
    held = _held(work, entity)
    number, temporary = held.get(NumberKind.SSN), held.get(NumberKind.TEMPORARY)
    if number is None:
        return
    if temporary is not None:
        former = number_changed(
            temporary, state=NumberState.SUPERSEDED, reason=Reason.ANCHORED, superseded_by=number.number
        )
        work.append([former], stamp=stamp)
    golden = standing_golden(work, [entity])[entity]
    if (
        number.state != NumberState.ACTIVE
        or golden is None
        or "death_date" not in orjson.loads(golden["values"])
    ):
        return
    if work.connection.scalar(_DEAD_BEFORE, {"number": number.number}) is None:
        work.append([number_changed(number, state=NumberState.DECEASED, reason=Reason.DEATH)], stamp=stamp)
    else:
        key = work.key(entity)
        question = Question("death.revoked_before", f"death.revoked_before:{key}", {"entities": [key]})
        raise_questions(work, [question], stamp=stamp)


def _held(work: UnitOfWork, entity: str) -> dict[str, Number]:
    return {number.kind: number for number in work.state.numbers_of(entity) if number.state not in _NONE}
