"""One calendar year after another: deaths, births, marriages, divorces. Whole arrays at a time.

Within a year nobody changes residence twice, so that the days drawn for separate happenings never contradict.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mdm.simulation.population.demography import by_year
from mdm.simulation.population.migration import Migration
from mdm.simulation.population.reference import OLDEST
from mdm.simulation.population.residence import Residence
from mdm.simulation.population.state import DIVORCED, MARRIED, NEVER, SINGLE, WIDOWED, Stay, first_day

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mdm.simulation.population.demography import Rates
    from mdm.simulation.population.geography import Geography
    from mdm.simulation.population.name_lists import NameLists
    from mdm.simulation.population.reference import EthnicGroup
    from mdm.simulation.population.settings import PopulationSettings
    from mdm.simulation.population.state import State

    Ints = NDArray[np.int64]

OLDEST_FOUNDER, FOUNDERS_PER_BIRTH = 45, 13


class Lives:
    def __init__(
        self,
        state: State,
        *,
        rates: Rates,
        geography: Geography,
        groups: tuple[EthnicGroup, ...],
        settings: PopulationSettings,
        people: int,
    ) -> None:
        self.state = state
        self._rates = rates
        self._geography = geography
        self._settings = settings
        self._people = people
        self._groups = groups
        self._maternal = np.array([group.maternal for group in groups])
        self._minority = np.array([group.code != "01" for group in groups])
        self._residence = Residence(state, geography=geography, settings=settings)
        self._migration = Migration(
            state, residence=self._residence, geography=geography, settings=settings, minority=self._minority
        )

    def found(self, rng: np.random.Generator, *, lists: NameLists) -> None:
        """The unrecorded beginning: grown-ups without parents, each in a house of their own."""
        state, people = self.state, self.state.people
        year = self._settings.window.begin_year
        births = self._rates.births[:5].sum(axis=1).mean() * self._people
        founders = people.add(max(int(births * FOUNDERS_PER_BIRTH), 60))
        number = len(founders)
        people.sex[founders] = rng.permutation(number) % 2
        age = rng.integers(0, OLDEST_FOUNDER, number)
        people.birth_year[founders] = year - 1 - age
        people.birth[founders] = first_day(year) - 1 - age * 365 - rng.integers(0, 365, number)
        communes, people.ethnic[founders] = self._settle_founders(rng, number)
        provinces = self._geography.province[communes]
        people.surname[founders] = lists.surnames(
            rng, ethnic=people.ethnic[founders], province=[self._geography.provinces[p] for p in provinces]
        )
        people.native[founders] = provinces
        people.birth_commune[founders] = communes
        homes = state.found(communes, np.full(number, first_day(year)))
        state.arrive(founders, people.birth[founders], Stay(homes, homes))
        state.alive = founders

    def _settle_founders(self, rng: np.random.Generator, number: int) -> tuple[Ints, Ints]:
        """A commune and an ethnic group for each, in exact shares: a small beginning leaves no room for chance."""
        geography = self._geography
        weight = self._residence.weights_of(self._settings.window.begin_year)
        composition = ethnic_composition(geography, self._groups)
        joint = np.cumsum((weight[:, None] * composition[geography.province]).ravel())
        places = (rng.permutation(number) + rng.random(number)) / number * joint[-1]
        return np.divmod(np.searchsorted(joint, places, side="right"), len(self._groups))

    def live(self, year: int, rng: np.random.Generator) -> None:
        dying = self._deaths(year, rng)
        self._births(year, rng, dying)
        dying = np.concatenate([dying, np.zeros(self.state.people.count - len(dying), bool)])
        self._residence.begin(year)
        self._divorces(year, rng, dying)
        self._marriages(year, rng, dying)
        self._residence.leave_parents(year, rng, dying)
        self._migration.move(year, rng, dying)
        self._residence.gather(year, rng, dying)
        self._bury()

    def _deaths(self, year: int, rng: np.random.Generator) -> NDArray[np.bool_]:
        """[person] who dies this year. They stay among the living until the year ends, but begin nothing new."""
        people, alive = self.state.people, self.state.alive
        table = self._rates.death[year - self._settings.window.begin_year]
        since_birth = np.clip(year - people.birth_year[alive], 0, OLDEST - 1)
        struck = alive[rng.random(len(alive)) < table[people.sex[alive], since_birth]]
        people.death[struck] = first_day(year) + rng.integers(0, 365, len(struck))
        dying = np.zeros(people.count, bool)
        dying[struck] = True
        return dying

    def _births(self, year: int, rng: np.random.Generator, dying: NDArray[np.bool_]) -> None:
        state, people = self.state, self.state.people
        rules = self._settings.births
        alive = state.alive
        age = year - people.birth_year[alive]
        women = alive[(people.sex[alive] == 1) & (age >= 14) & (age < 50)]
        women = women[~dying[women]]
        age = year - people.birth_year[women]
        weight = np.where(people.spouse[women] >= 0, 1.0, np.where(age >= 18, rules.unmarried, 0))
        fertility = self._rates.fertility(year)
        settled = np.clip((4 - fertility.sum()) / 2, 0, 1)  # many-children times did not stop at two
        weight *= np.exp(-rules.parity_penalty * settled * np.maximum(people.parity[women] - 1, 0))
        weight *= np.where(people.parity[women] == 0, rules.first_child, 1)
        weight *= people.last_birth[women] < first_day(year) - 200
        # All women's rate falls on those who can have a child this year.
        counts = np.bincount(age, minlength=OLDEST)
        wanted = counts * fertility
        if year < self._settings.window.first_year:
            share = self._rates.births[year - self._settings.window.begin_year].sum()
            wanted *= share * self._people / max(wanted.sum(), 1e-9)
        available = np.bincount(age, weight, OLDEST)
        chance = (wanted / np.maximum(available, 1e-9))[age] * weight
        # Ages at which too few are married leave births over; they go to the other ages.
        chance *= wanted.sum() / max(chance.sum(), 1e-9) / (1 + rules.twin_deliveries)
        mothers = women[rng.random(len(women)) < spread_excess(chance)]
        days = first_day(year) + rng.integers(0, 365, len(mothers))
        people.last_birth[mothers] = days
        twin = rng.random(len(mothers)) < rules.twin_deliveries
        babies = self._newborns(
            year,
            rng,
            mothers=np.concatenate([mothers, mothers[twin]]),
            days=np.concatenate([days, days[twin]]),
        )
        first, second = babies[: len(mothers)][twin], babies[len(mothers) :]
        people.twin[first], people.twin[second] = second, first
        alike = rng.random(len(first)) < rules.twins_same_sex
        people.sex[second] = np.where(alike, people.sex[first], 1 - people.sex[first])
        np.add.at(people.parity, people.mother[babies], 1)
        state.alive = np.concatenate([state.alive, babies])
        self._infant_deaths(year, rng, babies)

    def _newborns(self, year: int, rng: np.random.Generator, *, mothers: Ints, days: Ints) -> Ints:
        state, people = self.state, self.state.people
        babies = people.add(len(mothers))
        fathers = people.spouse[mothers]
        known = np.where(fathers >= 0, fathers, mothers)
        people.birth[babies] = days
        people.birth_year[babies] = year
        people.sex[babies] = rng.random(len(babies)) >= self._rates.boys(year)
        people.mother[babies] = mothers
        people.father[babies] = fathers
        maternal = self._maternal[people.ethnic[mothers]]
        line = np.where(maternal, mothers, known)
        people.ethnic[babies] = people.ethnic[line]
        people.surname[babies] = people.surname[line]
        people.native[babies] = people.native[known]
        home = people.home[mothers]
        people.birth_commune[babies] = state.households.commune[home]
        state.arrive(babies, days, Stay(home, people.registered[mothers]))
        return babies

    def _infant_deaths(self, year: int, rng: np.random.Generator, babies: Ints) -> None:
        people = self.state.people
        table = self._rates.death[year - self._settings.window.begin_year]
        lost = babies[rng.random(len(babies)) < table[people.sex[babies], 0]]
        days = people.birth[lost] + rng.exponential(40, len(lost)).astype(np.int32)
        people.death[lost] = np.minimum(days, first_day(year + 1) - 1)

    def _divorces(self, year: int, rng: np.random.Generator, dying: NDArray[np.bool_]) -> None:
        people, alive = self.state.people, self.state.alive
        husbands = alive[(people.sex[alive] == 0) & (people.spouse[alive] >= 0)]
        wives = people.spouse[husbands]
        calm = (
            ~dying[husbands] & ~dying[wives] & (people.moved[husbands] < year) & (people.moved[wives] < year)
        )
        young = year - people.birth_year[wives] < 60
        parted = calm & young & (rng.random(len(husbands)) < self._settings.marriage.divorce)
        husbands, wives = husbands[parted], wives[parted]
        days = first_day(year) + rng.integers(0, 365, len(husbands))
        self.state.divorces.add(husbands, wives, days)
        self._residence.part(husbands, wives, days, year=year, rng=rng)
        for parted_people in (husbands, wives):
            people.spouse[parted_people] = -1
            people.marital[parted_people] = DIVORCED

    def _marriages(self, year: int, rng: np.random.Generator, dying: NDArray[np.bool_]) -> None:
        people, alive = self.state.people, self.state.alive
        rules = self._settings.marriage
        age = np.clip(year - people.birth_year[alive], 0, OLDEST - 1)
        free = (people.spouse[alive] < 0) & (people.moved[alive] < year) & (age >= 16) & ~dying[alive]
        single, age = alive[free], age[free]
        hazard = np.stack([self._rates.marriage(year, 0), self._rates.marriage(year, 1)])
        chance = hazard[people.sex[single], age] * np.where(
            people.marital[single] == SINGLE, 1, rules.remarriage
        )
        if year == self._settings.window.begin_year:
            chance = np.where(age >= 20, 0.9, chance)  # founders begin as couples
        chosen = rng.random(len(single)) < chance
        single, age = single[chosen], age[chosen]
        wives, husbands = self._matches(rng, single, age)
        days = first_day(year) + rng.integers(0, 365, len(wives))
        people.spouse[wives], people.spouse[husbands] = husbands, wives
        people.marital[wives] = people.marital[husbands] = MARRIED
        self.state.weddings.add(husbands, wives, days)
        joins = by_year(rules.joins_husbands_parents, year)
        maternal = self._maternal[people.ethnic[wives]]
        self._residence.wed(husbands, wives, days, year=year, rng=rng, joins_husbands=np.where(maternal, 0.1, joins),
                            joins_wifes=np.where(maternal, 0.8, rules.joins_wifes_parents))  # fmt: skip

    def _matches(self, rng: np.random.Generator, single: Ints, age: NDArray[np.integer]) -> tuple[Ints, Ints]:
        """Brides and grooms, sought in the commune first, then farther; at last outside the own ethnic group."""
        people = self.state.people
        commune = self.state.households.commune[people.home[single]].astype(np.int64)
        group = people.ethnic[single].astype(np.int64) * len(self._geography.codes)
        province = self._geography.province[commune]
        circles = ((group + commune, 0.5), (group + self._geography.district[commune], 0.6), (group + province, 0.9),
                   (group, 0.4), (province.astype(np.int64), 0.6))  # fmt: skip
        women, men = [], []
        pool = np.arange(len(single))
        for key, looking in circles:
            market = pool[rng.random(len(pool)) < looking]
            bride, groom = pairs(rng, pool=market, sex=people.sex[single], key=key, age=age)
            bride, groom = single[bride], single[groom]
            related = (people.mother[bride] == people.mother[groom]) & (people.mother[bride] >= 0)
            gap = people.birth_year[bride] - people.birth_year[groom]
            fit = ~related & (gap > -12) & (gap < 20)
            women.append(bride[fit])
            men.append(groom[fit])
            taken = np.zeros(people.count, bool)
            taken[bride[fit]] = taken[groom[fit]] = True
            pool = pool[~taken[single[pool]]]
        return np.concatenate(women), np.concatenate(men)

    def _bury(self) -> None:
        people, alive = self.state.people, self.state.alive
        dead = alive[people.death[alive] != NEVER]
        left = people.spouse[dead]
        left = left[left >= 0]
        left = left[people.death[left] == NEVER]
        people.spouse[left] = -1
        people.marital[left] = WIDOWED
        self.state.alive = alive[people.death[alive] == NEVER]


def ethnic_composition(geography: Geography, groups: tuple[EthnicGroup, ...]) -> NDArray[np.float64]:
    """[province, group] shares: each minority in its provinces, the Kinh (first) for the rest."""
    provinces = geography.provinces
    people = np.bincount(geography.province, geography.weight, len(provinces))
    result = np.zeros((len(provinces), len(groups)))
    for position, group in enumerate(groups[1:], start=1):
        total = sum(group.provinces.values())
        for code, weight in group.provinces.items():
            place = provinces.index(code)
            result[place, position] = group.share * weight / total / people[place]
    crowd = result.sum(axis=1, keepdims=True)
    result *= np.minimum(1, 0.95 / np.maximum(crowd, 1e-9))
    result[:, 0] = 1 - result.sum(axis=1)
    return result


def spread_excess(chance: NDArray[np.float64]) -> NDArray[np.float64]:
    """No more than 0.7 for one woman; what is cut off is spread over the others."""
    top = 0.7
    excess = np.maximum(chance - top, 0).sum()
    capped = np.minimum(chance, top)
    total = capped[capped < top].sum()
    factor = 1 + excess / total if total > 0 else 1.0
    return np.where(capped < top, np.minimum(capped * factor, top), top)


def pairs(
    rng: np.random.Generator, *, pool: Ints, sex: NDArray[np.integer], key: Ints, age: NDArray[np.integer]
) -> tuple[Ints, Ints]:
    """Brides and grooms of one key, in the order of age with some noise; of the larger side a random part stays."""
    size = int(key.max(initial=0)) + 1
    sides = [pool[sex[pool] == side] for side in (0, 1)]
    room = np.minimum(*(np.bincount(key[side], minlength=size) for side in sides))
    matched = []
    for side in sides:
        order = side[rng.permutation(len(side))]
        order = order[np.argsort(key[order], kind="stable")]
        rank = np.arange(len(order)) - np.searchsorted(key[order], key[order], side="left")
        kept = order[rank < room[key[order]]]
        wish = age[kept] + rng.normal(0, 1.8, len(kept))
        matched.append(kept[np.lexsort((wish, key[kept]))])
    return matched[1], matched[0]
