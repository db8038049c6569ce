from __future__ import annotations

import pytest

from matching.standardise.letters import fold, split_tone
from matching.standardise.syllables import from_keystrokes, standard_syllable


@pytest.mark.parametrize(
    ("word", "standard"),
    [
        ("hoà", "hòa"), ("hòa", "hòa"), ("hoàn", "hoàn"), ("hòan", "hoàn"), ("thuỷ", "thủy"), ("quý", "quý"), ("qúy", "quý"),
        ("khoẻ", "khỏe"), ("giá", "giá"), ("gía", "giá"), ("gìn", "gìn"), ("nguyễn", "nguyễn"), ("ngưyễn", None), ("người", "người"),
        ("khuỷu", "khuỷu"), ("mùa", "mùa"), ("chuẩn", "chuẩn"), ("an", "an"),
    ],
)  # fmt: skip
def test_the_tone_mark_is_put_at_its_standard_place(word: str, standard: str | None) -> None:
    assert standard_syllable(word) == standard


@pytest.mark.parametrize(
    "word", ["smith", "kbuôr", "mlô", "byă", "nguyen", "càch", "cén", "keo1", "josé", ""]
)
def test_what_is_no_vietnamese_syllable_is_told(word: str) -> None:
    assert standard_syllable(word) is None


@pytest.mark.parametrize(
    ("keys", "syllable"),
    [
        ("nguyeenx", "nguyễn"), ("nguyenex", "nguyễn"), ("vawn", "văn"), ("vanw", "văn"), ("thij", "thị"), ("dduwcs", "đức"),
        ("hoaf", "hòa"), ("dduowngf", "đường"), ("thuyr", "thủy"), ("nguye6n4", "nguyễn"), ("d9u71c", "đức"), ("va8n", "văn"),
        ("lowij", "lợi"), ("smith", None), ("jones", None), ("nguyễn", None), ("xyz9", None),
    ],
)  # fmt: skip
def test_keystrokes_become_the_syllable_meant(keys: str, syllable: str | None) -> None:
    assert from_keystrokes(keys) == syllable


def test_two_tone_marks_in_a_word_are_no_tone() -> None:
    assert split_tone("hóà")[1] == -1


def test_folding_gives_plain_words() -> None:
    assert fold("Số 5, Đường Lê-Lợi (P.3)") == "so 5 duong le loi p 3"
