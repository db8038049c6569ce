"""Plain text, codes and integers, and what people write when there is nothing to write."""

from __future__ import annotations

import re
import unicodedata

from matching.standardise.parsed import MISSING, NO_OPTIONS, Options, Parsed

_UNPRINTABLE = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u00a0\u00ad\u1680\u2000-\u200f\u2028-\u202f\u205f-\u2064\u3000\ufeff\ufffd]+"
)
_SPACES = re.compile(r"\s+")
_INTEGER = re.compile(r"[+-]?\d{1,3}(?:[.,\s]\d{3})+|[+-]?\d+(?:[.,]0+)?")
_NOTHING = frozenset(
    {
        "không", "không có", "không rõ", "không biết", "không xác định", "không có số", "không có thông tin", "ko", "ko có",
        "chưa có", "chưa rõ", "chưa biết", "chưa xác định", "chưa cập nhật", "chưa cấp", "khong co", "khong ro", "khong",
        "khong biet", "chua co", "chua ro", "k có", "n/a", "n.a.", "#n/a", "null", "none", "unknown", "nil", "(null)",
        "trống", "bỏ trống", "#ref!", "#value!", "#name?", "#num!", "#div/0!",
    }
)  # fmt: skip


def tidy(raw: str) -> str:
    """NFC, no control or invisible characters, one space between words."""
    if raw.isascii() and raw.isprintable():
        return " ".join(raw.split()) if " " in raw else raw
    return _SPACES.sub(" ", unicodedata.normalize("NFC", _UNPRINTABLE.sub(" ", raw))).strip()


def says_nothing(text: str) -> bool:
    """True where tidy text means that there is no value: 'không có', 'N/A', 'NaN', dashes, 'xxx'."""
    lower = text.lower()
    return (
        lower in _NOTHING
        or text in {"NaN", "nan"}
        or not any(c.isalnum() for c in lower)
        or set(lower) <= {"x", "*", "."}
    )


def parse_text(raw: str, *, options: Options = NO_OPTIONS) -> Parsed:
    del options
    text = tidy(raw)
    if not text:
        return MISSING
    return Parsed(None, "text.placeholder") if says_nothing(text) else Parsed(text)


def parse_code(raw: str, *, options: Options = NO_OPTIONS) -> Parsed:
    """A code of the office's own: kept as written, without spaces at its ends."""
    del options
    text = tidy(raw)
    if not text:
        return MISSING
    return Parsed(None, "code.placeholder") if says_nothing(text) else Parsed(text)


def parse_integer(raw: str, *, options: Options = NO_OPTIONS) -> Parsed:
    """A whole number; groups of thousands and a fraction of zeros are understood."""
    del options
    text = tidy(raw)
    if not text:
        return MISSING
    if says_nothing(text):
        return Parsed(None, "integer.placeholder")
    if not text.isascii() or not _INTEGER.fullmatch(text):
        return Parsed(None, "integer.unreadable")
    whole = re.sub(r"[.,]0{1,2}$", "", text) if re.fullmatch(r"[+-]?\d+[.,]0{1,2}", text) else text
    return Parsed(str(int(re.sub(r"[.,\s]", "", whole))))
