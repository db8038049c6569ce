"""Proof that the store is what its events say. Each check names the first thing that is wrong.

The projections (who is who, numbers, decisions) are rebuilt from the events, at every past moment; what is too large to
stand in events (versions, golden records, edges, aliases) is held against the digests and tallies that stand there. The golden
records that stand are computed anew from the record versions, where the rules that they were made by are still those declared.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mdm.duck import open_duckdb
from mdm.pipeline.checks import (
    deliveries,
    desk,
    entities,
    household_survivors,
    index,
    log,
    numbers,
    survivors,
    values,
)
from mdm.pipeline.checks.opened import Opened
from mdm.store.engine import bulk

if TYPE_CHECKING:
    from collections.abc import Callable

    from mdm.pipeline.checks.opened import Found
    from mdm.settings import Settings

CHECKS: dict[str, Callable[[Opened], Found]] = {
    "events": log.events,
    "signed log": log.signed,
    "keys": log.keys,
    "store, models, runs": log.facts,
    "deliveries": deliveries.batches,
    "record versions": deliveries.versions,
    "quarantine": deliveries.quarantine,
    "edges": values.edges,
    "entities": entities.standing,
    "membership": entities.membership,
    "decisions": entities.decisions,
    "numbers": numbers.numbers,
    "affected entities": numbers.affected,
    "golden records": values.golden,
    "golden values": survivors.survivors,
    "household values": household_survivors.household_survivors,
    "aliases": values.aliases,
    "match index": index.match_index,
    "questions": desk.reviews,
    "approvals": desk.approvals,
    "answered requests": desk.answers,
}
"""In this order; the later ones build on what the earlier ones read."""


@dataclass(frozen=True)
class Check:
    name: str
    examined: int
    wrong: str | None
    """The first thing that is wrong, None if all is well."""
    notes: tuple[str, ...] = ()
    """What it could not examine, and why."""


def verify(settings: Settings, *, tell: Callable[[str], None] = lambda _: None) -> list[Check]:
    """Runs the checks up to the first that finds anything wrong; the store is sound when none did."""
    checks: list[Check] = []
    with bulk(settings) as store, open_duckdb() as connection:
        connection.execute(f"SET memory_limit = '{settings.memory_limit}'")
        opened = Opened(settings, store, connection)
        for name, check in CHECKS.items():
            tell(name)
            examined, wrong = check(opened)
            checks.append(Check(name, examined, wrong, tuple(opened.notes)))
            opened.notes.clear()
            if wrong:
                break
    return checks
