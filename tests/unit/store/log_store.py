"""A store whose log has events, for the tests of proofs."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from mdm.identity.events import EventKind, Events, Stamp
from mdm.settings import Settings
from mdm.store.engine import bulk
from mdm.store.keys import make_log_key
from mdm.store.log import append_events
from mdm.store.schema import create

if TYPE_CHECKING:
    from pathlib import Path

STAMP = Stamp(at="2026-01-02T03:04:05.000006+00:00", actor="cán bộ", run="r1")


def empty_log(folder: Path) -> Settings:
    """Without the events that tell of the store's creation, so that a test's are numbered from 1."""
    settings = Settings(store=str(folder / "mdm.db"))
    create(settings)
    make_log_key(settings)
    with bulk(settings) as store:
        store.execute("DELETE FROM event")
    return settings


def add_events(settings: Settings, count: int) -> None:
    with bulk(settings) as store:
        events = Events.of((EventKind.ENTITY_FORMED, f"entity-{n}", {"records": []}) for n in range(count))
        append_events(store, events, stamp=STAMP)


def tamper(settings: Settings, sql: str, *values: object) -> None:
    """A change behind the engine's back, by whoever can write to the file."""
    with closing(sqlite3.connect(settings.store_file)) as connection, connection:
        assert connection.execute(sql, values).rowcount > 0
