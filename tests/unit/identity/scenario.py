"""A small world of people for the pure rules of identity: a state, its log, and facts as the store would give them."""

from __future__ import annotations

from mdm.identity.changes import plan
from mdm.identity.commands import ChangeNumber, Decide, DecisionKind, Merge, Revoke, Split, Unmerge
from mdm.identity.events import EventKind
from mdm.identity.journeys import Arrival, taken_out
from mdm.identity.numbers import NumberKind, NumberState, Reason
from mdm.identity.plans import Facts, PastMerge
from mdm.identity.state import State

SSN, TEMPORARY = NumberKind.SSN, NumberKind.TEMPORARY
MUST, CANNOT = DecisionKind.MUST_LINK, DecisionKind.CANNOT_LINK
# how a number gets into a state from active
WAYS = {
    NumberState.ACTIVE: None,
    NumberState.SUSPENDED: Reason.INVESTIGATION,
    NumberState.DECEASED: Reason.DEATH,
    NumberState.CANCELLED: Reason.ISSUED_IN_ERROR,
}


class World:
    """IDs are short texts, records small numbers, S… social-security numbers and T… temporary ones."""

    def __init__(self) -> None:
        self.state = State()
        self.log: list[tuple[int, EventKind, str | None, dict]] = []
        self.verified: dict[str, set[str]] = {}
        """Entity to the personal IDs that the population database gives its people."""
        self.replaced: dict[str, str] = {}
        self._arrivals: list[Arrival] = []
        self._number_changed: dict[str, int] = {}
        self._new = 0

    # --- what a run does -----------------------------------------------------------------------------------------

    def append(self, kind: EventKind, entity: str | None, data: dict) -> int:
        seq = len(self.log) + 1
        homes = dict(self.state.entity_of)
        touched = self.state.apply(seq, kind, entity, data)
        self.log.append((seq, kind, entity, data))
        for record in sorted(touched.records):
            if record in self.state.entity_of and self.state.entity_of[record] != homes.get(record):
                self._arrivals.append(Arrival(record, seq, kind, data.get("merge")))
        self._number_changed.update(dict.fromkeys(touched.numbers, seq))
        return seq

    def form(self, entity: str, *records: int, kind: str = "person") -> int:
        return self.append(EventKind.ENTITY_FORMED, entity, {"kind": kind, "records": list(records)})

    def link(self, entity: str, *records: int) -> int:
        return self.append(EventKind.RECORDS_LINKED, entity, {"records": list(records)})

    def detach(self, entity: str, *records: int) -> int:
        return self.append(EventKind.RECORDS_DETACHED, entity, {"records": list(records)})

    def issue(self, entity: str, number: str, state: NumberState = NumberState.ACTIVE) -> None:
        """A number of the kind that its first letter tells, in one of the states that are reached from active."""
        kind = SSN if number.startswith("S") else TEMPORARY
        reason = Reason.ANCHORED if kind is SSN else Reason.NOT_ANCHORED
        data = {"kind": kind, "number": number, "reason": reason, "sequence": len(self.state.numbers)}
        self.append(EventKind.NUMBER_ISSUED, entity, data)
        if WAYS[state] is not None:
            self.change_number(number, state, WAYS[state])

    def anchor(self, temporary: str, ssn: str) -> int:
        """What a run does with a temporary number whose holder now has a social-security number."""
        data = {
            "number": temporary,
            "reason": Reason.ANCHORED,
            "state": NumberState.SUPERSEDED,
            "superseded_by": ssn,
        }
        return self.append(EventKind.NUMBER_CHANGED, self.state.numbers[temporary].holder, data)

    # --- what a person asks --------------------------------------------------------------------------------------

    def plan(self, command, *, approved_by=None, by_hand=True):
        return plan(self.state, command, self._facts(command, approved_by, by_hand=by_hand))

    def do(self, command, *, approved_by=None, by_hand=True) -> int:
        """Carries a command out; returns the number of its first event."""
        first = len(self.log) + 1
        for event in self.plan(command, approved_by=approved_by, by_hand=by_hand).events:
            self.append(*event)
        return first

    def merge(
        self, left: str, right: str, *, survivor=None, approved_by="a second person", by_hand=True
    ) -> int:
        command = Merge(left=left, right=right, survivor=survivor)
        return self.do(command, approved_by=approved_by, by_hand=by_hand)

    def unmerge(self, event: int) -> int:
        return self.do(Unmerge(event=event))

    def split(self, entity: str, *records: int) -> str:
        """Returns the new entity."""
        self.do(Split(entity=entity, records=records))
        return self.log[-1][3]["into"]

    def decide(self, decision: DecisionKind, left: int, right: int) -> int:
        return self.do(Decide(decision=decision, left=left, right=right))

    def revoke(self, left: int, right: int) -> int:
        return self.do(Revoke(left=left, right=right))

    def revoke_between(self, left: str, right: str) -> None:
        """Every cannot-link between the records of two entities."""
        for one, two in sorted(self.state.decisions):
            if {self.state.entity_of.get(one), self.state.entity_of.get(two)} == {left, right}:
                self.revoke(one, two)

    def change_number(self, number: str, state: NumberState, reason: Reason) -> int:
        return self.do(ChangeNumber(number=number, state=state, reason=reason))

    # --- looking -------------------------------------------------------------------------------------------------

    def members(self) -> dict[str, set[int]]:
        """Of entities that have records."""
        return {entity: set(records) for entity, records in self.state.members.items() if records}

    def numbers(self) -> dict[str, tuple]:
        return {n.number: (n.holder, n.state, n.superseded_by) for n in self.state.numbers.values()}

    def canonical(self) -> str:
        return self.state.canonical(sorted(self.state.entities), self.golden())

    def golden(self) -> dict[str, str]:
        """Stands for golden records: they depend on the records and on nothing else."""
        return {entity: f"golden of {sorted(records)}" for entity, records in self.members().items()}

    def replay(self, until: int | None = None) -> State:
        """The state that the log gives, up to an event."""
        state = State()
        for event in self.log[:until]:
            state.apply(*event)
        return state

    def _facts(self, command, approved_by, *, by_hand) -> Facts:
        return Facts(
            verified=self.verified,
            replaced=self.replaced,
            golden={entity: {"hash": text} for entity, text in self.golden().items()},
            merge=self._past_merge(command.event) if isinstance(command, Unmerge) else None,
            new_id=self._new_id,
            seeds=self._seeds() if by_hand else None,
            approved_by=approved_by,
        )

    def _past_merge(self, seq: int) -> PastMerge | None:
        _, kind, entity, data = self.log[seq - 1]
        if kind is not EventKind.ENTITY_MERGED:
            return None
        since = [a for a in self._arrivals if a.seq > seq and a.record in set(data["records"])]
        return PastMerge(
            seq,
            entity,
            data,
            number_changed={
                change["number"]: self._number_changed[change["number"]] for change in data["numbers"]
            },
            taken_out=taken_out(seq, since),
        )

    def _seeds(self) -> dict[str, int]:
        """Entity to its smallest record that came to it by no merge, else to its smallest."""
        came = {a.record: a.kind for a in self._arrivals}
        return {
            entity: min(records, key=lambda record: (came[record] == EventKind.ENTITY_MERGED, record))
            for entity, records in self.members().items()
        }

    def _new_id(self) -> str:
        self._new += 1
        return f"N{self._new:03d}"
