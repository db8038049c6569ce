"""Commands to events: what each command does to a state, or why it is refused. Nothing here reads or writes.

A plan is made on a part of the state that holds every entity, number and decision the command may touch. Applying its
events with `State.apply` gives the state afterwards.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mdm.errors import IdentityError, StaleVersionError
from mdm.identity.commands import ChangeNumber, Decide, Merge, Revoke, Split, Unmerge
from mdm.identity.decisions import Decision, DecisionKind, Decisions, ordered
from mdm.identity.events import EventKind
from mdm.identity.merging import plan_merge
from mdm.identity.numbers import BY_HAND, LIVE, NumberState, Reason, check_transition
from mdm.identity.parting import plan_split, plan_unmerge
from mdm.identity.plans import Event, Facts, Plan, known, refuse_broken

if TYPE_CHECKING:
    from mdm.identity.commands import Command
    from mdm.identity.state import Number, State


def plan(state: State, command: Command, facts: Facts) -> Plan:
    """Raises IdentityError where the rules refuse, ApprovalNeededError where a second person must agree."""
    for entity, version in command.expected.items():
        known(state, entity)
        present = state.entities[entity].version
        if present != version:
            raise StaleVersionError(
                f"Entity {entity} is at version {present}, not {version}.",
                hint="Look at it again and decide on what it is now.",
            )
    match command:
        case Merge():
            return plan_merge(state, command, facts)
        case Unmerge():
            return plan_unmerge(state, facts)
        case Split():
            return plan_split(state, command, facts)
        case Decide():
            return _decide(state, command)
        case Revoke():
            return _revoke(state, command)
        case ChangeNumber():
            return _change_number(state, command)


def _decide(state: State, command: Decide) -> Plan:
    pair = ordered(command.left, command.right)
    if pair[0] == pair[1]:
        raise IdentityError("A decision is about two records.")
    for record in pair:
        if record not in state.entity_of:
            raise IdentityError(f"Record {record} belongs to no entity.", hint="Run `mdm run` first.")
    standing = state.decisions.get(pair)
    made = Decision(command.decision, *pair)
    if standing == made:
        raise IdentityError("This decision stands already.")
    together = state.entity_of[pair[0]] == state.entity_of[pair[1]]
    if made.kind is DecisionKind.CANNOT_LINK and together:
        raise IdentityError(
            f"Records {pair[0]} and {pair[1]} are one entity now.",
            hint="Split it or undo the merge; the decision follows from that.",
        )
    after = Decisions([*(d for d in state.decisions.values() if d != standing), made])
    if (word := after.contradiction()) is not None:
        raise IdentityError(
            f"It contradicts the decision on records {word.left} and {word.right}.",
            hint="Revoke that one first, if it was wrong.",
        )
    refuse_broken(state, after)
    events: list[Event] = []
    if standing is not None:
        events.append((EventKind.DECISION_REVOKED, None, {"left": pair[0], "right": pair[1]}))
    events.append(
        (EventKind.DECISION_MADE, None, {"decision": made.kind.value, "left": pair[0], "right": pair[1]})
    )
    return Plan(events, [])


def _revoke(state: State, command: Revoke) -> Plan:
    pair = ordered(command.left, command.right)
    if pair not in state.decisions:
        raise IdentityError(f"No decision stands on records {pair[0]} and {pair[1]}.")
    return Plan([(EventKind.DECISION_REVOKED, None, {"left": pair[0], "right": pair[1]})], [])


def _change_number(state: State, command: ChangeNumber) -> Plan:
    number = state.numbers.get(command.number)
    if number is None:
        raise IdentityError("There is no such number.")
    if command.state not in BY_HAND or number.state == NumberState.SUPERSEDED:
        raise IdentityError(
            "Only merges supersede a number, and only undoing them brings it back.",
            hint="Merge or unmerge the entities.",
        )
    check_transition(number.state, command.state, command.reason)
    if number.holder is None and command.state in LIVE:
        raise IdentityError("A reserved number has no holder yet.", hint="It is given out by `mdm run`.")
    return Plan([number_changed(number, state=command.state, reason=command.reason)], [])


def number_changed(
    number: Number, *, state: NumberState, reason: Reason, superseded_by: str | None = None
) -> Event:
    data = {"number": number.number, "reason": reason, "state": state, "superseded_by": superseded_by}
    return EventKind.NUMBER_CHANGED, number.holder, data
