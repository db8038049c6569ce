"""The scenarios that every implementation of identity must pass, on a real store, with the laws checked after each step."""

import pytest
from sqlalchemy import select

from mdm.errors import IdentityError, StaleVersionError
from mdm.identity.commands import ChangeNumber, Decide, Merge, Split, Unmerge
from mdm.identity.numbers import NumberState, Reason
from mdm.pipeline.verify import verify
from mdm.store import tables as t
from tests.laws import Laws
from tests.village import Village, village_settings


class Watched(Village):
    """A village whose laws are looked at after everything that happens to it."""

    def __init__(self, settings):
        super().__init__(settings)
        self.laws = Laws(self.identity)

    def look(self, *, fresh=True):
        return self.laws.check(fresh=fresh)

    def deliver_rows(self, registry, records, **more):
        counts = super().deliver_rows(registry, records, **more)
        self.look(fresh=False)
        return counts

    def run(self, **options):
        report = super().run(**options)
        self.look()
        return report

    def ask(self, command, **more):
        answer = super().ask(command, **more)
        self.look(fresh=False)
        return answer

    def merged(self, survivor, merged):
        """The event."""
        answer = self.ask(Merge(left=survivor, right=merged, survivor=survivor))
        if answer.approval is not None:
            answer = self.identity.approve(answer.approval, actor="Lan")
        return answer.events[0]

    def canonical(self):
        state = self.look(fresh=False)
        return state.canonical(sorted(state.entities), self.laws.goldens)

    def golden(self, entity_id):
        """Values of the golden record, None if there is none."""
        found = self.query(
            select(t.golden.c["values"])
            .join(t.entity, t.entity.c.entity_key == t.golden.c.entity_key)
            .where(t.entity.c.entity_id == entity_id, t.golden.c.until_event.is_(None))
        )
        return found[0][0] if found else None

    def questions(self):
        return sorted(reason for (reason,) in self.query(select(t.review.c.reason)))

    def state_of(self, number):
        ((found,),) = self.query(select(t.ssn.c.state).where(t.ssn.c.number == number))
        return found


@pytest.fixture
def village(engine, tmp_path):
    made = Watched(village_settings(engine, tmp_path))
    yield made
    made.look(fresh=False)
    made.close()
    assert [check for check in verify(made.settings) if check.wrong] == []


def three(village, registry="tax"):
    """Three people of a record each; a's, b's and c's entity."""
    village.deliver(
        registry,
        a={"full_name": "Lê An", "file_no": "A"},
        b={"full_name": "Lê Bình", "file_no": "B"},
        c={"full_name": "Lê Chi", "file_no": "C"},
    )
    village.run()
    homes = village.homes()
    return homes[f"{registry}/a"], homes[f"{registry}/b"], homes[f"{registry}/c"]


# --- chains ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("registry", ["tax", "population"])
def test_a_chain_undone_from_its_end(village, registry):
    a, b, c = three(village, registry)
    start = village.canonical()
    first = village.merged(b, a)
    between = village.canonical()
    second = village.merged(c, b)
    village.ask(Unmerge(event=second))
    assert village.canonical() == between
    village.ask(Unmerge(event=first))
    assert village.canonical() == start


@pytest.mark.parametrize("registry", ["tax", "population"])
def test_a_chain_of_which_the_inner_merge_is_undone_first(village, registry):
    a, b, c = three(village, registry)
    start = village.canonical()
    first = village.merged(b, a)
    second = village.merged(c, b)
    village.ask(Unmerge(event=first))
    assert village.homes() == {f"{registry}/a": a, f"{registry}/b": c, f"{registry}/c": c}
    village.ask(Unmerge(event=second))
    assert village.canonical() == start


def test_an_inner_merge_is_blocked_by_what_changed_its_number_and_the_event_is_named(village):
    village.deliver("population", a={"full_name": "Lê An", "file_no": "A"}, c={"full_name": "Lê Chi"})
    village.deliver("tax", b={"full_name": "Lê Bình", "file_no": "B"})
    village.run()
    a, b, c = (village.home(name) for name in ("population/a", "tax/b", "population/c"))
    start = village.canonical()
    first = village.merged(b, a)  # b takes over a's number
    second = village.merged(c, b)
    with pytest.raises(IdentityError, match=f"event {second}"):
        village.ask(Unmerge(event=first))
    village.ask(Unmerge(event=second))
    village.ask(Unmerge(event=first))
    assert village.canonical() == start


# --- changes between a merge and its undoing -------------------------------------------------------------------------


@pytest.mark.parametrize("ran", [False, True])
def test_the_losers_source_is_updated_before_the_undoing(village, ran):
    a, b, _ = three(village)
    event = village.merged(a, b)
    village.deliver("tax", b={"full_name": "Lê Bình Minh", "file_no": "B"})
    if ran:
        village.run()
    village.ask(Unmerge(event=event))
    assert village.homes()["tax/b"] == b
    assert "Lê Bình Minh" in village.golden(b)
    assert "Minh" not in village.golden(a)
    village.run()
    assert village.homes() == {"tax/a": a, "tax/b": b, "tax/c": village.home("tax/c")}


def test_a_new_record_joins_before_the_undoing(village):
    """It stays with the survivor, is shown, and since it resembles the other side a person looks at it."""
    a, b, _ = three(village)
    event = village.merged(a, b)
    village.deliver("school", n={"full_name": "Lê Bình", "file_no": "B"})
    village.run()
    assert village.home("school/n") == a
    preview = village.identity.preview(Unmerge(event=event))
    assert preview.joined_since == [village.record_id("school/n")]
    assert preview.records == {
        a: sorted(map(village.record_id, ("tax/a", "school/n"))),
        b: [village.record_id("tax/b")],
    }
    village.ask(Unmerge(event=event))
    assert (village.home("school/n"), village.home("tax/b")) == (a, b)
    assert "unmerge.joined_since" in village.questions()


def test_a_record_is_withdrawn_after_the_merge(village):
    a, b, _ = three(village)
    event = village.merged(a, b)
    village.deliver("tax", b=None)
    village.run()
    assert village.home("tax/b") == a  # withdrawn records stay where they were
    assert "Bình" not in village.golden(a)
    village.ask(Unmerge(event=event))
    assert village.home("tax/b") == b
    assert village.golden(b) is None  # nobody says anything of b any more
    village.run()
    assert village.golden(b) is None


def test_a_record_is_split_off_before_the_undoing(village):
    village.deliver(
        "tax", a={"full_name": "Lê An", "file_no": "A"}, b={"full_name": "Lê Bình", "file_no": "B"}
    )
    village.deliver("school", b={"full_name": "Lê Bình", "file_no": "B"})
    village.run()
    a, b = village.home("tax/a"), village.home("tax/b")
    event = village.merged(a, b)
    village.ask(Split(entity=a, records=(village.record_id("school/b"),)))
    new = village.home("school/b")
    assert village.identity.preview(Unmerge(event=event)).left_since == [village.record_id("school/b")]
    village.ask(Unmerge(event=event))
    assert village.homes() == {"tax/a": a, "tax/b": b, "school/b": new}
    village.run()
    assert village.homes() == {
        "tax/a": a,
        "tax/b": b,
        "school/b": new,
    }  # the model says otherwise; people said this


# --- four eyes, repetition, two people at once -----------------------------------------------------------------------


def test_two_social_security_numbers_merge_with_a_second_person_only(village):
    a, b, _ = three(village, "population")
    (mine,), (theirs,) = village.numbers(a).values(), village.numbers(b).values()
    before = village.canonical()
    assert village.identity.preview(Merge(left=a, right=b)).needs_approval
    answer = village.ask(Merge(left=a, right=b))
    assert answer.approval is not None
    assert village.canonical() == before
    with pytest.raises(IdentityError, match="another than the one who asked"):
        village.identity.approve(answer.approval, actor="An")
    assert village.canonical() == before
    village.identity.approve(answer.approval, actor="Lan")
    assert village.homes()["population/b"] == a
    assert village.numbers(a) == {"ssn": mine}
    assert village.state_of(theirs) == "superseded"


def test_a_request_that_was_refused_does_nothing(village):
    a, b, _ = three(village, "population")
    before = village.canonical()
    answer = village.ask(Merge(left=a, right=b))
    village.identity.refuse(answer.approval, actor="Lan", reason="brothers")
    assert village.canonical() == before
    with pytest.raises(IdentityError, match="refused already"):
        village.identity.approve(answer.approval, actor="Lan")


def test_a_request_on_what_has_changed_since_is_not_carried_out(village):
    a, b, c = three(village, "population")
    command = Merge(left=a, right=b, expected={a: village.version(a), b: village.version(b)})
    answer = village.ask(command)
    village.merged(a, c)
    with pytest.raises(StaleVersionError):
        village.identity.approve(answer.approval, actor="Lan")
    village.identity.refuse(answer.approval, actor="Lan", reason="outdated")


def test_the_same_request_twice_is_carried_out_once(village):
    a, b, _ = three(village)
    command = Merge(left=a, right=b)
    first = village.ask(command, key="form-17")
    after = village.canonical()
    second = village.ask(command, key="form-17")
    assert (second.events, second.entities, second.repeated) == (first.events, first.entities, True)
    assert village.canonical() == after


def test_two_stewards_deciding_the_same_task(village):
    """Both looked at the same versions; the second is told that the first was there."""
    a, b, _ = three(village)
    expected = {a: village.version(a), b: village.version(b)}
    village.ask(Merge(left=a, right=b, expected=expected), actor="An")
    with pytest.raises(StaleVersionError):
        village.ask(Merge(left=a, right=b, expected=expected), actor="Lan")
    with pytest.raises(IdentityError, match=f"It is {a} now"):
        village.ask(Merge(left=a, right=b), actor="Lan")
    with pytest.raises(IdentityError, match="one entity now"):
        village.ask(
            Decide(decision="cannot_link", left=village.record_id("tax/a"), right=village.record_id("tax/b")),
            actor="Lan",
        )


# --- runs after people -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("force", [False, True])
def test_a_match_after_the_undoing_does_not_merge_again(village, force):
    """The model is sure that they are one; a person said that they are not."""
    village.deliver("tax", a={"full_name": "Lê An", "file_no": "A"})
    village.deliver("school", b={"full_name": "Lê An", "file_no": "B"})
    village.run()
    a, b = village.home("tax/a"), village.home("school/b")
    event = village.merged(a, b)
    village.deliver("school", b={"full_name": "Lê An", "file_no": "A"})
    village.run(force=force)
    village.ask(Unmerge(event=event))
    village.deliver("school", z={"full_name": "Vũ Dung"})
    for _ in range(2):
        village.run(force=force)
        assert (village.home("tax/a"), village.home("school/b")) == (a, b)


@pytest.mark.parametrize("force", [False, True])
def test_a_match_after_a_merge_by_hand_does_not_take_it_apart(village, force):
    a, b, c = three(village)
    village.merged(a, b)
    village.deliver("school", z={"full_name": "Vũ Dung"})
    for _ in range(2):
        village.run(force=force)
        assert village.homes() == {"tax/a": a, "tax/b": a, "tax/c": c, "school/z": village.home("school/z")}


def test_a_new_model_does_not_split_a_person_with_a_social_security_number(village):
    village.deliver("population", a={"full_name": "Lê An", "file_no": "A", "student_code": "1"})
    village.deliver("tax", a={"full_name": "Lê An", "file_no": "A", "student_code": "2"})
    village.run()
    home = village.home("tax/a")
    assert village.home("population/a") == home
    number = village.numbers(home)
    village.retrain("by_code")
    village.look()
    assert village.homes() == {"population/a": home, "tax/a": home}
    assert village.numbers(home) == number
    assert "split.number_affected" in village.questions()


def test_a_new_model_splits_whom_nobody_has_numbered_by_hand_or_anchored(village):
    village.deliver("school", a={"full_name": "Lê An", "file_no": "A", "student_code": "1"})
    village.deliver("tax", a={"full_name": "Lê An", "file_no": "A", "student_code": "2"})
    village.run()
    home = village.home("tax/a")
    village.retrain("by_code")
    village.look()
    homes = village.homes()
    assert len(set(homes.values())) == 2
    assert home in homes.values()


def test_a_record_corrected_so_that_it_belongs_elsewhere_moves(village):
    village.deliver(
        "tax", a={"full_name": "Lê An", "file_no": "A"}, b={"full_name": "Lê Bình", "file_no": "B"}
    )
    village.deliver("school", x={"full_name": "Lê An", "file_no": "A"})
    village.run()
    a, b = village.home("tax/a"), village.home("tax/b")
    assert village.home("school/x") == a
    village.deliver("school", x={"full_name": "Lê An", "file_no": "B"})
    village.run()
    assert village.homes() == {"tax/a": a, "tax/b": b, "school/x": b}
    assert len(village.numbers(a)) == len(village.numbers(b)) == 1


def test_a_corrected_record_of_a_person_with_a_number_is_a_question(village):
    village.deliver(
        "population", a={"full_name": "Lê An", "file_no": "A"}, b={"full_name": "Lê Bình", "file_no": "B"}
    )
    village.deliver("school", x={"full_name": "Lê An", "file_no": "A"})
    village.run()
    a = village.home("population/a")
    village.deliver("school", x={"full_name": "Lê An", "file_no": "B"})
    village.run()
    assert village.home("school/x") == a
    assert "split.number_affected" in village.questions()


def test_a_corrected_record_does_not_move_to_whom_it_was_kept_apart_from(village):
    village.deliver(
        "tax", a={"full_name": "Lê An", "file_no": "A"}, b={"full_name": "Lê Bình", "file_no": "B"}
    )
    village.deliver("school", x={"full_name": "Lê An", "file_no": "A"})
    village.run()
    a, b = village.home("tax/a"), village.home("tax/b")
    left, right = sorted((village.record_id("school/x"), village.record_id("tax/b")))
    village.ask(Decide(decision="cannot_link", left=left, right=right))
    village.deliver("school", x={"full_name": "Lê An", "file_no": "B"})
    village.run()
    assert village.home("school/x") != b
    assert (village.home("tax/a"), village.home("tax/b")) == (a, b)


def test_a_corrected_record_does_not_move_to_whom_it_was_kept_apart_from_by_a_withdrawn_one(village):
    """The record that the decision is on is withdrawn, so that no clustering sees it; it is still a member."""
    village.deliver(
        "tax",
        a={"full_name": "Lê An", "file_no": "A"},
        b={"full_name": "Lê Bình", "file_no": "B"},
        d={"full_name": "Lê Bình", "file_no": "B"},
    )
    village.deliver("school", x={"full_name": "Lê An", "file_no": "A"})
    village.run()
    a = village.home("tax/a")
    left, right = sorted((village.record_id("school/x"), village.record_id("tax/d")))
    village.ask(Decide(decision="cannot_link", left=left, right=right))
    village.deliver("tax", d=None)
    village.deliver("school", x={"full_name": "Lê An", "file_no": "B"})
    village.run()
    assert village.home("school/x") == a
    assert "move.refused" in village.questions()


# --- personal IDs, deaths --------------------------------------------------------------------------------------------


def test_two_verified_personal_ids_are_not_merged(village):
    village.deliver(
        "population",
        a={"full_name": "Lê An", "personal_id": "001090000001"},
        b={"full_name": "Lê An", "personal_id": "001090000002"},
    )
    village.run()
    with pytest.raises(IdentityError, match="different personal IDs"):
        village.ask(Merge(left=village.home("population/a"), right=village.home("population/b")))


def test_a_personal_id_that_was_re_established_is_the_same_person(village):
    village.deliver(
        "population",
        a={"full_name": "Lê An", "personal_id": "001090000001"},
        b={"full_name": "Lê An", "personal_id": "001090000002"},
    )
    village.run()
    a, b = village.home("population/a"), village.home("population/b")
    number = village.numbers(a)
    village.deliver_rows("population", {}, renumbered={"001090000001": "001090000002"})
    assert village.merged(a, b)
    assert village.numbers(a) == number  # the SSN does not follow the personal ID
    aliases = {
        value for (value,) in village.query(select(t.alias.c.value).where(t.alias.c.until_event.is_(None)))
    }
    assert {"001090000001", "001090000002"} <= aliases


def test_a_personal_id_corrected_in_place_changes_neither_id_nor_number(village):
    village.deliver("population", a={"full_name": "Lê An", "personal_id": "001090000001"})
    village.run()
    home = village.home("population/a")
    number = village.numbers(home)
    village.deliver("population", a={"full_name": "Lê An", "personal_id": "001090000002"})
    village.run()
    assert village.home("population/a") == home
    assert village.numbers(home) == number
    assert "001090000002" in village.golden(home)


def test_a_death_ends_no_identity(village):
    village.deliver("population", a={"full_name": "Lê An", "file_no": "A"})
    village.run()
    home = village.home("population/a")
    (number,) = village.numbers(home).values()
    village.deliver("school", x={"full_name": "Lê An", "file_no": "A", "death_date": "2025-12-01"})
    village.run()
    assert village.home("population/a") == village.home("school/x") == home
    assert village.state_of(number) == "deceased"
    assert village.numbers(home) == {"ssn": number}
    village.deliver("tax", x={"full_name": "Lê An", "file_no": "A"})
    village.run()
    assert village.home("tax/x") == home


def test_a_death_that_a_person_revoked_is_not_told_again_by_the_same_record(village):
    village.deliver("population", a={"full_name": "Lê An", "death_date": "2025-12-01"})
    village.run()
    (number,) = village.numbers(village.home("population/a")).values()
    assert village.state_of(number) == "deceased"
    village.ask(ChangeNumber(number=number, state=NumberState.ACTIVE, reason=Reason.DEATH_REVOKED))
    village.deliver("tax", z={"full_name": "Vũ Dung"})
    village.run(force=True)
    assert village.state_of(number) == "active"
    assert "death.revoked_before" in village.questions()


def test_anchoring_makes_the_temporary_number_an_alias(village):
    village.deliver("tax", a={"full_name": "Lê An", "file_no": "A"})
    village.run()
    home = village.home("tax/a")
    (temporary,) = village.numbers(home).values()
    village.deliver("population", a={"full_name": "Lê An", "file_no": "A"})
    village.run()
    assert village.home("population/a") == home
    assert village.state_of(temporary) == "superseded"
    assert list(village.numbers(home)) == ["ssn"]


@pytest.mark.parametrize("force", [False, True])
def test_a_number_cancelled_as_an_error_is_replaced_by_the_next_run(village, force):
    village.deliver("population", a={"full_name": "Lê An"})
    village.run()
    home = village.home("population/a")
    (number,) = village.numbers(home).values()
    village.ask(ChangeNumber(number=number, state=NumberState.CANCELLED, reason=Reason.ISSUED_IN_ERROR))
    village.deliver("tax", z={"full_name": "Vũ Dung"})
    village.run(force=force)
    (new,) = village.numbers(home).values()
    assert new != number
