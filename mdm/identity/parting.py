"""Taking an entity apart: undoing a merge, and splitting records off."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mdm.errors import IdentityError
from mdm.identity.commands import DecisionKind
from mdm.identity.decisions import Decision, Decisions, across
from mdm.identity.events import EventKind
from mdm.identity.numbers import Reason
from mdm.identity.plans import Facts, Plan, active, before_image, known, refuse_broken
from mdm.identity.state import SUPERSEDED

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from mdm.identity.commands import Split
    from mdm.identity.state import Number, State


def plan_unmerge(state: State, facts: Facts) -> Plan:
    past = facts.merge
    if past is None:
        raise IdentityError(
            "This event is no merge.", hint="`mdm entity history ID` lists an entity's events."
        )
    restored = known(state, past.data["merged"])
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
    then = set(past.data["records"]) | set(past.data["before"][past.survivor]["records"])
    return Plan(
        [(EventKind.ENTITY_UNMERGED, source, data)],
        [source, restored.id],
        joined_since=sorted(set(rest) - then),
        left_since=sorted(set(past.data["records"]) - set(records)),
    )


def _stands(number: Number, standing: Mapping[str, Any]) -> bool:
    """Whatever the reason: what a later merge changed has another one after that was undone."""
    return {**number.standing(), "reason": ""} == {**standing, "reason": ""}


def plan_split(state: State, command: Split, facts: Facts) -> Plan:
    entity = active(state, command.entity)
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
        "before": {entity.id: before_image(state, entity, facts)},
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
    refuse_broken(state, Decisions([*standing, *apart]), sparing=entity)
