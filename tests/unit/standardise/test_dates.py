from __future__ import annotations

import pytest

from matching.standardise.dates import check_formats, parse_date

KNOWN = {"not_after": "2025-12-31"}


@pytest.mark.parametrize(
    ("raw", "value", "issue"),
    [
        ("17/05/1980", "1980-05-17", None),
        ("17-5-1980", "1980-05-17", None),
        ("17.5.1980", "1980-05-17", None),
        ("1980-05-17", "1980-05-17", None),
        ("1980-05-17T00:00:00", "1980-05-17", None),
        ("17/05/1980 00:00", "1980-05-17", None),
        ("1980-05-16T17:00:00Z", "1980-05-17", "date.utc_shifted"),
        ("1980-12-31T17:00:00.000+00:00", "1981-01-01", "date.utc_shifted"),
        ("1980-05-17T17:00:00", "1980-05-17", None),
        ("17051980", "1980-05-17", None),
        ("5031980", "1980-03-05", None),
        ("19800517", "1980-05-17", None),
        ("ngày 5 tháng 3 năm 1980", "1980-03-05", None),
        ("05/1980", "1980-05", "date.day_missing"),
        ("1980-05", "1980-05", "date.day_missing"),
        ("1980", "1980", "date.month_missing"),
        ("năm 1950", "1950", "date.month_missing"),
        ("00/00/1980", "1980", "date.month_missing"),
        ("1980-00-00", "1980", "date.month_missing"),
        ("0/5/1980", "1980-05", "date.day_missing"),
        ("??/??/1945", "1945", "date.month_missing"),
        ("30/02/1980", "1980-02", "date.impossible"),
        ("31/04/1981", "1981-04", "date.impossible"),
        ("29/02/1900", "1900-02", "date.impossible"),
        ("29/02/2000", "2000-02-29", None),
        ("32/05/1980", "1980-05", "date.impossible"),
        ("05/17/1980", "1980-05-17", "date.swapped"),
        ("25/13/1980", "1980", "date.impossible"),
        ("17/5/80", "1980-05-17", "date.two_digit_year"),
        ("17/5/25", "2025-05-17", "date.two_digit_year"),
        ("17/5/26", "1926-05-17", "date.two_digit_year"),
        ("10/3/1970 (âm lịch)", "1970-04-15", "date.lunar_converted"),
        ("10/3/1970 AL", "1970-04-15", "date.lunar_converted"),
        ("17-May-1980", "1980-05-17", None),
        ("May 17, 1980", "1980-05-17", None),
        ("Sept 1980", "1980-09", "date.day_missing"),
        ("17/O5/l980", "1980-05-17", "date.letters_replaced"),
        ("khoảng 1940", "1940", "date.approximate"),
        ("1940?", "1940", "date.approximate"),
        ("1940 (tuổi Thìn)", "1940", "date.approximate"),
        ("29358", "1980-05-17", None),
        ("29358.0", "1980-05-17", None),
        ("01/01/2099", None, "date.future"),
        ("2099", None, "date.future"),
        ("01/01/1849", None, "date.out_of_range"),
        ("1700", None, "date.out_of_range"),
        ("không rõ", None, "date.placeholder"),
        ("abc", None, "date.unreadable"),
        ("5", None, "date.unreadable"),
        ("", None, None),
    ],
)
def test_a_date_is_read_at_its_own_precision(raw: str, value: str | None, issue: str | None) -> None:
    assert parse_date(raw, options=KNOWN) == (value, issue)


def test_declared_formats_decide_between_readings() -> None:
    assert parse_date("05/03/1980").value == "1980-03-05"
    assert parse_date("05/03/1980", options={"formats": ["%m/%d/%Y"]}).value == "1980-05-03"
    assert parse_date("10111980", options={"formats": ["%m%d%Y"]}).value == "1980-10-11"
    assert parse_date("29358", options={"formats": ["%d/%m/%Y"]}).value is None
    assert parse_date("29358", options={"formats": ["%d/%m/%Y", "excel"]}).value == "1980-05-17"


def test_canonical_dates_are_read_under_any_declared_format() -> None:
    for value in ("1980-05-17", "1980-05", "1980"):
        assert parse_date(value, options={"formats": ["%m/%d/%y"]}).value == value


def test_a_day_of_the_lunar_calendar_becomes_the_solar_day() -> None:
    lunar = {"calendar": "lunar"}
    # The Vietnamese new year of 1985 fell on 21 January, a month before the Chinese one.
    assert parse_date("1/1/1985", options=lunar) == ("1985-01-21", "date.lunar_converted")
    assert parse_date("1/1/2024", options=lunar) == ("2024-02-10", "date.lunar_converted")
    assert parse_date("01/1950", options=lunar) == ("1950", "date.lunar_year_only")
    assert parse_date("1950", options=lunar) == ("1950", "date.lunar_year_only")


@pytest.mark.parametrize("formats", [["%H:%M"], ["foo"], [], "%d/%m/%Y", ["%d/%d/%Y"]])
def test_formats_that_cannot_be_used_are_refused(formats: object) -> None:
    with pytest.raises(ValueError, match="format"):
        check_formats(formats)
