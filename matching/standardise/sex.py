"""Sex as the papers state it."""

from __future__ import annotations

from matching.standardise.parsed import MISSING, NO_OPTIONS, Options, Parsed
from matching.standardise.text import says_nothing, tidy

_MALE = frozenset(
    {
        "nam",
        "male",
        "m",
        "trai",
        "nam giới",
        "nam gioi",
        "con trai",
        "bé trai",
        "đàn ông",
        "man",
        "boy",
        "ông",
    }
)
_FEMALE = frozenset(
    {
        "nữ",
        "nu",
        "nứ",
        "nũ",
        "nử",
        "nư",
        "nừ",
        "female",
        "f",
        "gái",
        "gai",
        "nữ giới",
        "nu gioi",
        "con gái",
        "bé gái",
    }
    | {"đàn bà", "phụ nữ", "woman", "girl", "bà"}
)


def parse_sex(raw: str, *, options: Options = NO_OPTIONS) -> Parsed:
    """'male' or 'female'. Numbers mean different things in different offices: the registry declares them as values."""
    del options
    text = tidy(raw).lower()
    if not text:
        return MISSING
    if text in _MALE:
        return Parsed("male")
    if text in _FEMALE:
        return Parsed("female")
    return Parsed(None, "sex.placeholder" if says_nothing(text) else "sex.unknown")
