"""The simulated population as arrays, and its state on one day, as the offices of that day could know it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mdm.simulation.deliveries.places import REFORM, Places
from mdm.simulation.randomness import stream

if TYPE_CHECKING:
    from datetime import date

    from mdm.simulation.deliveries.settings import DeliverySettings
    from mdm.simulation.population.tables import Population

Rows = NDArray[np.int64]
Days = NDArray[np.datetime64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class World:
    population: Population
    places: Places
    settings: DeliverySettings
    seed: int

    @cached_property
    def size(self) -> int:
        return int(self.population.persons.num_rows)

    def stream(self, *names: str | int) -> np.random.Generator:
        return stream(self.seed, "deliveries", *names)

    def luck(self, *names: str) -> NDArray[np.float32]:
        """One uniform draw a person, the same whenever it is asked for: who is covered today is covered tomorrow."""
        draws: NDArray[np.float32] = self.stream("luck", *names).random(self.size, dtype=np.float32)
        return draws

    def column(self, name: str) -> pa.Array:
        return whole(self.population.persons[name])

    def integers(self, name: str) -> Rows:
        values: Rows = self.column(name).to_numpy(zero_copy_only=False).astype(np.int64)
        return values

    def days(self, name: str) -> Days:
        """NaT where there is none."""
        values: Days = self.column(name).to_numpy(zero_copy_only=False).astype("datetime64[D]")
        return values

    def flags(self, name: str) -> Mask:
        values: Mask = self.column(name).to_numpy(zero_copy_only=False).astype(bool)
        return values

    def among(self, name: str, *values: str) -> Mask:
        return equals(self.column(name), *values)

    @cached_property
    def birth(self) -> Days:
        return self.days("birth_date")

    @cached_property
    def death(self) -> Days:
        return self.days("death_date")

    @cached_property
    def female(self) -> Mask:
        return self.among("sex", "female")

    @cached_property
    def named(self) -> Mask:
        return valid(self.column("full_name"))

    @cached_property
    def of_today(self) -> Mask:
        """People of the window, without those who died before it."""
        return ~self.flags("died_before_window")

    @cached_property
    def has_cmnd(self) -> Mask:
        return valid(self.column("cmnd"))

    @cached_property
    def household_legacy(self) -> Rows:
        return self.places.position(self.population.households["commune_legacy"])

    @cached_property
    def household_now(self) -> Rows:
        return self.places.position(self.population.households["commune_now"])

    @cached_property
    def birth_place(self) -> Rows:
        return self.places.position(self.column("birth_commune"))

    @cached_property
    def spells(self) -> dict[str, NDArray[np.int64]]:
        """Residence spells as integers: person, household, first and last day (as days since 1970), kind, relation."""
        table = self.population.residence_spells
        end = whole(pc.fill_null(table["to_date"].cast(pa.int32()), np.iinfo(np.int32).max))
        relation = pc.index_in(table["relation_to_head"], value_set=pa.array(RELATION_WORDS))
        return {
            "person": numbers(table["person_id"]),
            "household": numbers(table["household_id"]),
            "start": numbers(table["from_date"].cast(pa.int32())),
            "end": numbers(end),
            "temporary": numbers(pc.equal(table["kind"], "temporary").cast(pa.int64())),
            "relation": numbers(pc.fill_null(relation, len(RELATION_WORDS) - 1)),
        }

    @cached_property
    def last_household(self) -> Rows:
        """The household of the latest spell, -1 for people without any."""
        found = np.full(self.size, -1, dtype=np.int64)
        order = np.argsort(self.spells["start"], kind="stable")
        found[self.spells["person"][order]] = self.spells["household"][order]
        return found


RELATION_WORDS = ("head", "spouse", "child", "grandchild", "parent", "other")


class Snapshot:
    """The population on one day."""

    def __init__(self, world: World, day: date) -> None:
        self.world = world
        self.day = np.datetime64(day, "D")
        self.reformed = bool(self.day >= REFORM)
        number = int(self.day.astype(np.int64))
        spells = world.spells
        open_now = (spells["start"] <= number) & (spells["end"] > number)
        self.registered_household = self._households(open_now & (spells["temporary"] == 0))
        temporary = self._households(open_now & (spells["temporary"] == 1))
        self.lived_in = np.where(temporary >= 0, temporary, self.registered_household)
        self.relation = np.full(world.size, len(RELATION_WORDS) - 1, dtype=np.int64)
        permanent = open_now & (spells["temporary"] == 0)
        self.relation[spells["person"][permanent]] = spells["relation"][permanent]
        born = world.birth <= self.day
        self.alive: Mask = born & ~(world.death <= self.day) & world.of_today
        self.age = (self.day - world.birth).astype(np.int64) // 365.2425

    def _households(self, chosen: Mask) -> Rows:
        found = np.full(self.world.size, -1, dtype=np.int64)
        found[self.world.spells["person"][chosen]] = self.world.spells["household"][chosen]
        return found

    @cached_property
    def known(self) -> Mask:
        """Birth registered by that day, so that there is a number."""
        registered = self.world.days("birth_registered_on")
        return registered <= self.day

    @cached_property
    def personal_id(self) -> pa.Array:
        """The number valid on that day; null for those who have none yet."""
        changed = self.world.days("personal_id_changed_on")
        before = changed > self.day
        number = pc.if_else(
            pa.array(before), self.world.column("former_personal_id"), self.world.column("personal_id")
        )
        return pc.if_else(pa.array(self.known), number, pa.scalar(None, pa.string()))

    @cached_property
    def registered_death(self) -> Mask:
        return np.asarray(self.world.days("death_registered_on") <= self.day)


def whole(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def numbers(column: pa.Array | pa.ChunkedArray) -> Rows:
    values: Rows = whole(column).to_numpy(zero_copy_only=False).astype(np.int64)
    return values


def valid(column: pa.Array | pa.ChunkedArray) -> Mask:
    values: Mask = whole(pc.is_valid(column)).to_numpy(zero_copy_only=False)
    return values


def equals(column: pa.Array | pa.ChunkedArray, *values: str) -> Mask:
    found = whole(pc.is_in(column, value_set=pa.array(values, pa.string())))
    result: Mask = found.to_numpy(zero_copy_only=False)
    return result
