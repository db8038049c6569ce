"""A moment is found by number, day or time, in one query."""

import pytest
from sqlalchemy import delete, insert

from mdm.errors import InputError
from mdm.identity.events import EventKind, Stamp, seal_one
from mdm.store.engine import make_engine, reading
from mdm.store.moments import Moment, read_moment
from mdm.store.schema import create
from mdm.store.tables import event

# several events at one time, a day's last moments in Vietnam (17:00 UTC), gaps of days
TIMES = [
    "2026-03-01T01:00:00.000000+00:00",
    "2026-03-01T01:00:00.000000+00:00",
    "2026-03-01T01:00:00.000001+00:00",
    "2026-03-01T16:59:59.999999+00:00",
    "2026-03-01T17:00:00.000000+00:00",
    "2026-03-04T00:00:00.000000+00:00",
    "2026-03-04T00:00:00.000000+00:00",
]
LANDED = {2: 1, 5: 2}


@pytest.fixture(scope="module")
def log(engine, tmp_path_factory):
    """Settings of a store whose log has one event at each of TIMES, deliveries 1 and 2 by events 2 and 5."""
    settings = engine.settings(tmp_path_factory.mktemp("log"))
    create(settings)
    opened = make_engine(settings)
    with opened.begin() as connection:
        connection.execute(delete(event))  # the one that tells of the store
        for seq, at in enumerate(TIMES, start=1):
            kind = EventKind.BATCH_LANDED if seq in LANDED else EventKind.MODEL_KEPT
            data = {"batch_id": LANDED.get(seq)}
            row = seal_one(kind, None, data, seq=seq, stamp=Stamp(at=at, actor="test"))
            connection.execute(insert(event), row)
    opened.dispose()
    return settings


@pytest.mark.parametrize(
    ("when", "seq", "batch"),
    [
        (None, 7, 2),
        (0, 0, 0),
        (1, 1, 0),
        ("4", 4, 1),
        ("7", 7, 2),
        ("2026-02-28", 0, 0),
        ("2026-03-01", 4, 1),
        ("2026-03-02", 5, 2),
        ("2026-03-04", 7, 2),
        ("2099-12-31", 7, 2),
        ("2026-03-01T00:59:59Z", 0, 0),
        ("2026-03-01T01:00:00Z", 2, 1),
        ("2026-03-01T08:00:00+07:00", 2, 1),
        ("2026-03-01T08:00:00.000001+07:00", 3, 1),
        ("2026-03-03T23:59:59.999999+00:00", 5, 2),
    ],
)
def test_the_last_event_at_or_before_it(log, when, seq, batch):
    with reading(log) as connection:
        assert read_moment(connection, when) == Moment(seq, batch)


def test_halving_finds_what_a_search_through_all_finds(log):
    with reading(log) as connection:
        for at in sorted({*TIMES, "2026-03-02T00:00:00.000000+00:00"}):
            last = max(seq for seq, time in enumerate(TIMES, start=1) if time <= at)
            assert read_moment(connection, at).seq == last


@pytest.mark.parametrize(
    ("when", "said"),
    [
        ("8", "has not happened"),
        ("99999999999999999999", "has not happened"),
        ("2026-02-30", "no point in time"),
        ("yesterday", "no point in time"),
        ("", "no point in time"),
        ("9999-12-31", "no point in time"),
        ("2026-03-01T08:00:00", "time zone"),
    ],
)
def test_what_is_no_moment_is_refused_with_how_to_say_it(log, when, said):
    with reading(log) as connection, pytest.raises(InputError, match=said) as caught:
        read_moment(connection, when)
    assert "YYYY-MM-DD" in caught.value.hint


def test_an_empty_log_has_a_moment_before_everything(engine, tmp_path):
    settings = engine.settings(tmp_path)
    create(settings)
    with reading(settings) as connection:
        connection.execute(delete(event))
        assert read_moment(connection) == Moment(0, 0)
        assert read_moment(connection, "2026-03-01") == Moment(0, 0)
