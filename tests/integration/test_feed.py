"""The change feed on a village: complete, in order, as-of each event, silent about sealed registries."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
from sqlalchemy import select

from mdm.errors import InputError, LogReplacedError
from mdm.feed import events as feed_events
from mdm.feed.events import Feed
from mdm.identity.commands import Decide, DecisionKind, Merge, Split, Unmerge
from mdm.queries.people import People
from mdm.queries.viewer import Viewer
from mdm.store.engine import reading
from mdm.store.history import entity_at, history
from mdm.store.moments import read_moment
from mdm.store.tables import entity, event
from tests.engines import change
from tests.integration.merging import Steward
from tests.integration.test_concurrency import people
from tests.village import Village

EVERYTHING = Viewer(frozenset(), None, None)
OUTSIDER = Viewer(frozenset({"school"}), None, None)


def registry(code):
    return Viewer(frozenset({"school"}), frozenset(), frozenset({code}))


def feed_of(village):
    engine = village.identity.engine
    return Feed(engine, People(village.settings, engine).rules)


@pytest.fixture
def village(engine, tmp_path):
    made = people(tmp_path, engine, count=12)
    yield made
    made.close()


@pytest.fixture
def feed(village):
    return feed_of(village)


@pytest.fixture(scope="module")
def lived(engine, tmp_path_factory):
    """A village to which things have happened; it is only read."""
    made = people(tmp_path_factory.mktemp("lived"), engine, count=12)
    story(made)
    yield made
    made.close()


@pytest.fixture(scope="module")
def log(lived):
    return feed_of(lived)


def all_of(feed, viewer=EVERYTHING, *, after="0", limit=100, kinds=None):
    """All events, page by page, to the end of the log."""
    told, more = [], True
    while more:
        page = feed.page(viewer, after=after, limit=limit, kinds=kinds)
        assert len(page.events) <= limit
        told += page.events
        after, more = page.next, page.more
    return told


def story(village):
    """Merge, unmerge, split, a decision, a record that joins and one that goes."""
    left, right = village.home("population/r0"), village.home("tax/r2")
    merged = village.ask(Merge(left=left, right=right), actor="Bà Lan", reason="con bà Hoa").events[0]
    village.ask(Unmerge(event=merged))
    village.deliver("tax", r3={"full_name": "Lê An 3", "file_no": "F3"})
    village.deliver("school", r1=None)
    village.run()
    home = village.home("tax/r3")
    village.ask(Split(entity=home, records=(village.record_id("tax/r3"),)))
    a, b = village.record_id("population/r6"), village.record_id("tax/r8")
    village.ask(Decide(decision=DecisionKind.CANNOT_LINK, left=a, right=b))


def test_every_event_is_told_once_in_order(lived, log):
    last = log.last()
    for limit in (1, 7, 1000):
        told = all_of(log, limit=limit)
        assert [e.seq for e in told] == list(range(1, last + 1))
        assert all(e.is_last for e in told)


def test_every_event_names_everyone_whose_history_has_it(lived, log):
    told = {e.seq: {changed.id for changed in e.entities} for e in all_of(log)}
    named = {seq: set() for seq in told}
    with reading(lived.settings) as connection:
        for name in connection.scalars(select(entity.c.entity_id)).all():
            for happening in history(connection, name):
                named[happening.event.seq].add(name)
    assert named == told
    assert sum(len(names) > 1 for names in told.values()) > 5


def test_entities_are_told_as_they_stood_after_the_event(lived, log):
    statuses = set()
    with reading(lived.settings) as connection:
        for e in all_of(log):
            for changed in e.entities:
                then = entity_at(connection, changed.id, read_moment(connection, e.seq))
                stood = (then.kind, then.status, then.superseded_by, then.version)
                assert (changed.kind, changed.status, changed.superseded_by, changed.version) == stood
                statuses.add(changed.status)
    assert statuses == {"active", "superseded"}


def test_kinds_are_picked_without_losing_any(lived, log):
    wanted = {"entity.merged", "entity.unmerged", "golden.computed"}
    picked = all_of(log, kinds=wanted, limit=2)
    assert picked == [e for e in all_of(log) if e.kind in wanted]
    assert {e.kind for e in picked} == wanted


def test_an_event_about_very_many_comes_in_parts(lived, log, monkeypatch):
    whole = {e.seq: e for e in all_of(log)}
    monkeypatch.setattr(feed_events, "MOST_ENTITIES", 5)
    for limit in (1, 3, 100):
        parts = all_of(log, limit=limit)
        assert len({part.id for part in parts}) == len(parts) > len(whole)
        joined: dict[int, list] = {}
        for part in parts:
            assert len(part.entities) <= 5
            joined.setdefault(part.seq, []).extend(part.entities)
        assert joined == {seq: e.entities for seq, e in whole.items()}
        ends = [part.seq for part in parts if part.is_last]
        assert ends == sorted(whole)


def test_nothing_that_people_said_or_are_called_is_in_the_feed(lived, log):
    text = str(all_of(log))
    numbers = {n for home in lived.homes().values() for n in lived.numbers(home).values()}
    assert numbers
    for secret in ("Bà Lan", "con bà Hoa", "Lê An", "population", *numbers):
        assert secret not in text


# --- sealed registries -----------------------------------------------------------------------------------------------


def told_of(events, name):
    return [(e.kind, changed) for e in events for changed in e.entities if changed.id == name]


def test_a_sealed_record_changes_nothing_for_who_may_not_know_of_it(village, feed):
    """`school` is sealed: one of its records joins a person, and leaves again."""
    name = village.home("population/r0")
    before = all_of(feed, OUTSIDER)
    after = feed.page(OUTSIDER, after=str(feed.last())).next
    village.deliver("school", x={"full_name": "Lê An 0", "file_no": "F0"})
    village.run()
    assert village.home("school/x") == name
    village.deliver("school", x=None)
    village.run()
    assert told_of(all_of(feed, after=after), name) != []
    assert told_of(all_of(feed, OUTSIDER, after=after), name) == []
    assert told_of(all_of(feed, registry("population"), after=after), name) == []
    assert all_of(feed, OUTSIDER)[: len(before)] == before


def test_who_is_only_in_a_sealed_registry_is_not_told_of(lived, log):
    sealed = {name for record, name in lived.homes().items() if record.startswith("school/")}
    assert sealed
    told = {changed.id for e in all_of(log, OUTSIDER) for changed in e.entities}
    assert told == set(lived.homes().values()) - sealed
    assert sealed <= {changed.id for e in all_of(log) for changed in e.entities}


def test_a_merge_or_decision_that_a_sealed_record_is_part_of_is_not_told(village, feed):
    after = str(feed.last())
    known, hidden = village.home("population/r0"), village.home("school/r1")
    a, b = village.record_id("population/r3"), village.record_id("school/r4")
    village.ask(Decide(decision=DecisionKind.CANNOT_LINK, left=a, right=b))
    village.ask(Merge(left=known, right=hidden, survivor=known))
    kinds = {e.kind for e in all_of(feed, after=after)}
    assert {"decision.made", "entity.merged"} <= kinds
    told = all_of(feed, OUTSIDER, after=after)
    assert hidden not in {changed.id for e in told for changed in e.entities}
    assert kinds & {e.kind for e in told} <= {"golden.computed", "number.changed", "reviews.raised"}


def test_versions_would_count_hidden_moves(lived, log):
    assert {changed.version for e in all_of(log, OUTSIDER) for changed in e.entities} == {None}


# --- one registry ----------------------------------------------------------------------------------------------------


def test_a_registry_is_told_of_its_own_people_and_of_what_becomes_of_them(village, feed):
    tax = registry("tax")
    mine = {name for record, name in village.homes().items() if record.startswith("tax/")}
    assert {changed.id for e in all_of(feed, tax) for changed in e.entities} == mine
    after = str(feed.last())
    left, right = village.home("population/r0"), village.home("tax/r2")
    village.ask(Merge(left=left, right=right, survivor=left))
    told = told_of(all_of(feed, tax, after=after), right)
    assert ("entity.merged", "superseded", left) in {(kind, c.status, c.superseded_by) for kind, c in told}
    assert told_of(all_of(feed, tax, after=after), left) != []
    village.deliver("tax", r5=None)
    village.run()
    gone = told_of(all_of(feed, tax, after=after), village.home("tax/r5"))
    assert [kind for kind, _ in gone] == ["golden.computed"]


# --- positions -------------------------------------------------------------------------------------------------------


def test_a_page_can_be_empty_and_say_where_to_go_on(log):
    page = log.page(EVERYTHING, after=str(log.last()))
    assert (page.events, page.more) == ([], False)
    assert log.page(EVERYTHING, after=page.next) == page


@pytest.mark.parametrize("after", ["", "x", "-1", "1;2", "9" * 30, "1-zzzzzzzz", "99999"])
def test_what_is_no_position_is_refused(log, after):
    with pytest.raises(InputError):
        log.page(EVERYTHING, after=after)


@pytest.mark.parametrize("given", [{"limit": 0}, {"limit": 1001}, {"kinds": ["entity.eaten"]}])
def test_what_cannot_be_asked_is_refused(log, given):
    with pytest.raises(InputError):
        log.page(EVERYTHING, **given)


def test_a_position_of_a_log_that_was_replaced_is_refused(village, feed):
    """As after a restore: another event has the number."""
    known = feed.page(EVERYTHING, limit=1000).next
    change(
        village.settings,
        "UPDATE event SET at = ? WHERE seq = ?",
        "2020-01-01T00:00:00.000000+00:00",
        feed.last(),
    )
    with pytest.raises(LogReplacedError):
        feed.page(EVERYTHING, after=known)
    change(village.settings, "DELETE FROM event WHERE seq = ?", feed.last())
    with pytest.raises(LogReplacedError):
        feed.page(EVERYTHING, after=known)


# --- while others write ----------------------------------------------------------------------------------------------


def test_a_reader_that_follows_concurrent_writers_misses_nothing(engine, tmp_path):
    """Two stewards write while a reader asks for what is new, again and again."""
    village = people(tmp_path, engine, count=12)
    feed = feed_of(village)
    done = Event()

    def follow():
        told, after = [], "0"
        while True:
            finished = done.is_set()
            page = feed.page(EVERYTHING, after=after, limit=50)
            told, after = told + page.events, page.next
            if finished and not page.more:
                return told

    stewards = [Steward(Village(village.settings, new=False), seed) for seed in (1, 2)]
    with ThreadPoolExecutor(3) as threads:
        reader = threads.submit(follow)
        writers = [threads.submit(each.work, 2) for each in stewards]
        for writer in writers:
            writer.result()
        done.set()
        told = reader.result()
    assert all(each.done for each in stewards)
    with reading(village.settings) as connection:
        logged = connection.execute(select(event.c.seq, event.c.kind).order_by(event.c.seq)).all()
    assert [(e.seq, e.kind) for e in told] == [tuple(row) for row in logged]
    assert told == all_of(feed)
    for each in (village, *(steward.village for steward in stewards)):
        each.close()
