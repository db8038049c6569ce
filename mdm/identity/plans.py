"""What a plan is made of and what it comes to, and the refusals that several commands share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mdm.errors import IdentityError, NotFoundError
from mdm.identity.events import EventKind
from mdm.identity.state import ACTIVE, Entity, State

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from mdm.identity.decisions import Decisions

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
class OpenQuestion:
    """A question as it stands: the records that it is about, of which some may have been withdrawn since."""

    number: int
    state: str
    version: int
    records: tuple[int, ...]


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
    question: OpenQuestion | None = None
    fresh_numbers: Sequence[tuple[int, str]] = ()
    """Place in the sequence and number, of numbers that nobody has had."""
    anchored: bool = False
    """Whether the population database knows the person who is to get a number."""


@dataclass(frozen=True)
class Plan:
    events: list[Event]
    entities: list[str]
    """Entities whose golden record must be computed anew."""
    joined_since: list[int] = field(default_factory=list)
    """Of an unmerge: records that joined after the merge and stay with the survivor."""
    left_since: list[int] = field(default_factory=list)
    """Of an unmerge: records of the merged entity that have gone elsewhere and do not come back."""


def before_image(state: State, side: Entity, facts: Facts) -> dict[str, Any]:
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


def refuse_broken(state: State, after: Decisions, *, sparing: str | None = None) -> None:
    """Decisions as they would be must not keep records apart that are one entity."""
    for entity, members in sorted(state.members.items()):
        if entity != sparing and after.forbidding(members, members) is not None:
            raise IdentityError(
                f"With what was decided before, it would keep records apart that are one entity now: {entity}.",
                hint="Split that one, or revoke the decisions that tie its records to these.",
            )


def known(state: State, entity: str) -> Entity:
    if entity not in state.entities:
        raise NotFoundError(f"There is no entity {entity}.")
    return state.entities[entity]


def active(state: State, entity: str) -> Entity:
    found = known(state, entity)
    if found.status != ACTIVE:
        heir = f" It is {state.resolve(entity)} now." if found.superseded_by else ""
        raise IdentityError(f"Entity {entity} is {found.status}.{heir}", hint="Use the present ID.")
    return found
