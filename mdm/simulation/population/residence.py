"""Who lives where: households form, split, move; registration follows late or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mdm.simulation.population.state import NEVER, SINGLE, Stay, first_day

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from mdm.simulation.population.geography import Geography
    from mdm.simulation.population.settings import PopulationSettings
    from mdm.simulation.population.state import State

    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]

GROWN = 18
ELDER = 50
STAYS_IN_COMMUNE = 0.8
REGISTERS_NEARBY = 0.85
BACK_TO_PARENTS = 0.75


def random_days(year: int, number: int, rng: np.random.Generator) -> Ints:
    return first_day(year) + rng.integers(0, 365, number)


class Residence:
    def __init__(self, state: State, *, geography: Geography, settings: PopulationSettings) -> None:
        self._state = state
        self._geography = geography
        self._settings = settings
        self._children: Ints = np.zeros(0, np.int64)
        self._metropolis = np.isin(geography.provinces, settings.moves.metropolis)
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
        commune[elsewhere] = self.nearby(rng, commune[elsewhere], self._geography.district)
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
            back = (
                (parent >= 0)
                & (people.home[parent] != people.home[mover])
                & (rng.random(len(mover)) < BACK_TO_PARENTS)
            )
            home, registered = (
                people.home[parent].astype(np.int64),
                people.registered[parent].astype(np.int64),
            )
            commune = self._state.households.commune[people.home[mover[~back]]]
            commune = np.where(
                rng.random(len(commune)) < 0.5, commune, self.nearby(rng, commune, self._geography.district)
            )
            home[~back] = self._state.found(commune, when[~back])
            settled = people.home[mover] == people.registered[mover]
            registered[~back] = np.where(settled, home, people.registered[mover])[~back]
            carries = takes_children[chosen] if movers is wives else np.zeros(len(mover), bool)
            self._relocate(mover, when, Stay(home, registered), year=year, carries=carries)

    def _living_parent(self, persons: Ints) -> NDArray[np.int32]:
        people = self._state.people
        father, mother = people.father[persons], people.mother[persons]
        father, mother = (np.where(people.death[p] == NEVER, p, -1) for p in (father, mother))
        return np.where(father >= 0, father, mother)

    def _with_parents(self, persons: Ints) -> Bools:
        people = self._state.people
        home = people.home[persons]
        result = np.zeros(len(persons), bool)
        for parents in (people.father[persons], people.mother[persons]):
            alive = (parents >= 0) & (people.death[parents] == NEVER)
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
        at_mothers = (mother >= 0) & (people.home[mother] == home) & (people.death[mother] == NEVER)
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

    def gather(self, year: int, rng: np.random.Generator, dying: Bools) -> None:
        """The old and the young who were left alone find a home, and some who live unregistered register."""
        self._elders_join(year, rng, dying)
        self._take_in_children(year, rng)
        self._regularise(year, rng)

    def leave_parents(self, year: int, rng: np.random.Generator, dying: Bools) -> None:
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
            usable = (host < 0) & (candidate >= 0) & (people.death[candidate] == NEVER)
            host = np.where(usable, candidate, host)
        province = self._geography.province[state.households.commune]
        couples = adults[people.spouse[adults] >= 0]
        couples = couples[np.argsort(province[people.home[couples]], kind="stable")]
        ordered = province[people.home[couples]]
        wanted = province[people.home[left]]
        low, high = np.searchsorted(ordered, wanted, "left"), np.searchsorted(ordered, wanted, "right")
        low, high = np.where(high > low, low, 0), np.where(high > low, high, len(couples))
        if len(couples):
            strangers = couples[(low + rng.random(len(left)) * (high - low)).astype(np.int64)]
            host = np.where(host >= 0, host, strangers)
        left, host = left[host >= 0], host[host >= 0]  # a handful of people may have no couple among them
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

    def nearby(
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
