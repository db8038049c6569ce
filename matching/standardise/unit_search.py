"""From the names of a commune, a district and a province to a unit of one vocabulary."""

from __future__ import annotations

from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from rapidfuzz import process
from rapidfuzz.distance import OSA

from matching.standardise.units import LEGACY, NOW, Unit, Units, marked_name, name_key, province_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

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


@lru_cache(maxsize=1 << 17)
def search(units: Units, names: Names, vocabularies: str) -> Match | None:
    """The best unit over the vocabularies in order of preference ('LN' or 'NL'): exact names first, then close ones."""
    best: Match | None = None
    for fuzzy in (False, True):
        for vocabulary in vocabularies:
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
        score = province_score - (_WIDER_COST if names.district else 0)
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
            return wider._replace(issue=wider.issue or "unit.district_mismatch") if districts else wider
    return _parent(units, names, districts or provinces, province_score)


@lru_cache(maxsize=1 << 14)
def _provinces(units: Units, text: str, vocabulary: str, *, fuzzy: bool) -> tuple[tuple[str, ...], float]:
    """Candidate provinces; the old ones that became the one written, or the new one of an old name, come after it."""
    if not text:
        return (), 1.0
    key = province_key(text)
    score = 1.0
    found = {v: units.provinces[v].get(key) for v in (LEGACY, NOW)}
    if fuzzy and not any(found.values()):
        close = _closest(key, tuple(chain(units.provinces[LEGACY], units.provinces[NOW])))
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
    key, kind = name_key(text)
    if not provinces:
        return _by_kind_and_marks(units, units.names["Ld"].get(key, ()), kind, text)
    for province in provinces:
        codes = units.districts.get(province, {}).get(key, ())
        if codes:
            return _by_kind_and_marks(units, codes, kind, text)
    if fuzzy:
        for province in provinces:
            table = units.districts.get(province, {})
            close = _closest(key, tuple(table))
            if close is not None:
                return _by_kind_and_marks(units, table[close], kind, text)
    return ()


def _commune_in(
    units: Units, names: Names, places: tuple[str, ...], score: float, *, fuzzy: bool
) -> Match | None:
    """A commune of one of the places; without places, one whose name is unique in the country is not believed."""
    if not names.commune:
        return _only_commune(units, places, score)
    key, kind = name_key(names.commune)
    for place in places:
        codes = _by_kind_and_marks(units, units.communes.get(place, {}).get(key, ()), kind, names.commune)
        if len(codes) == 1:
            return Match(units.by_code[codes[0]], score, None)
        if codes:
            return _common_parent(units, codes, score)
    if not fuzzy:
        return None
    for place in places:
        table = units.communes.get(place, {})
        close = _closest(key, tuple(table))
        if close is not None:
            codes = _by_kind_and_marks(units, table[close], kind, names.commune)
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


def _by_kind_and_marks(units: Units, codes: Iterable[str], kind: str, text: str) -> tuple[str, ...]:
    """The candidates that agree in kind and marks, as far as these tell them apart."""
    left = list(codes)
    if len(left) > 1:
        written = marked_name(text)
        left = [code for code in left if _same_marks(units.by_code[code], written)] or left
    if len(left) > 1 and kind:
        left = [code for code in left if units.by_code[code].kind == kind] or left
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
