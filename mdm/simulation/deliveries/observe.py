"""What an office wrote about the people on its roster: the truth, seen through papers, clerks, habits and copies."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mdm.simulation.deliveries.errors.apply import (
    blanked,
    changed,
    changed_by_kind,
    drawn_kinds,
    replaced,
    translated,
)
from mdm.simulation.deliveries.errors.dates import Dates, spoil_dates
from mdm.simulation.deliveries.errors.names import NAME_ERRORS, i_for_y, typing_slip, without_marks
from mdm.simulation.deliveries.errors.numbers import digit_lost, digit_wrong, digits_swapped, zeros_lost
from mdm.simulation.deliveries.habits import Habits
from mdm.simulation.deliveries.places import OWN, REFORM
from mdm.simulation.deliveries.tags import Tag
from mdm.simulation.deliveries.world import Mask, Rows, Snapshot, World, numbers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from mdm.simulation.deliveries.papers import SecondPapers
    from mdm.simulation.deliveries.settings import Faults

OTHER_NUMBERS = ("cmnd", "social_insurance_no", "health_card_no", "tax_code", "passport_no", "student_code")
DETAILS = (
    "full_name",
    "sex",
    "personal_id",
    "birth_year",
    "birth_month",
    "birth_day",
    "tags",
    *OTHER_NUMBERS,
)
"""What only a correction changes; the rest is the address and phone, which a move changes too."""
COPIED = ("full_name", "sex", "personal_id", "birth_year", "birth_month", "birth_day")
PHONES_CHANGED = np.datetime64("2018-09-15", "D")


@dataclass(frozen=True)
class Context:
    """What all offices share: the people, their second papers, who is a namesake, and the lists offices copy."""

    world: World
    second_papers: SecondPapers
    namesakes: Mask
    copied: frozenset[str]  # registries whose lists others copy
    lists: dict[str, pa.Table]  # of those, what was observed for the first delivery


def observe(
    context: Context,
    snapshot: Snapshot,
    roster: pa.Table,
    *,
    code: str,
    part: str,
    faults: Faults | None = None,
) -> pa.Table:
    """One row for each row of the roster, in its order, with the roster's columns and these:

    full_name, sex, birth_year, birth_month, birth_day (0 = blank), personal_id, the OTHER_NUMBERS, phone, street, commune,
    district, province, commune_code (text, null = blank), office and unit (positions of units), tags (bits).

    Roster: person (whom the papers describe), actual (who came with them), household (-1 none), documented (date32),
    identity (same in every delivery), and columns of the office's own. `faults` other than the registry's: for corrections.
    """
    rates = faults or context.world.settings.faults(code)
    clerk = _Clerk(context, snapshot, roster, code=code, part=part, faults=rates)
    clerk.look_up_person()
    clerk.show_second_papers()
    clerk.err_in_names()
    clerk.err_in_births()
    clerk.err_in_numbers()
    clerk.write_phone()
    clerk.copy_lists()
    clerk.apply_styles()
    clerk.write_address()
    return clerk.table()


class _Clerk:
    def __init__(
        self, context: Context, snapshot: Snapshot, roster: pa.Table, *, code: str, part: str, faults: Faults
    ) -> None:
        self.context, self.world, self.snapshot, self.roster = context, context.world, snapshot, roster
        self.code, self.part = code, part
        self.faults = faults
        self.habits = Habits.of(self.world, code)
        self.size = roster.num_rows
        self.person: Rows = numbers(roster["person"])
        self.actual: Rows = numbers(roster["actual"])
        self.household: Rows = numbers(roster["household"])
        self.documented = (
            roster["documented"].combine_chunks().to_numpy(zero_copy_only=False).astype("datetime64[D]")
        )
        self.text: dict[str, pa.Array] = {}
        self.legacy = self._unit(self.household, self.world.household_legacy)
        self.office = np.where(self.legacy >= 0, self.world.places.parent[self.legacy], 0)
        self.tags = np.zeros(self.size, dtype=np.int64)

    def _unit(self, household: Rows, of_household: Rows) -> Rows:
        """The household's unit, else the commune of birth."""
        born = self.world.birth_place[self.actual]
        if len(of_household) == 0:
            return born
        return np.where(household >= 0, of_household[household], born)

    def _random(self, *names: str) -> np.random.Generator:
        return self.world.stream(self.code, self.part, *names)

    def _drawn(self, name: str, rate: float, *, by_habit: bool = True) -> Rows:
        """Rows that an error of this rate strikes, more often in careless offices."""
        draws = self._random(name).random(self.size)
        limit = (
            np.minimum(rate * self.habits.rate[self.office], 0.95) if by_habit else np.full(self.size, rate)
        )
        return np.flatnonzero(draws < limit)

    def look_up_person(self) -> None:
        world, people = self.world, pa.array(self.person)
        self.text["full_name"] = world.column("full_name").take(people)
        renamed = world.days("former_name_until")[self.person] > self.documented
        self.text["full_name"] = pc.if_else(
            pa.array(renamed), world.column("former_name").take(people), self.text["full_name"]
        )
        self.text["sex"] = world.column("sex").take(people)
        self.text["personal_id"] = self.snapshot.personal_id.take(people)
        for name in OTHER_NUMBERS:
            self.text[name] = world.column(name).take(people)
        self.birth = Dates.of(world.birth[self.person])
        for tag, mask in self._facts.items():
            self.tags |= np.where(mask, int(tag), 0)

    @cached_property
    def _facts(self) -> Mapping[Tag, Mask]:
        world, person = self.world, self.person
        repeated = np.zeros(self.size, dtype=bool)
        repeated[np.unique(person, return_index=True)[1]] = True
        return {
            Tag.TWIN: world.integers("twin_of")[person] >= 0,
            Tag.SAME_NAME_STRANGER: self.context.namesakes[person],
            Tag.BORROWED_IDENTITY: person != self.actual,
            Tag.DUPLICATE: ~repeated,
            Tag.DEAD: world.death[person] <= self.snapshot.day,
            Tag.FOREIGN: world.flags("is_foreign")[person],
            Tag.MINORITY: ~world.among("ethnicity", "01", "55")[person],
            Tag.RENUMBERED: world.days("personal_id_changed_on")[person] <= self.snapshot.day,
            Tag.UNNAMED: ~world.named[person],
        }

    def _tag(self, rows: Rows, tag: Tag) -> None:
        self.tags[rows] |= int(tag)

    def show_second_papers(self) -> None:
        second = self.context.second_papers
        shown = self.world.luck("shows second papers", self.code)[self.person] < self.faults.second_papers
        rows = np.flatnonzero(second.holders[self.person] & shown)
        self.text["full_name"] = replaced(
            self.text["full_name"], rows, second.name.take(pa.array(self.person[rows]))
        )
        self.birth.set(rows, second.birth.take(self.person[rows]))
        self._tag(rows, Tag.SECOND_PAPERS)

    def err_in_names(self) -> None:
        rows = self._drawn("name", self.faults.name)
        random = self._random("name kinds")
        kinds = drawn_kinds(self.world.settings.name_errors, len(rows), random)
        habitual = random.random(len(rows)) < 0.5
        kinds = np.where(habitual, self.habits.name_error[self.office[rows]], kinds)
        self.text["full_name"] = changed_by_kind(self.text["full_name"], rows, kinds, NAME_ERRORS, random)
        self._tag(rows, Tag.NAME_ERROR)

    def err_in_births(self) -> None:
        """The older the person, the more often only the year is known."""
        age = (self.documented - self.world.birth[self.person]).astype(np.int64) / 365.2425
        rows = self._drawn("birth", self.faults.birth)
        random = self._random("birth kinds")
        kinds = drawn_kinds(self.world.settings.birth_errors, len(rows), random)
        forgotten = random.random(len(rows)) < np.clip((age[rows] - 40) / 60, 0, 0.6)
        kinds = np.where(forgotten, self.habits.blank_birthdays[self.office[rows]], kinds)
        spoil_dates(self.birth, rows, kinds, random)
        self._tag(rows, Tag.BIRTH_ERROR)
        wrong = self._drawn("sex", self.faults.sex)
        other = pc.if_else(pc.equal(self.text["sex"], "male"), "female", "male")
        self.text["sex"] = replaced(self.text["sex"], wrong, other.take(pa.array(wrong)))

    def err_in_numbers(self) -> None:
        self._stale_numbers()
        number, faults = self.text["personal_id"], self.faults
        random = self._random("number kinds")
        malformed = self._drawn("number malformed", faults.number_malformed)
        kind = random.integers(0, 3, len(malformed))
        number = changed(number, malformed[kind == 0], zeros_lost, random)
        number = changed(number, malformed[kind == 1], digit_lost, random)
        old = malformed[(kind == 2) & self.world.has_cmnd[self.person[malformed]]]
        number = replaced(number, old, self.world.column("cmnd").take(pa.array(self.person[old])))
        wrong = self._drawn("number wrong", faults.number_wrong)
        swap = random.random(len(wrong)) < 0.4
        number = changed(number, wrong[swap], digits_swapped, random)
        number = changed(number, wrong[~swap], digit_wrong, random)
        relative = self._drawn("number of relative", faults.number_of_relative)
        whose = self._relatives()[relative]
        relative, whose = relative[whose >= 0], whose[whose >= 0]
        number = replaced(number, relative, self.snapshot.personal_id.take(pa.array(whose)))
        missing = self._drawn("number missing", faults.number_missing)
        self.text["personal_id"] = blanked(number, missing)
        for rows in (malformed, wrong, relative, missing):
            self._tag(rows, Tag.NUMBER_ERROR)
        self._tag(relative, Tag.NUMBER_OF_RELATIVE)
        for name in OTHER_NUMBERS:
            struck = self._drawn(f"{name} wrong", faults.other_number)
            half = len(struck) // 2
            order = self._random(f"{name} order").permutation(struck)
            self.text[name] = changed(
                blanked(self.text[name], order[:half]), order[half:], digit_wrong, random
            )

    def _stale_numbers(self) -> None:
        """A number re-established elsewhere stays in old files."""
        changed_on = self.world.days("personal_id_changed_on")[self.person]
        stale = (changed_on <= self.snapshot.day) & (
            (self.documented < changed_on)
            | (self.world.luck("stale", self.code)[self.person] < self.faults.number_stale)
        )
        rows = np.flatnonzero(stale)
        former = self.world.column("former_personal_id").take(pa.array(self.person[rows]))
        self.text["personal_id"] = replaced(self.text["personal_id"], rows, former)

    def _relatives(self) -> Rows:
        mother = self.world.integers("mother_id")[self.person]
        spouse = self.world.integers("spouse_id")[self.person]
        return np.where(spouse >= 0, spouse, mother)

    def write_phone(self) -> None:
        """The phone of the person who came."""
        people = pa.array(self.actual)
        phone, before = (
            self.world.column("phone").take(people),
            self.world.column("phone_previous").take(people),
        )
        old_form = np.zeros(self.size, dtype=bool)
        old_form[self._drawn("phone old form", self.faults.phone_old_form)] = True
        old_form |= self.documented < PHONES_CHANGED
        phone = pc.if_else(pc.and_(pa.array(old_form), pc.is_valid(before)), before, phone)
        self.text["phone"] = blanked(
            phone, self._drawn("phone missing", self.faults.phone_missing, by_habit=False)
        )

    def copy_lists(self) -> None:
        """Details taken over from another office's list, errors and all."""
        for other, share in self.world.settings.registries[self.code].copies.items():
            source = self.context.lists[other]
            place = np.full(self.world.size, -1, dtype=np.int64)
            place[numbers(source["person"])] = np.arange(source.num_rows)
            at = place[self.person]
            rows = np.flatnonzero(
                (at >= 0) & (self.world.luck("copied", self.code, other)[self.person] < share)
            )
            taken = source.select(COPIED).take(pa.array(at[rows]))
            for name in ("full_name", "sex", "personal_id"):
                self.text[name] = replaced(self.text[name], rows, taken[name].combine_chunks())
            self.birth.set(
                rows, Dates(*(numbers(taken[name]) for name in ("birth_year", "birth_month", "birth_day")))
            )
            self._tag(rows, Tag.COPIED)

    def apply_styles(self) -> None:
        """The habit of the office holds for nearly all of its rows."""
        keeps = self._random("keeps style").random(self.size) < 0.95
        style = self.habits.style[self.office]
        name = self.text["full_name"]

        def rows(kind: str) -> Rows:
            return np.flatnonzero(keeps & (style == kind))

        name = translated(name, rows("capitals"), str.upper)
        name = translated(name, rows("no_marks"), without_marks)
        name = translated(name, rows("decomposed"), lambda text: unicodedata.normalize("NFD", text))
        name = translated(name, rows("old_tone_place"), _move_tones)
        name = translated(name, rows("eth_for_d"), lambda text: text.replace("Đ", "Ð"))
        self.text["full_name"] = changed(name, rows("i_for_y"), i_for_y, self._random("i for y"))

    def write_address(self) -> None:
        world, faults = self.world, self.faults
        actual = self._drawn("address actual", faults.address_actual, by_habit=False)
        household = self.household.copy()
        lived = self.snapshot.lived_in[self.actual[actual]]
        household[actual] = np.where(lived >= 0, lived, household[actual])
        legacy, now = (
            self._unit(household, world.household_legacy),
            self._unit(household, world.household_now),
        )
        old_words = self._random("old vocabulary").random(self.size) < faults.address_old_vocabulary
        new = (self.documented >= REFORM) & ~old_words
        unit = np.where(new, now, legacy)
        self.unit = unit
        district = np.where(new | (unit < 0), -1, world.places.parent[unit])
        province = np.where(unit < 0, -1, world.places.province[unit])
        way = self.habits.spelling[self.office]
        self.text["commune"] = world.places.written(
            unit, np.where(self.habits.own_spelling[self.office], OWN, way)
        )
        self.text["district"] = world.places.written(district, way)
        self.text["province"] = world.places.written(province, way)
        self.text["commune_code"] = world.places.official_codes(unit)
        self.text["street"] = (
            world.population.households["street"]
            .combine_chunks()
            .take(pa.array(household, mask=household < 0))
        )
        unclear = self._drawn("address unclear", faults.address_unclear)
        random = self._random("address kinds")
        kind = random.integers(0, 3, len(unclear))
        self.text["commune"] = changed(self.text["commune"], unclear[kind == 0], typing_slip, random)
        self.text["district"] = blanked(self.text["district"], unclear[kind == 1])
        self.text["street"] = blanked(self.text["street"], unclear[kind == 2])

    def table(self) -> pa.Table:
        table = self.roster
        made: dict[str, NDArray[np.int64]] = {
            "birth_year": self.birth.year,
            "birth_month": self.birth.month,
            "birth_day": self.birth.day,
            "office": self.office,
            "unit": self.unit,
            "tags": self.tags,
        }
        for name, values in {**self.text, **made}.items():
            table = table.append_column(name, values if isinstance(values, pa.Array) else pa.array(values))
        return table


_TONE_PLACES = {
    "òa": "oà", "óa": "oá", "ỏa": "oả", "õa": "oã", "ọa": "oạ", "òe": "oè", "óe": "oé", "ỏe": "oẻ", "ọe": "oẹ",
    "ùy": "uỳ", "úy": "uý", "ủy": "uỷ", "ũy": "uỹ", "ụy": "uỵ",
}  # fmt: skip


def _move_tones(text: str) -> str:
    """hòa -> hoà; text that has it the other way already goes hoà -> hòa, so that both ways occur."""
    marker = "\0"
    for standard, old in _TONE_PLACES.items():
        text = text.replace(standard, marker).replace(old, standard).replace(marker, old)
    return text
