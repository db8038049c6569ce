"""Deliveries, runs, stewards and new models in any order: after each of them the laws hold in a real store."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from mdm.errors import IdentityError
from mdm.identity.commands import (
    AssignNumber,
    ChangeNumber,
    Decide,
    DecideReview,
    DecisionKind,
    Merge,
    ReserveNumbers,
    Revoke,
    Split,
    Unmerge,
    Verdict,
)
from mdm.identity.numbers import NumberState, Reason
from mdm.pipeline.verify import verify
from tests.engines import by_day_on_sqlite
from tests.laws import Laws
from tests.village import MODELS, REGISTRIES, Village, village_settings

if TYPE_CHECKING:
    from mdm.stewardship.service import Answer
    from tests.engines import Engine

pick = st.integers(0, 1_000)
rows = st.fixed_dictionaries(
    {"full_name": st.sampled_from(["Lê An", "Lê Bình", "Vũ Chi"])},
    optional={
        "file_no": st.sampled_from("ABCD"),
        "student_code": st.sampled_from("1234"),
        "personal_id": st.sampled_from(["001090000001", "001090000002", "001090000003"]),
        "death_date": st.just("2025-12-01"),
    },
)
deliveries = st.dictionaries(
    st.sampled_from([f"r{n}" for n in range(6)]), st.none() | rows, min_size=1, max_size=4
)


class StoreMachine(RuleBasedStateMachine):
    """On a store of its own in the given engine."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self.engine = engine
        self.folder = Path(tempfile.mkdtemp(prefix="mdm-machine-"))
        self.village = Village(village_settings(engine, self.folder))
        self.laws = Laws(self.village.identity)
        self.merges: list[int] = []
        self.approvals: list[int] = []
        self.waiting = False
        self.look()

    def teardown(self):
        wrong = [check for check in verify(self.village.settings) if check.wrong]
        self.village.close()
        if self.engine.server is not None:
            self.engine.server.drop_below(self.folder)
        shutil.rmtree(self.folder)
        assert wrong == []

    def look(self) -> None:
        self.state = self.laws.check(fresh=not self.waiting)
        self.active = sorted(set(self.state.entity_of.values()))
        self.records = sorted(self.state.entity_of)

    @invariant()
    def the_laws_hold(self):
        self.look()

    # --- registries and runs -------------------------------------------------------------------------------------

    @initialize(first=st.lists(deliveries, min_size=2, max_size=3))
    def a_first_run(self, first):
        for registry, records in zip(REGISTRIES, first, strict=False):
            self.village.deliver_rows(registry, records)
        self.village.deliver("tax", r0={"full_name": "Lê An", "file_no": "A"})
        self.village.run()

    @rule(registry=st.sampled_from(REGISTRIES), records=deliveries)
    def deliver(self, registry, records):
        self.village.deliver_rows(registry, records)
        self.waiting = True

    @rule()
    def run(self):
        together = self.said_to_be_one()
        self.village.run()
        self.waiting = False
        self.look()
        assert together <= self.said_to_be_one(), "a run took apart what a person had joined"

    @rule()
    def run_over_everything(self):
        """It finds nothing that a run over what changed has not found, whatever people did before that one."""
        self.run()
        report = self.village.run(force=True)
        assert not report.changed_anything

    @rule(model=st.sampled_from(MODELS))
    def another_model(self, model):
        together = self.said_to_be_one()
        self.village.retrain(model)
        self.waiting = False
        self.look()
        assert together <= self.said_to_be_one(), "a new model took apart what a person had joined"

    # --- people --------------------------------------------------------------------------------------------------

    @precondition(lambda self: len(self.active) > 1)
    @rule(
        one=pick,
        other=pick,
        choice=st.sampled_from([None, "left", "right"]),
        key=st.sampled_from([None, "k1", "k2"]),
    )
    def merge(self, one, other, choice, key):
        left, right = self.some(sorted(self.state.entities), one), self.some(self.active, other)
        command = Merge(left=left, right=right, survivor={"left": left, "right": right}.get(choice))
        answer = self.asked(command, key=key)
        if answer and answer.approval is None and not answer.repeated:
            self.merges.append(answer.events[0])

    @precondition(lambda self: len(self.active) > 1)
    @rule(one=pick, other=pick)
    def merge_and_undo_at_once(self, one, other):
        left, right = self.some(self.active, one), self.some(self.active, other)
        home, words = self.state.entity_of, self.state.decisions.values()
        if self.waiting or any(
            d.kind is DecisionKind.MUST_LINK and home[d.left] != home[d.right] for d in words
        ):
            return  # where a person said before that they are one, it is not undone without revoking that
        before = self.canonical()
        answer = self.asked(Merge(left=left, right=right))
        if answer and answer.approval is None:
            self.merges.append(answer.events[0])
            assert self.asked(Unmerge(event=answer.events[0]))
            self.look()
            assert self.canonical() == before

    @precondition(lambda self: self.merges)
    @rule(which=pick)
    def unmerge(self, which):
        self.asked(Unmerge(event=self.some(self.merges, which)))

    @precondition(lambda self: self.active)
    @rule(which=pick, share=st.sets(pick, min_size=1, max_size=2))
    def split(self, which, share):
        entity = self.some(self.active, which)
        members = sorted(self.state.members[entity])
        self.asked(Split(entity=entity, records=tuple({self.some(members, place) for place in share})))

    @precondition(lambda self: len(self.records) > 1)
    @rule(one=pick, other=pick, decision=st.sampled_from(DecisionKind))
    def decide(self, one, other, decision):
        self.asked(
            Decide(decision=decision, left=self.some(self.records, one), right=self.some(self.records, other))
        )

    @precondition(lambda self: self.state.decisions)
    @rule(which=pick)
    def revoke(self, which):
        left, right = self.some(sorted(self.state.decisions), which)
        assert self.asked(Revoke(left=left, right=right))

    @precondition(lambda self: self.state.numbers)
    @rule(which=pick, state=st.sampled_from(NumberState), reason=st.sampled_from(Reason))
    def change_number(self, which, state, reason):
        self.asked(
            ChangeNumber(number=self.some(sorted(self.state.numbers), which), state=state, reason=reason)
        )

    @precondition(lambda self: self.approvals)
    @rule(which=pick, granted=st.booleans(), actor=st.sampled_from(["An", "Lan"]))
    def answer_a_request(self, which, granted, actor):
        approval = self.some(self.approvals, which)
        try:
            if granted:
                answer = self.village.identity.approve(approval, actor=actor)
                assert actor != "An"
                self.merges.append(answer.events[0])
            else:
                self.village.identity.refuse(approval, actor=actor, reason="not the same person")
        except IdentityError:
            return
        self.approvals.remove(approval)

    @rule(which=pick, verdict=st.sampled_from(Verdict))
    def answer_a_question(self, which, verdict):
        if questions := self.village.open_questions():
            self.asked(DecideReview(review=self.some(questions, which), verdict=verdict))

    @rule(count=st.integers(1, 3))
    def reserve_numbers(self, count):
        answer = self.asked(ReserveNumbers(count=count))
        assert answer is None or len(answer.numbers) == count

    @precondition(lambda self: self.active)
    @rule(which=pick, person=pick)
    def assign_a_number(self, which, person):
        reserved = sorted(n.number for n in self.state.numbers.values() if n.state == NumberState.RESERVED)
        if reserved:
            entity = self.some(self.active, person)
            answer = self.asked(AssignNumber(number=self.some(reserved, which), entity=entity))
            assert answer is None or entity in answer.entities

    def said_to_be_one(self):
        """Must-linked records that are in one entity."""
        return {
            pair
            for pair, decision in self.state.decisions.items()
            if decision.kind is DecisionKind.MUST_LINK
            and self.state.entity_of.get(pair[0]) == self.state.entity_of.get(pair[1])
        }

    # --- parts ---------------------------------------------------------------------------------------------------

    def asked(self, command, *, key=None) -> Answer | None:
        """None where it is refused; then nothing was written."""
        events = self.laws.past["event"]
        try:
            answer = self.village.ask(command, key=key)
        except IdentityError:
            self.laws.check(fresh=False)
            assert self.laws.past["event"] == events
            return None
        if answer.approval is not None and not answer.repeated:
            self.approvals.append(answer.approval)
        return answer

    def canonical(self) -> str:
        return self.state.canonical(sorted(self.state.entities), self.laws.goldens)

    def some(self, things, which):
        return things[which % len(things)]


_USUAL = settings(
    deadline=None,
    max_examples=6,
    stateful_step_count=14,
    suppress_health_check=list(HealthCheck),
)
_AT_LENGTH = settings(_USUAL, max_examples=100, stateful_step_count=40)


@by_day_on_sqlite
def test_the_laws_hold_in_a_store(engine):
    run_state_machine_as_test(lambda: StoreMachine(engine), settings=_USUAL)


@pytest.mark.nightly
def test_the_laws_hold_in_a_store_at_length(engine):
    run_state_machine_as_test(lambda: StoreMachine(engine), settings=_AT_LENGTH)
