"""Which numbers each person holds, and which they held before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mdm.simulation.population.identifiers import (
    SHARED_CMND_PROVINCES,
    cmnds,
    digits_text,
    only,
    personal_ids,
    phones,
    tax_codes,
    unique_within,
)
from mdm.simulation.population.reference import rows
from mdm.simulation.population.society import OCCUPATION
from mdm.simulation.population.state import first_day
from mdm.simulation.randomness import stream

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from mdm.simulation.population.settings import Identifiers

    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]

PERSONAL_ID_SINCE = first_day(2016)
PERSONAL_ID_FOR_ALL = first_day(2021) + 181  # 1 July
CARD_AGE = 14
PASSPORT_SERIES = ("B", "C", "K", "P")
UNCHANGED_MOBILE_PREFIXES = (86, 88, 89, 90, 91, 93, 94, 96, 97, 98)
OPERATOR_CHANGE_YEAR = 2018


@dataclass(frozen=True)
class Holders:
    """The people who may hold numbers, one place for each; provinces are legacy numbers (1 for L01)."""

    alive: Bools
    in_window: Bools
    female: Ints
    birth_year: Ints
    age: Ints
    """At the end, or at death."""
    death: Ints
    registered_birth: Bools
    birth_province: Ints
    province_at_card: Ints
    """Where they were registered when they came of age for the card."""
    province_2016: Ints
    province_now: Ints
    occupation: Ints
    poverty: NDArray[np.str_]
    merit: NDArray[np.str_]
    family_member: Ints
    """Whose phone they give when they have none; -1 none."""
    until: int


class Numbers:
    def __init__(self, holders: Holders, *, rules: Identifiers, folder: Path, seed: int) -> None:
        self._holders = holders
        self._rules = rules
        self._folder = folder
        self._seed = seed
        self._count = len(holders.alive)

    def columns(self) -> dict[str, pa.Array]:
        return {
            **self._personal_ids(),
            **self._cmnds(),
            **self._insurance(),
            **self._tax(),
            **self._phones(),
            **self._passports(),
            **self._student_codes(),
        }

    def _stream(self, name: str) -> np.random.Generator:
        return stream(self._seed, "numbers", name)

    def _personal_ids(self) -> dict[str, pa.Array]:
        h, rng = self._holders, self._stream("personal_id")
        before_cards = (h.death < PERSONAL_ID_FOR_ALL) & (rng.random(self._count) < 0.5)
        has = h.in_window & h.registered_birth & (h.death > PERSONAL_ID_SINCE) & ~before_cards
        has &= rng.random(self._count) >= self._rules.unregistered_personal_id
        luck = rng.random(self._count)
        changed = np.flatnonzero(has & h.alive & (luck < self._rules.reestablished))
        wrong = np.flatnonzero(has & (luck > 1 - self._rules.contradicting))
        mistaken = np.concatenate([changed, wrong])
        cause = rng.random(len(mistaken))
        sex, year, place = (column[mistaken].copy() for column in (h.female, h.birth_year, h.birth_province))
        sex[cause < 0.3] = 1 - sex[cause < 0.3]
        slip = (cause >= 0.3) & (cause < 0.85)
        year[slip] += rng.choice([-3, -2, -1, 1, 2, 3], int(slip.sum()))
        place[cause >= 0.85] = h.province_now[mistaken][cause >= 0.85]
        # One call for true and mistaken numbers together, so that a cancelled number is never another's.
        numbers = personal_ids(
            rng,
            place=np.concatenate([h.birth_province, place]),
            female=np.concatenate([h.female, sex]),
            birth_year=np.concatenate([h.birth_year, year]),
        )
        current, mistakes = numbers[: self._count], numbers[self._count :]
        current[wrong] = mistakes[len(changed) :]
        former = np.zeros(self._count, np.int64)
        former[changed] = mistakes[: len(changed)]
        known_since = np.maximum(PERSONAL_ID_FOR_ALL, h.until - h.age[changed] * 365)
        change_day = np.zeros(self._count, np.int64)
        change_day[changed] = known_since + ((h.until - known_since) * rng.random(len(changed))).astype(
            np.int64
        )
        is_changed = np.zeros(self._count, bool)
        is_changed[changed] = True
        return {
            "personal_id": digits_text(current, 12, present=has),
            "former_personal_id": digits_text(former, 12, present=is_changed),
            "personal_id_changed_on": pa.array(change_day.astype(np.int32), mask=~is_changed).cast(
                pa.date32()
            ),
        }

    def _cmnds(self) -> dict[str, pa.Array]:
        h, rng = self._holders, self._stream("cmnd")
        prefix_of = {
            int(r["province_code"][1:]): int(r["prefix"]) for r in rows(self._folder, "cmnd_prefixes.csv")
        }
        has = (
            h.in_window
            & (h.birth_year + CARD_AGE < self._rules.cmnd_until)
            & (rng.random(self._count) < self._rules.cmnd)
        )
        changed = has & (h.province_at_card != h.province_2016)
        province = np.concatenate([h.province_2016, h.province_at_card])
        current = np.concatenate([has, np.zeros(self._count, bool)])
        sharing = [int(code[1:]) for code in SHARED_CMND_PROVINCES]
        shared = (
            current & np.isin(province, sharing) & (rng.random(2 * self._count) < self._rules.cmnd_colliding)
        )
        holders = np.flatnonzero(np.concatenate([has, changed]))
        numbers = np.zeros(2 * self._count, np.int64)
        numbers[holders] = cmnds(
            rng,
            prefix=np.array([prefix_of.get(p, 0) for p in range(100)])[province[holders]],
            province=[f"L{p:02d}" for p in province[holders]],
            shared=shared[holders],
        )
        return {
            "cmnd": digits_text(numbers[: self._count], 9, present=has),
            "cmnd_previous": digits_text(numbers[self._count :], 9, present=changed),
        }

    def _insurance(self) -> dict[str, pa.Array]:
        h, rng = self._holders, self._stream("insurance")
        working = np.isin(
            h.occupation, [OCCUPATION[w] for w in ("formal_employee", "soldier", "retired_pension")]
        )
        insured = (
            h.in_window
            & h.registered_birth
            & (working | (rng.random(self._count) < self._rules.health_insured))
        )
        place = np.where(rng.random(self._count) < 0.5, h.birth_province, h.province_2016)
        numbers = np.zeros(self._count, np.int64)
        numbers[insured] = place[insured] * 10**8 + unique_within(rng, group=place[insured], digits=8)
        social = digits_text(numbers, 10)
        category = self._categories()
        earlier = np.where(category == "HS4", "TE1", np.where(category == "HT3", "DN4", "GD4"))
        changed = (
            insured & (earlier != category) & (rng.random(self._count) < self._rules.health_card_changed)
        )
        card = pc.binary_join_element_wise(pa.array(category), digits_text(h.province_now, 2), social, "")
        previous = pc.binary_join_element_wise(pa.array(earlier), digits_text(h.province_2016, 2), social, "")
        return {
            "social_insurance_no": only(social, insured),
            "health_card_no": only(card, insured),
            "health_card_previous": only(previous, changed),
        }

    def _categories(self) -> NDArray[np.str_]:
        """Category and level of benefit by who pays: employer, state for the entitled, school, the household."""
        h = self._holders
        work = {name: h.occupation == number for name, number in OCCUPATION.items()}
        assisted = (work["elderly_no_pension"] & (h.age >= 80)) | work["disabled"]
        conditions = [
            (h.merit != "none") & (h.merit != "veteran"),
            work["soldier"],
            work["formal_employee"],
            work["retired_pension"],
            h.age < 6,
            h.poverty == "poor",
            assisted,
            h.merit == "veteran",
            h.poverty == "near_poor",
            work["student"],
        ]
        found = np.select(conditions, list(range(len(conditions))), len(conditions))
        codes = np.array(["CC1", "QN5", "DN4", "HT3", "TE1", "HN2", "BT2", "CB2", "CN3", "HS4", "GD4"])
        return np.asarray(codes[found])

    def _tax(self) -> dict[str, pa.Array]:
        h, rng = self._holders, self._stream("tax")
        shares = np.array(
            [self._rules.tax_code.get(work, self._rules.tax_code["default"]) for work in OCCUPATION]
        )
        has = h.in_window & h.registered_birth & (rng.random(self._count) < shares[h.occupation])
        twice = has & (rng.random(self._count) < self._rules.second_tax_code)
        who = np.flatnonzero(np.concatenate([has, twice]))
        numbers = np.zeros(2 * self._count, np.int64)
        numbers[who] = tax_codes(rng, office=np.concatenate([h.province_2016, h.province_now])[who])
        return {
            "tax_code": digits_text(numbers[: self._count], 10, present=has),
            "tax_code_2": digits_text(numbers[self._count :], 10, present=twice),
        }

    def _phones(self) -> dict[str, pa.Array]:
        h, rng = self._holders, self._stream("phone")
        change = [
            (int(row["new_prefix_10digit"]), int(row["old_prefix_11digit"]))
            for row in rows(self._folder, "phone_prefix_2018.csv")
        ]
        prefixes = np.array([new for new, _ in change] + list(UNCHANGED_MOBILE_PREFIXES))
        popular = np.concatenate([np.ones(len(change)), np.full(len(UNCHANGED_MOBILE_PREFIXES), 3.0)])
        group = np.searchsorted([13, 18, 65], h.age, side="right")
        shares = np.array([self._rules.phone[name] for name in ("child", "teen", "adult", "elder")])[group]
        owns = h.in_window & (rng.random(self._count) < shares)
        drawn = rng.choice(len(prefixes), self._count, p=popular / popular.sum())
        numbers = np.zeros(self._count, np.int64)
        numbers[owns] = phones(rng, prefixes=prefixes[drawn[owns]])
        lent = np.where(h.family_member >= 0, owns[h.family_member], False)
        borrows = h.in_window & ~owns & lent & (rng.random(self._count) < self._rules.phone_shared)
        numbers[borrows] = numbers[h.family_member[borrows]]
        long_ago = owns & (h.birth_year < OPERATOR_CHANGE_YEAR - 15) & (drawn < len(change))
        long_ago &= rng.random(self._count) < self._rules.phone_before_2018
        old_prefix = np.array([old for _, old in change] + [0] * len(UNCHANGED_MOBILE_PREFIXES))[drawn]
        return {
            "phone": digits_text(numbers, 10, present=owns | borrows),
            "phone_previous": digits_text(old_prefix * 10**7 + numbers % 10**7, 11, present=long_ago),
        }

    def _passports(self) -> dict[str, pa.Array]:
        h, rng = self._holders, self._stream("passport")
        shares = np.array(
            [self._rules.passport.get(work, self._rules.passport["default"]) for work in OCCUPATION]
        )
        has = h.in_window & h.registered_birth & (rng.random(self._count) < shares[h.occupation])
        series = rng.integers(0, len(PASSPORT_SERIES), self._count)
        numbers = np.zeros(self._count, np.int64)
        numbers[has] = unique_within(rng, group=series[has], digits=7)
        letters = pa.array(PASSPORT_SERIES).take(pa.array(series))
        return {"passport_no": only(pc.binary_join_element_wise(letters, digits_text(numbers, 7), ""), has)}

    def _student_codes(self) -> dict[str, pa.Array]:
        h, rng = self._holders, self._stream("student")
        has = h.alive & h.registered_birth & (h.occupation == OCCUPATION["student"]) & (h.age < 19)
        numbers = np.zeros(self._count, np.int64)
        numbers[has] = h.province_now[has] * 10**8 + unique_within(rng, group=h.province_now[has], digits=8)
        return {"student_code": digits_text(numbers, 10, present=has)}
