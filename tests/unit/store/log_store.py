"""A store whose log has events, for the tests of proofs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mdm.identity.events import EventKind, Events, Stamp
from mdm.store.engine import bulk
from mdm.store.keys import make_log_key
from mdm.store.log import append_events
from mdm.store.schema import create
from tests.engines import change

if TYPE_CHECKING:
    from pathlib import Path

    from mdm.settings import Settings
    from tests.engines import Engine

STAMP = Stamp(at="2026-01-02T03:04:05.000006+00:00", actor="cán bộ", run="r1")


def empty_log(engine: Engine, folder: Path) -> Settings:
    """Without the events that tell of the store's creation, so that a test's are numbered from 1."""
    settings = engine.settings(folder)
    create(settings)
    make_log_key(settings)
    tamper(settings, "DELETE FROM event")
    return settings


def add_events(settings: Settings, count: int) -> None:
    with bulk(settings) as store:
        events = Events.of((EventKind.ENTITY_FORMED, f"entity-{n}", {"records": []}) for n in range(count))
        append_events(store, events, stamp=STAMP)


def tamper(settings: Settings, sql: str, *values: object) -> None:
    """A change behind the product's back, by whoever can write to the store."""
    assert change(settings, sql, *values) > 0
