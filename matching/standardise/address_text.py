"""Free-text addresses cut into the parts that may name units."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from matching.standardise.letters import fold
from matching.standardise.text import tidy
from matching.standardise.unit_search import Names
from matching.standardise.units import Units, name_key, province_key

if TYPE_CHECKING:
    from collections.abc import Iterator

_SEPARATOR = re.compile(r"\s*[,;\n|]+\s*|\s+[-–]\s+|\.\s+(?=[^\W\d_]{2})")
_KIND_AHEAD = re.compile(
    r"(?<!\bthị)(?<!\bthi)\s+(?=(?:phường|xã(?! hội)|thị trấn|huyện|quận|thị xã|thành phố|tỉnh(?! lộ)|đặc khu|phuong|xa|thi tran|huyen|quan|thi xa|"
    r"thanh pho|tinh(?! lo)|dac khu|tp|tx|tt)\b)|\s+(?=(?:[pqhxt]\.|[pq]\s?\d))",
    re.IGNORECASE,
)
_COUNTRY = frozenset({"vietnam", "vn"})
_COMMUNE_KINDS = frozenset({"xa", "phuong", "thi tran", "dac khu"})
_DISTRICT_KINDS = frozenset({"huyen", "quan", "thi xa"})
_LONGEST_NAME = 5


def segments(text: str, units: Units) -> list[str]:
    """The parts of an address from the smallest to the largest, the country left out.

    'Bà Rịa - Vũng Tàu' and 'TP. Hồ Chí Minh' stay whole.
    """
    joined = re.sub(r"(b[àa] r[ịi]a)\s*[-–]\s*(v[ũu]ng t[àa]u)", r"\1 \2", tidy(text), flags=re.IGNORECASE)
    joined = re.sub(r"\b(tp|tx|tt|[pqhxt])\.\s+(?=\w)", r"\1.", joined, flags=re.IGNORECASE)
    parts = [piece for part in _SEPARATOR.split(joined) for piece in _KIND_AHEAD.split(part)]
    parts = [part for part in (tidy(part).strip(" .,-") for part in parts) if part]
    while parts and fold(parts[-1]).replace(" ", "") in _COUNTRY:
        parts.pop()
    return [*parts[:-1], *_by_names(parts[-1], units)] if parts else []


def _by_names(text: str, units: Units) -> list[str]:
    """A part that holds several names, cut before the longest names of units found at its end."""
    words = text.split()
    found: list[str] = []
    places: list[str] = []
    for tables in (units.provinces.values(), None, None):
        for length in range(min(_LONGEST_NAME, len(words)), 0, -1):
            tail = " ".join(words[-length:])
            codes = (
                _named(units, tail, places)
                if tables is None
                else [t[province_key(tail)] for t in tables if province_key(tail) in t]
            )
            if codes:
                found.insert(0, tail)
                words, places = words[:-length], codes
                break
    return ([" ".join(words)] if words else []) + found


def _named(units: Units, name: str, places: list[str]) -> list[str]:
    key, _ = name_key(name)
    return [
        c
        for place in places
        for table in (units.districts, units.communes)
        for c in table.get(place, {}).get(key, ())
    ]


def readings(parts: tuple[str, ...]) -> Iterator[tuple[Names, int]]:
    """Ways to read the last parts as units, and how many parts each uses; kind words rule out the impossible ones."""
    kinds = [name_key(part)[1] for part in parts]
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
        if all(_may_be(level, kind) for level, kind in zip(shape, kinds[-len(shape) :], strict=True)):
            yield (
                Names(tail.get("commune", ""), tail.get("district", ""), tail.get("province", "")),
                len(shape),
            )


def _may_be(level: str, kind: str) -> bool:
    if level == "commune":
        return kind not in _DISTRICT_KINDS and kind not in ("tinh", "thanh pho")
    if level == "district":
        return kind not in _COMMUNE_KINDS and kind != "tinh"
    return kind not in _COMMUNE_KINDS and kind not in _DISTRICT_KINDS
