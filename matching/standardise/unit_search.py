"""From the names of a commune, a district and a province to a unit."""

from __future__ import annotations

from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from rapidfuzz import process
from rapidfuzz.distance import OSA

from matching.standardise.unit_candidates import (
    Names,
    allowed_edits,
    bare_name,
    common_parent,
    nearest_communes,
    same_marks_and_kind,
)
from matching.standardise.unit_names import NameKey, marked_name, misspelt_kind_key, name_keys, province_keys
from matching.standardise.units import LEGACY, NOW, Unit, Units

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence


class Match(NamedTuple):
    unit: Unit
    score: float  # 1 = all names agree exactly
    issue: str | None

    @property
    def rank(self) -> tuple[int, float]:
        return ("province", "district", "commune").index(self.unit.level), self.score


_ERROR_COST = 0.15
_WIDER_COST = 0.05  # a parent missing or not the one written


@lru_cache(maxsize=1 << 17)
def search(units: Units, names: Names, era: str | None) -> Match | None:
    """The unit meant, in the vocabulary of the paper's day (None: not known) or the other one.

    Names that agree exactly in that vocabulary settle it. Otherwise the nearest commune of both is taken if it is clear,
    else the deepest parent that is.
    """
    if names.commune:
        likely = LEGACY if names.district else era
        match = _exactly(units, names, likely) if likely else None
        if match is not None:
            return match
        nearest = nearest_communes(units, names, era)
        if nearest.clear is not None:
            return _taken(names, *nearest.clear)
        if nearest.candidates:
            parent = common_parent(units, nearest.candidates)
            return None if parent is None else Match(parent, 1 - _WIDER_COST, "unit.ambiguous")
    order = (LEGACY, NOW) if names.district or era == LEGACY else (NOW, LEGACY)
    for fuzzy in (False, True):
        for vocabulary in order:
            match = _parent(units, names, vocabulary, fuzzy=fuzzy)
            if match is not None:
                return match
    return None


def _taken(names: Names, cost: float, unit: Unit, other_district: bool) -> Match:  # noqa: FBT001
    score = 1 - _ERROR_COST * cost - (0 if names.province else _WIDER_COST)
    if other_district:
        return Match(unit, score, "unit.district_mismatch")
    if not (names.province or names.district):
        return Match(unit, score, "unit.province_missing")
    return Match(unit, score, "unit.fuzzy" if cost >= 1 else None)


def _exactly(units: Units, names: Names, vocabulary: str) -> Match | None:
    """The commune of this vocabulary whose names are those written, down to marks and kind."""
    provinces = _provinces(units, names.province, vocabulary, fuzzy=False)[:1]
    if names.province and not (provinces and _is_named(units, provinces[0], names.province)):
        return None
    places = _districts(units, names.district, provinces, fuzzy=False) if names.district else provinces
    plain = names.plain
    for place in places if len(places) == 1 else ():
        table = units.communes.get(place, {})
        for key in name_keys(names.commune):
            fitting = [
                code
                for code in table.get(key.key, ())
                if same_marks_and_kind(units.by_code[code], names.commune, key, plain=plain)
            ]
            if len(fitting) == 1 and (unit := units.by_code[fitting[0]]).code[0] == vocabulary:
                return Match(unit, 1.0 if names.province else 1 - _WIDER_COST, None)
    return None


@lru_cache(maxsize=1 << 14)
def _is_named(units: Units, province: str, text: str) -> bool:
    table = units.provinces[province[0]]
    return any(table.get(key) == province for key in province_keys(text))


def _parent(units: Units, names: Names, vocabulary: str, *, fuzzy: bool) -> Match | None:
    """The district or province written, where no commune is or none is known."""
    provinces = _provinces(units, names.province, vocabulary, fuzzy=fuzzy)
    if names.province and not provinces:
        return None
    districts = () if vocabulary == NOW else _districts(units, names.district, provinces, fuzzy=fuzzy)
    places = districts or provinces
    score = 1.0 - (_ERROR_COST if fuzzy else 0)
    if not names.commune and (only := _only_commune(units, places, score)) is not None:
        return only
    if not places or (len(places) > 1 and units.by_code[places[0]].level == "district"):
        return None
    return Match(
        units.by_code[places[0]], score, "unit.commune_unknown" if names.commune else "unit.commune_missing"
    )


@lru_cache(maxsize=1 << 14)
def _provinces(units: Units, text: str, vocabulary: str, *, fuzzy: bool) -> tuple[str, ...]:
    """Candidate provinces; the old ones that became the one written, or the new one of an old name, come after it."""
    if not text:
        return ()
    keys = province_keys(text)
    found = {v: _first(units.provinces[v], keys) for v in (LEGACY, NOW)}
    if fuzzy and not any(found.values()):
        known = tuple(chain(units.provinces[LEGACY], units.provinces[NOW]))
        close = next(filter(None, (_closest(key, known) for key in keys)), None)
        found = {v: units.provinces[v].get(close) for v in (LEGACY, NOW)} if close else found
    if vocabulary == LEGACY:
        now = found[NOW]
        merged = [
            code
            for code in units.provinces[LEGACY].values()
            if now is not None and now in units.successors(code)
        ]
        return tuple(dict.fromkeys(filter(None, (found[LEGACY], *merged))))
    old = found[LEGACY]
    return tuple(dict.fromkeys(filter(None, (found[NOW], *(units.successors(old) if old else ())))))


@lru_cache(maxsize=1 << 16)
def _districts(units: Units, text: str, provinces: tuple[str, ...], *, fuzzy: bool) -> tuple[str, ...]:
    if not text:
        return ()
    if not provinces:
        return next(filter(None, _exact(units, units.names["Ld"], text)), ())
    tables = [units.districts.get(province, {}) for province in provinces]
    for table in tables:
        for codes in _exact(units, table, text):
            return codes
    return next((codes for table in tables for codes in _close(units, table, text)), ()) if fuzzy else ()


def _first(table: Mapping[str, str], keys: Iterable[str]) -> str | None:
    return next((table[key] for key in keys if key in table), None)


def _exact(units: Units, table: Mapping[str, tuple[str, ...]], text: str) -> Iterator[tuple[str, ...]]:
    for name in name_keys(text):
        if name.key in table:
            yield _by_marks_and_kind(units, table[name.key], name, text)


def _close(units: Units, table: Mapping[str, tuple[str, ...]], text: str) -> Iterator[tuple[str, ...]]:
    """Units whose name is nearly the one written, or follows a kind word misspelt."""
    misspelt = misspelt_kind_key(text)
    if misspelt is not None and misspelt.key in table:
        yield _by_marks_and_kind(units, table[misspelt.key], misspelt, text)
    for name in reversed(name_keys(text)):
        close = _closest(name.key, tuple(table))
        if close is not None:
            yield _by_marks_and_kind(units, table[close], name, text)


def _only_commune(units: Units, places: Sequence[str], score: float) -> Match | None:
    """The stand-in commune of an island district."""
    if len(places) != 1 or units.by_code[places[0]].level != "district":
        return None
    codes = list(chain.from_iterable(units.communes.get(places[0], {}).values()))
    return Match(units.by_code[codes[0]], score, None) if len(codes) == 1 else None


def _by_marks_and_kind(units: Units, codes: Iterable[str], name: NameKey, text: str) -> tuple[str, ...]:
    """The candidates that agree in marks and kind, as far as these tell them apart."""
    left = list(codes)
    if len(left) > 1:
        written = marked_name(text)
        left = [code for code in left if _same_marks(units.by_code[code], written)] or left
    if len(left) > 1 and name.kind:
        left = [code for code in left if units.by_code[code].kind == name.kind] or left
    return tuple(left)


def _same_marks(unit: Unit, written: str) -> bool:
    bare = bare_name(unit)
    return written == bare or written.endswith(" " + bare)


@lru_cache(maxsize=1 << 17)
def _closest(key: str, keys: tuple[str, ...]) -> str | None:
    """The one key at the smallest edit distance: 1, or 2 in long names; None where there is none or a tie."""
    edits = allowed_edits(key)
    if not edits:
        return None
    found = process.extract(key, keys, scorer=OSA.distance, score_cutoff=edits, limit=2)
    distinct = {name: distance for name, distance, _ in found}
    if not distinct or (len(distinct) > 1 and len(set(distinct.values())) == 1):
        return None
    return min(distinct, key=distinct.__getitem__)
