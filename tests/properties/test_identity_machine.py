"""Whatever is asked in whatever order, the laws of identity hold. Pure: no store, thousands of commands a second."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mdm.errors import IdentityError
from mdm.identity.commands import ChangeNumber, Decide, DecisionKind, Merge, Revoke, Split, Unmerge
from mdm.identity.decisions import Decisions
from mdm.identity.events import EventKind
from mdm.identity.numbers import NumberState, Reason
from mdm.identity.state import ACTIVE, RETIRED, SUPERSEDED
from tests.unit.identity.scenario import SSN, TEMPORARY, World

pick = st.integers(0, 1_000)


class IdentityMachine(RuleBasedStateMachine):
    """Beside the state a model of its own: where each record is, and by which merges it came there."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.home: dict[int, str] = {}
        self.came_by: dict[int, list[int]] = {}
        self.merges: list[int] = []
        self.issued: set[str] = set()
        self.formed: set[str] = set()
        self.followed = 0

    # --- what runs do --------------------------------------------------------------------------------------------

    @initialize(
        sizes=st.lists(st.integers(1, 3), min_size=2, max_size=5), numbers=st.lists(st.sampled_from("ST-"))
    )
    def people(self, sizes, numbers):
        for place, size in enumerate(sizes):
            self.form(size, numbers[place] if place < len(numbers) else "-")

    @rule(size=st.integers(1, 2), number=st.sampled_from("ST-"))
    def form(self, size, number):
        entity = f"E{len(self.formed):03d}"
        records = range(len(self.home) + 1, len(self.home) + 1 + size)
        self.world.form(entity, *records)
        self.settle(entity, records)
        self.formed.add(entity)
        if number != "-":
            self.issue(entity, number)

    @rule(which=pick)
    def a_record_joins(self, which):
        entity, record = self.active(which), len(self.home) + 1
        self.world.link(entity, record)
        self.settle(entity, [record])

    @rule(which=pick, other=pick)
    def a_run_moves_a_record(self, which, other):
        """As a run may: not against a decision, and not from who holds a social-security number."""
        record, target = self.record(which), self.active(other)
        source, state = self.home[record], self.world.state
        decisions = Decisions(state.decisions.values())
        rest = state.members[source] - {record}
        if (
            source == target
            or state.live_number(source, SSN)
            or decisions.dividing({record}, rest)
            or decisions.forbidding({record}, state.members[target])
        ):
            return
        self.world.detach(source, record)
        if not rest:
            self.world.append(EventKind.ENTITY_RETIRED, source, {})
        self.world.link(target, record)
        self.settle(target, [record])

    @rule(which=pick)
    def a_number_is_issued(self, which):
        entity = self.active(which)
        if self.world.state.live_number(entity, SSN) is None:
            self.issue(entity, "S")
            temporary = self.world.state.live_number(entity, TEMPORARY)
            if temporary is not None:
                ssn = self.world.state.live_number(entity, SSN)
                self.world.anchor(temporary.number, ssn.number)

    # --- what people ask -----------------------------------------------------------------------------------------

    @rule(
        one=pick,
        other=pick,
        choice=st.sampled_from([None, "left", "right"]),
        approved=st.booleans(),
        by_hand=st.booleans(),
    )
    def merge(self, one, other, choice, approved, by_hand):
        left, right = self.any_entity(one), self.active(other)
        command = Merge(left=left, right=right, survivor={"left": left, "right": right}.get(choice))
        seq = self.asked(command, approved_by="Lan" if approved else None, by_hand=by_hand)
        if seq is not None:
            _, _, survivor, data = self.world.log[seq - 1]
            self.merges.append(seq)
            for record, home in self.home.items():
                if home == data["merged"]:
                    self.home[record] = survivor
                    self.came_by[record].append(seq)

    @rule(one=pick, other=pick)
    def merge_and_undo_at_once(self, one, other):
        before = self.world.canonical()
        if any(
            d.kind is DecisionKind.MUST_LINK and self.home[d.left] != self.home[d.right] for d in self.words()
        ):
            return  # where a person said before that they are one, it is not undone without revoking that
        seq = self.asked(Merge(left=self.active(one), right=self.active(other)), approved_by="Lan")
        if seq is not None:
            assert self.world.canonical() != before
            assert self.asked(Unmerge(event=seq)) is not None
            assert self.world.canonical() == before
            self.followed = len(self.world.log)
            self.merges.append(seq)

    @precondition(lambda self: self.merges)
    @rule(which=pick)
    def unmerge(self, which):
        event = self.merges[which % len(self.merges)]
        merged = self.world.log[event - 1][3]["merged"]
        if self.asked(Unmerge(event=event)) is not None:
            for record, merges in self.came_by.items():
                if event in merges:
                    del merges[merges.index(event) :]
                    self.home[record] = merged

    @rule(which=pick, share=st.sets(pick, min_size=1, max_size=3))
    def split(self, which, share):
        entity = self.active(which)
        members = sorted(self.world.state.members[entity])
        records = tuple(sorted({members[place % len(members)] for place in share}))
        seq = self.asked(Split(entity=entity, records=records))
        if seq is not None:
            new = self.world.log[seq - 1][3]["into"]
            assert new not in self.formed
            self.formed.add(new)
            self.settle(new, records)

    @rule(one=pick, other=pick, decision=st.sampled_from(DecisionKind))
    def decide(self, one, other, decision):
        self.asked(Decide(decision=decision, left=self.record(one), right=self.record(other)))

    @precondition(lambda self: self.world.state.decisions)
    @rule(which=pick)
    def revoke(self, which):
        pairs = sorted(self.world.state.decisions)
        left, right = pairs[which % len(pairs)]
        assert self.asked(Revoke(left=right, right=left)) is not None

    @precondition(lambda self: self.world.state.decisions)
    @rule()
    def revoke_all(self):
        for left, right in sorted(self.world.state.decisions):
            self.asked(Revoke(left=left, right=right))

    @precondition(lambda self: self.issued)
    @rule(which=pick, state=st.sampled_from(NumberState), reason=st.sampled_from(Reason))
    def change_number(self, which, state, reason):
        number = sorted(self.issued)[which % len(self.issued)]
        self.asked(ChangeNumber(number=number, state=state, reason=reason))

    @rule(one=pick, other=pick, behind=st.integers(1, 3))
    def ask_on_what_was(self, one, other, behind):
        """A decision made on a version that is no more."""
        left, right = self.active(one), self.active(other)
        version = self.world.state.entities[left].version
        if version > behind:
            assert self.asked(Merge(left=left, right=right, expected={left: version - behind})) is None

    # --- laws ----------------------------------------------------------------------------------------------------

    @invariant()
    def a_record_is_in_the_one_active_entity_where_the_model_has_it(self):
        state = self.world.state
        assert state.entity_of == self.home
        assert {r: e for e, records in state.members.items() for r in records} == self.home
        assert sum(map(len, state.members.values())) == len(self.home)
        assert all(state.entities[entity].status == ACTIVE for entity in self.home.values())
        assert set(state.entities) == self.formed

    @invariant()
    def every_redirect_ends_where_it_is_not_superseded(self):
        state = self.world.state
        for things in (state.entities, state.numbers):
            for name, thing in things.items():
                assert (thing.superseded_by is not None) == (standing(thing) == "superseded")
                path = [name]
                while (heir := things[path[-1]].superseded_by) is not None:
                    assert heir not in path
                    path.append(heir)

    @invariant()
    def an_entity_has_one_live_number_of_a_kind_at_most_and_numbers_stay(self):
        state = self.world.state
        assert set(state.numbers) == self.issued
        live = [(n.holder, n.kind) for n in state.numbers.values() if n.is_live]
        assert len(live) == len(set(live))
        assert all(state.entities[holder].status != SUPERSEDED for holder, _ in live)

    @invariant()
    def no_decision_is_contradicted(self):
        decisions = Decisions(self.world.state.decisions.values())
        assert decisions.contradiction() is None
        for members in self.world.members().values():
            assert decisions.forbidding(members, members) is None

    @invariant()
    def each_event_changes_what_it_says(self):
        """Versions ascend by one and nothing that is superseded changes but by its undoing."""
        before = self.world.replay(self.followed)
        for event in self.world.log[self.followed :]:
            former = dict(before.entities)
            before.apply(*event)
            for name, was in former.items():
                now = before.entities[name]
                assert now.version - was.version == (now != was)
                assert was.status != RETIRED or now == was
                if was.status == SUPERSEDED and now != was:
                    assert (event[1], event[3]["restored"]) == (EventKind.ENTITY_UNMERGED, name)
        self.followed = len(self.world.log)

    def teardown(self):
        replayed = self.world.replay()
        assert replayed.entities == self.world.state.entities
        assert replayed.numbers == self.world.state.numbers
        assert replayed.decisions == self.world.state.decisions
        assert replayed.entity_of == self.world.state.entity_of

    # --- parts ---------------------------------------------------------------------------------------------------

    def asked(self, command, *, approved_by=None, by_hand=True) -> int | None:
        """Its first event, or None where it is refused; then nothing has changed."""
        before, events = self.world.canonical(), len(self.world.log)
        try:
            return self.world.do(command, approved_by=approved_by, by_hand=by_hand)
        except IdentityError:
            assert (self.world.canonical(), len(self.world.log)) == (before, events)
            return None

    def words(self):
        return self.world.state.decisions.values()

    def issue(self, entity, letter):
        number = f"{letter}{len(self.issued):03d}"
        assert number not in self.issued
        self.world.issue(entity, number)
        self.issued.add(number)

    def settle(self, entity, records):
        for record in records:
            self.home[record] = entity
            self.came_by[record] = []

    def active(self, which):
        entities = sorted(set(self.home.values()))
        return entities[which % len(entities)]

    def any_entity(self, which):
        entities = sorted(self.formed)
        return entities[which % len(entities)]

    def record(self, which):
        return which % len(self.home) + 1


def standing(thing):
    return thing.status if hasattr(thing, "status") else thing.state


_USUAL = settings(
    deadline=None, stateful_step_count=40, max_examples=60, suppress_health_check=list(HealthCheck)
)


class TestIdentity(IdentityMachine.TestCase):
    settings = _USUAL


@pytest.mark.nightly
class TestIdentityAtLength(IdentityMachine.TestCase):
    settings = settings(_USUAL, stateful_step_count=100, max_examples=1_000)
