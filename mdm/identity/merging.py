"""Merging of two entities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mdm.errors import ApprovalNeededError, IdentityError
from mdm.identity.commands import DecisionKind
from mdm.identity.decisions import Decision, Decisions, ordered
from mdm.identity.events import EventKind
from mdm.identity.numbers import NumberKind, NumberState, Reason
from mdm.identity.plans import Facts, Plan, active, before_image, refuse_broken

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet

    from mdm.identity.commands import Merge
    from mdm.identity.state import Entity, State


def plan_merge(state: State, command: Merge, facts: Facts) -> Plan:
    left, right = active(state, command.left), active(state, command.right)
    if left.id == right.id:
        raise IdentityError("An entity cannot be merged into itself.")
    if left.kind != right.kind:
        raise IdentityError(f"A {left.kind} and a {right.kind} cannot be merged.")
    survivor, merged = _survivor(state, left, right, choice=command.survivor)
    _refuse_merge(state, survivor, merged, facts)
    both = [state.live_number(side.id, NumberKind.SSN) for side in (survivor, merged)]
    if all(both) and facts.approved_by is None:
        raise ApprovalNeededError(
            "Both entities have a social-security number: a second person must approve the merge.",
            hint="The request is kept; another steward can approve it.",
        )
    data: dict[str, Any] = {
        "before": {side.id: before_image(state, side, facts) for side in (survivor, merged)},
        "merged": merged.id,
        "numbers": _merged_numbers(state, survivor.id, merged.id),
        "records": sorted(state.members[merged.id]),
    }
    if facts.seeds is not None and {survivor.id, merged.id} <= facts.seeds.keys():
        tie = ordered(facts.seeds[survivor.id], facts.seeds[merged.id])
        if tie not in state.decisions:
            refuse_broken(
                state, Decisions([*state.decisions.values(), Decision(DecisionKind.MUST_LINK, *tie)])
            )
            data["must_link"] = list(tie)
    if facts.approved_by is not None:
        data["approved_by"] = facts.approved_by
    return Plan([(EventKind.ENTITY_MERGED, survivor.id, data)], [survivor.id, merged.id])


def _survivor(state: State, left: Entity, right: Entity, *, choice: str | None) -> tuple[Entity, Entity]:
    """The caller's choice, else who has an SSN, else the older, else the lower ID."""
    if choice is not None and choice not in (left.id, right.id):
        raise IdentityError("The survivor must be one of the two entities.")

    def rank(side: Entity) -> tuple[bool, bool, int, str]:
        has_number = state.live_number(side.id, NumberKind.SSN) is not None
        return side.id != choice, not has_number, side.formed, side.id

    first, second = sorted((left, right), key=rank)
    return first, second


def _refuse_merge(state: State, survivor: Entity, merged: Entity, facts: Facts) -> None:
    decisions = Decisions(state.decisions.values())
    if (word := decisions.forbidding(state.members[survivor.id], state.members[merged.id])) is not None:
        raise IdentityError(
            f"A decision keeps records {word.left} and {word.right} apart.",
            hint="Revoke it first, if it was wrong.",
        )
    if verified_apart(
        facts.verified.get(survivor.id, frozenset()),
        facts.verified.get(merged.id, frozenset()),
        facts.replaced,
    ):
        raise IdentityError(
            "The population database gives the two entities different personal IDs.",
            hint="If one was re-established as the other, bring in the office's list of re-established numbers first.",
        )


def verified_apart(left: AbstractSet[str], right: AbstractSet[str], replaced: Mapping[str, str]) -> bool:
    """Both have verified personal IDs, and not one in common, re-established ones followed to the present one."""
    present = [{_present(number, replaced) for number in side} for side in (left, right)]
    return bool(present[0] and present[1] and present[0].isdisjoint(present[1]))


def _present(number: str, replaced: Mapping[str, str]) -> str:
    seen = set()
    while number in replaced and number not in seen:
        seen.add(number)
        number = replaced[number]
    return number


def _merged_numbers(state: State, survivor: str, merged: str) -> list[dict[str, Any]]:
    """The survivor is known by its own SSN, else by the merged one's; every other live number points to that one."""
    ssn = state.live_number(survivor, NumberKind.SSN) or state.live_number(merged, NumberKind.SSN)
    temporary = state.live_number(survivor, NumberKind.TEMPORARY) or state.live_number(
        merged, NumberKind.TEMPORARY
    )
    heir = ssn or temporary
    changes = []
    for number in [*state.numbers_of(merged), *state.numbers_of(survivor)]:
        if not number.is_live or heir is None:
            continue
        if number != heir:
            after = {
                "holder": number.holder,
                "reason": Reason.MERGE,
                "state": NumberState.SUPERSEDED,
                "superseded_by": heir.number,
            }
        elif number.holder != survivor:
            after = {**number.standing(), "holder": survivor, "reason": Reason.MERGE}
        else:
            continue
        changes.append({"after": after, "before": number.standing(), "number": number.number})
    return changes
