"""Administrative units of both vocabularies: before and from 1 July 2025.

Codes are those of units.csv: `L` + official code until 2025-06-30, `N` + official code since.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from matching.standardise.parsed import MISSING, NO_OPTIONS, Options, Parsed
from matching.standardise.reference import read_table
from matching.standardise.text import says_nothing, tidy
from matching.standardise.unit_names import marked_name, name_keys, province_keys

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

LEGACY, NOW = "L", "N"
REFORM = "2025-07-01"
_CODE = re.compile(r"[LN](?:\d{5}|\d{2,3})")


class Unit(NamedTuple):
    code: str
    level: str  # province, district or commune
    name: str
    kind: str  # folded: xa, phuong, thi tran, huyen ...
    marked: str  # see marked_name; with its kind word
    parent: str
    province: str


@dataclass(frozen=True, slots=True, eq=False)
class Units:
    """The reference tables with their indexes. Read-only after `load`."""

    by_code: Mapping[str, Unit]
    successors_of: Mapping[str, tuple[str, ...]]
    provinces: Mapping[str, Mapping[str, str]]  # vocabulary -> key -> code
    districts: Mapping[str, Mapping[str, tuple[str, ...]]]  # legacy province -> key -> codes
    communes: Mapping[str, Mapping[str, tuple[str, ...]]]  # district or province -> key -> codes
    names: Mapping[
        str, Mapping[str, tuple[str, ...]]
    ]  # vocabulary + level initial -> key -> codes, whole country

    @classmethod
    def load(cls, path: Path | None = None) -> Units:
        """Read units.csv and unit_changes.csv of a folder, by default the reference folder of the installation."""
        units = {row["code"]: _unit(row) for row in read_table("units.csv", folder=path)}
        successors: dict[str, list[str]] = defaultdict(list)
        for row in read_table("unit_changes.csv", folder=path):
            successors[row["old_code"]].append(row["new_code"])
        provinces: dict[str, dict[str, str]] = {LEGACY: {}, NOW: {}}
        districts: dict[str, dict[str, list[str]]] = {}
        communes: dict[str, dict[str, list[str]]] = {}
        names: dict[str, dict[str, list[str]]] = {}
        for unit in units.values():
            key = province_keys(unit.name)[0] if unit.level == "province" else name_keys(unit.name)[0].key
            _add(names, unit.code[0] + unit.level[0], key, unit.code)
            if unit.level == "province":
                provinces[unit.code[0]][key] = unit.code
            elif unit.level == "district":
                _add(districts, unit.parent, key, unit.code)
            else:
                for place in {unit.parent, unit.province}:
                    _add(communes, place, key, unit.code)
        return cls(
            units,
            {code: tuple(sorted(new)) for code, new in successors.items()} | _district_successors(units.values(), successors),
            provinces, _frozen(districts), _frozen(communes), _frozen(names),
        )  # fmt: skip

    def successors(self, code: str) -> tuple[str, ...]:
        """Today's units that an old one is part of or was split over; a unit of today is its own successor.

        A district has the communes of today that its communes went to. An unknown code has none.
        """
        return (code,) if code.startswith(NOW) and code in self.by_code else self.successors_of.get(code, ())

    def same_place(self, first: str, second: str) -> bool:
        """Whether two units of one level overlap, of whichever vocabulary each is; False for an unknown code."""
        if first == second:
            return first in self.by_code
        if first[:1] == second[:1] and len(first) == len(second):
            return False  # units of one level and vocabulary do not overlap
        return not set(self.successors(first)).isdisjoint(self.successors(second))

    def province_now(self, code: str) -> str | None:
        """Today's province of any unit."""
        unit = self.by_code.get(code)
        if unit is None:
            return None
        new = self.successors(unit.province)
        return new[0] if new else None


def _unit(row: Mapping[str, str]) -> Unit:
    kind = name_keys(row["name"])[0].kind
    return Unit(
        row["code"],
        row["level"],
        row["name"],
        kind,
        marked_name(row["name"]),
        row["parent_code"],
        row["province_code"],
    )


def _add(index: dict[str, dict[str, list[str]]], place: str, key: str, code: str) -> None:
    index.setdefault(place, {}).setdefault(key, []).append(code)


def _frozen(index: dict[str, dict[str, list[str]]]) -> dict[str, dict[str, tuple[str, ...]]]:
    return {place: {key: tuple(codes) for key, codes in keys.items()} for place, keys in index.items()}


def _district_successors(
    units: Iterable[Unit], successors: Mapping[str, list[str]]
) -> dict[str, tuple[str, ...]]:
    found: dict[str, set[str]] = defaultdict(set)
    for unit in units:
        if unit.level == "commune" and unit.code.startswith(LEGACY):
            found[unit.parent].update(successors.get(unit.code, ()))
    return {code: tuple(sorted(new)) for code, new in found.items()}


@cache
def default_units() -> Units:
    return Units.load()


def parse_unit_code(raw: str, *, options: Options = NO_OPTIONS) -> Parsed:
    """A code of units.csv. Names of units need their parents and date: see addresses.resolve."""
    del options
    text = tidy(raw).upper()
    if not text:
        return MISSING
    if says_nothing(text):
        return Parsed(None, "unit.placeholder")
    if not _CODE.fullmatch(text):
        return Parsed(None, "unit.unreadable")
    return Parsed(text) if text in default_units().by_code else Parsed(None, "unit.unknown")
