"""What every office has: a roster on a day, and sheets made of what it observed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mdm.simulation.deliveries.offices.text import coded, day_text, padded, scattered
from mdm.simulation.deliveries.world import Days, Mask, Rows, Snapshot, World, numbers

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from mdm.simulation.deliveries.observe import Context
    from mdm.simulation.deliveries.settings import Faults
    from mdm.simulation.deliveries.writing.forms import Form

UNCHANGED, NEW, CORRECTED, WITHDRAWN = range(4)
SLOTS = 4  # records a person may have in one registry; a record's identity is person * SLOTS + slot


@dataclass(frozen=True)
class Sheet:
    """A table of one file, in the office's own words. `rows` are the rows of the observed table it was made from."""

    file: str
    source: str
    table: pa.Table
    rows: Rows
    key: tuple[str, ...]
    form: Form | None  # None: these rows are written by another sheet of the same file
    kind: Literal["person", "household", "renumbering"] = "person"
    required: Mapping[str, str] = field(default_factory=dict)
    """Columns of the one attribute that a row cannot do without, and that attribute."""
    operation: str | None = None  # the column that says new, corrected or withdrawn
    withdrawal: str = ""  # its code for withdrawn
    spoilable: bool = True


@dataclass(frozen=True)
class Delivery:
    number: int  # 1 or 2
    day: date

    @property
    def stamp(self) -> str:
        return self.day.strftime("%Y%m%d")


@dataclass(frozen=True)
class View:
    """What an office looks at while it makes its files. `observed` has two more columns than `observe` gives: serial (the
    record's number in this registry) and operation (UNCHANGED, NEW, CORRECTED, WITHDRAWN).
    """

    context: Context
    snapshot: Snapshot
    observed: pa.Table
    delivery: Delivery


class Office(ABC):
    code: ClassVar[str]
    after: ClassVar[Literal["changes", "snapshot", "additions"]] = "changes"
    """What its second delivery holds: changed records with an operation, all records, or new and changed ones alone."""
    fixed: ClassVar[tuple[str, ...]] = ()
    """Columns of the roster that stay as they were in a record's first delivery."""

    @abstractmethod
    def roster(self, context: Context, snapshot: Snapshot) -> pa.Table:
        """The rows that `observe` starts from; see `roster_of`."""

    @abstractmethod
    def sheets(self, view: View) -> list[Sheet]: ...

    def faults(self, world: World) -> Faults:
        return world.settings.faults(self.code)

    def covered(
        self, world: World, snapshot: Snapshot, eligible: Mask, *, group: str = "all", luck: str = ""
    ) -> Mask:
        """As many of the eligible as make the group's share of the living, the same people at any date."""
        share = world.settings.registries[self.code].coverage[group]
        wanted = share * float(snapshot.alive.sum())
        limit = wanted / max(float(eligible.sum()), 1.0)
        return np.asarray(eligible & (world.luck("covered", self.code, luck or group) < limit))

    def duplicated(self, world: World, people: Rows) -> tuple[Rows, Rows]:
        """People with their slot: 0 for the first record, 1 for a second of the same person."""
        again = people[world.luck("duplicated", self.code)[people] < self.faults(world).duplicated]
        return np.concatenate([people, again]), np.repeat([0, 1], [len(people), len(again)])


def roster_of(
    people: Rows,
    *,
    slot: Rows | None = None,
    household: Rows,
    documented: Days,
    actual: Rows | None = None,
    **columns: np.ndarray,
) -> pa.Table:
    """`household` is by person of the whole population; the other columns by row."""
    slots = np.zeros(len(people), dtype=np.int64) if slot is None else slot
    who = people if actual is None else actual
    fixed = {
        "person": people,
        "actual": who,
        "household": household[who],
        "documented": pa.array(documented.astype("datetime64[D]"), pa.date32()),
        "identity": people * SLOTS + slots,
        "slot": slots,
    }
    return pa.table({**fixed, **columns})


def paper_days(world: World, snapshot: Snapshot, people: Rows, *, code: str, since: str) -> Days:
    """The day of each record's papers: between `since` (or the birth) and the day of the delivery."""
    start = np.maximum(np.datetime64(since, "D"), world.birth[people])
    first = np.datetime64(world.settings.first, "D")
    luck = world.luck("papers", code)[people]
    span = np.maximum((first - start).astype(np.int64), 0)
    day = start + (span * luck.astype(np.float64)).astype(np.int64)
    recent = snapshot.day - (luck.astype(np.float64) * 150).astype(np.int64)
    return np.where(start >= first, np.maximum(recent, start), day)


def home(snapshot: Snapshot) -> Rows:
    """The registered household by person, else where the person lives or lived last."""
    registered = snapshot.registered_household
    lived = np.where(snapshot.lived_in >= 0, snapshot.lived_in, snapshot.world.last_household)
    return np.where(registered >= 0, registered, lived)


def serial_text(observed: pa.Table, width: int, *, prefix: str = "") -> pa.Array:
    return padded(scattered(numbers(observed["serial"]), width), width, prefix=prefix)


def operation_text(observed: pa.Table, codes: Mapping[int, str]) -> pa.Array:
    words = pa.array([codes.get(value, codes[NEW]) for value in range(4)], pa.string())
    return words.take(observed["operation"].combine_chunks())


def documented_text(observed: pa.Table, *, style: str) -> pa.Array:
    return day_text(observed["documented"].combine_chunks().to_numpy(zero_copy_only=False), style=style)


def sex_text(observed: pa.Table, male: str, female: str) -> pa.Array:
    return coded(observed["sex"], {"male": male, "female": female})


def by_person(world: World, name: str, people: Rows) -> pa.Array:
    """A column of the population for people, null where the person is -1."""
    return world.column(name).take(pa.array(people, mask=people < 0))


def text_table(rows: int, **columns: pa.Array | pa.ChunkedArray | str | None) -> pa.Table:
    """Office columns in order; a plain text fills its column."""
    made: dict[str, pa.Array] = {}
    for name, values in columns.items():
        if values is None or isinstance(values, str):
            made[name] = pa.array([values] * rows, pa.string())
        else:
            made[name] = values
    return pa.table(made)


def selected(observed: pa.Table, mask: Mask) -> tuple[pa.Table, Rows]:
    rows = np.flatnonzero(mask)
    return observed.take(pa.array(rows)), rows


def number_or_old(part: pa.Table) -> pa.Array:
    """One column for whatever number the paper shows: the personal number, else the old nine-digit one."""
    return pc.coalesce(part["personal_id"].combine_chunks(), part["cmnd"].combine_chunks())
