"""Who is who, as the events tell it: entities, their records, numbers, and people's decisions.

`State.apply` is the definition of what an event means. The store keeps the same state in tables; that both agree is
tested, and `mdm verify` checks it.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from mdm.identity.commands import DecisionKind
from mdm.identity.decisions import Decision, across
from mdm.identity.events import EventKind, canonical_json
from mdm.identity.numbers import LIVE, NumberKind, NumberState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

ACTIVE, SUPERSEDED, RETIRED = "active", "superseded", "retired"


@dataclass(frozen=True, slots=True)
class Entity:
    """A person or household. `version` counts the changes of its records and standing; `formed` is an event's number."""

    id: str
    kind: str
    status: str = ACTIVE
    superseded_by: str | None = None
    version: int = 1
    formed: int = 0


@dataclass(frozen=True, slots=True)
class Number:
    """`holder` is None only while the number is reserved."""

    number: str
    kind: str
    holder: str | None
    state: str
    superseded_by: str | None = None
    reason: str = ""

    @property
    def is_live(self) -> bool:
        return self.state in LIVE

    def standing(self) -> dict[str, Any]:
        """What a change may change, as it stands in an event."""
        return {
            "holder": self.holder,
            "reason": self.reason,
            "state": self.state,
            "superseded_by": self.superseded_by,
        }


@dataclass(slots=True)
class Touched:
    """What an event changed, by ID."""

    entities: set[str] = field(default_factory=set)
    records: set[int] = field(default_factory=set)
    numbers: set[str] = field(default_factory=set)
    decisions: set[tuple[int, int]] = field(default_factory=set)


class State:
    """The whole state, or the part of it that a command is about."""

    def __init__(self) -> None:
        self.entities: dict[str, Entity] = {}
        self.members: dict[str, set[int]] = defaultdict(set)
        self.entity_of: dict[int, str] = {}
        self.numbers: dict[str, Number] = {}
        self.decisions: dict[tuple[int, int], Decision] = {}

    def numbers_of(self, entity: str) -> list[Number]:
        return sorted((n for n in self.numbers.values() if n.holder == entity), key=lambda n: n.number)

    def live_number(self, entity: str, kind: NumberKind) -> Number | None:
        return next((n for n in self.numbers_of(entity) if n.kind == kind and n.is_live), None)

    def resolve(self, entity: str) -> str:
        """The entity that stands for it now; a chain is followed to its end."""
        while (heir := self.entities[entity].superseded_by) is not None:
            entity = heir
        return entity

    def resolve_number(self, number: str) -> str:
        while (heir := self.numbers[number].superseded_by) is not None:
            number = heir
        return number

    def apply(self, seq: int, kind: EventKind | str, entity: str | None, data: Mapping[str, Any]) -> Touched:
        """Changes the state as the event says. Events that tell of no identity change nothing here."""
        touched = Touched()
        step = _STEPS.get(EventKind(kind))
        if step is not None:
            step(self, seq, entity or "", data, touched)
        return touched

    # --- steps ---------------------------------------------------------------------------------------------------

    def _formed(self, seq: int, entity: str, data: Mapping[str, Any], touched: Touched) -> None:
        self.entities[entity] = Entity(entity, data["kind"], formed=seq)
        touched.entities.add(entity)
        self._join(entity, data["records"], touched)

    def _linked(self, _seq: int, entity: str, data: Mapping[str, Any], touched: Touched) -> None:
        self._join(entity, data["records"], touched)
        self._changed(entity, touched)

    def _detached(self, _seq: int, entity: str, data: Mapping[str, Any], touched: Touched) -> None:
        self._leave(entity, data["records"], touched)
        self._changed(entity, touched)

    def _retired(self, _seq: int, entity: str, _data: Mapping[str, Any], touched: Touched) -> None:
        self._changed(entity, touched, status=RETIRED)

    def _merged(self, _seq: int, entity: str, data: Mapping[str, Any], touched: Touched) -> None:
        merged = data["merged"]
        self._leave(merged, data["records"], touched)
        self._join(entity, data["records"], touched)
        self._changed(entity, touched)
        self._changed(merged, touched, status=SUPERSEDED, superseded_by=entity)
        self._set_numbers(data["numbers"], touched)
        if (pair := data.get("must_link")) is not None:
            self._decide(DecisionKind.MUST_LINK, (pair[0], pair[1]), touched)

    def _unmerged(self, _seq: int, entity: str, data: Mapping[str, Any], touched: Touched) -> None:
        restored = data["restored"]
        self._leave(entity, data["records"], touched)
        self._join(restored, data["records"], touched)
        self._changed(entity, touched)
        self._changed(restored, touched, status=ACTIVE, superseded_by=None)
        self._set_numbers(data["numbers"], touched)
        for left, right in data["revoked"]:
            del self.decisions[left, right]
            touched.decisions.add((left, right))
        self._forbid(data["cannot_link"], touched)

    def _split(self, seq: int, entity: str, data: Mapping[str, Any], touched: Touched) -> None:
        into = data["into"]
        self._leave(entity, data["records"], touched)
        self.entities[into] = Entity(into, data["kind"], formed=seq)
        touched.entities.add(into)
        self._join(into, data["records"], touched)
        self._changed(entity, touched)
        self._forbid(data["cannot_link"], touched)

    def _issued(self, _seq: int, entity: str, data: Mapping[str, Any], touched: Touched) -> None:
        number = Number(
            data["number"],
            data["kind"],
            holder=entity or None,
            state=NumberState.ACTIVE if entity else NumberState.RESERVED,
            reason=data["reason"],
        )
        self.numbers[number.number] = number
        touched.numbers.add(number.number)

    def _number_changed(self, _seq: int, entity: str, data: Mapping[str, Any], touched: Touched) -> None:
        self._set_number(data["number"], {**data, "holder": entity or None}, touched)

    def _decided(self, _seq: int, _entity: str, data: Mapping[str, Any], touched: Touched) -> None:
        self._decide(DecisionKind(data["decision"]), (data["left"], data["right"]), touched)

    def _revoked(self, _seq: int, _entity: str, data: Mapping[str, Any], touched: Touched) -> None:
        pair = (data["left"], data["right"])
        self.decisions.pop(pair)
        touched.decisions.add(pair)

    # --- parts of steps ------------------------------------------------------------------------------------------

    def _join(self, entity: str, records: Iterable[int], touched: Touched) -> None:
        for record in records:
            self.entity_of[record] = entity
            self.members[entity].add(record)
            touched.records.add(record)

    def _leave(self, entity: str, records: Iterable[int], touched: Touched) -> None:
        for record in records:
            del self.entity_of[record]
            self.members[entity].remove(record)
            touched.records.add(record)

    def _changed(self, entity: str, touched: Touched, **standing: Any) -> None:
        before = self.entities[entity]
        self.entities[entity] = replace(before, version=before.version + 1, **standing)
        touched.entities.add(entity)

    def _set_numbers(self, changes: Iterable[Mapping[str, Any]], touched: Touched) -> None:
        for change in changes:
            self._set_number(change["number"], change["after"], touched)

    def _set_number(self, number: str, after: Mapping[str, Any], touched: Touched) -> None:
        self.numbers[number] = replace(
            self.numbers[number],
            holder=after["holder"],
            state=after["state"],
            superseded_by=after["superseded_by"],
            reason=after["reason"],
        )
        touched.numbers.add(number)

    def _decide(self, kind: DecisionKind, pair: tuple[int, int], touched: Touched) -> None:
        self.decisions[pair] = Decision(kind, *pair)
        touched.decisions.add(pair)

    def _forbid(self, sides: Mapping[str, Any] | None, touched: Touched) -> None:
        if sides is None:
            return
        for pair in across(sides["left"], sides["right"]):
            self._decide(DecisionKind.CANNOT_LINK, pair, touched)

    # --- canonical form ------------------------------------------------------------------------------------------

    def canonical(self, entities: Iterable[str], golden: Mapping[str, str]) -> str:
        """Canonical JSON of entities as anyone sees them: standing, records, numbers, hash of the golden record.

        Positions in the log, version counters and the reasons of changes are left out, so a state that came back is equal to what it was.
        """
        return canonical_json(
            {
                entity: {
                    "golden": golden.get(entity),
                    "kind": self.entities[entity].kind,
                    "numbers": {n.number: [n.state, n.superseded_by] for n in self.numbers_of(entity)},
                    "records": sorted(self.members.get(entity, ())),
                    "status": self.entities[entity].status,
                    "superseded_by": self.entities[entity].superseded_by,
                }
                for entity in entities
            }
        )


_STEPS: Mapping[EventKind, Callable[[State, int, str, Mapping[str, Any], Touched], None]] = {
    EventKind.ENTITY_FORMED: State._formed,  # noqa: SLF001
    EventKind.RECORDS_LINKED: State._linked,  # noqa: SLF001
    EventKind.RECORDS_DETACHED: State._detached,  # noqa: SLF001
    EventKind.ENTITY_RETIRED: State._retired,  # noqa: SLF001
    EventKind.ENTITY_MERGED: State._merged,  # noqa: SLF001
    EventKind.ENTITY_UNMERGED: State._unmerged,  # noqa: SLF001
    EventKind.ENTITY_SPLIT: State._split,  # noqa: SLF001
    EventKind.NUMBER_ISSUED: State._issued,  # noqa: SLF001
    EventKind.NUMBER_CHANGED: State._number_changed,  # noqa: SLF001
    EventKind.DECISION_MADE: State._decided,  # noqa: SLF001
    EventKind.DECISION_REVOKED: State._revoked,  # noqa: SLF001
}
