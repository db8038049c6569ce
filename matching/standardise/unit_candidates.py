"""The commune meant by names that agree with none exactly: every candidate of both vocabularies with what speaks against it.

The costs are in typing errors. A candidate is taken where it is near enough and clearly nearer than any other place;
otherwise the candidates are told, so that the caller can give what they have in common.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from rapidfuzz import process
from rapidfuzz.distance import OSA

from matching.standardise.unit_names import (
    NameKey,
    marked_name,
    misspelt_kind_key,
    name_keys,
    province_keys,
    without_kind,
)
from matching.standardise.units import LEGACY, NOW, Unit, Units

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_SHORTEST_FUZZY = 4
_LONG = 8

_MARGIN = 0.65  # by which the nearest must be nearer than another place: a wrong mark and a wrong letter are told apart
_SLACK = 0.75  # what may speak against a candidate beside the typing errors that its name allows
_MARK = 0.4  # a wrong mark
_KIND = 0.5  # a ward that is called a commune
_OTHER_DAY = 0.7  # a name of the other vocabulary than that of the day: the day decides between equal names
_OTHER_PROVINCE = 0.75  # an old commune under the province of today, or the other way round
_NO_DISTRICTS = 1.5  # a unit of today, which has no district, though one is written
_OTHER_DISTRICT = (
    2.5  # a district that is not the commune's: believed only where the name is exact and has its kind
)


class Names(NamedTuple):
    """Names as written, '' where missing."""

    commune: str
    district: str
    province: str

    @property
    def plain(self) -> bool:
        """Written without marks, so that missing ones say nothing."""
        return all(name.isascii() for name in self)


class Candidate(NamedTuple):
    cost: float
    unit: Unit
    other_district: bool


class Nearest(NamedTuple):
    """The candidates that cannot be told apart, the nearest first: one where the commune is clear, none where nothing is near."""

    candidates: tuple[Candidate, ...]

    @property
    def clear(self) -> Candidate | None:
        return self.candidates[0] if len(self.candidates) == 1 else None


def allowed_edits(key: str) -> int:
    """How many typing errors a name can hold and still be known: none in a short one or a number, two in a long one."""
    if len(key) < _SHORTEST_FUZZY or key.isdecimal():
        return 0
    return 2 if len(key) >= _LONG else 1


@lru_cache(maxsize=1 << 17)
def nearest_communes(units: Units, names: Names, era: str | None) -> Nearest:
    """`era` is the vocabulary of the paper's day, None where the day is not known."""
    costs: dict[str, Candidate] = {}
    for candidate in _candidates(units, names, era):
        known = costs.get(candidate.unit.code)
        if known is None or candidate.cost < known.cost:
            costs[candidate.unit.code] = candidate
    order = sorted(costs.values(), key=lambda c: (c.cost, c.unit.code[0] != (era or NOW), c.unit.code))
    if not order:
        return Nearest(())
    best = order[0]
    rivals = [
        c
        for c in order[1:]
        if c.cost - best.cost < _MARGIN and not units.same_place(c.unit.code, best.unit.code)
    ]
    return Nearest((best, *rivals))


def _candidates(units: Units, names: Names, era: str | None) -> Iterator[Candidate]:
    keys = _keys(names.commune)
    district_keys = _keys(names.district)
    anywhere = not (names.province or names.district)
    for table, place_edits, place_cost in _tables(units, names):
        for key, edits, codes in _near(table, keys, more=0 if names.plain else 1, only_exact=anywhere):
            written = marked_name(without_kind(names.commune, key))
            limit = 0.0 if anywhere else max(1, allowed_edits(key.key)) + _SLACK
            for code in codes:
                unit = units.by_code[code]
                unmarked = names.plain or key.key.isdecimal()
                name_cost = edits if unmarked else _name_cost(written, unit, edits)
                name_cost += _KIND if key.kind and key.kind != unit.kind else 0
                day_cost = _day_cost(unit, era, district=bool(names.district))
                if name_cost + (0 if anywhere else place_cost + day_cost) > limit:
                    continue
                away = _district_cost(units, unit, district_keys) if names.district else 0.0
                elsewhere = away >= _NO_DISTRICTS and away != int(away)
                if elsewhere and (edits or not key.kind):
                    continue
                cost = name_cost + day_cost + place_cost + place_edits + away
                yield Candidate(cost, unit, away == _OTHER_DISTRICT)


def _tables(units: Units, names: Names) -> Iterator[tuple[Mapping[str, tuple[str, ...]], float, float]]:
    """Where to look: key -> communes, the typing errors of the place's name, and what else speaks against it."""
    if names.province:
        for code, (edits, cost) in _places(units, names.province).items():
            yield units.communes.get(code, {}), edits, cost
    elif names.district:
        for _, edits, codes in _near(units.names["Ld"], _keys(names.district)):
            for code in codes:
                yield units.communes.get(code, {}), float(edits), 0.0
    else:
        yield from ((units.names[vocabulary + "c"], 0.0, 0.0) for vocabulary in (LEGACY, NOW))


@lru_cache(maxsize=1 << 14)
def _places(units: Units, text: str) -> Mapping[str, tuple[float, float]]:
    """Provinces that the name may mean: its typing errors, and a cost for those that came from or went into one of that name."""
    keys = [NameKey(key, "") for key in province_keys(text)]
    tables = [{key: (code,) for key, code in units.provinces[v].items()} for v in (LEGACY, NOW)]
    near = [(edits, code) for table in tables for _, edits, codes in _near(table, keys) for code in codes]
    least = min((edits for edits, _ in near), default=0)
    found = {code: (float(edits), 0.0) for edits, code in near if edits == least}
    for code in tuple(found):
        related = units.successors(code) if code[0] == LEGACY else _merged_into(units, code)
        for other in related:
            found.setdefault(other, (float(least), _OTHER_PROVINCE))
    return found


@lru_cache(maxsize=256)
def _merged_into(units: Units, province: str) -> tuple[str, ...]:
    return tuple(code for code in units.provinces[LEGACY].values() if province in units.successors(code))


@lru_cache(maxsize=1 << 16)
def _keys(text: str) -> tuple[NameKey, ...]:
    misspelt = misspelt_kind_key(text)
    return (*name_keys(text), *(() if misspelt is None else (misspelt,)))


def _near(
    table: Mapping[str, tuple[str, ...]], keys: Iterable[NameKey], *, more: int = 0, only_exact: bool = False
) -> Iterator[tuple[NameKey, int, tuple[str, ...]]]:
    """The key written, how many typing errors away (`more` than allowed, where these are not counted yet), and the units of that name."""
    for key in keys:
        if key.key in table:
            yield key, 0, table[key.key]
        edits = 0 if only_exact else allowed_edits(key.key)
        if edits:
            for name, distance, _ in process.extract(
                key.key, table.keys(), scorer=OSA.distance, score_cutoff=edits + more, limit=20
            ):
                if distance:
                    yield key, int(distance), table[name]


def _name_cost(written: str, unit: Unit, edits: int) -> float:
    """Letters count fully, marks less. Folding can make one error two (thy for thủy is thi), so the marked forms count as well."""
    marked = OSA.distance(written, bare_name(unit))
    return float(marked) if marked <= edits else edits + _MARK * (marked - edits)


def _day_cost(unit: Unit, era: str | None, *, district: bool) -> float:
    """A district belongs to old names on any day."""
    if era is None or unit.code[0] == era or (district and unit.code[0] == LEGACY):
        return 0.0
    return _OTHER_DAY


def _district_cost(units: Units, unit: Unit, keys: Iterable[NameKey]) -> float:
    if unit.code[0] == NOW:
        return _NO_DISTRICTS
    name = name_keys(units.by_code[unit.parent].name)[0].key
    distances = (
        (OSA.distance(key.key, name), 0 if name.isdecimal() else allowed_edits(key.key)) for key in keys
    )
    return min(
        (float(distance) for distance, allowed in distances if distance <= allowed), default=_OTHER_DISTRICT
    )


@lru_cache(maxsize=1 << 15)
def bare_name(unit: Unit) -> str:
    """The name with its marks, without its kind."""
    return unit.marked.split(" ", unit.kind.count(" ") + 1)[-1] if unit.kind else unit.marked


def same_marks_and_kind(unit: Unit, text: str, key: NameKey, *, plain: bool) -> bool:
    """Whether a name that agrees with the unit's key agrees in kind and, if not `plain`, in marks."""
    if key.kind not in ("", unit.kind):
        return False
    if plain or key.key.isdecimal():
        return True
    written = without_kind(text, key)
    return written == (name := bare_name(unit)) or marked_name(written) == name


def common_parent(units: Units, candidates: Iterable[Candidate]) -> Unit | None:
    """The smallest unit that holds them all, across vocabularies the province of today."""
    found = [candidate.unit for candidate in candidates]
    for codes in (
        {unit.parent for unit in found},
        {unit.province for unit in found},
        set(chain.from_iterable([units.province_now(unit.code) or ""] for unit in found)),
    ):
        if len(codes) == 1:
            return units.by_code.get(codes.pop())
    return None
