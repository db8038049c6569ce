"""Dates as offices write them, kept at the precision they really have: '1980-05-17', '1980-05' or '1980'.

Options:
    formats   list by preference. A format is made of %d %m %Y %y with or without separators ('%d/%m/%Y', '%Y%m%d'), or
              `excel` (day number of a spreadsheet) or `iso`. Any of / - . , and blanks serves as separator.
    not_after ISO day after which no date is believed; today where absent. It also settles the century of %y.
    calendar  'lunar': the day and month are of the Vietnamese lunar calendar and are converted.
"""

from __future__ import annotations

import datetime as dt
import re
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import lunar_vn

from matching.standardise.parsed import MISSING, NO_OPTIONS, Options, Parsed
from matching.standardise.text import says_nothing, tidy

if TYPE_CHECKING:
    from collections.abc import Iterator

DEFAULT_FORMATS = ("%d/%m/%Y", "%Y-%m-%d", "%m/%Y", "%Y-%m", "%Y", "%d%m%Y", "%Y%m%d", "%d/%m/%y", "excel")
_ISO = ("%Y-%m-%d", "%Y-%m", "%Y")  # always understood after the declared ones: what we write, we also read
EARLIEST_YEAR = 1850
_EXCEL_EPOCH = dt.date(1899, 12, 30)
_LATEST_EXCEL_DAY = 80_000

_USUAL = re.compile(
    r"(?P<d>[0-9]{1,2})/(?P<m>[0-9]{1,2})/(?P<y>[0-9]{4})|(?P<Y>[0-9]{4})-(?P<M>[0-9]{2})-(?P<D>[0-9]{2})"
)
_TIME = re.compile(
    r"[T\s]+(?P<time>\d{1,2}:\d{2}(?::\d{2})?)(?:[.,]\d+)?\s*(?:AM|PM|SA|CH)?\s*(?P<zone>Z|UTC|GMT|[+-]\d{2}:?\d{2})?$",
    re.IGNORECASE,
)
_WORDS = re.compile(r"(?:ngày|ngay|tháng|thang|năm|nam|sinh|ns)\b[.:]?", re.IGNORECASE)
_LUNAR = re.compile(r"[\s(\[]*(?:âm lịch|âm|am lich|âl|al)[\s.)\]]*$", re.IGNORECASE)
_APPROXIMATE = re.compile(
    r"^(?:khoảng|khoang|chừng|độ|ước)\b|\(\s*(?:khoảng|khoang|tuổi|tuoi)[^)]*\)|\s*\?$|^~", re.IGNORECASE
)
_MONTHS = {
    name: number
    for number, names in enumerate(
        ("jan january", "feb february", "mar march", "apr april", "may", "jun june", "jul july", "aug august",
         "sep sept september", "oct october", "nov november", "dec december"), start=1,
    )
    for name in names.split()
}  # fmt: skip
_NAMED_MONTH = re.compile(
    r"(?:(?P<d>\d{1,2})(?:st|nd|rd|th)?[\s.\-/]*)?(?P<m>[a-z]{3,9})[\s.,\-/]*(?:(?P<D>\d{1,2})(?:st|nd|rd|th)?[\s,]+)?(?P<y>\d{4})",
    re.IGNORECASE,
)
_LETTERS_FOR_DIGITS = re.compile(r"(?=.*\d.*\d.*\d)[\dOoIl/.\-\s]+")
_DIGIT_LOOKALIKES = str.maketrans("OoIl", "0011")
_SEPARATOR = re.compile(r"[\s/.,\\-]+")
_DIRECTIVE = re.compile(r"%([dmYy])")
_UNKNOWN_PART = re.compile(r"(?<![^\s/.\-])(?:\?+|x+|_+|\*+|-{2,})(?![^\s/.\-])", re.IGNORECASE)


class _Parts(NamedTuple):
    """Day and month 0 where the paper has none."""

    day: int
    month: int
    year: int
    issue: str | None = None


class _Format(NamedTuple):
    letters: str  # order of the parts, for example 'dmY'
    compact: re.Pattern[str] | None  # set where there are no separators


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> _Format:
    text = "%Y-%m-%d" if pattern == "iso" else pattern
    letters = "".join(_DIRECTIVE.findall(text))
    if (
        not letters
        or len(set(letters.lower())) != len(letters)
        or _SEPARATOR.sub("", _DIRECTIVE.sub("", text))
    ):
        raise ValueError(
            f"'{pattern}' is not a date format: use %d %m %Y %y with separators, `excel` or `iso`."
        )
    if len(letters) > 1 and "%" + "%".join(letters) == text:
        widths = {"d": r"(\d{2})", "m": r"(\d{2})", "y": r"(\d{2})", "Y": r"(\d{4})"}
        return _Format(letters, re.compile("".join(widths[letter] for letter in letters)))
    return _Format(letters, None)


def check_formats(formats: object) -> None:
    """Raises ValueError for a list of formats that cannot be used; for readers of declarations."""
    if not isinstance(formats, list | tuple) or not formats:
        raise ValueError("Date formats are a list with at least one entry.")
    for pattern in formats:
        if pattern != "excel":
            _compiled(str(pattern))


def parse_date(raw: str, *, options: Options = NO_OPTIONS) -> Parsed:
    if not options and (usual := _USUAL.fullmatch(raw)) is not None:
        year, month, day = (
            (usual["Y"], usual["M"], usual["D"]) if usual["Y"] else (usual["y"], usual["m"], usual["d"])
        )
        return _checked(_Parts(int(day), int(month), int(year)), latest_day(options))
    text = tidy(raw)
    if not text:
        return MISSING
    if says_nothing(text):
        return Parsed(None, "date.placeholder")
    latest = latest_day(options)
    lunar = options.get("calendar") == "lunar"
    if text[-1:] not in _DIGITS or not text.isascii():
        text, told = _LUNAR.subn("", text)
        lunar = lunar or bool(told)
    plain, shifted = _without_time(text)
    plain, remark = _worded(plain)
    formats = (*options["formats"], *_ISO) if options.get("formats") else DEFAULT_FORMATS
    found = _read(plain, formats, latest)
    if isinstance(found, Parsed):
        return found
    if shifted:
        found = _next_day(found)
    if lunar:
        found = _from_lunar(found)
    value, issue = _checked(found, latest)
    return Parsed(value, issue if value is None else remark or issue)


_DIGITS = frozenset("0123456789")


def _worded(text: str) -> tuple[str, str | None]:
    """A date in digits for one with an English month, letters for digits or a word of doubt; and what was met."""
    if text.isascii() and not any(c.isalpha() or c in "?~(" for c in text):
        return text, None
    plain, doubts = _APPROXIMATE.subn(" ", text)
    plain = plain.strip()
    month = _NAMED_MONTH.fullmatch(plain)
    if month is not None and (number := _MONTHS.get(month["m"].lower())) and not (month["d"] and month["D"]):
        plain = f"{month['y']}-{number:02d}-{int(month['d'] or month['D'] or 0):02d}"
    elif any(c in "OoIl" for c in plain) and _LETTERS_FOR_DIGITS.fullmatch(plain):
        return plain.translate(_DIGIT_LOOKALIKES), "date.letters_replaced"
    return plain, "date.approximate" if doubts else None


def latest_day(options: Options) -> dt.date:
    """The day after which no date is believed: the option `not_after`, else today."""
    given = options.get("not_after")
    if given is None:
        return dt.date.today()  # noqa: DTZ011  # the day at the office
    return given if isinstance(given, dt.date) else dt.date.fromisoformat(str(given))


def _without_time(text: str) -> tuple[str, bool]:
    """The date part, and whether a Vietnamese midnight was written in UTC and so fell on the day before."""
    found = _TIME.search(text) if ":" in text else None
    if found is None:
        return text, False
    zone = (found["zone"] or "").upper()
    in_utc = zone in {"Z", "UTC", "GMT"} or zone.replace(":", "") == "+0000"
    return text[: found.start()], in_utc and found["time"].startswith("17:00")


@lru_cache(1 << 16)  # a file has few days, in many chunks and columns
def _read(text: str, formats: tuple[str, ...], latest: dt.date) -> _Parts | Parsed:
    """The first reading that makes sense; else the first that has the right shape, to be judged by its faults."""
    plain = _UNKNOWN_PART.sub("0", _WORDS.sub(" ", text)).strip(" /.,-")
    if not plain.isascii() or not any(c.isdigit() for c in plain):
        return Parsed(None, "date.unreadable")
    shapes: list[_Parts] = []
    for parts in _readings(plain, formats, latest):
        if _checked(parts, latest).issue in (
            None,
            "date.day_missing",
            "date.month_missing",
            "date.two_digit_year",
        ):
            return parts
        shapes.append(parts)
    return shapes[0] if shapes else Parsed(None, "date.unreadable")


def _readings(plain: str, formats: tuple[str, ...], latest: dt.date) -> Iterator[_Parts]:
    pieces = _SEPARATOR.split(plain)
    for pattern in formats:
        if pattern == "excel":
            if (day := _excel_day(plain)) is not None:
                yield _Parts(day.day, day.month, day.year)
            continue
        letters, compact = _compiled(pattern)
        if compact is not None:
            match = compact.fullmatch(
                "0" + plain if letters[0] == "d" and len(plain) % 2 else plain
            )  # a zero lost
            fields = match.groups() if match else ()
        else:
            fields = tuple(pieces)
        if len(fields) == len(letters) and all(piece.isdigit() for piece in fields):
            parts = _parts(letters, fields, latest)
            if parts is not None:
                yield parts


def _parts(letters: str, fields: tuple[str, ...], latest: dt.date) -> _Parts | None:
    value = dict(zip(letters, fields, strict=True))
    if "Y" in value:
        if len(value["Y"]) != 4:
            return None
        year, issue = int(value["Y"]), None
    else:
        if len(value.get("y", "")) != 2:
            return None
        year, issue = 2000 + int(value["y"]), "date.two_digit_year"
        if year > latest.year:
            year -= 100
    day, month = value.get("d", "0"), value.get("m", "0")
    return _Parts(int(day), int(month), year, issue) if len(day) <= 2 and len(month) <= 2 else None


def _excel_day(plain: str) -> dt.date | None:
    """A spreadsheet's day number from 18 May 1927 on: four digits would be taken for years, or years for them."""
    number = re.fullmatch(r"(\d{5})(?:\.\d+)?", plain)
    if number is None or int(number[1]) > _LATEST_EXCEL_DAY:
        return None
    return _EXCEL_EPOCH + dt.timedelta(days=int(number[1]))


def _next_day(parts: _Parts) -> _Parts:
    try:
        day = dt.date(parts.year, parts.month, parts.day) + dt.timedelta(days=1)
    except (ValueError, OverflowError):
        return parts
    return _Parts(day.day, day.month, day.year, "date.utc_shifted")


def _from_lunar(parts: _Parts) -> _Parts:
    """The solar day. A lunar month or year alone covers parts of two solar ones: only the year is kept.

    Northern Vietnam followed UTC+8 until the end of 1967, UTC+7 since.
    """
    if not parts.day or not parts.month:
        return _Parts(0, 0, parts.year, "date.lunar_year_only")
    try:
        zone = 7.0 if parts.year > 1967 else 8.0
        day = lunar_vn.convert_lunar_to_solar(parts.day, parts.month, parts.year, time_zone=zone)
    except ValueError:
        return _Parts(0, 0, parts.year, "date.lunar_year_only")
    return _Parts(day.day, day.month, day.year, "date.lunar_converted")


def _checked(parts: _Parts, latest: dt.date) -> Parsed:
    day, month, year, issue = parts
    if month > 12 >= day > 0:
        day, month, issue = month, day, "date.swapped"
    if year < EARLIEST_YEAR:
        return Parsed(None, "date.out_of_range")
    if (year, month if month <= 12 else 0, 0 if month > 12 else day) > (
        latest.year,
        latest.month,
        latest.day,
    ):
        return Parsed(None, "date.future")
    if month == 0 or month > 12:
        return Parsed(f"{year:04d}", "date.impossible" if month else issue or "date.month_missing")
    if day == 0:
        return Parsed(f"{year:04d}-{month:02d}", issue or "date.day_missing")
    try:
        return Parsed(dt.date(year, month, day).isoformat(), issue)
    except ValueError:
        # 30/2, 31/4: some offices move such a day to the next month; what is known is the month written
        return Parsed(f"{year:04d}-{month:02d}", "date.impossible")
