"""Single changes of identity in one transaction: state in, events and what follows from them out.

Writers are serialised: on SQLite by its write lock, on PostgreSQL by the lock of one row. So what a command read
is still true when its events are written, event numbers have no gaps, and no two commands can wait for each other.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import orjson

from mdm.errors import NotFoundError
from mdm.identity.commands import DecisionKind
from mdm.identity.decisions import Decision
from mdm.identity.events import EventKind, seal_one
from mdm.identity.numbers import NumberKind, NumberState
from mdm.identity.state import Entity, Number, State
from mdm.store import statements as sql
from mdm.store.engine import TAKE_TURN, writing

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from sqlalchemy import Connection, Engine, RowMapping

    from mdm.identity.events import Stamp
    from mdm.identity.plans import Event
    from mdm.identity.state import Touched


@contextmanager
def unit_of_work(engine: Engine) -> Iterator[UnitOfWork]:
    """Commits at the end, rolls back on any error; StoreError and StoreBusyError as in `bulk`."""
    with writing(engine) as connection:
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql(TAKE_TURN)
        work = UnitOfWork(connection)
        yield work
        if work.forgotten:
            connection.rollback()


class UnitOfWork:
    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.state = State()
        self.forgotten = False
        self.registry: dict[int, str | None] = {}
        """Of records that were asked for; None of one that is not active."""
        self._key: dict[str, int] = {}
        self._id: dict[int, str] = {}
        self._row: dict[str, RowMapping] = {}
        self._since: dict[str, int] = {}
        self._number_since: dict[str, int] = {}
        self._homed: set[int] = set()
        self._sequence: dict[str, int] = {}
        self._last: dict[str, int] = {}

    # --- reading -------------------------------------------------------------------------------------------------

    def load(self, entities: Iterable[str]) -> State:
        """Adds entities with those that stand for them, their records, numbers and decisions, to the state at hand."""
        wanted = {e for e in entities if e not in self._key}
        loaded: list[str] = []
        while wanted:
            rows = self.connection.execute(sql.ENTITIES, {"ids": list(wanted)}).mappings()
            found = [self._take_entity(row) for row in rows]
            loaded += found
            heirs = {
                self._row[name]["superseded_by"] for name in found if self._row[name]["superseded_by"]
            } - self._id.keys()
            wanted = (
                {row.entity_id for row in self.connection.execute(sql.IDS, {"keys": list(heirs)})}
                if heirs
                else set()
            )
        if not loaded:
            return self.state
        for name in loaded:
            heir = self._row[name]["superseded_by"]
            if heir is not None:
                self.state.entities[name] = _entity(self._row[name], superseded_by=self._id[heir])
        fresh = [self._key[name] for name in loaded]
        self._load_members(fresh)
        self._load_numbers(fresh)
        self._load_decisions(fresh)
        return self.state

    def load_records(self, records: Collection[int]) -> State:
        """Adds the entities to which records belong now."""
        unknown = [record for record in records if record not in self.state.entity_of]
        if not unknown:
            return self.state
        rows = self.connection.scalars(sql.HOMES, {"records": unknown})
        return self.load(list(rows))

    def load_number(self, number: str) -> State:
        row = self.connection.execute(sql.NUMBER, {"given": number}).mappings().first()
        if row is not None:
            if row["entity_key"] is not None:
                self.load(self.ids([row["entity_key"]]).values())
            self._take_number(row)
        return self.state

    def event(self, seq: int) -> dict[str, Any]:
        body = self.connection.scalar(sql.BODY, {"given": seq})
        if body is None:
            raise NotFoundError(f"There is no event {seq}.")
        found: dict[str, Any] = orjson.loads(body)
        return found

    def ids(self, keys: Iterable[int]) -> dict[int, str]:
        wanted = [key for key in keys if key not in self._id]
        if not wanted:
            return {key: self._id[key] for key in keys}
        rows = self.connection.execute(sql.IDS, {"keys": wanted}).all()
        return {**{key: self._id[key] for key in keys if key in self._id}, **dict(rows)}

    def forget(self) -> None:
        """Nothing of this unit of work is to be kept."""
        self.forgotten = True

    def holds_number(self, entity: str) -> bool:
        """Whether it has a social-security number that stands."""
        return any(
            number.kind == NumberKind.SSN
            and number.state not in {NumberState.SUPERSEDED, NumberState.CANCELLED}
            for number in self.state.numbers_of(entity)
        )

    def last_event(self) -> int:
        return self._numbers()["event"]

    def following(self, table: str) -> int:
        """The next number of a row of a table (`sql.LAST`); it counts as given."""
        numbers = self._numbers()
        numbers[table] += 1
        return numbers[table]

    def _numbers(self) -> dict[str, int]:
        """Nobody else writes while this transaction does, so that they are read once."""
        if not self._last:
            row = self.connection.execute(sql.LAST).mappings().one()
            self._last = {table: int(number or 0) for table, number in row.items()}
        return self._last

    def meta(self, name: str) -> str | None:
        return self.connection.scalar(sql.META, {"given": name})

    def scalar(self, sql: str) -> Any:
        return self.connection.exec_driver_sql(sql).scalar()

    def key(self, entity_id: str) -> int:
        return self._key[entity_id]

    def number_changed(self, numbers: Iterable[str]) -> dict[str, int]:
        """Number to the last event that changed it, for numbers at hand."""
        return {number: self._number_since[number] for number in numbers if number in self._number_since}

    def _take_entity(self, row: RowMapping) -> str:
        name = str(row["entity_id"])
        self._key[name], self._id[row["entity_key"]], self._row[name] = row["entity_key"], name, row
        self._since[name] = row["changed_event"]
        self.state.entities[name] = _entity(row, superseded_by=None)
        return name

    def _take_number(self, row: RowMapping) -> None:
        held = row["entity_key"]
        self.state.numbers[row["number"]] = Number(
            row["number"],
            row["kind"],
            holder=None if held is None else self._id[held],
            state=row["state"],
            superseded_by=row["superseded_by"],
            reason=row["reason"],
        )
        self._number_since[row["number"]] = row["changed_event"]

    def _load_members(self, keys: Collection[int]) -> None:
        rows = self.connection.execute(sql.MEMBERS, {"keys": list(keys)})
        for record, key in rows:
            self.state.entity_of[record] = self._id[key]
            self.state.members[self._id[key]].add(record)
            self._homed.add(record)

    def _load_numbers(self, keys: Collection[int]) -> None:
        for row in self.connection.execute(sql.NUMBERS_OF, {"keys": list(keys)}).mappings():
            self._take_number(row)

    def _load_decisions(self, keys: Collection[int]) -> None:
        """Those on the entities' records, and those on whatever is must-linked to them."""
        frontier = {record for key in keys for record in self.state.members[self._id[key]]}
        seen: set[int] = set()
        while frontier:
            rows = self.connection.execute(sql.DECISIONS, {"records": list(frontier)}).all()
            seen |= frontier
            frontier = set()
            for kind, left, right in rows:
                self.state.decisions[left, right] = Decision(DecisionKind(kind), left, right)
                if kind == DecisionKind.MUST_LINK:
                    frontier |= {left, right} - seen

    # --- writing -------------------------------------------------------------------------------------------------

    def append(self, events: Iterable[Event], *, stamp: Stamp) -> list[int]:
        """Appends events to the log and carries them into state and tables; returns their numbers."""
        numbers = []
        for kind, about, data in events:
            seq = self.following("event")
            self.connection.execute(sql.ADD_EVENT, seal_one(kind, about, data, seq=seq, stamp=stamp))
            if kind is EventKind.NUMBER_ISSUED:
                self._sequence[data["number"]] = data["sequence"]
            before = self._before()
            touched = self.state.apply(seq, kind, about, data)
            self._write(seq, about, touched, before, stamp)
            numbers.append(seq)
        return numbers

    def _before(self) -> tuple[dict[str, Entity], dict[str, Number]]:
        return dict(self.state.entities), dict(self.state.numbers)

    def _write(
        self,
        seq: int,
        about: str | None,
        touched: Touched,
        before: tuple[dict[str, Entity], dict[str, Number]],
        stamp: Stamp,
    ) -> None:
        entities, numbers = before
        for name in sorted(touched.entities):
            self._write_entity(seq, name, entities.get(name))
        self._write_members(seq, touched.records)
        for number in sorted(touched.numbers):
            self._write_number(seq, number, numbers.get(number))
        for pair in sorted(touched.decisions):
            self._write_decision(seq, pair, stamp)
        affected = touched.entities | {
            holder
            for number in touched.numbers
            for holder in (self.state.numbers[number].holder, (numbers.get(number) or _NOBODY).holder)
            if holder is not None
        }
        rows = [{"seq": seq, "entity_key": self._key[name]} for name in sorted(affected - {about})]
        if rows:
            self.connection.execute(sql.ADD_AFFECTED, rows)

    def _write_entity(self, seq: int, name: str, former: Entity | None) -> None:
        now = self.state.entities[name]
        heir = None if now.superseded_by is None else self._key[now.superseded_by]
        changed = {"status": now.status, "superseded_by": heir, "version": now.version, "changed_event": seq}
        if former is None:
            key = self.following("entity")
            self._key[name], self._id[key] = key, name
            made = {"entity_key": key, "entity_id": name, "kind": now.kind, "formed_event": seq, **changed}
            self.connection.execute(sql.ADD_ENTITY, made)
            self._since[name] = seq
            return
        key = self._key[name]
        past = {
            "entity_key": key,
            "version": former.version,
            "status": former.status,
            "superseded_by": None if former.superseded_by is None else self._key[former.superseded_by],
            "from_event": self._since[name],
            "until_event": seq,
        }
        self._since[name] = seq
        self.connection.execute(sql.ADD_ENTITY_PAST, past)
        self.connection.execute(sql.SET_ENTITY, {"given": key, **changed})

    def _write_members(self, seq: int, records: Collection[int]) -> None:
        if not records:
            return
        if left := self._homed & set(records):
            self.connection.execute(
                sql.END_MEMBERSHIP, [{"given": record, "until_event": seq} for record in sorted(left)]
            )
        joined = [
            {
                "membership_id": self.following("membership"),
                "record_id": record,
                "entity_key": self._key[self.state.entity_of[record]],
                "from_event": seq,
            }
            for record in sorted(records & self.state.entity_of.keys())
        ]
        if joined:
            self.connection.execute(sql.ADD_MEMBERSHIP, joined)
        self._homed = (self._homed - left) | {row["record_id"] for row in joined}

    def _write_number(self, seq: int, number: str, former: Number | None) -> None:
        now = self.state.numbers[number]
        changed = {
            "entity_key": None if now.holder is None else self._key[now.holder],
            "state": now.state,
            "superseded_by": now.superseded_by,
            "reason": now.reason,
            "changed_event": seq,
        }
        if former is None:
            made = {
                "number": number,
                "kind": now.kind,
                "sequence": self._sequence[number],
                "issued_event": seq,
                **changed,
            }
            self.connection.execute(sql.ADD_NUMBER, made)
        else:
            past = {
                "number": number,
                "from_event": self._number_since[number],
                "entity_key": None if former.holder is None else self._key[former.holder],
                "state": former.state,
                "superseded_by": former.superseded_by,
                "reason": former.reason,
                "until_event": seq,
            }
            self.connection.execute(sql.ADD_NUMBER_PAST, past)
            self.connection.execute(sql.SET_NUMBER, {"given": number, **changed})
        self._number_since[number] = seq

    def _write_decision(self, seq: int, pair: tuple[int, int], stamp: Stamp) -> None:
        left, right = pair
        standing = self.state.decisions.get(pair)
        self.connection.execute(sql.END_DECISION, {"left": left, "right": right, "until_event": seq})
        if standing is not None:
            made = {
                "decision_id": self.following("decision"),
                "kind": standing.kind.value,
                "record_l": left,
                "record_r": right,
                "author": stamp.actor,
                "reason": stamp.reason,
                "from_event": seq,
            }
            self.connection.execute(sql.ADD_DECISION, made)


_NOBODY = Number("", "", None, "")


def _entity(row: RowMapping, *, superseded_by: str | None) -> Entity:
    return Entity(
        row["entity_id"],
        row["kind"],
        status=row["status"],
        superseded_by=superseded_by,
        version=row["version"],
        formed=row["formed_event"],
    )
