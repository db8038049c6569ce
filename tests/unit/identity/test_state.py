"""What an event means: applied to a state, told as touched, replayed from the log."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdm.identity.events import EventKind, Events, Stamp, seal, seal_one
from mdm.identity.numbers import NumberState, Reason
from mdm.identity.state import State, Touched
from tests.unit.identity.scenario import CANNOT, MUST, SSN, World

IDENTITY = {
    EventKind.ENTITY_FORMED,
    EventKind.RECORDS_LINKED,
    EventKind.RECORDS_DETACHED,
    EventKind.ENTITY_RETIRED,
    EventKind.ENTITY_MERGED,
    EventKind.ENTITY_UNMERGED,
    EventKind.ENTITY_SPLIT,
    EventKind.NUMBER_ISSUED,
    EventKind.NUMBER_CHANGED,
    EventKind.DECISION_MADE,
    EventKind.DECISION_REVOKED,
}


def busy():
    """A world in which everything has happened once."""
    made = World()
    for place, name in enumerate("ABCD", start=1):
        made.form(name, 10 * place, 10 * place + 1)
    made.issue("A", "S1")
    made.issue("B", "T1")
    made.link("C", 90)
    merge = made.merge("A", "B")
    made.decide(CANNOT, 10, 30)
    made.decide(MUST, 10, 11)
    made.revoke(10, 30)
    made.unmerge(merge)
    made.split("C", 90)
    made.change_number("S1", NumberState.SUSPENDED, Reason.INVESTIGATION)
    made.detach("D", 40, 41)
    made.append(EventKind.ENTITY_RETIRED, "D", {})
    return made


def test_the_log_alone_gives_the_same_state_at_every_event():
    made = busy()
    assert {kind for _, kind, _, _ in made.log} == IDENTITY
    again = World()
    for event in made.log:
        again.append(*event[1:])
        state = made.replay(event[0])
        assert state.canonical(sorted(state.entities), {}) == again.state.canonical(
            sorted(state.entities), {}
        )
        assert state.entities == again.state.entities
        assert state.decisions == again.state.decisions
    assert made.replay().entities == made.state.entities
    assert made.replay().numbers == made.state.numbers


def test_the_log_is_json_and_means_the_same_when_read_back():
    made = busy()
    state = State()
    for seq, kind, entity, data in made.log:
        state.apply(seq, str(kind), entity, orjson.loads(orjson.dumps(data)))
    assert state.entities == made.state.entities
    assert state.numbers == made.state.numbers
    assert state.decisions == made.state.decisions
    assert state.entity_of == made.state.entity_of


def test_what_an_event_changed_is_told_and_nothing_else():
    made = busy()
    before = State()
    for seq, kind, entity, data in made.log:
        entities, numbers, homes = dict(before.entities), dict(before.numbers), dict(before.entity_of)
        decisions = dict(before.decisions)
        touched = before.apply(seq, kind, entity, data)
        for name, was, now, told in (
            ("entities", entities, before.entities, touched.entities),
            ("numbers", numbers, before.numbers, touched.numbers),
            ("records", homes, before.entity_of, touched.records),
            ("decisions", decisions, before.decisions, touched.decisions),
        ):
            changed = {key for key in was.keys() | now.keys() if was.get(key) != now.get(key)}
            assert changed == told, (seq, kind, name)


def test_members_and_homes_say_the_same():
    made = busy()
    homes = {record: entity for entity, records in made.members().items() for record in records}
    assert homes == made.state.entity_of


@pytest.mark.parametrize("kind", sorted(set(EventKind) - IDENTITY))
def test_events_that_tell_of_no_identity_change_nothing(kind):
    made = busy()
    before = made.canonical()
    touched = made.state.apply(99, kind, None, {"anything": 1})
    assert made.canonical() == before
    assert touched == Touched()


def test_a_record_cannot_leave_where_it_is_not():
    made = busy()
    with pytest.raises(KeyError):
        made.detach("A", 30)


def test_versions_count_every_change_of_records_and_standing():
    made = World()
    versions = []
    for change in (
        lambda: made.form("A", 1, 2),
        lambda: made.link("A", 3),
        lambda: made.split("A", 3),
        lambda: made.detach("A", 2),
        lambda: made.append(EventKind.ENTITY_RETIRED, "A", {}),
    ):
        change()
        versions.append(made.state.entities["A"].version)
    assert versions == [1, 2, 3, 4, 5]


def test_a_number_does_not_count_as_a_change_of_its_holder():
    made = World()
    made.form("A", 1)
    made.issue("A", "S1")
    made.change_number("S1", NumberState.SUSPENDED, Reason.COURT_ORDER)
    assert made.state.entities["A"].version == 1


def test_a_reserved_number_has_no_holder():
    made = World()
    data = {"kind": SSN, "number": "S1", "reason": Reason.RESERVATION, "sequence": 0}
    made.append(EventKind.NUMBER_ISSUED, None, data)
    assert (made.state.numbers["S1"].holder, made.state.numbers["S1"].state) == (None, "reserved")
    assert not made.state.numbers["S1"].is_live


def test_the_canonical_form_leaves_out_what_only_counts():
    """Positions in the log, versions and reasons differ; standing, records, numbers and golden records do not."""
    made = World()
    made.form("A", 1)
    made.issue("A", "S1")
    before = made.canonical()
    made.change_number("S1", NumberState.SUSPENDED, Reason.INVESTIGATION)
    assert made.canonical() != before
    made.change_number("S1", NumberState.ACTIVE, Reason.INVESTIGATION_CLOSED)
    assert made.canonical() == before
    assert made.state.canonical(["A"], {"A": "x"}) != made.state.canonical(["A"], {"A": "y"})


# --- sealing ---------------------------------------------------------------------------------------------------------

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
codes = st.text("abcdef0123456789-", min_size=1, max_size=36)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


@given(
    kind=st.sampled_from(EventKind),
    entity=st.none() | codes,
    data=st.dictionaries(texts, values, max_size=4),
    seq=st.integers(1, 2**53),
    stamp=st.builds(Stamp, at=texts, actor=texts, reason=texts, run=st.none() | codes),
)
def test_one_event_is_sealed_to_the_bytes_of_many(kind, entity, data, seq, stamp):
    (row,) = seal(Events.of([(kind, entity, data)]), first_seq=seq, stamp=stamp).to_pylist()
    assert seal_one(kind, entity, data, seq=seq, stamp=stamp) == row
