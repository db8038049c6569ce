"""Errors in names, one string at a time. Each takes two draws (non-negative integers) and is the same for the same draws."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from functools import cache

from mdm.simulation.deliveries.legacy_text import vietnamese_letters

NameChange = Callable[[str, int, int], str]

_NEAR_KEYS = {
    "a": "sq", "b": "vn", "c": "xv", "d": "sf", "e": "wr", "g": "fh", "h": "gj", "i": "uo", "k": "jl", "l": "k",
    "m": "n", "n": "mb", "o": "ip", "p": "o", "q": "wa", "r": "et", "s": "ad", "t": "ry", "u": "yi", "v": "cb",
    "x": "zc", "y": "tu",
}  # fmt: skip
# Sounds that regions do not tell apart, and twin forms of one word.
_CONFUSED = (
    ("Tr", "Ch"), ("Ch", "Tr"), ("S", "X"), ("X", "S"), ("Gi", "D"), ("D", "Gi"), ("L", "N"), ("R", "D"), ("V", "D"),
)  # fmt: skip
_TWIN_WORDS = {
    "Hoàng": "Huỳnh", "Huỳnh": "Hoàng", "Vũ": "Võ", "Võ": "Vũ", "Phúc": "Phước", "Phước": "Phúc", "Chu": "Châu",
    "Cảnh": "Kiểng", "Hồng": "Hường", "Nhật": "Nhựt", "Đức": "Đước", "Tùng": "Tòng", "Trường": "Tràng",
    "Sinh": "Sanh", "Chính": "Chánh", "Bảo": "Bửu", "Thái": "Thới", "Lợi": "Lời", "Nghĩa": "Ngãi", "Vinh": "Vang",
}  # fmt: skip
_SHORT_FORMS = {"Nguyễn": "Ng.", "Phạm": "Ph.", "Trần": "Tr.", "Thị": "T.", "Văn": "V."}
_TONE_KEYS = {
    "\u0300": ("f", "2"),
    "\u0301": ("s", "1"),
    "\u0309": ("r", "3"),
    "\u0303": ("x", "4"),
    "\u0323": ("j", "5"),
}
_QUALITY_KEYS = {"\u0302": ("", "6"), "\u0306": ("w", "8"), "\u031b": ("w", "7")}


@cache
def _unmarked() -> dict[int, str]:
    table = {ord(letter): unicodedata.normalize("NFD", letter)[0] for letter in vietnamese_letters()}
    return {**table, ord("đ"): "d", ord("Đ"): "D"}


def without_marks(text: str) -> str:
    return text.translate(_unmarked())


def _change_word(text: str, draw: int, change: Callable[[str], str]) -> str:
    """One word changed; the first that changes, from a drawn place on."""
    words = text.split(" ")
    for step in range(len(words)):
        place = (draw + step) % len(words)
        changed = change(words[place])
        if changed != words[place]:
            return " ".join([*words[:place], changed, *words[place + 1 :]])
    return text


def marks_dropped(text: str, _first: int, _second: int) -> str:
    return without_marks(text)


def mark_dropped(text: str, first: int, _second: int) -> str:
    return _change_word(text, first, without_marks)


def tone_confused(text: str, first: int, second: int) -> str:
    """Hook for tilde and back, as in the south; else another tone lost."""
    swap = {"\u0309": "\u0303", "\u0303": "\u0309"}

    def change(word: str) -> str:
        marks = unicodedata.normalize("NFD", word)
        return unicodedata.normalize("NFC", "".join(swap.get(mark, mark) for mark in marks))

    confused = _change_word(text, first, change)
    return confused if confused != text else mark_dropped(text, first, second)


def typing_slip(text: str, first: int, second: int) -> str:
    """A neighbouring key, a letter doubled, lost or two swapped, inside one word."""

    def change(word: str) -> str:
        if len(word) < 3:
            return word
        place = 1 + second % (len(word) - 1)
        kind = second // 64 % 4
        letter = word[place]
        if kind == 0 and letter in _NEAR_KEYS:
            keys = _NEAR_KEYS[letter]
            return word[:place] + keys[second // 256 % len(keys)] + word[place + 1 :]
        if kind == 1:
            return word[:place] + letter + word[place:]
        if kind == 2 and place + 1 < len(word):
            return word[:place] + word[place + 1] + letter + word[place + 2 :]
        return word[:place] + word[place + 1 :]

    return _change_word(text, first, change)


def _typed(word: str, method: int) -> str:
    """A word as its keys were struck, method 0 Telex and 1 VNI, with the tone key at the end."""
    keys, tone = [], ""
    for letter in word:
        if letter in "đĐ":
            keys.append(letter_d(letter, method))
            continue
        marks = unicodedata.normalize("NFD", letter)
        keys.append(marks[0])
        for mark in marks[1:]:
            if mark in _TONE_KEYS:
                tone = _TONE_KEYS[mark][method]
            elif mark in _QUALITY_KEYS:
                keys.append(_QUALITY_KEYS[mark][method] or marks[0].lower())
    return "".join(keys) + tone


def letter_d(letter: str, method: int) -> str:
    plain = "D" if letter == "Đ" else "d"
    return plain + ("d" if method == 0 else "9")


def telex_left(text: str, first: int, _second: int) -> str:
    return _change_word(text, first, lambda word: _typed(word, 0))


def vni_left(text: str, first: int, _second: int) -> str:
    return _change_word(text, first, lambda word: _typed(word, 1))


def sounds_alike(text: str, first: int, second: int) -> str:
    def change(word: str) -> str:
        if word in _TWIN_WORDS:
            return _TWIN_WORDS[word]
        for step in range(len(_CONFUSED)):
            start, other = _CONFUSED[(second + step) % len(_CONFUSED)]
            if word.startswith(start) and word[len(start) :][:1].isalpha():
                return other + word[len(start) :]
        return word

    return _change_word(text, first, change)


def i_for_y(text: str, first: int, _second: int) -> str:
    pairs = {"ý": "í", "y": "i", "ỳ": "ì", "ỹ": "ĩ", "ỷ": "ỉ", "ỵ": "ị"}

    def change(word: str) -> str:
        if len(word) > 1 and word[-1] in pairs and word[-2].lower() in "hklmstq":
            return word[:-1] + pairs[word[-1]]
        return word

    return _change_word(text, first, change)


def initials(text: str, _first: int, second: int) -> str:
    words = text.split(" ")
    if len(words) < 2:
        return text
    surname = _SHORT_FORMS.get(words[0], words[0]) if second % 2 else words[0]
    middle = [_SHORT_FORMS.get(word, f"{word[0]}.") for word in words[1:-1]]
    return " ".join([surname, *middle, words[-1]])


def middle_missing(text: str, _first: int, _second: int) -> str:
    words = text.split(" ")
    return f"{words[0]} {words[-1]}" if len(words) > 2 else text


def middle_added(text: str, _first: int, second: int) -> str:
    words = text.split(" ")
    added = ("Thị", "Văn", "Ngọc", "Minh")[second % 4]
    return " ".join([words[0], added, *words[1:]]) if len(words) > 1 and added not in words else text


def order_swapped(text: str, _first: int, _second: int) -> str:
    words = text.split(" ")
    return " ".join([words[-1], *words[:-1]])


def given_changed(text: str, _first: int, second: int) -> str:
    """The name at home instead of the name on the birth certificate."""
    at_home = (
        "Tý",
        "Út",
        "Hai",
        "Ba",
        "Tư",
        "Năm",
        "Bảy",
        "Tám",
        "Chín",
        "Bi",
        "Na",
        "Bông",
        "Tèo",
        "Lành",
        "Sáu",
        "Mận",
    )
    words = text.split(" ")
    return " ".join([*words[:-1], at_home[second % len(at_home)]])


def spelling_slip(text: str, first: int, second: int) -> str:
    """One habitual misspelling of a place."""
    kinds: tuple[NameChange, ...] = (sounds_alike, tone_confused, i_for_y, mark_dropped, typing_slip)
    for step in range(len(kinds)):
        changed = kinds[(second + step) % len(kinds)](text, first, second // 8)
        if changed != text:
            return changed
    return text


NAME_ERRORS: Mapping[str, NameChange] = {
    "marks_dropped": marks_dropped,
    "mark_dropped": mark_dropped,
    "tone_confused": tone_confused,
    "typing_slip": typing_slip,
    "telex_left": telex_left,
    "vni_left": vni_left,
    "sounds_alike": sounds_alike,
    "i_for_y": i_for_y,
    "initials": initials,
    "middle_missing": middle_missing,
    "middle_added": middle_added,
    "order_swapped": order_swapped,
    "given_changed": given_changed,
}
