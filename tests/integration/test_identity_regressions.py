"""Failures known from master-data systems, each shown not to happen here, named after what went wrong."""

import threading
from contextlib import contextmanager

import orjson
import pytest
from sqlalchemy import func, select

import mdm.pipeline.run
import mdm.stewardship.service
from mdm.errors import IdentityError, RepeatedKeyError
from mdm.identity.commands import Merge, Split, Unmerge
from mdm.pipeline.indexing import make_index
from mdm.pipeline.verify import verify
from mdm.store import tables as t
from mdm.store.schema import create
from tests.laws import Laws
from tests.village import Village, village_settings

AN, BINH = {"full_name": "Lê An", "file_no": "A"}, {"full_name": "Lê Bình", "file_no": "B"}


@pytest.fixture(scope="session")
def two_people(engine, tmp_path_factory):
    """The settings of a village after its first run; tests work on copies."""
    made = Village(village_settings(engine, tmp_path_factory.mktemp("two-people")))
    made.deliver("tax", a=AN, b=BINH)
    made.deliver("school", a=AN, b=BINH)
    made.run()
    made.close()
    return made.settings


@pytest.fixture
def village(engine, two_people, tmp_path):
    copied = engine.copy(two_people, tmp_path)
    made = Village(copied.model_copy(update={"configs": two_people.configs, "threads": 1}), new=False)
    yield made
    Laws(made.identity).check(fresh=False)
    made.close()
    assert [check for check in verify(made.settings) if check.wrong] == []


def sides(village):
    return village.home("tax/a"), village.home("tax/b")


def sources(village):
    """Record to the entities whose golden record it contributes to, by the provenance of the golden records as they stand."""
    found: dict[int, set[int]] = {}
    for key, text in village.query(
        select(t.golden.c.entity_key, t.golden.c.provenance).where(t.golden.c.until_event.is_(None))
    ):
        for decision in orjson.loads(text).values():
            for source in [decision, *decision.get("chosen", ()), *decision.get("runners_up", ())]:
                if "record" in source:
                    found.setdefault(source["record"], set()).add(key)
    return found


def golden_names(village, entity_id):
    """The name that the golden record gives, None without a golden record."""
    found = village.query(
        select(t.golden.c["values"])
        .join(t.entity, t.entity.c.entity_key == t.golden.c.entity_key)
        .where(t.entity.c.entity_id == entity_id, t.golden.c.until_event.is_(None))
    )
    return orjson.loads(found[0][0])["full_name"] if found else None


# --- golden records --------------------------------------------------------------------------------------------------


def test_one_source_in_two_golden_records(village):
    a, b = sides(village)
    for step in (
        lambda: village.ask(Merge(left=a, right=b, survivor=a)),
        lambda: village.deliver("school", b=AN),
        village.run,
        lambda: village.ask(Split(entity=a, records=(village.record_id("school/a"),))),
        village.run,
    ):
        step()
        assert {record: len(keys) for record, keys in sources(village).items() if len(keys) > 1} == {}


@pytest.mark.parametrize("how", ["unmerge", "split", "move"])
def test_a_golden_record_that_keeps_a_detached_sources_data(village, how):
    a, b = sides(village)
    if how == "unmerge":
        merge = village.ask(Merge(left=a, right=b, survivor=a)).events[0]
        village.ask(Unmerge(event=merge))
        stays, gone = a, village.record_id("tax/b")
    elif how == "split":
        gone = village.record_id("tax/a")
        village.ask(Split(entity=a, records=(gone,)))
        stays = village.home("school/a")
    else:
        gone = village.record_id("school/a")
        village.deliver("school", a={"full_name": "Lê An", "file_no": "B"})
        village.run()
        stays = a
        assert village.home("school/a") == b
    ((key,),) = village.query(select(t.entity.c.entity_key).where(t.entity.c.entity_id == stays))
    named = {record for record, keys in sources(village).items() if key in keys}
    assert named
    assert gone not in named


def test_a_superseded_entity_that_keeps_its_golden_record_and_aliases(village):
    a, b = sides(village)
    village.ask(Merge(left=a, right=b, survivor=a))
    assert golden_names(village, b) is None
    ((key,),) = village.query(select(t.entity.c.entity_key).where(t.entity.c.entity_id == b))
    standing = select(func.count()).where(t.alias.c.entity_key == key, t.alias.c.until_event.is_(None))
    assert village.query(standing) == [(0,)]


@contextmanager
def dying_in(step, monkeypatch):
    def dies(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setitem(mdm.pipeline.run.STEPS, step, dies)
        with pytest.raises(KeyboardInterrupt):
            yield


def test_a_run_that_dies_between_its_merges_and_its_golden_records(village, monkeypatch):
    """What it merged is whole: the merged entity has no golden record any more. The run goes on afterwards."""
    a, b = sides(village)
    village.deliver("school", b=AN)
    village.deliver("tax", b=AN)
    with dying_in("reconcile", monkeypatch):
        village.run()
    assert set(village.homes().values()) == {a}
    assert [check for check in verify(village.settings) if check.wrong] == []
    assert golden_names(village, b) is None
    report = village.run()
    assert report.resumed
    Laws(village.identity).check(fresh=True)


# --- runs that were never finished -----------------------------------------------------------------------------------


def check_at_rest(village):
    """A run over everything finds nothing that the last one left."""
    Laws(village.identity).check(fresh=True)
    assert not village.run(force=True).changed_anything


@pytest.fixture
def coded(village):
    """By their student codes other records are one person than by their files."""
    village.deliver("tax", a={**AN, "student_code": "1"}, b={**BINH, "student_code": "2"})
    village.deliver("school", a={**AN, "student_code": "2"}, b={**BINH, "student_code": "1"})
    village.run()
    assert village.home("tax/a") == village.home("school/a")
    return village


def test_a_new_model_is_news_to_the_next_run(coded):
    """Whoever made it current was stopped before its run began."""
    coded.use_model("by_code")
    assert not coded.run().nothing_to_do
    assert coded.home("tax/a") == coded.home("school/b")
    check_at_rest(coded)


@pytest.mark.parametrize("step", mdm.pipeline.run.STEPS)
def test_a_run_over_everything_that_dies_is_taken_up_by_the_next_run(coded, monkeypatch, step):
    coded.use_model("by_code")
    with dying_in(step, monkeypatch):
        coded.run(force=True)
    report = coded.run()
    assert report.resumed
    assert coded.home("tax/a") == coded.home("school/b")
    check_at_rest(coded)


@pytest.mark.parametrize("step", ["cluster", "golden"])
def test_what_a_run_has_done_by_another_model_is_not_taken_up(coded, monkeypatch, step):
    coded.use_model("by_code")
    with dying_in(step, monkeypatch):
        coded.run(force=True)
    coded.use_model("by_file")
    assert not coded.run().resumed
    assert coded.home("tax/a") == coded.home("school/a")
    check_at_rest(coded)


# --- two at once -----------------------------------------------------------------------------------------------------


def test_reject_after_accept(village):
    village.deliver("population", c={"full_name": "Lê An"}, d={"full_name": "Lê An"})
    village.run()
    c, d = village.home("population/c"), village.home("population/d")
    approval = village.ask(Merge(left=c, right=d, survivor=c)).approval
    village.identity.approve(approval, actor="Lan")
    with pytest.raises(IdentityError, match=f"Request {approval} is approved already"):
        village.identity.refuse(approval, actor="Minh", reason="two people")
    with pytest.raises(IdentityError, match=f"Request {approval} is approved already"):
        village.identity.approve(approval, actor="Minh")
    assert village.home("population/d") == c


def test_accept_after_reject(village):
    village.deliver("population", c={"full_name": "Lê An"}, d={"full_name": "Lê An"})
    village.run()
    c, d = village.home("population/c"), village.home("population/d")
    approval = village.ask(Merge(left=c, right=d)).approval
    village.identity.refuse(approval, actor="Lan", reason="two people")
    with pytest.raises(IdentityError, match=f"Request {approval} is refused already"):
        village.identity.approve(approval, actor="Minh")
    assert village.home("population/d") == d


def test_a_merge_in_both_directions_at_once(village):
    a, b = sides(village)
    outcomes: dict[str, object] = {}
    start = threading.Barrier(2)

    def merge(survivor, merged):
        start.wait()
        try:
            outcomes[survivor] = village.ask(Merge(left=survivor, right=merged, survivor=survivor))
        except IdentityError as error:
            outcomes[survivor] = error

    threads = [threading.Thread(target=merge, args=pair) for pair in ((a, b), (b, a))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (refused,) = [found for found in outcomes.values() if isinstance(found, IdentityError)]
    (winner,) = [name for name, found in outcomes.items() if not isinstance(found, IdentityError)]
    assert f"It is {winner} now" in refused.message
    assert set(village.homes().values()) == {winner}


def test_a_redirect_that_dangles(village):
    """However entities end, whoever asks for an old ID is led to one that stands, or to the one that was retired."""
    village.deliver(
        "tax", c={"full_name": "Lê Chi", "file_no": "C"}, d={"full_name": "Lê Dung", "file_no": "D"}
    )
    village.run()
    a, b = sides(village)
    c, d = village.home("tax/c"), village.home("tax/d")
    first = village.ask(Merge(left=b, right=a, survivor=b)).events[0]
    village.ask(Merge(left=c, right=b, survivor=c))
    village.ask(Merge(left=d, right=c, survivor=d))
    state = Laws(village.identity).check(fresh=True)
    assert [state.resolve(name) for name in (a, b, c, d)] == [d, d, d, d]
    village.ask(Unmerge(event=first))
    state = Laws(village.identity).check(fresh=True)
    assert [state.resolve(name) for name in (a, b, c, d)] == [a, d, d, d]
    with pytest.raises(IdentityError, match=f"It is {d} now"):
        village.ask(Merge(left=a, right=b))


# --- history ---------------------------------------------------------------------------------------------------------


def test_history_erased_by_a_clear(village):
    """Whatever starts anew (a new schema version, a new model, everything again) adds; nothing that was is gone."""
    a, b = sides(village)
    laws = Laws(village.identity)
    laws.check(fresh=True)
    village.ask(Unmerge(event=village.ask(Merge(left=a, right=b)).events[0]))
    for step in (
        lambda: create(village.settings),
        lambda: village.run(force=True),
        lambda: village.retrain("by_code"),
        lambda: village.deliver("tax", a=None, b=None),
        lambda: village.deliver("school", a=None, b=None),
        lambda: village.deliver("population", z={"full_name": "Vũ Dung"}),
        village.run,
    ):
        step()
        laws.check(fresh=False)
    for entity_id in (a, b):
        ((golden,),) = village.query(
            select(func.count())
            .select_from(t.golden)
            .join(t.entity, t.entity.c.entity_key == t.golden.c.entity_key)
            .where(t.entity.c.entity_id == entity_id)
        )
        assert golden > 0


# --- requests --------------------------------------------------------------------------------------------------------


def event_count(village):
    ((count,),) = village.query(select(func.count()).select_from(t.event))
    return count


def test_the_same_idempotency_key_twice(village):
    a, b = sides(village)
    first = village.ask(Merge(left=a, right=b), key="k")
    events = event_count(village)
    again = village.ask(Merge(left=a, right=b), key="k")
    assert (again.events, again.repeated, event_count(village)) == (first.events, True, events)
    village.ask(Unmerge(event=first.events[0]))
    third = village.ask(Merge(left=a, right=b), key="k")  # it does not merge them once more
    assert (third.events, third.repeated) == (first.events, True)
    assert village.home("tax/b") == b


def test_the_same_idempotency_key_for_a_request_that_waits_for_a_second_person(village):
    village.deliver("population", c={"full_name": "Lê An"}, d={"full_name": "Lê An"})
    village.run()
    command = Merge(left=village.home("population/c"), right=village.home("population/d"))
    first, again = (village.ask(command, key="k") for _ in range(2))
    assert first.approval == again.approval is not None
    assert (first.repeated, again.repeated) == (False, True)
    assert village.query(select(func.count()).select_from(t.approval)) == [(1,)]


@pytest.mark.parametrize("other", ["command", "actor", "reason"])
def test_the_same_idempotency_key_with_another_body(village, other):
    a, b = sides(village)
    said = {"actor": "An", "reason": "seen the papers"}
    village.ask(Merge(left=a, right=b), key="k", **said)
    events = event_count(village)
    command = Merge(left=b, right=a) if other == "command" else Merge(left=a, right=b)
    if other != "command":
        said[other] = "Lan"
    with pytest.raises(RepeatedKeyError, match="used for another request"):
        village.ask(command, key="k", **said)
    assert event_count(village) == events


def test_a_refused_request_does_not_use_its_key_up(village):
    a, b = sides(village)
    with pytest.raises(IdentityError):
        village.ask(Merge(left=a, right=a), key="k")
    assert village.ask(Merge(left=a, right=b), key="k").events


def test_a_request_that_is_made_again_after_a_crash_between_commit_and_answer(village, monkeypatch):
    a, b = sides(village)
    real = mdm.stewardship.service.unit_of_work

    @contextmanager
    def crashes(engine):
        with real(engine) as work:
            yield work
        raise ConnectionAbortedError

    with monkeypatch.context() as patched:
        patched.setattr(mdm.stewardship.service, "unit_of_work", crashes)
        with pytest.raises(ConnectionAbortedError):
            village.ask(Merge(left=a, right=b, survivor=a), key="k")
    events = event_count(village)
    answer = village.ask(Merge(left=a, right=b, survivor=a), key="k")
    assert answer.repeated
    assert set(answer.entities) == {a, b}
    assert event_count(village) == events
    assert village.home("tax/b") == a


def test_a_request_that_is_made_again_after_a_crash_before_commit(village, monkeypatch):
    a, b = sides(village)
    events = event_count(village)

    def crashes(*_, **__):
        raise ConnectionAbortedError

    with monkeypatch.context() as patched:
        patched.setattr(mdm.stewardship.service.desk, "keep_answer", crashes)
        with pytest.raises(ConnectionAbortedError):
            village.ask(Merge(left=a, right=b), key="k")
    assert event_count(village) == events
    answer = village.ask(Merge(left=a, right=b), key="k")
    assert not answer.repeated
    assert answer.events


def test_a_store_whose_last_record_was_withdrawn_goes_on(engine, tmp_path):
    made = Village(village_settings(engine, tmp_path))
    made.deliver("tax", a=AN)
    made.run()
    made.deliver("tax", a=None)
    made.run()
    assert made.query(select(t.golden).where(t.golden.c.until_event.is_(None))) == []
    made.run(force=True)
    make_index(made.settings)
    assert [check for check in verify(made.settings) if check.wrong] == []
    made.deliver("tax", b=BINH)
    made.run()
    assert golden_names(made, made.home("tax/b")) == "Lê Bình"
    made.close()
    assert [check for check in verify(made.settings) if check.wrong] == []
