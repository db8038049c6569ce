"""The laws of identity, held against a store's tables: written apart from the product's own `verify`, by other means.

State and tables are walked through side by side, event by event: at each one what the events give and what the tables
say of that moment must agree.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import select

from golden_record.contribution import Contribution
from golden_record.provenance import golden_hash
from golden_record.rules import Setting
from golden_record.survivorship import survive
from mdm.identity.decisions import Decisions
from mdm.identity.events import EventKind, leaf_hash
from mdm.identity.state import ACTIVE, State
from mdm.store import tables as t

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from mdm.stewardship.service import Identity

FOREVER = 1 << 62


class Laws:
    """Remembers how far it has looked, so that a store that grows is looked through once."""

    def __init__(self, identity: Identity) -> None:
        self.identity = identity
        self.seen_goldens = 0
        self.past: dict[str, set[tuple[Any, ...]]] = {}
        self.goldens: dict[str, str] = {}
        """Entity to the hash of its golden record, as they were last seen."""

    def check(self, *, fresh: bool) -> State:
        """`fresh`: every golden record is of the records as they are now, for no delivery waits for a run, and no person was changed by
        hand since the last one, if there are households.

        Returns the state that the events give.
        """
        with self.identity.engine.connect() as connection:
            events = _events(connection)
            keys = dict(connection.execute(select(t.entity.c.entity_key, t.entity.c.entity_id)).all())
            state = _walk(connection, events, keys)
            _check_redirects(state)
            _check_decisions(state)
            _check_numbers(state)
            self._check_goldens(connection, events, keys, state, fresh=fresh)
            self._check_nothing_is_erased(connection)
        return state

    # --- golden records ------------------------------------------------------------------------------------------

    def _check_goldens(
        self, connection: Connection, events: list[dict], keys: dict[int, str], state: State, *, fresh: bool
    ) -> None:
        rows = list(connection.execute(select(t.golden).order_by(t.golden.c.golden_id)).mappings())
        said = _Said(connection, events)
        for row in rows:
            if row["golden_id"] > self.seen_goldens:
                found = self._survivor(said, row["entity_key"], row["from_event"], row["as_of"])
                assert row["hash"] == found, f"golden record {row['golden_id']} is not what its records said"
        self.seen_goldens = max((row["golden_id"] for row in rows), default=0)
        standing = {row["entity_key"]: row for row in rows if row["until_event"] is None}
        self.goldens = {keys[key]: row["hash"] for key, row in standing.items()}
        for key, row in standing.items():
            members = state.members[keys[key]]
            assert state.entities[keys[key]].status == ACTIVE, "only active entities have a golden record"
            assert _mentioned(row) <= members, "a golden record holds data of a record that is not a member"
        if fresh:
            as_of = max((row["as_of"] for row in rows), default="2026-12-31")
            for key, name in keys.items():
                found = self._survivor(said, key, FOREVER, as_of)
                assert (standing[key]["hash"] if key in standing else None) == found, (
                    f"entity {name} is stale"
                )
            self._check_aliases(connection, said, keys)

    def _survivor(self, said: _Said, key: int, event: int, as_of: str) -> str | None:
        """Hash of the golden record of an entity as its records were before an event."""
        kind = said.kinds[key]
        rules = self.identity.rules[kind]
        contributions = [c for c in said.by(key, event) if c is not None]
        if kind == "household":
            contributions = [said.with_people(c, event) for c in contributions]
        if not contributions:
            return None
        setting = Setting(as_of=date.fromisoformat(as_of), trust=rules.trust)
        return golden_hash(survive(rules.policy, contributions=contributions, setting=setting))

    def _check_aliases(self, connection: Connection, said: _Said, keys: dict[int, str]) -> None:
        schemes = self.identity.rules["person"].aliases
        expected = {
            (key, schemes[name], value)
            for key in keys
            if said.kinds[key] == "person"
            for contribution in said.by(key, FOREVER)
            if contribution is not None
            for name, values in contribution.attributes.items()
            if name in schemes
            for value in ([values] if isinstance(values, str) else values)
        }
        columns = (t.alias.c.entity_key, t.alias.c.scheme, t.alias.c.value)
        rows = list(map(tuple, connection.execute(select(*columns).where(t.alias.c.until_event.is_(None)))))
        assert len(rows) == len(set(rows))
        assert set(rows) == expected

    # --- history -------------------------------------------------------------------------------------------------

    def _check_nothing_is_erased(self, connection: Connection) -> None:
        """What was past stays as it was; what stood has at most come to an end."""
        now = {
            table.name: set(map(tuple, connection.execute(select(table)).all()))
            for table in (t.event, t.entity_past, t.ssn_past, t.edge_past, t.record_version, t.log_node)
        }
        for table in (t.membership, t.golden, t.alias, t.decision):
            columns = [column for column in table.c if column.name != "until_event"]
            ended = select(table).where(table.c.until_event.is_not(None))
            now[table.name] = set(map(tuple, connection.execute(select(*columns)).all()))
            now[f"{table.name}, ended"] = set(map(tuple, connection.execute(ended).all()))
        now["numbers"] = set(
            map(tuple, connection.execute(select(t.ssn.c.number, t.ssn.c.kind, t.ssn.c.sequence)))
        )
        now["ids"] = set(map(tuple, connection.execute(select(t.entity.c.entity_key, t.entity.c.entity_id))))
        for name, rows in self.past.items():
            assert rows <= now[name], f"history of {name} was erased"
        self.past = now


# --- the walk --------------------------------------------------------------------------------------------------------


def _events(connection: Connection) -> list[dict]:
    found = []
    for place, row in enumerate(
        connection.execute(select(t.event).order_by(t.event.c.seq)).mappings(), start=1
    ):
        assert row["seq"] == place, "events are numbered without gaps"
        assert row["leaf"] == leaf_hash(row["body"])
        found.append(orjson.loads(row["body"]))
    return found


def _walk(connection: Connection, events: list[dict], keys: dict[int, str]) -> State:
    """State and tables agree at every event; no number has two holders and no holder two live numbers of a kind."""
    state, shown = State(), _Shown(connection, keys)
    for event in events:
        seq = event["seq"]
        state.apply(seq, event["kind"], event["entity"], event["data"])
        shown.advance(seq)
        entities = {
            name: (found.status, found.superseded_by, found.version) for name, found in state.entities.items()
        }
        numbers = {n.number: (n.holder, n.state, n.superseded_by, n.reason) for n in state.numbers.values()}
        decisions = {pair: decision.kind.value for pair, decision in state.decisions.items()}
        assert shown.entities == entities, f"entities at event {seq}"
        assert shown.homes == state.entity_of, f"members at event {seq}"
        assert shown.numbers == numbers, f"numbers at event {seq}"
        assert shown.decisions == decisions, f"decisions at event {seq}"
        live = [(n.holder, n.kind) for n in state.numbers.values() if n.is_live]
        assert len(live) == len(set(live)), f"two live numbers of one kind at event {seq}"
        assert all(state.entities[home].status == ACTIVE for home in state.entity_of.values()), seq
    return state


class _Shown:
    """What the tables say of each moment, event by event. Intervals of one thing follow each other without overlap."""

    def __init__(self, connection: Connection, keys: dict[int, str]) -> None:
        self.entities: dict[str, tuple] = {}
        self.homes: dict[int, str] = {}
        self.numbers: dict[str, tuple] = {}
        self.decisions: dict[tuple[int, int], str] = {}
        self._begin: dict[int, list[tuple[dict, Any, Any]]] = defaultdict(list)
        self._end: dict[int, list[tuple[dict, Any]]] = defaultdict(list)
        for row in connection.execute(select(t.entity)).mappings():
            heir = keys.get(row["superseded_by"])
            self._interval(
                self.entities,
                row["entity_id"],
                (row["status"], heir, row["version"]),
                row["changed_event"],
                None,
            )
        for row in connection.execute(select(t.entity_past)).mappings():
            value = (row["status"], keys.get(row["superseded_by"]), row["version"])
            self._interval(
                self.entities, keys[row["entity_key"]], value, row["from_event"], row["until_event"]
            )
        for row in connection.execute(select(t.membership)).mappings():
            home = keys[row["entity_key"]]
            self._interval(self.homes, row["record_id"], home, row["from_event"], row["until_event"])
        for row in connection.execute(select(t.ssn)).mappings():
            self._interval(self.numbers, row["number"], _standing(row, keys), row["changed_event"], None)
        for row in connection.execute(select(t.ssn_past)).mappings():
            value = _standing(row, keys)
            self._interval(self.numbers, row["number"], value, row["from_event"], row["until_event"])
        for row in connection.execute(select(t.decision)).mappings():
            pair = (row["record_l"], row["record_r"])
            self._interval(self.decisions, pair, row["kind"], row["from_event"], row["until_event"])

    def _interval(self, kept: dict, key: Any, value: Any, begin: int, end: int | None) -> None:
        assert end is None or begin < end, f"an interval of {key} is empty"
        self._begin[begin].append((kept, key, value))
        if end is not None:
            self._end[end].append((kept, key))

    def advance(self, seq: int) -> None:
        for kept, key in self._end[seq]:
            del kept[key]
        for kept, key, value in self._begin[seq]:
            assert key not in kept, f"two intervals of {key} at event {seq}"
            kept[key] = value


def _standing(row: Any, keys: dict[int, str]) -> tuple:
    return keys.get(row["entity_key"]), row["state"], row["superseded_by"], row["reason"]


# --- the laws of a moment --------------------------------------------------------------------------------------------


def _check_redirects(state: State) -> None:
    for things in (state.entities, state.numbers):
        for name in things:
            path = [name]
            while (heir := things[path[-1]].superseded_by) is not None:
                assert heir in things, "a redirect dangles"
                assert heir not in path, "a redirect turns in a circle"
                path.append(heir)
    for found in state.entities.values():
        assert (found.status == "superseded") == (found.superseded_by is not None)


def _check_decisions(state: State) -> None:
    decisions = Decisions(state.decisions.values())
    assert decisions.contradiction() is None
    for entity, members in state.members.items():
        word = decisions.forbidding(members, members)
        assert word is None, f"records {word.left} and {word.right} are one entity: {entity}"


def _check_numbers(state: State) -> None:
    for number in state.numbers.values():
        assert (number.state == "superseded") == (number.superseded_by is not None)
        if number.is_live:
            assert state.entities[number.holder].status != "superseded", (
                "a live number of a superseded entity"
            )


# --- what records said -----------------------------------------------------------------------------------------------


class _Said:
    """Who belonged to an entity, and what the records said, before a given event."""

    def __init__(self, connection: Connection, events: list[dict]) -> None:
        landed = {e["data"]["batch_id"]: e["seq"] for e in events if e["kind"] == EventKind.BATCH_LANDED}
        registry = dict(connection.execute(select(t.record.c.record_id, t.record.c.registry)).all())
        self.kinds: dict[int, str] = dict(
            connection.execute(select(t.entity.c.entity_key, t.entity.c.kind)).all()
        )
        self.ids: dict[int, str] = dict(
            connection.execute(select(t.entity.c.entity_key, t.entity.c.entity_id)).all()
        )
        self.local_ids: dict[int, str] = dict(
            connection.execute(select(t.record.c.record_id, t.record.c.local_id)).all()
        )
        self.listed: dict[tuple[str, str], set[int]] = defaultdict(set)
        """Registry and number of a household to the records of people that ever named it."""
        self.versions: dict[int, list[tuple[int, str, Contribution]]] = defaultdict(list)
        for row in connection.execute(
            select(t.record_version).order_by(t.record_version.c.version)
        ).mappings():
            contribution = Contribution(
                record=row["record_id"],
                version=row["version"],
                registry=registry[row["record_id"]],
                observed_on=date.fromisoformat(row["observed_on"]) if row["observed_on"] else None,
                attributes=orjson.loads(row["attributes"]),
                issues=orjson.loads(row["issues"]) if row["issues"] else {},
            )
            self.versions[row["record_id"]].append((landed[row["batch_id"]], row["status"], contribution))
            if "household_ref" in contribution.attributes:
                self.listed[contribution.registry, contribution.attributes["household_ref"]].add(
                    row["record_id"]
                )
        self.members = defaultdict(list)
        self.homes: dict[int, list[tuple[int, int, int]]] = defaultdict(list)
        for row in connection.execute(select(t.membership)).mappings():
            until = FOREVER + 1 if row["until_event"] is None else row["until_event"]
            self.members[row["entity_key"]].append((row["record_id"], row["from_event"], until))
            self.homes[row["record_id"]].append((row["entity_key"], row["from_event"], until))
        self.deaths: dict[int, list[tuple[int, int]]] = defaultdict(list)
        """When a golden record that told of a death stood."""
        for row in connection.execute(select(t.golden)).mappings():
            if "death_date" in orjson.loads(row["values"]):
                until = FOREVER + 1 if row["until_event"] is None else row["until_event"]
                self.deaths[row["entity_key"]].append((row["from_event"], until))

    def by(self, key: int, event: int) -> list[Contribution | None]:
        return [
            self._of(record, event)
            for record, begin, end in sorted(self.members[key])
            if begin <= event < end
        ]

    def with_people(self, contribution: Contribution, event: int) -> Contribution:
        """A household's record, with who stands on it before an event, who of them is its head, and the class of its year."""
        said = contribution.attributes
        living: set[str] = set()
        heads: list[tuple[int, str]] = []
        for record in self.listed[contribution.registry, self.local_ids[contribution.record]]:
            person = self._of(record, event)
            home = next((key for key, begin, end in self.homes[record] if begin <= event < end), None)
            if person is None or home is None:
                continue
            its = person.attributes
            if its.get("household_ref") != self.local_ids[contribution.record]:
                continue
            if any(begin <= event < end for begin, end in self.deaths[home]):
                continue
            living.add(self.ids[home])
            names = [its.get("full_name"), said.get("head_name")]
            if its.get("head_relation") == "head":
                heads.append((0, self.ids[home]))
            elif its.get("personal_id") is not None and its["personal_id"] == said.get("head_personal_id"):
                heads.append((1, self.ids[home]))
            elif None not in names and names[0].lower() == names[1].lower():
                heads.append((2, self.ids[home]))
        made: dict[str, Any] = {}
        if living:
            made["members"] = sorted(living)
        if heads:
            made["head_person"] = min(heads)[1]
        if "poverty_class" in said and "reference_year" in said:
            made["poverty_years"] = [f"{said['reference_year']} {said['poverty_class']}"]
        return replace(contribution, attributes={**said, **made})

    def _of(self, record: int, event: int) -> Contribution | None:
        """Its latest version, or None for a record that was withdrawn."""
        versions = [version for version in self.versions[record] if version[0] < event]
        return versions[-1][2] if versions and versions[-1][1] == "active" else None


def _mentioned(row: Any) -> set[int]:
    """Every record that a golden record's provenance names."""
    found: set[int] = set()

    def look(part: Any) -> None:
        if isinstance(part, dict):
            if isinstance(part.get("record"), int):
                found.add(part["record"])
            for inner in part.values():
                look(inner)
        elif isinstance(part, list):
            for inner in part:
                look(inner)

    look(orjson.loads(row["provenance"]))
    return found
