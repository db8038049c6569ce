"""From the names of a commune, a district and a province to a unit of one vocabulary."""

from __future__ import annotations

from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from rapidfuzz import process
from rapidfuzz.distance import OSA

from matching.standardise.unit_names import NameKey, marked_name, misspelt_kind_key, name_keys, province_keys
from matching.standardise.units import LEGACY, NOW, Unit, Units

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

_SHORTEST_FUZZY = 4
_LONG = 8


class Names(NamedTuple):
    """Names as written, '' where missing."""

    commune: str
    district: str
    province: str


class Match(NamedTuple):
    unit: Unit
    score: float  # 1 = all names agree exactly
    issue: str | None

    @property
    def rank(self) -> tuple[int, float]:
        return ("province", "district", "commune").index(self.unit.level), self.score


_FUZZY_COST = 0.15
_WIDER_COST = 0.05  # a parent missing or not the one written
_DISTRICT_IGNORED_COST = 0.15  # a unit of today, which has no district, though one is written


@lru_cache(maxsize=1 << 17)
def search(units: Units, names: Names, vocabularies: str, close_in: str) -> Match | None:
    """The best unit over `vocabularies` in order of preference ('LN' or 'NL'): exact names in each, then close ones in
    those of `close_in`.
    """
    best: Match | None = None
    for fuzzy, tried in ((False, vocabularies), (True, close_in)):
        for vocabulary in tried:
            match = _search_one(units, names, vocabulary, fuzzy=fuzzy)
            if match is not None and (best is None or match.rank > best.rank):
                best = match
            if best is not None and best.unit.level == "commune" and best.issue is None:
                return best
        if best is not None and best.unit.level == "commune":
            return best
    return best


def _search_one(units: Units, names: Names, vocabulary: str, *, fuzzy: bool) -> Match | None:
    provinces, province_score = _provinces(units, names.province, vocabulary, fuzzy=fuzzy)
    if names.province and not provinces:
        return None
    if vocabulary == NOW:
        score = province_score - (_DISTRICT_IGNORED_COST if names.district else 0)
        return _commune_in(units, names, provinces, score, fuzzy=fuzzy) or _parent(
            units, names, provinces, score
        )
    districts = _districts(units, names.district, provinces, fuzzy=fuzzy)
    match = _commune_in(units, names, districts, province_score, fuzzy=fuzzy) if districts else None
    if match is not None:
        return match if provinces else match._replace(score=match.score - _WIDER_COST)
    if names.commune and provinces:
        wider = _commune_in(units, names, provinces, province_score - _WIDER_COST, fuzzy=fuzzy)
        if wider is not None:
            if names.district:
                return wider._replace(
                    score=wider.score - _WIDER_COST, issue=wider.issue or "unit.district_mismatch"
                )
            return wider
    return _parent(units, names, districts or provinces, province_score)


@lru_cache(maxsize=1 << 14)
def _provinces(units: Units, text: str, vocabulary: str, *, fuzzy: bool) -> tuple[tuple[str, ...], float]:
    """Candidate provinces; the old ones that became the one written, or the new one of an old name, come after it."""
    if not text:
        return (), 1.0
    keys = province_keys(text)
    score = 1.0
    found = {v: _first(units.provinces[v], keys) for v in (LEGACY, NOW)}
    if fuzzy and not any(found.values()):
        known = tuple(chain(units.provinces[LEGACY], units.provinces[NOW]))
        close = next(filter(None, (_closest(key, known) for key in keys)), None)
        found = {v: units.provinces[v].get(close) for v in (LEGACY, NOW)} if close else found
        score -= _FUZZY_COST
    if vocabulary == LEGACY:
        now = found[NOW]
        merged = [
            code
            for code in units.provinces[LEGACY].values()
            if now is not None and now in units.successors(code)
        ]
        return tuple(dict.fromkeys(filter(None, (found[LEGACY], *merged)))), score
    old = found[LEGACY]
    return tuple(dict.fromkeys(filter(None, (found[NOW], *(units.successors(old) if old else ()))))), score


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


def _commune_in(
    units: Units, names: Names, places: tuple[str, ...], score: float, *, fuzzy: bool
) -> Match | None:
    """A commune of one of the places; without places, one whose name is unique in the country is not believed."""
    if not names.commune:
        return _only_commune(units, places, score)
    tables = [units.communes.get(place, {}) for place in places]
    for table in tables:
        for codes in _exact(units, table, names.commune):
            return (
                Match(units.by_code[codes[0]], score, None)
                if len(codes) == 1
                else _common_parent(units, codes, score)
            )
    for table in tables if fuzzy else ():
        for codes in _close(units, table, names.commune):
            if len(codes) == 1:
                return Match(units.by_code[codes[0]], score - _FUZZY_COST, "unit.fuzzy")
    return None


def _only_commune(units: Units, places: tuple[str, ...], score: float) -> Match | None:
    """The stand-in commune of an island district."""
    if len(places) != 1 or units.by_code[places[0]].level != "district":
        return None
    codes = list(chain.from_iterable(units.communes.get(places[0], {}).values()))
    return Match(units.by_code[codes[0]], score, None) if len(codes) == 1 else None


def _common_parent(units: Units, codes: Sequence[str], score: float) -> Match:
    """Several communes fit: their district if they share it, else their province."""
    parents = {units.by_code[code].parent for code in codes}
    provinces = {units.by_code[code].province for code in codes}
    parent = parents.pop() if len(parents) == 1 else provinces.pop()
    return Match(units.by_code[parent], score - _WIDER_COST, "unit.ambiguous")


def _parent(units: Units, names: Names, places: Sequence[str], score: float) -> Match | None:
    if not places or (len(places) > 1 and units.by_code[places[0]].level == "district"):
        return None
    return Match(
        units.by_code[places[0]], score, "unit.commune_unknown" if names.commune else "unit.commune_missing"
    )


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
    bare = unit.marked.split(" ", unit.kind.count(" ") + 1)[-1] if unit.kind else unit.marked
    return written == bare or written.endswith(" " + bare)


@lru_cache(maxsize=1 << 17)
def _closest(key: str, keys: tuple[str, ...]) -> str | None:
    """The one key at the smallest edit distance: 1, or 2 in long names; None where there is none or a tie."""
    if len(key) < _SHORTEST_FUZZY or key.isdecimal():
        return None
    found = process.extract(
        key, keys, scorer=OSA.distance, score_cutoff=2 if len(key) >= _LONG else 1, limit=2
    )
    distinct = {name: distance for name, distance, _ in found}
    if not distinct or (len(distinct) > 1 and len(set(distinct.values())) == 1):
        return None
    return min(distinct, key=distinct.__getitem__)
