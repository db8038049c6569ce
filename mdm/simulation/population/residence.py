"""Who lives where: households form, split, move; registration follows late or not at all."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import numpy as np

from mdm.simulation.population.state import SINGLE, Stay

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from mdm.simulation.population.geography import Geography
    from mdm.simulation.population.settings import PopulationSettings
    from mdm.simulation.population.state import State

    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]

GROWN = 18
MIDDLE_AGE = 35
ELDER = 50
STAYS_IN_COMMUNE = 0.8
REGISTERS_NEARBY = 0.85
RENOVATION = 1986
BACK_TO_PARENTS = 0.75
ROOM = 4  # people who share a rented room


def random_days(year: int, number: int, rng: np.random.Generator) -> Ints:
    return (date(year, 1, 1) - date(1970, 1, 1)).days + rng.integers(0, 365, number)


class Residence:
    def __init__(
        self, state: State, *, geography: Geography, settings: PopulationSettings, minority: Bools
    ) -> None:
        self._state = state
        self._geography = geography
        self._settings = settings
        self._minority = minority
        self._children: Ints = np.zeros(0, np.int64)
        self._metropolis = np.isin(geography.provinces, settings.moves.metropolis)
        self._registers = by_province(settings.moves.registers, geography.provinces)
        self._regularises = by_province(settings.moves.regularises, geography.provinces)

    def weights_of(self, year: int) -> NDArray[np.float64]:
        """[commune] share of the people meant to live there in that year: town and metropolis grow to today's share."""
        moves, window = self._settings.moves, self._settings.window
        past = np.clip((window.last_year - year) / (window.last_year - window.begin_year), 0, 1)
        factor = np.where(self._geography.urban, 1 - past * (1 - moves.urban_start), 1)
        metropolis = self._metropolis[self._geography.province]
        factor = factor * np.where(metropolis, 1 - past * (1 - moves.metropolis_start), 1)
        weight = self._geography.weight * factor
        return np.asarray(weight / weight.sum())

    def begin(self, year: int) -> None:
        """Called when the year's births are known: the children who go where their mother goes."""
        people, alive = self._state.people, self._state.alive
        self._children = alive[(year - people.birth_year[alive] < GROWN) & (people.marital[alive] == SINGLE)]

    # -- what a wedding or a divorce brings ---------------------------------------------------------------------------

    def wed(
        self,
        husbands: Ints,
        wives: Ints,
        days: Ints,
        *,
        year: int,
        rng: np.random.Generator,
        joins_husbands: NDArray[np.float64],
        joins_wifes: NDArray[np.float64],
    ) -> None:
        people = self._state.people
        draw = rng.random(len(husbands))
        to_his = self._with_parents(husbands) & (draw < joins_husbands)
        to_hers = ~to_his & self._with_parents(wives) & (draw > 1 - joins_wifes)
        own = ~to_his & ~to_hers
        for movers, hosts, chosen in ((wives, husbands, to_his), (husbands, wives, to_hers)):
            mover, host = movers[chosen], hosts[chosen]
            follows = rng.random(len(mover)) < REGISTERS_NEARBY
            registered = np.where(follows, people.registered[host], people.registered[mover])
            self._relocate(mover, days[chosen], Stay(people.home[host], registered), year=year)
        self._move_out(
            husbands[own], wives[own], days[own], year=year, rng=rng, near_wifes=rng.random(own.sum()) < 0.25
        )

    def _move_out(
        self,
        husbands: Ints,
        wives: Ints,
        days: Ints,
        *,
        year: int,
        rng: np.random.Generator,
        near_wifes: Bools,
    ) -> None:
        """A couple founds a household near one side; who was registered where he lived mostly registers again."""
        people = self._state.people
        old = np.where(near_wifes, people.home[wives], people.home[husbands])
        commune = self._state.households.commune[old]
        elsewhere = np.flatnonzero(rng.random(len(old)) >= STAYS_IN_COMMUNE)
        commune[elsewhere] = self._nearby(rng, commune[elsewhere], self._geography.district)
        homes = self._state.found(commune, days)
        registers = rng.random(len(homes)) < REGISTERS_NEARBY
        for movers in (husbands, wives):
            settled = people.home[movers] == people.registered[movers]
            registered = np.where(settled & registers, homes, people.registered[movers])
            self._relocate(movers, days, Stay(homes, registered), year=year)

    def part(self, husbands: Ints, wives: Ints, days: Ints, *, year: int, rng: np.random.Generator) -> None:
        """From his parents' house the wife goes, mostly with the children; from their own he mostly goes."""
        people = self._state.people
        together = people.home[husbands] == people.home[wives]
        with_his = self._with_parents(husbands)
        wife_goes = together & (with_his | (rng.random(len(husbands)) < 0.4))
        husband_goes = together & ~wife_goes
        takes_children = with_his & (rng.random(len(husbands)) < 0.85)
        for movers, chosen in ((wives, wife_goes), (husbands, husband_goes)):
            mover, when = movers[chosen], days[chosen]
            parent = self._living_parent(mover)
            back = (parent >= 0) & (people.home[parent] != people.home[mover]) & (rng.random(len(mover)) < BACK_TO_PARENTS)
            home, registered = people.home[parent].astype(np.int64), people.registered[parent].astype(np.int64)
            commune = self._state.households.commune[people.home[mover[~back]]]
            commune = np.where(
                rng.random(len(commune)) < 0.5, commune, self._nearby(rng, commune, self._geography.district)
            )
            home[~back] = self._state.found(commune, when[~back])
            settled = people.home[mover] == people.registered[mover]
            registered[~back] = np.where(settled, home, people.registered[mover])[~back]
            carries = takes_children[chosen] if movers is wives else np.zeros(len(mover), bool)
            self._relocate(mover, when, Stay(home, registered), year=year, carries=carries)

    def _living_parent(self, persons: Ints) -> NDArray[np.int32]:
        people = self._state.people
        father, mother = people.father[persons], people.mother[persons]
        father, mother = (np.where(people.death[p] == np.iinfo(np.int32).max, p, -1) for p in (father, mother))
        return np.where(father >= 0, father, mother)

    def _with_parents(self, persons: Ints) -> Bools:
        people = self._state.people
        home = people.home[persons]
        result = np.zeros(len(persons), bool)
        for parents in (people.father[persons], people.mother[persons]):
            alive = (parents >= 0) & (people.death[parents] == np.iinfo(np.int32).max)
            result |= alive & (people.home[parents] == home)
        return result

    def _relocate(
        self, movers: Ints, days: Ints, stay: Stay, *, year: int, carries: Bools | None = None
    ) -> None:
        """Moves grown-ups, and with each mother (or lone father) her unmarried children under age who live with her."""
        people = self._state.people
        place = np.full(people.count, -1, np.int32)
        takers = movers if carries is None else movers[carries]
        place[takers] = np.flatnonzero(np.ones(len(movers), bool) if carries is None else carries)
        young = self._children
        mother, father = people.mother[young], people.father[young]
        home = people.home[young]
        at_mothers = (
            (mother >= 0) & (people.home[mother] == home) & (people.death[mother] == np.iinfo(np.int32).max)
        )
        parent = np.where(at_mothers, mother, father)
        follows = (
            (parent >= 0)
            & (people.home[parent] == home)
            & (place[parent] >= 0)
            & (people.moved[young] < year)
        )
        children, position = young[follows], place[parent[follows]]
        # A child registered with the parent stays so; one registered elsewhere keeps that.
        together = people.registered[children] == people.registered[movers[position]]
        registered = np.where(together, stay.registered[position], people.registered[children])
        self._state.settle(movers, days, stay, year=year)
        self._state.settle(
            children,
            np.maximum(days[position], people.birth[children]),
            Stay(stay.home[position], registered),
            year=year,
        )

    # -- what a year brings by itself ---------------------------------------------------------------------------------

    def move(self, year: int, rng: np.random.Generator, dying: Bools) -> None:
        state = self._state
        dying = np.concatenate([dying, np.zeros(state.people.count - len(dying), bool)])
        self._leave_parents(year, rng, dying)
        attraction = self._attraction(year)
        pace = 1.0 if year >= RENOVATION else self._settings.moves.before_1986
        self._move_households(year, rng, attraction=attraction, pace=pace)
        self._young_leave(year, rng, dying, attraction=attraction, pace=pace)
        self._young_return(year, rng, dying)
        self._elders_join(year, rng, dying)
        self._take_in_children(year, rng)
        self._regularise(year, rng)

    def _attraction(self, year: int) -> NDArray[np.float64]:
        """[commune] weight as a destination: more where fewer live than are meant to."""
        state, cell = self._state, self._geography.cell
        size = 2 * len(self._geography.provinces)
        wanted = np.bincount(cell, self.weights_of(year), size)
        commune = state.households.commune[state.people.home[state.alive]]
        living = np.bincount(cell[commune], minlength=size) / len(state.alive)
        pull = (
            np.divide(wanted, living, out=np.full(size, 10.0), where=living > 0)
            ** self._settings.moves.balance
        )
        return np.asarray(self._geography.weight * np.clip(pull, 0.05, 20)[cell])

    def _leave_parents(self, year: int, rng: np.random.Generator, dying: Bools) -> None:
        people, alive = self._state.people, self._state.alive
        rules = self._settings.marriage
        husbands = alive[
            (people.sex[alive] == 0) & (people.spouse[alive] >= 0) & (people.moved[alive] < year)
        ]
        wives = people.spouse[husbands]
        able = (people.home[husbands] == people.home[wives]) & (people.moved[wives] < year)
        able &= ~dying[husbands] & ~dying[wives] & (self._with_parents(husbands) | self._with_parents(wives))
        husbands, wives = husbands[able], wives[able]
        couples = np.bincount(people.home[husbands], minlength=self._state.households.count)
        crowded = couples[people.home[husbands]] > 1
        leaves = rng.random(len(husbands)) < np.where(
            crowded, rules.leaves_parents, rules.leaves_parents_last
        )
        husbands, wives = husbands[leaves], wives[leaves]
        days = random_days(year, len(husbands), rng)
        self._move_out(husbands, wives, days, year=year, rng=rng, near_wifes=np.zeros(len(husbands), bool))

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
                self._nearby(rng, origin, self._geography.province, attraction),
                self._nearby(rng, origin, self._geography.district),
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
            self._nearby(rng, origin, self._geography.province, towards_town),
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

    def _elders_join(self, year: int, rng: np.random.Generator, dying: Bools) -> None:
        """Old people left alone move in with a child; old couples sometimes."""
        state, people = self._state, self._state.people
        alive, rules = state.alive, self._settings.moves
        home = people.home[alive]
        residents = np.bincount(home, minlength=state.households.count)
        old = year - people.birth_year[alive] >= ELDER
        elders_only = residents == np.bincount(home, old, state.households.count)
        chance = np.select(
            [residents == 1, residents == 2], [rules.elder_joins_child, rules.elder_couple_joins_child]
        )
        leaves = elders_only & (rng.random(len(residents)) < chance)
        busy = np.zeros(len(residents), bool)
        busy[home[(people.moved[alive] >= year) | dying[alive]]] = True
        elders = alive[(leaves & ~busy)[home]]
        child = np.full(people.count, -1, np.int64)
        grown = alive[(year - people.birth_year[alive] >= 25) & ~dying[alive]]
        for parents in (people.mother[grown], people.father[grown]):
            child[parents[parents >= 0]] = grown[parents >= 0]
        # A couple goes together, to the child of whoever of the two was found first.
        host = child[elders]
        of_home = np.full(state.households.count, -1, np.int64)
        of_home[people.home[elders]] = np.maximum(of_home[people.home[elders]], host)
        host = of_home[people.home[elders]]
        elders, host = elders[host >= 0], host[host >= 0]
        days = random_days(year, state.households.count, rng)[people.home[elders]]
        # The child's household may itself begin this year, later than the day drawn.
        days = np.maximum(days, state.households.formed[people.home[host]])
        follows = (rng.random(len(elders)) < 0.7) & (people.home[host] == people.registered[host])
        registered = np.where(follows, people.home[host], people.registered[elders])
        state.settle(elders, days, Stay(people.home[host].astype(np.int64), registered), year=year)

    def _take_in_children(self, year: int, rng: np.random.Generator) -> None:
        """Children left without a grown-up go to a grandparent or grown sibling, else to a family of the province."""
        state, people = self._state, self._state.people
        alive = state.alive
        grown = year - people.birth_year[alive] >= 16
        guarded = np.zeros(state.households.count, bool)
        guarded[people.home[alive[grown]]] = True
        left = alive[~grown & ~guarded[people.home[alive]]]
        left = left[people.moved[left] < year]
        if not len(left):
            return
        adults = alive[grown]
        host = np.full(len(left), -1, np.int64)
        parents = [people.mother[left], people.father[left]]
        kin = [np.where(p >= 0, line[p], -1) for p in parents for line in (people.mother, people.father)]
        sibling = np.full(people.count, -1, np.int64)
        with_mother = adults[people.mother[adults] >= 0]
        sibling[people.mother[with_mother]] = with_mother
        kin.append(np.where(parents[0] >= 0, sibling[parents[0]], -1))
        for candidate in kin:
            usable = (host < 0) & (candidate >= 0) & (people.death[candidate] == np.iinfo(np.int32).max)
            host = np.where(usable, candidate, host)
        province = self._geography.province[state.households.commune]
        couples = adults[people.spouse[adults] >= 0]
        couples = couples[np.argsort(province[people.home[couples]], kind="stable")]
        ordered = province[people.home[couples]]
        wanted = province[people.home[left]]
        low, high = np.searchsorted(ordered, wanted, "left"), np.searchsorted(ordered, wanted, "right")
        low, high = np.where(high > low, low, 0), np.where(high > low, high, len(couples))
        strangers = couples[(low + rng.random(len(left)) * (high - low)).astype(np.int64)]
        host = np.where(host >= 0, host, strangers)
        home, registered = people.home[host], people.registered[host]
        days = np.maximum(random_days(year, len(left), rng), state.households.formed[home])
        days = np.maximum(days, people.birth[left])
        state.settle(left, days, Stay(home.astype(np.int64), registered.astype(np.int64)), year=year)

    def _regularise(self, year: int, rng: np.random.Generator) -> None:
        state, people = self._state, self._state.people
        alive = state.alive
        commune = state.households.commune[: state.households.count]
        chance = self._regularises[self._geography.province[commune]]
        chosen = rng.random(len(commune)) < chance
        away = people.home[alive] != people.registered[alive]
        persons = alive[away & chosen[people.home[alive]] & (people.moved[alive] < year)]
        family = (people.marital[persons] != SINGLE) | (year - people.birth_year[persons] < GROWN)
        persons = persons[family | (year - people.birth_year[persons] >= 30)]
        home = people.home[persons].astype(np.int64)
        when = random_days(year, state.households.count, rng)[home]
        when = np.maximum(np.maximum(when, people.birth[persons]), state.households.formed[home])
        state.settle(persons, when, Stay(home, home), year=year)

    # -- destinations -------------------------------------------------------------------------------------------------

    def _far(self, rng: np.random.Generator, origin: Ints, attraction: NDArray[np.float64]) -> Ints:
        """A commune of another province (after three tries perhaps of the same)."""
        province = self._geography.province
        commune = self._geography.draw(rng, count=len(origin), weight=attraction)
        for _ in range(3):
            same = np.flatnonzero(province[commune] == province[origin])
            commune[same] = self._geography.draw(rng, count=len(same), weight=attraction)
        return commune

    def _nearby(
        self,
        rng: np.random.Generator,
        origin: NDArray[np.integer],
        groups: NDArray[np.integer],
        attraction: NDArray[np.float64] | None = None,
    ) -> Ints:
        """A commune of the same district or province."""
        weight = self._geography.weight if attraction is None else attraction
        return self._geography.draw_within(
            rng, groups=groups, wanted=groups[origin].astype(np.int64), weight=weight
        )


def by_province(shares: Mapping[str, float], provinces: tuple[str, ...]) -> NDArray[np.float64]:
    return np.array([shares.get(province, shares["default"]) for province in provinces])
