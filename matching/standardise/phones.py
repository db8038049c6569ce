"""Phone numbers in their national form after the change of 15 September 2018 (11 to 10 digits)."""

from __future__ import annotations

import re
from functools import cache

from matching.standardise.parsed import MISSING, NO_OPTIONS, Options, Parsed
from matching.standardise.reference import read_table
from matching.standardise.text import says_nothing, tidy

_COUNTRY = re.compile(r"(?:\+|00)?\s*\(?84\)?")
_NOT_DIGITS = re.compile(r"\D+")
_USUAL = re.compile(r"(?:0|\+84)([35789][0-9]{8})")
_MOBILE = re.compile(r"0[35789]\d{8}")
_LANDLINE = re.compile(r"02\d{9}")
_OLD_LANDLINE = re.compile(r"0[2-8]\d{7,9}")  # area codes before 2017


@cache
def _new_prefixes() -> dict[str, str]:
    return {
        row["old_prefix_11digit"]: row["new_prefix_10digit"] for row in read_table("phone_prefix_2018.csv")
    }


def parse_phone(raw: str, *, options: Options = NO_OPTIONS) -> Parsed:
    """'0901234567'; a landline keeps its 11 digits ('02438123456')."""
    del options
    if (usual := _USUAL.fullmatch(raw)) is not None:
        return _unless_junk("0" + usual[1], None)
    text = tidy(raw)
    if not text:
        return MISSING
    if says_nothing(text):
        return Parsed(None, "phone.placeholder")
    if not text.isascii():
        text = "".join(c for c in text if c.isascii())
    text = text.removesuffix(".0")
    digits = _NOT_DIGITS.sub("", text)
    country = _COUNTRY.match(text)
    if country and (not text.startswith("84") or len(digits) in (11, 12)):
        rest = _NOT_DIGITS.sub("", text[country.end() :])
        return _national("0" + rest.removeprefix("0"), None)
    if digits.startswith("0"):
        return _national(digits, None)
    return _national("0" + digits, "phone.zero_restored")


def _national(digits: str, issue: str | None) -> Parsed:
    if len(digits) == 11 and digits[:4] in _new_prefixes():
        return _unless_junk(_new_prefixes()[digits[:4]] + digits[4:], issue)
    if _MOBILE.fullmatch(digits) or _LANDLINE.fullmatch(digits):
        return _unless_junk(digits, issue)
    if _OLD_LANDLINE.fullmatch(digits) and not _MOBILE.match(digits):
        return _unless_junk(digits, "phone.old_landline")
    return Parsed(None, "phone.structure")


def _unless_junk(digits: str, issue: str | None) -> Parsed:
    return Parsed(None, "phone.placeholder") if digits[-8:] == digits[-1] * 8 else Parsed(digits, issue)
