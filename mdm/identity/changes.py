"""Commands to events: what each command does to a state, or why it is refused. Nothing here reads or writes.

A plan is made on a part of the state that holds every entity, number and decision the command may touch. Applying its
events with `State.apply` gives the state afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mdm.errors import ApprovalNeededError, IdentityError, StaleVersionError
from mdm.identity.commands import ChangeNumber, Decide, Merge, Revoke, Split, Unmerge
from mdm.identity.decisions import Decision, DecisionKind, Decisions, across, ordered
from mdm.identity.events import EventKind
from mdm.identity.numbers import BY_HAND, LIVE, NumberKind, NumberState, Reason, check_transition
from mdm.identity.state import ACTIVE, SUPERSEDED, Entity, Number, State

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from collections.abc import Set as AbstractSet

    from mdm.identity.commands import Command

Event = tuple[EventKind, str | None, dict[str, Any]]


@dataclass(frozen=True)
class PastMerge:
    """A merge as the log tells it, and the events that changed its outcome since."""

    seq: int
    survivor: str
    data: Mapping[str, Any]
    number_changed: Mapping[str, int] = field(default_factory=dict)
    """Number to the last event that changed it."""
    taken_out: AbstractSet[int] = frozenset()
    """Records that it brought and that have left since, as `mdm.identity.journeys.taken_out` tells."""


@dataclass(frozen=True)
class Facts:
    """What a plan needs to know beside the state."""

    verified: Mapping[str, AbstractSet[str]] = field(default_factory=dict)
    """Entity to its verified personal IDs: those that the population database gives its people."""
    replaced: Mapping[str, str] = field(default_factory=dict)
    """A personal ID that was cancelled to the one re-established for it."""
    golden: Mapping[str, Mapping[str, Any] | None] = field(default_factory=dict)
    """Entity to its golden record as it stands: values, provenance, hash, policy."""
    merge: PastMerge | None = None
    new_id: Callable[[], str] | None = None
    seeds: Mapping[str, int] | None = None
    """Where a person asks: entity to a record that came to it by no merge. A must-link ties the two sides' seeds, so
    that later runs leave them together until the merge is undone, and undoing another merge leaves the tie whole."""
    approved_by: str | None = None


@dataclass(frozen=True)
class Plan:
    events: list[Event]
    entities: list[str]
    """Entities whose golden record must be computed anew."""
    joined_since: list[int] = field(default_factory=list)
    """Of an unmerge: records that joined after the merge and stay with the survivor."""
    left_since: list[int] = field(default_factory=list)
    """Of an unmerge: records of the merged entity that have gone elsewhere and do not come back."""


def plan(state: State, command: Command, facts: Facts) -> Plan:
    """Raises IdentityError where the rules refuse, ApprovalNeededError where a second person must agree."""
    for entity, version in command.expected.items():
        _known(state, entity)
        present = state.entities[entity].version
        if present != version:
            raise StaleVersionError(
                f"Entity {entity} is at version {present}, not {version}.",
                hint="Look at it again and decide on what it is now.",
            )
    match command:
        case Merge():
            return _merge(state, command, facts)
        case Unmerge():
            return _unmerge(state, facts)
        case Split():
            return _split(state, command, facts)
        case Decide():
            return _decide(state, command)
        case Revoke():
            return _revoke(state, command)
        case ChangeNumber():
            return _change_number(state, command)


# --- merge -----------------------------------------------------------------------------------------------------------


def _merge(state: State, command: Merge, facts: Facts) -> Plan:
    left, right = _active(state, command.left), _active(state, command.right)
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
        "before": {side.id: _before(state, side, facts) for side in (survivor, merged)},
        "merged": merged.id,
        "numbers": _merged_numbers(state, survivor.id, merged.id),
        "records": sorted(state.members[merged.id]),
    }
    if facts.seeds is not None and {survivor.id, merged.id} <= facts.seeds.keys():
        tie = ordered(facts.seeds[survivor.id], facts.seeds[merged.id])
        if tie not in state.decisions:
            _refuse_broken(
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


def _before(state: State, side: Entity, facts: Facts) -> dict[str, Any]:
    """The entity as it was: all that an undoing or an auditor may ask for."""
    records = state.members[side.id]
    return {
        "decisions": [
            [d.kind.value, d.left, d.right]
            for _, d in sorted(state.decisions.items())
            if d.left in records or d.right in records
        ],
        "golden": facts.golden.get(side.id),
        "kind": side.kind,
        "numbers": {n.number: n.standing() for n in state.numbers_of(side.id)},
        "records": sorted(records),
        "version": side.version,
    }


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


# --- unmerge and split -----------------------------------------------------------------------------------------------


def _unmerge(state: State, facts: Facts) -> Plan:
    past = facts.merge
    if past is None:
        raise IdentityError(
            "This event is no merge.", hint="`mdm entity history ID` lists an entity's events."
        )
    restored = _known(state, past.data["merged"])
    # a superseded entity does not change, so another version is that of another merge
    merged_version = past.data["before"][restored.id]["version"] + 1
    if restored.status != SUPERSEDED or restored.version != merged_version:
        raise IdentityError(f"The merge of event {past.seq} is undone already.")
    source = state.resolve(past.survivor)
    members = state.members[source]
    records = sorted((set(past.data["records"]) & members) - past.taken_out)
    blocked = [
        (change["number"], past.number_changed.get(change["number"], past.seq))
        for change in past.data["numbers"]
        if not _stands(state.numbers[change["number"]], change["after"])
    ]
    if blocked:
        events = ", ".join(str(seq) for seq in sorted({seq for _, seq in blocked}))
        raise IdentityError(
            f"A number that this merge changed was changed again by event {events}.",
            hint="Undo that one first.",
        )
    rest = sorted(members - set(records))
    if not records or not rest:
        raise IdentityError(
            "Nothing is left to take apart: all records have gone to one side since.",
            hint="Split the entity instead.",
        )
    tie = tuple(past.data.get("must_link", ()))
    revoked = [tie] if tie in state.decisions else []
    _refuse_parting(state, source, records, rest, revoked=revoked)
    data = {
        "cannot_link": {"left": rest, "right": records},
        "merge": past.seq,
        "numbers": [
            {
                "after": {**change["before"], "reason": Reason.UNMERGE}
                if change["before"]["state"] != change["after"]["state"]
                else change["before"],
                "before": state.numbers[change["number"]].standing(),
                "number": change["number"],
            }
            for change in past.data["numbers"]
        ],
        "records": records,
        "restored": restored.id,
        "revoked": [list(pair) for pair in revoked],
    }
    known = set(past.data["records"]) | set(past.data["before"][past.survivor]["records"])
    return Plan(
        [(EventKind.ENTITY_UNMERGED, source, data)],
        [source, restored.id],
        joined_since=sorted(set(rest) - known),
        left_since=sorted(set(past.data["records"]) - set(records)),
    )


def _stands(number: Number, standing: Mapping[str, Any]) -> bool:
    """Whatever the reason: what a later merge changed has another one after that was undone."""
    return {**number.standing(), "reason": ""} == {**standing, "reason": ""}


def _split(state: State, command: Split, facts: Facts) -> Plan:
    entity = _active(state, command.entity)
    members, chosen = state.members[entity.id], set(command.records)
    if strange := chosen - members:
        raise IdentityError(f"Record {min(strange)} does not belong to entity {entity.id}.")
    if chosen == members:
        raise IdentityError("A split must leave at least one record behind.")
    rest = members - chosen
    _refuse_parting(state, entity.id, chosen, rest)
    assert facts.new_id is not None, "a split needs an ID for the new entity"
    into = facts.new_id()
    data = {
        "before": {entity.id: _before(state, entity, facts)},
        "cannot_link": {"left": sorted(rest), "right": sorted(chosen)},
        "into": into,
        "kind": entity.kind,
        "records": sorted(chosen),
    }
    return Plan([(EventKind.ENTITY_SPLIT, entity.id, data)], [entity.id, into])


def _refuse_parting(
    state: State,
    entity: str,
    chosen: Collection[int],
    rest: Collection[int],
    *,
    revoked: Collection[tuple[int, ...]] = (),
) -> None:
    """The two sides are to be kept apart: no decision may say that they are one, and no other entity be parted by it."""
    standing = [decision for pair, decision in state.decisions.items() if pair not in revoked]
    if (group := Decisions(standing).dividing(chosen, rest)) is not None:
        raise IdentityError(
            f"A decision says that records of both sides are one person: record {group} and those linked to it.",
            hint="Revoke it first, if it was wrong.",
        )
    apart = [Decision(DecisionKind.CANNOT_LINK, *pair) for pair in across(rest, chosen)]
    _refuse_broken(state, Decisions([*standing, *apart]), sparing=entity)


def _refuse_broken(state: State, after: Decisions, *, sparing: str | None = None) -> None:
    """Decisions as they would be must not keep records apart that are one entity."""
    for entity, members in sorted(state.members.items()):
        if entity != sparing and after.forbidding(members, members) is not None:
            raise IdentityError(
                f"With what was decided before, it would keep records apart that are one entity now: {entity}.",
                hint="Split that one, or revoke the decisions that tie its records to these.",
            )


# --- decisions and numbers -------------------------------------------------------------------------------------------


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
    _refuse_broken(state, after)
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


def _known(state: State, entity: str) -> Entity:
    if entity not in state.entities:
        raise IdentityError(f"There is no entity {entity}.")
    return state.entities[entity]


def _active(state: State, entity: str) -> Entity:
    found = _known(state, entity)
    if found.status != ACTIVE:
        heir = f" It is {state.resolve(entity)} now." if found.superseded_by else ""
        raise IdentityError(f"Entity {entity} is {found.status}.{heir}", hint="Use the present ID.")
    return found
