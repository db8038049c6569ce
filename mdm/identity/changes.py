"""Commands to events: what each command does to a state, or why it is refused. Nothing here reads or writes.

A plan is made on a part of the state that holds every entity, number and decision the command may touch. Applying its
events with `State.apply` gives the state afterwards.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mdm.errors import StaleVersionError
from mdm.identity.answering import plan_answer
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
)
from mdm.identity.deciding import plan_decide, plan_revoke
from mdm.identity.merging import plan_merge
from mdm.identity.numbering import plan_assign, plan_change_number, plan_reserve
from mdm.identity.parting import plan_split, plan_unmerge
from mdm.identity.plans import known

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mdm.identity.commands import Command
    from mdm.identity.plans import Facts, Plan
    from mdm.identity.state import State


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
    return _PLANS[type(command)](state, command, facts)


_PLANS: Mapping[type[Command], Callable[[State, Any, Facts], Plan]] = {
    Merge: plan_merge,
    Unmerge: lambda state, _, facts: plan_unmerge(state, facts),
    Split: plan_split,
    Decide: lambda state, command, _: plan_decide(state, command),
    Revoke: lambda state, command, _: plan_revoke(state, command),
    DecideReview: plan_answer,
    ReserveNumbers: lambda _, command, facts: plan_reserve(command, facts),
    AssignNumber: plan_assign,
    ChangeNumber: lambda state, command, _: plan_change_number(state, command),
}
