"""Stewards at work on a store of the simulated country."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from mdm.identity.commands import Decide, Merge, Split, Unmerge
from mdm.stewardship.service import Identity
from tests.integration.job import rows

if TYPE_CHECKING:
    from mdm.settings import Settings

_PEOPLE = pa.schema([("entity", pa.string()), ("kind", pa.string()), ("records", pa.int64())])
_HOUSEHOLDS = pa.schema([("entity", pa.string()), ("first", pa.int64()), ("records", pa.int64())])


def work_on(settings: Settings) -> None:
    identity = Identity(settings)
    try:
        _on_people(settings, identity)
        _on_households(settings, identity)
    finally:
        identity.close()


def _on_people(settings: Settings, identity: Identity) -> None:
    people = rows(
        settings,
        "SELECT e.entity_id AS entity, MIN(s.kind) AS kind, COUNT(DISTINCT m.record_id) AS records FROM entity AS e"
        " JOIN ssn AS s ON s.entity_key = e.entity_key AND s.state = 'active'"
        " JOIN membership AS m ON m.entity_key = e.entity_key AND m.until_event IS NULL"
        " WHERE e.status = 'active' GROUP BY e.entity_id ORDER BY MIN(e.entity_key)",
        _PEOPLE,
    )
    temporary = [p["entity"] for p in people if p["kind"] == "temporary"]
    anchored = [p["entity"] for p in people if p["kind"] == "ssn" and p["records"] > 2]
    steward = {"actor": "an", "reason": "seen the papers"}
    identity.carry_out(Merge(left=anchored[0], right=temporary[0]), **steward)
    merged = identity.carry_out(Merge(left=temporary[1], right=temporary[2]), **steward, key="k1")
    identity.carry_out(Unmerge(event=merged.events[0]), **steward)
    with_records = identity.preview(Merge(left=anchored[1], right=temporary[3])).records
    identity.carry_out(Split(entity=anchored[1], records=(max(with_records[anchored[1]][:-1]),)), **steward)
    left, right = (
        identity.preview(Merge(left=anchored[n], right=temporary[4])).records[anchored[n]][0] for n in (2, 3)
    )
    identity.carry_out(Decide(decision="cannot_link", left=left, right=right), **steward)


def _on_households(settings: Settings, identity: Identity) -> None:
    """After the people of some of them were changed."""
    lists = rows(
        settings,
        "SELECT e.entity_id AS entity, MIN(m.record_id) AS first, COUNT(*) AS records FROM entity AS e"
        " JOIN membership AS m ON m.entity_key = e.entity_key AND m.until_event IS NULL"
        " WHERE e.status = 'active' AND e.kind = 'household' GROUP BY e.entity_id ORDER BY MIN(e.entity_key)",
        _HOUSEHOLDS,
    )
    several = [h for h in lists if h["records"] > 1]
    one, two, three, four = [h["entity"] for h in lists if h["records"] == 1][:4]
    steward = {"actor": "an", "reason": "asked at the door"}
    identity.carry_out(Split(entity=several[0]["entity"], records=(several[0]["first"],)), **steward)
    identity.carry_out(Merge(left=one, right=two), **steward)
    merged = identity.carry_out(Merge(left=three, right=four), **steward)
    identity.carry_out(Unmerge(event=merged.events[0]), **steward)
