"""Free-text addresses cut into the parts that may name units."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from rapidfuzz.distance import OSA

from matching.standardise.letters import fold
from matching.standardise.text import tidy
from matching.standardise.unit_candidates import Names, allowed_edits
from matching.standardise.unit_names import name_keys, province_keys

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matching.standardise.units import Units

_SEPARATOR = re.compile(r"\s*[,;\n|]+\s*|\.\s+(?=[^\W\d_]{2})")
_DASH = re.compile(r"\s+[-–]\s+")
_ABBREVIATION = re.compile(r"\b(tp|tx|tt|[pqhxt])\.\s+(?=\w)", re.IGNORECASE)
_SHORT_KIND = r"(?:tp|tx|tt)\b|[pqhxt]\.|[pq]\s?\d"
_MARKED_KIND = re.compile(
    rf"\s+(?=(?:phường|xã(?! hội)|thị trấn|huyện|quận|thị xã|thành phố|tỉnh(?! lộ)|đặc khu)\b|{_SHORT_KIND})",
    re.IGNORECASE,
)
_PLAIN_KIND = re.compile(
    rf"\s+(?=(?:phuong|xa(?! hoi)|thi tran|huyen|quan|thi xa|thanh pho|tinh(?! lo)|dac khu)\b|{_SHORT_KIND})",
    re.IGNORECASE,
)
_ONLY_KIND = re.compile(
    r"(?:ph[ưu][ờo]ng|x[ãa]|th[ịi]|th[ịi] x[ãa]|huy[ệe]n|qu[ậa]n|t[ỉi]nh|tp|tx|tt|th[àa]nh ph[ốo])\.?",
    re.IGNORECASE,
)
_COUNTRY = frozenset({"vietnam", "vn"})
_COMMUNE_KINDS = frozenset({"xa", "phuong", "thi tran", "dac khu"})
_DISTRICT_KINDS = frozenset({"huyen", "quan", "thi xa"})
_LONGEST_NAME = 7


def segments(text: str, units: Units) -> list[str]:
    """The parts of an address from the smallest to the largest, the country left out."""
    joined = _ABBREVIATION.sub(r"\1.", tidy(text))
    ahead = _PLAIN_KIND if joined.isascii() else _MARKED_KIND
    parts = _SEPARATOR.split(joined)
    pieces = [piece for part in parts for piece in _kinds_kept(ahead.split(part), units)]
    if len(parts) == 1:
        pieces = [cut for piece in pieces for cut in _cut_at_dashes(piece, units)]
    pieces = [piece for piece in (piece.strip(" .,-–") for piece in pieces) if piece]
    while pieces and fold(pieces[-1]).replace(" ", "") in _COUNTRY:
        pieces.pop()
    if not pieces:
        return []
    if len(pieces) > 1 and _provinces_named(units, pieces[0]) and not _provinces_named(units, pieces[-1]):
        pieces.reverse()  # written from the largest to the smallest
    last = pieces[-1]
    return [*pieces[:-1], *([last] if _is_one_name(last, units) else _by_names(last, units))]


def _cut_at_dashes(text: str, units: Units) -> list[str]:
    """Dashes separate parts, but also stand inside names (Bà Rịa - Vũng Tàu)."""
    parts: list[str] = []
    for piece in _DASH.split(text):
        whole = f"{parts[-1]} - {piece}" if parts else piece
        if parts and any(key in units.names[level] for level in units.names for key, _ in name_keys(whole)):
            parts[-1] = whole
        else:
            parts.append(piece)
    return parts


@lru_cache(maxsize=1 << 16)
def _is_one_name(text: str, units: Units) -> bool:
    """A name, or a misspelt province, that ends like another name is not to be cut there (Đức Huệ, Bà Ria - Vũng Tàu)."""
    if any(key in units.names[level] for level in units.names for key, _ in name_keys(text)):
        return True
    if any(c.isdigit() for c in text) or name_keys(text)[-1].kind not in ("", "tinh", "thanh pho"):
        return False
    keys = province_keys(text)
    return all(allowed_edits(key) for key in keys) and any(
        OSA.distance(key, name, score_cutoff=allowed_edits(key)) <= allowed_edits(key)
        for key in keys
        for table in units.provinces.values()
        for name in table
    )


def _kinds_kept(pieces: list[str], units: Units) -> list[str]:
    """A kind word alone belongs to the next piece (Xa | Phuong Lau), at the end to the one before (Tinh Ha | Tinh), as
    does `tinh` where no province follows (My | Tinh An).
    """
    kept: list[str] = []
    for piece in pieces:
        of_the_name = piece[:5].lower() == "tinh " and not _provinces_named(units, piece)
        if kept and (_ONLY_KIND.fullmatch(kept[-1]) or of_the_name):
            kept[-1] += " " + piece
        else:
            kept.append(piece)
    if len(kept) > 1 and _ONLY_KIND.fullmatch(kept[-1]):
        last = kept.pop()
        kept[-1] += " " + last
    return kept


def _by_names(text: str, units: Units) -> list[str]:
    """A part that holds several names, cut before the longest names of units found at its end."""
    words = text.split()
    found: list[str] = []
    places: list[str] = []
    for level in range(3):
        for length in range(min(_LONGEST_NAME, len(words)), 0, -1):
            tail = " ".join(words[-length:])
            codes = _named(units, tail, places) if level else _provinces_named(units, tail)
            if codes:
                found.insert(0, tail)
                words, places = words[:-length], codes
                break
    return ([" ".join(words)] if words else []) + found


def _provinces_named(units: Units, name: str) -> list[str]:
    keys = province_keys(name)
    return [table[key] for table in units.provinces.values() for key in keys if key in table]


def _named(units: Units, name: str, places: list[str]) -> list[str]:
    keys = [key for key, _ in name_keys(name)]
    tables = [index.get(place, {}) for place in places for index in (units.districts, units.communes)]
    return [code for table in tables for key in keys for code in table.get(key, ())]


def readings(parts: tuple[str, ...], units: Units) -> Iterator[tuple[Names, int]]:
    """Ways to read the last parts as units, and how many parts each uses; kind words rule out the impossible ones."""
    kinds = [_kind(part, units) for part in parts]
    shapes = (
        ("commune", "district", "province"),
        ("commune", "province"),
        ("commune", "district"),
        ("district", "province"),
    )
    for shape in (*shapes, ("province",), ("district",)):
        if len(shape) > len(parts):
            continue
        tail = dict(zip(shape, parts[-len(shape) :], strict=True))
        if shape[-1] == "district" and not kinds[-1] and _is_province(parts[-1], units):
            continue  # a town that has the name of its province: the province is meant, and the town found in it
        if all(_may_be(level, kind) for level, kind in zip(shape, kinds[-len(shape) :], strict=True)):
            yield (
                Names(tail.get("commune", ""), tail.get("district", ""), tail.get("province", "")),
                len(shape),
            )
    if parts and kinds[-1] in _COMMUNE_KINDS:
        yield Names(parts[-1], "", ""), 1


def _is_province(text: str, units: Units) -> bool:
    return any(key in table for key, _ in name_keys(text) for table in units.provinces.values())


def _kind(part: str, units: Units) -> str:
    """The kind written; '' where the word may as well belong to the name."""
    keys = name_keys(part)
    whole_is_a_name = len(keys) > 1 and any(keys[0].key in table for table in units.names.values())
    return "" if whole_is_a_name else keys[-1].kind


def _may_be(level: str, kind: str) -> bool:
    if level == "commune":
        return kind not in _DISTRICT_KINDS and kind not in ("tinh", "thanh pho")
    if level == "district":
        return kind not in _COMMUNE_KINDS and kind != "tinh"
    return kind not in _COMMUNE_KINDS and kind not in _DISTRICT_KINDS
