"""A person's decisions on pairs of records."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mdm.errors import IdentityError
from mdm.identity.commands import DecisionKind
from mdm.identity.decisions import Decision, Decisions, ordered
from mdm.identity.events import EventKind
from mdm.identity.plans import Event, Plan, refuse_broken

if TYPE_CHECKING:
    from mdm.identity.commands import Decide, Revoke
    from mdm.identity.state import State


def plan_decide(state: State, command: Decide) -> Plan:
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


def plan_revoke(state: State, command: Revoke) -> Plan:
    pair = ordered(command.left, command.right)
    if pair not in state.decisions:
        raise IdentityError(f"No decision stands on records {pair[0]} and {pair[1]}.")
    return Plan([(EventKind.DECISION_REVOKED, None, {"left": pair[0], "right": pair[1]})], [])
