"""Numbers by hand: reserved, given to a person, changed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mdm.errors import IdentityError, NotFoundError
from mdm.identity.events import EventKind
from mdm.identity.numbers import BY_HAND, LIVE, NumberKind, NumberState, Reason, check_transition
from mdm.identity.plans import Event, Facts, Plan, active
from mdm.identity.state import Number

if TYPE_CHECKING:
    from mdm.identity.commands import AssignNumber, ChangeNumber, ReserveNumbers
    from mdm.identity.state import State


def plan_reserve(command: ReserveNumbers, facts: Facts) -> Plan:
    assert len(facts.fresh_numbers) == command.count
    return Plan(_reserved(facts), [])


def plan_assign(state: State, command: AssignNumber, facts: Facts) -> Plan:
    person = active(state, command.entity)
    if command.number is not None:
        check_transition(_number(state, command.number).state, NumberState.ACTIVE, Reason.ANCHORED)
    if state.live_number(person.id, NumberKind.SSN) is not None:
        raise IdentityError(f"Entity {person.id} has a social-security number already.")
    if not facts.anchored:
        raise IdentityError(
            f"The population database does not know entity {person.id}.",
            hint="Only people it knows get a social-security number; others have a temporary one.",
        )
    if command.number is None:
        ((_, fresh),) = facts.fresh_numbers
        number = Number(fresh, NumberKind.SSN, None, NumberState.RESERVED)
    else:
        number = _number(state, command.number)
    holder = replace(number, holder=person.id)
    events = [*_reserved(facts), number_changed(holder, state=NumberState.ACTIVE, reason=Reason.ANCHORED)]
    temporary = state.live_number(person.id, NumberKind.TEMPORARY)
    if temporary is None:
        return Plan(events, [])
    former = number_changed(
        temporary,
        state=NumberState.SUPERSEDED,
        reason=Reason.ANCHORED,
        superseded_by=number.number,
    )
    return Plan([*events, former], [])


def plan_change_number(state: State, command: ChangeNumber) -> Plan:
    number = _number(state, command.number)
    if command.state not in BY_HAND or number.state == NumberState.SUPERSEDED:
        raise IdentityError(
            "Only merges supersede a number, and only undoing them brings it back.",
            hint="Merge or unmerge the entities.",
        )
    check_transition(number.state, command.state, command.reason)
    if number.holder is None and command.state in LIVE:
        raise IdentityError(
            "A reserved number has no holder yet.", hint="`mdm number assign` gives it to a person."
        )
    return Plan([number_changed(number, state=command.state, reason=command.reason)], [])


def number_changed(
    number: Number, *, state: NumberState, reason: Reason, superseded_by: str | None = None
) -> Event:
    data = {"number": number.number, "reason": reason, "state": state, "superseded_by": superseded_by}
    return EventKind.NUMBER_CHANGED, number.holder, data


def _reserved(facts: Facts) -> list[Event]:
    return [
        (
            EventKind.NUMBER_ISSUED,
            None,
            {"kind": NumberKind.SSN, "number": number, "reason": Reason.RESERVATION, "sequence": sequence},
        )
        for sequence, number in facts.fresh_numbers
    ]


def _number(state: State, number: str) -> Number:
    found = state.numbers.get(number)
    if found is None:
        raise NotFoundError("There is no such number.")
    return found
