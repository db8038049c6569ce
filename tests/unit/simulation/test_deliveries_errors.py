"""What clerks do to names, dates and numbers."""

import unicodedata

import numpy as np
import pyarrow as pa
import pytest
import viparse
from hypothesis import given
from hypothesis import strategies as st

from mdm.simulation.deliveries.errors.apply import blanked, changed, drawn_kinds, replaced, translated
from mdm.simulation.deliveries.errors.dates import Dates, spoil_dates
from mdm.simulation.deliveries.errors.names import (
    NAME_ERRORS,
    initials,
    middle_missing,
    order_swapped,
    sounds_alike,
    telex_left,
    tone_confused,
    vni_left,
    without_marks,
)
from mdm.simulation.deliveries.errors.numbers import digit_lost, digit_wrong, digits_swapped, zeros_lost
from mdm.simulation.deliveries.legacy_text import to_cp1258, to_tcvn3, to_vni, vietnamese_letters

NAMES = st.sampled_from(
    ["Nguyễn Văn An", "Trần Thị Bích Ngọc", "Lê Hoàng", "H'Hen Niê", "Đỗ Quý Phước", "Thạch Sơn", "Y Moan"]
)
DRAWS = st.integers(0, (1 << 30) - 1)


def test_every_vietnamese_letter_with_a_mark_is_known():
    assert len(vietnamese_letters()) == 134
    assert all(unicodedata.is_normalized("NFC", letter) for letter in vietnamese_letters())


@pytest.mark.parametrize("letter", [letter for letter in vietnamese_letters() if letter.islower()])
def test_tcvn3_text_is_read_back_by_an_independent_decoder(letter: str):
    text = f"B{letter}ng"
    assert viparse.fix(to_tcvn3(text).encode("latin-1").decode("latin-1"), encoding="tcvn3") == text


@pytest.mark.parametrize("letter", [letter for letter in vietnamese_letters() if letter not in "ẳẲỵỴ"])
def test_vni_text_is_read_back_by_an_independent_decoder(letter: str):
    # The decoder does not know the VNI forms of ẳ and ỵ, which the next test holds.
    text = f"B{letter}ng"
    assert viparse.fix(to_vni(text).encode("latin-1").decode("latin-1"), encoding="vni") == text


def test_vni_forms_that_are_easily_mistaken():
    assert to_vni("ẳ") == "aú"
    assert to_vni("ỵ") == "î"
    assert to_vni("Ơn") == "Ôn"


@pytest.mark.parametrize("letter", vietnamese_letters())
def test_cp1258_text_is_encodable_and_comes_back(letter: str):
    back = to_cp1258(f"x{letter}y").encode("cp1258").decode("cp1258")
    assert unicodedata.normalize("NFC", back) == f"x{letter}y"


def test_errors_in_names_do_what_they_are_called():
    assert without_marks("Đỗ Thị Hường") == "Do Thi Huong"
    assert middle_missing("Trần Thị Bích Ngọc", 0, 0) == "Trần Ngọc"
    assert order_swapped("Trần Văn An", 0, 0) == "An Trần Văn"
    assert initials("Nguyễn Thị Lan", 0, 0) == "Nguyễn T. Lan"
    assert initials("Nguyễn Văn An", 0, 1) == "Ng. V. An"
    assert telex_left("Nguyễn", 0, 0) == "Nguyeenx"
    assert vni_left("Đức", 0, 0) == "D9u7c1"
    assert tone_confused("Mỹ", 0, 0) == "Mỷ"
    assert sounds_alike("Vũ", 0, 0) == "Võ"


@given(NAMES, DRAWS, DRAWS, st.sampled_from(sorted(NAME_ERRORS)))
def test_an_error_never_empties_a_name_and_repeats_itself(name: str, first: int, second: int, kind: str):
    wrong = NAME_ERRORS[kind](name, first, second)
    assert wrong.strip()
    assert "\n" not in wrong
    assert wrong == NAME_ERRORS[kind](name, first, second)


@given(st.from_regex(r"\A\d{12}\Z"), DRAWS, DRAWS)
def test_wrong_digits_keep_the_length_and_change_the_number(number: str, first: int, second: int):
    for change in (digit_wrong, digits_swapped):
        wrong = change(number, first, second)
        assert len(wrong) == 12
        assert wrong != number
    assert len(digit_lost(number, first, second)) == 11
    assert zeros_lost(number, first, second) != number


def test_a_spreadsheet_loses_leading_zeros():
    assert zeros_lost("001085012345", 0, 0) == "1085012345"


@given(st.lists(st.dates(), min_size=1, max_size=20), st.integers(0, 9))
def test_dates_come_apart_in_their_parts(days: list, seed: int):
    dates = Dates.of(np.array(days, dtype="datetime64[D]"))
    assert [(day.year, day.month, day.day) for day in days] == list(
        zip(dates.year.tolist(), dates.month.tolist(), dates.day.tolist(), strict=True)
    )


def test_each_kind_of_error_in_a_date():
    def spoil(kind: str) -> tuple[int, int, int]:
        dates = Dates.of(np.array(["1980-05-17"], dtype="datetime64[D]"))
        spoil_dates(dates, np.array([0]), np.array([kind]), np.random.default_rng(1))
        return int(dates.year[0]), int(dates.month[0]), int(dates.day[0])

    assert spoil("year_only") == (1980, 0, 0)
    assert spoil("first_of_january") == (1980, 1, 1)
    assert spoil("month_and_year") == (1980, 5, 0)
    assert spoil("day_month_swapped")[1:] in {(5, 16), (5, 18)}  # 17 is no month: one day off
    assert spoil("day_wrong")[:2] == (1980, 5)
    assert spoil("day_wrong")[2] != 17
    assert spoil("month_wrong")[1] != 5
    assert spoil("year_near")[0] in {1979, 1981}
    assert spoil("year_digit")[0] != 1980
    impossible = spoil("impossible")
    with pytest.raises(ValueError, match="out of range"):
        np.datetime64(f"{impossible[0]:04}-{impossible[1]:02}-{impossible[2]:02}", "D")


def test_swapping_day_and_month_of_an_early_day():
    dates = Dates.of(np.array(["1980-05-07"], dtype="datetime64[D]"))
    spoil_dates(dates, np.array([0]), np.array(["day_month_swapped"]), np.random.default_rng(1))
    assert (dates.month[0], dates.day[0]) == (7, 5)


def test_only_the_chosen_rows_change():
    column = pa.array(["a", None, "c", "d"])
    assert replaced(column, np.array([3, 0]), pa.array(["y", "x"])).to_pylist() == ["x", None, "c", "y"]
    assert blanked(column, np.array([2])).to_pylist() == ["a", None, None, "d"]
    upper = changed(column, np.array([0, 1]), lambda text, _a, _b: text.upper(), np.random.default_rng(0))
    assert upper.to_pylist() == ["A", None, "c", "d"]
    assert translated(column, np.array([1, 2]), str.upper).to_pylist() == ["a", None, "C", "d"]


def test_kinds_are_drawn_by_weight():
    kinds = drawn_kinds({"often": 3.0, "never": 0.0, "seldom": 1.0}, 4000, np.random.default_rng(2))
    names, counts = np.unique(kinds, return_counts=True)
    assert names.tolist() == ["often", "seldom"]
    assert counts[0] / 4000 == pytest.approx(0.75, abs=0.03)
