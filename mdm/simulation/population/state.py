"""The people and households of the moment, as growing arrays, and the log of what happened to them."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

NEVER = np.iinfo(np.int32).max
PERMANENT, TEMPORARY = 0, 1
SINGLE, MARRIED, DIVORCED, WIDOWED = 0, 1, 2, 3


def first_day(year: int) -> int:
    """Days since 1970, as all days are counted here."""
    return (date(year, 1, 1) - date(1970, 1, 1)).days


class Columns:
    """Arrays of one length that grow together; the fields are declared by dtype and value of an empty place."""

    def __init__(self, capacity: int, **fields: tuple[type[np.generic], int]) -> None:
        self.count = 0
        self._empty = {name: empty for name, (_, empty) in fields.items()}
        self._arrays = {name: np.full(capacity, empty, dtype) for name, (dtype, empty) in fields.items()}

    def __getattr__(self, name: str) -> NDArray[np.int32]:
        try:
            return self.__dict__["_arrays"][name]  # type: ignore[no-any-return]
        except KeyError:
            raise AttributeError(name) from None

    def add(self, number: int) -> Ints:
        """Places for `number` new rows, returned as their indices."""
        capacity = len(next(iter(self._arrays.values())))
        if self.count + number > capacity:
            extra = max(capacity // 2, number)
            for name, array in self._arrays.items():
                self._arrays[name] = np.concatenate([array, np.full(extra, self._empty[name], array.dtype)])
        added = np.arange(self.count, self.count + number)
        self.count += number
        return added


class Log:
    """Rows of int32, kept by column, one chunk for each call."""

    def __init__(self, *names: str) -> None:
        self._names = names
        self._chunks: list[tuple[NDArray[np.int32], ...]] = []

    def add(self, *columns: NDArray[np.integer] | int) -> None:
        length = max(len(c) for c in columns if isinstance(c, np.ndarray))
        self._chunks.append(tuple(np.broadcast_to(np.asarray(c, np.int32), length) for c in columns))

    def columns(self) -> Iterator[NDArray[np.int32]]:
        for position, _ in enumerate(self._names):
            parts = [chunk[position] for chunk in self._chunks]
            yield np.concatenate(parts) if parts else np.zeros(0, np.int32)


class Stay(NamedTuple):
    """Where people live and where they are registered, from one day on."""

    home: NDArray[np.integer]
    registered: NDArray[np.integer]


class State:
    def __init__(self, *, people: int, households: int) -> None:
        nobody = (np.int32, -1)
        self.people = Columns(
            people,
            sex=(np.int8, 0),  # 0 male, 1 female
            birth=(np.int32, 0),  # days since 1970
            birth_year=(np.int16, 0),
            death=(np.int32, NEVER),
            mother=nobody,
            father=nobody,
            spouse=nobody,
            marital=(np.int8, SINGLE),
            twin=nobody,
            ethnic=(np.int8, 0),
            surname=(np.int16, -1),
            native=(np.int8, 0),
            birth_commune=(np.int16, 0),
            home=nobody,
            registered=nobody,
            moved=(np.int16, 0),  # last year with a change of residence: at most one a year
            parity=(np.int8, 0),
            last_birth=(np.int32, -NEVER),
        )
        self.households = Columns(households, commune=(np.int16, 0), formed=(np.int32, 0))
        self.alive: Ints = np.zeros(0, np.int64)
        self.residence = Log("person", "day", "kind", "household")  # household -1: a temporary stay ends
        self.moves = Log("person", "day", "from", "to")
        self.weddings = Log("husband", "wife", "day")
        self.divorces = Log("husband", "wife", "day")

    def found(self, communes: NDArray[np.integer], days: NDArray[np.integer]) -> Ints:
        """New households."""
        new = self.households.add(len(communes))
        self.households.commune[new] = communes
        self.households.formed[new] = days
        return new

    def arrive(self, persons: Ints, days: NDArray[np.integer], stay: Stay) -> None:
        """The first residence of a newborn or founder."""
        self.people.home[persons] = stay.home
        self.people.registered[persons] = stay.registered
        self.residence.add(persons, days, PERMANENT, stay.registered)
        away = stay.home != stay.registered
        self.residence.add(persons[away], days[away], TEMPORARY, stay.home[away])

    def settle(self, persons: Ints, days: NDArray[np.integer], stay: Stay, *, year: int) -> None:
        """A change of home or of registration or of both, written down as the registers see it."""
        old_home, old_registered = self.people.home[persons], self.people.registered[persons]
        reregistered = stay.registered != old_registered
        self.residence.add(
            persons[reregistered], days[reregistered], PERMANENT, stay.registered[reregistered]
        )
        was_away, away = old_home != old_registered, stay.home != stay.registered
        begins = away & (~was_away | (stay.home != old_home))
        self.residence.add(persons[begins], days[begins], TEMPORARY, stay.home[begins])
        ends = was_away & ~away
        self.residence.add(persons[ends], days[ends], TEMPORARY, -1)
        elsewhere = stay.home != old_home
        self.moves.add(persons[elsewhere], days[elsewhere], old_home[elsewhere], stay.home[elsewhere])
        self.people.home[persons] = stay.home
        self.people.registered[persons] = stay.registered
        self.people.moved[persons] = year
