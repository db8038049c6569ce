"""Moves to other communes, districts and provinces: of whole households and of the young alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mdm.simulation.population.residence import GROWN, REGISTERS_NEARBY, by_province, random_days
from mdm.simulation.population.state import SINGLE, Stay

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mdm.simulation.population.geography import Geography
    from mdm.simulation.population.residence import Residence
    from mdm.simulation.population.settings import PopulationSettings
    from mdm.simulation.population.state import State

    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]

MIDDLE_AGE = 35
RENOVATION = 1986
ROOM = 4  # people who share a rented room


class Migration:
    def __init__(
        self,
        state: State,
        *,
        residence: Residence,
        geography: Geography,
        settings: PopulationSettings,
        minority: Bools,
    ) -> None:
        self._state = state
        self._residence = residence
        self._geography = geography
        self._settings = settings
        self._minority = minority
        self._registers = by_province(settings.moves.registers, geography.provinces)

    def move(self, year: int, rng: np.random.Generator, dying: Bools) -> None:
        attraction = self._attraction(year)
        pace = 1.0 if year >= RENOVATION else self._settings.moves.before_1986
        self._move_households(year, rng, attraction=attraction, pace=pace)
        self._young_leave(year, rng, dying, attraction=attraction, pace=pace)
        self._young_return(year, rng, dying)

    def _attraction(self, year: int) -> NDArray[np.float64]:
        """[commune] weight as a destination: more where fewer live than are meant to."""
        state, cell = self._state, self._geography.cell
        size = 2 * len(self._geography.provinces)
        wanted = np.bincount(cell, self._residence.weights_of(year), size)
        commune = state.households.commune[state.people.home[state.alive]]
        living = np.bincount(cell[commune], minlength=size) / max(len(state.alive), 1)
        pull = (
            np.divide(wanted, living, out=np.full(size, 10.0), where=living > 0)
            ** self._settings.moves.balance
        )
        return np.asarray(self._geography.weight * np.clip(pull, 0.05, 20)[cell])

    def _move_households(
        self, year: int, rng: np.random.Generator, *, attraction: NDArray[np.float64], pace: float
    ) -> None:
        state, people, rules = self._state, self._state.people, self._settings.moves
        alive = state.alive
        home = people.home[alive]
        count = state.households.count
        busy = np.zeros(count, bool)
        busy[home[people.moved[alive] >= year]] = True
        lived_in = np.zeros(count, bool)
        lived_in[home] = True
        calm = np.flatnonzero(lived_in & ~busy)
        minority = np.zeros(count, bool)
        minority[home] = self._minority[people.ethnic[alive]]
        far = np.where(minority[calm], rules.minorities, 1.0) * rules.household_inter_province * pace
        draw = rng.random(len(calm))
        old = state.households.commune
        middle = far + rules.household_inter_district * pace
        near = middle + rules.household_intra_district * pace
        moving = draw < near
        movers, draw, far, middle = calm[moving], draw[moving], far[moving], middle[moving]
        origin = old[movers].astype(np.int64)
        commune = np.where(
            draw < far,
            self._far(rng, origin, attraction),
            np.where(
                draw < middle,
                self._residence.nearby(rng, origin, self._geography.province, attraction),
                self._residence.nearby(rng, origin, self._geography.district),
            ),
        )
        days = random_days(year, len(movers), rng)
        homes = state.found(commune, days)
        near_by = draw >= far
        share = np.where(near_by, REGISTERS_NEARBY, self._registers[self._geography.province[commune]])
        registers = rng.random(len(movers)) < share
        self._carry(movers, homes, days, registers, year=year)

    def _carry(self, old: Ints, new: Ints, days: Ints, registers: Bools, *, year: int) -> None:
        """All who live in the old households go to the new; all registered in the old follow where it registers."""
        if not len(old):
            return
        state, people = self._state, self._state.people
        position = np.full(state.households.count, -1, np.int64)
        position[old] = np.arange(len(old))
        alive = state.alive
        lives, listed = position[people.home[alive]], position[people.registered[alive]]
        touched = (lives >= 0) | ((listed >= 0) & registers[listed])
        touched &= people.moved[alive] < year
        persons, lives, listed = alive[touched], lives[touched], listed[touched]
        home = np.where(lives >= 0, new[lives], people.home[persons])
        follows = (listed >= 0) & registers[listed]
        registered = np.where(follows, new[listed], people.registered[persons])
        when = np.maximum(days[np.where(lives >= 0, lives, listed)], people.birth[persons])
        state.settle(persons, when, Stay(home, registered), year=year)

    def _young_leave(
        self,
        year: int,
        rng: np.random.Generator,
        dying: Bools,
        *,
        attraction: NDArray[np.float64],
        pace: float,
    ) -> None:
        state, people, rules = self._state, self._state.people, self._settings.moves
        alive = state.alive
        age = year - people.birth_year[alive]
        able = (
            (age >= 17)
            & (age < 30)
            & (people.marital[alive] == SINGLE)
            & (people.moved[alive] < year)
            & ~dying[alive]
        )
        persons = alive[able & (people.home[alive] == people.registered[alive])]
        far = (
            np.where(self._minority[people.ethnic[persons]], rules.minorities, 1.0)
            * rules.young_inter_province
            * pace
        )
        draw = rng.random(len(persons))
        leaves = draw < far + rules.young_inter_district * pace
        persons, draw, far = persons[leaves], draw[leaves], far[leaves]
        origin = state.households.commune[people.home[persons]].astype(np.int64)
        towards_town = attraction * np.where(self._geography.urban, 3.0, 1.0)
        commune = np.where(
            draw < far,
            self._far(rng, origin, towards_town),
            self._residence.nearby(rng, origin, self._geography.province, towards_town),
        )
        homes, days = self._rooms(year, rng, persons, commune)
        registered = np.where(rng.random(len(persons)) < 0.1, homes, people.registered[persons])
        state.settle(persons, days, Stay(homes, registered), year=year)

    def _rooms(self, year: int, rng: np.random.Generator, persons: Ints, commune: Ints) -> tuple[Ints, Ints]:
        """Homes of those who come alone and the days of coming: some alone, the others by commune into shared rooms."""
        state, people = self._state, self._state.people
        alive = state.alive
        residents = np.bincount(people.home[alive], minlength=state.households.count)
        lone = (people.home[alive] != people.registered[alive]) & (people.marital[alive] == SINGLE)
        lone &= (year - people.birth_year[alive] >= GROWN) & (year - people.birth_year[alive] < MIDDLE_AGE)
        lodgers = np.bincount(people.home[alive], lone, state.households.count)
        shared = np.flatnonzero((residents == lodgers) & (residents > 0) & (residents < ROOM))
        shared = shared[np.argsort(state.households.commune[shared], kind="stable")]
        where = state.households.commune[shared]
        days = random_days(year, len(persons), rng)
        homes = np.full(len(persons), -1, np.int64)
        sharers = np.flatnonzero(rng.random(len(persons)) < self._settings.moves.sharing)
        sharers = sharers[np.argsort(commune[sharers], kind="stable")]
        town = commune[sharers]
        rank = np.arange(len(sharers)) - np.searchsorted(town, town, side="left")
        # The first comers of a commune fill its rooms, one each; the next found new ones, up to four together.
        place = np.searchsorted(where, town, side="left") + rank
        room_left = place < np.searchsorted(where, town, side="right")
        homes[sharers[room_left]] = shared[place[room_left]]
        days[sharers[room_left]] = np.maximum(
            days[sharers[room_left]], state.households.formed[homes[sharers[room_left]]]
        )
        newcomers, rank = sharers[~room_left], rank[~room_left]
        _, first, inverse = np.unique(
            commune[newcomers] * (len(persons) + 1) + rank // ROOM, return_index=True, return_inverse=True
        )
        days[newcomers] = days[newcomers][first][inverse]
        homes[newcomers] = state.found(commune[newcomers][first], days[newcomers][first])[inverse]
        alone = np.flatnonzero(homes < 0)
        homes[alone] = state.found(commune[alone], days[alone])
        return homes, days

    def _young_return(self, year: int, rng: np.random.Generator, dying: Bools) -> None:
        state, people = self._state, self._state.people
        alive = state.alive
        age = year - people.birth_year[alive]
        away = (people.home[alive] != people.registered[alive]) & (people.marital[alive] == SINGLE)
        persons = alive[away & (age >= GROWN) & (people.moved[alive] < year) & ~dying[alive]]
        residents = np.bincount(people.home[alive], minlength=state.households.count)
        back = (residents[people.registered[persons]] > 0) & (
            rng.random(len(persons)) < self._settings.moves.returns
        )
        persons = persons[back]
        registered = people.registered[persons].astype(np.int64)
        state.settle(persons, random_days(year, len(persons), rng), Stay(registered, registered), year=year)

    def _far(self, rng: np.random.Generator, origin: Ints, attraction: NDArray[np.float64]) -> Ints:
        """A commune of another province (after three tries perhaps of the same)."""
        province = self._geography.province
        commune = self._geography.draw(rng, count=len(origin), weight=attraction)
        for _ in range(3):
            same = np.flatnonzero(province[commune] == province[origin])
            commune[same] = self._geography.draw(rng, count=len(same), weight=attraction)
        return commune
