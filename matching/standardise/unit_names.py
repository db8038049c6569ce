"""Names of administrative units as offices write them, reduced to keys for looking them up.

A key is folded and has no blanks, since they are often lost or misplaced (Đắk Lắk, Đăklăk), and no kind word (Xã, Q., TP).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from rapidfuzz.distance import OSA

from matching.standardise.letters import fold
from matching.standardise.syllables import standard_syllable
from matching.standardise.text import tidy

_KINDS = {
    "thành phố": "thanh pho", "thị trấn": "thi tran", "thị xã": "thi xa", "huyện đảo": "huyen", "đặc khu": "dac khu",
    "phường": "phuong", "huyện": "huyen", "quận": "quan", "tỉnh": "tinh", "xã": "xa",
}  # fmt: skip
_SHORT_KINDS = {
    "tp": "thanh pho", "tt": "thi tran", "tx": "thi xa", "ph": "phuong", "p": "phuong", "f": "phuong", "q": "quan",
    "h": "huyen", "x": "xa", "t": "tinh",
}  # fmt: skip
_PLAIN_KINDS = {fold(kind): name for kind, name in _KINDS.items()}
_MARKED = re.compile(rf"({'|'.join(_KINDS)})\b\s*(?=\w)")
_SHORT = re.compile(rf"({'|'.join(_SHORT_KINDS)})(?:\.\s*(?=\w)|\s*(?=\d))")
_PLAIN = re.compile(rf"({'|'.join([*_PLAIN_KINDS, *_SHORT_KINDS])})\s+(?=\w)|(phuong|quan)(?=\d)")
_LONG_PLAIN_KINDS = ("phuong", "huyen", "quan", "tinh")
_WORD = re.compile(r"\w+")

# Keys of what people write instead of a province's name.
_OTHER_PROVINCE_NAMES = {
    "hcm": "hochiminh", "hcmc": "hochiminh", "saigon": "hochiminh", "sg": "hochiminh", "hn": "hanoi", "hp": "haiphong",
    "brvt": "bariavungtau", "vungtau": "bariavungtau", "thuathienhue": "hue", "tthue": "hue", "daclac": "daklak",
    "daclak": "daklak", "daklac": "daklak", "darlac": "daklak", "dacnong": "daknong", "quangnamdanang": "quangnam",
}  # fmt: skip


class NameKey(NamedTuple):
    key: str
    kind: str  # folded kind of units.csv, '' where none is written


@lru_cache(maxsize=1 << 16)
def name_keys(text: str) -> tuple[NameKey, ...]:
    """The keys a name may be looked up by, the likeliest first.

    A kind word without marks may be part of the name (Quan Ba is Quản Bạ, Phuong Lau is Phượng Lâu), so the whole name comes
    before the rest of it.
    """
    lower = tidy(text).lower()
    definite = _MARKED.match(lower) or _SHORT.match(lower)
    if definite is not None:
        return (NameKey(_joined(lower[definite.end() :]), (_KINDS | _SHORT_KINDS)[definite[1]]),)
    whole = NameKey(_joined(lower), "")
    possible = _PLAIN.match(lower)
    if possible is None:
        return (whole,)
    return whole, NameKey(
        _joined(lower[possible.end() :]), (_PLAIN_KINDS | _SHORT_KINDS)[possible[1] or possible[2]]
    )


def misspelt_kind_key(text: str) -> NameKey | None:
    """The key after a first word that is nearly a kind word (Phườn, Huyệnn)."""
    first, _, rest = tidy(text).lower().partition(" ")
    word = fold(first)
    for kind in _LONG_PLAIN_KINDS:
        if rest and word != kind and OSA.distance(word, kind, score_cutoff=1) == 1:
            return NameKey(_joined(rest), kind)
    return None


@lru_cache(maxsize=1 << 16)
def without_kind(text: str, key: NameKey) -> str:
    """The words in lower case that the key was made of."""
    lower = tidy(text).lower()
    if not key.kind:
        return lower
    kind = _MARKED.match(lower) or _SHORT.match(lower) or _PLAIN.match(lower)
    return lower.partition(" ")[2] if kind is None else lower[kind.end() :]


def _joined(lower: str) -> str:
    key = fold(lower).replace(" ", "")
    return key.lstrip("0") or "0" if key.isdecimal() else key


def province_keys(text: str) -> tuple[str, ...]:
    keys = [key for key, _ in name_keys(text)]
    keys += [key.removeprefix("tp") for key in keys if key.startswith("tp")]  # TPHCM
    return tuple(dict.fromkeys([*(_OTHER_PROVINCE_NAMES.get(key, key) for key in keys), *keys]))


@lru_cache(maxsize=1 << 16)
def marked_name(text: str) -> str:
    """Lower case with every mark, tones at their place: tells Tân Thành from Tân Thạnh, whose keys are equal."""
    return " ".join(standard_syllable(word) or word for word in _WORD.findall(tidy(text).lower()))
