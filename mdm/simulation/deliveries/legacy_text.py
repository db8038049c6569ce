"""Vietnamese text as the machines before Unicode held it: TCVN3 and VNI fonts, and Windows code page 1258.

The tables are the public definitions of those encodings: TCVN 5712:1993 VN3 (one byte a letter; capitals with a tone
were typed in a capital font, so they share the byte of the small letter), VNI-Windows (a base letter followed by a mark)
and cp1258 (a letter followed by a combining tone).
"""

from __future__ import annotations

import unicodedata
from functools import cache

_TCVN3_SMALL = (
    "à\xb5á\xb8ả\xb6ã\xb7ạ\xb9ă\xa8ằ\xbbắ\xbeẳ\xbcẵ\xbdặ\xc6â\xa9ầ\xc7ấ\xcaẩ\xc8ẫ\xc9ậ\xcbđ\xaeè\xccé\xd0ẻ\xceẽ\xcfẹ\xd1"
    "ê\xaaề\xd2ế\xd5ể\xd3ễ\xd4ệ\xd6ì\xd7í\xddỉ\xd8ĩ\xdcị\xdeò\xdfó\xe3ỏ\xe1õ\xe2ọ\xe4ô\xabồ\xe5ố\xe8ổ\xe6ỗ\xe7ộ\xe9"
    "ơ\xacờ\xeaớ\xedở\xebỡ\xecợ\xeeù\xefú\xf3ủ\xf1ũ\xf2ụ\xf4ư\xadừ\xf5ứ\xf8ử\xf6ữ\xf7ự\xf9ỳ\xfaý\xfdỷ\xfbỹ\xfcỵ\xfe"
)
_TCVN3_CAPITAL = "Ă\xa1Â\xa2Đ\xa7Ê\xa3Ô\xa4Ơ\xa5Ư\xa6"
_TONES = {
    "\u0300": 0,
    "\u0301": 1,
    "\u0309": 2,
    "\u0303": 3,
    "\u0323": 4,
}  # grave, acute, hook, tilde, dot below
# After a plain vowel; after a circumflex vowel (the mark carries the circumflex too); after a breve vowel.
_VNI_PLAIN = "øùûõï"
_VNI_CIRCUMFLEX = "àáåãä"
_VNI_BREVE = "èéúüë"
_VNI_I = "ìíæóò"


def vietnamese_letters() -> list[str]:
    """Every letter with a mark, small and capital, in NFC."""
    small = [letter for letter in _TCVN3_SMALL if ord(letter) > 0xFF or letter in "àáãèéêìíòóôõùúýâ"]
    plain = [
        letter
        for letter in dict.fromkeys(small)
        if unicodedata.normalize("NFD", letter) != letter or letter == "đ"
    ]
    return plain + [letter.upper() for letter in plain]


@cache
def _tcvn3_table() -> dict[int, str]:
    pairs = [
        (text[i], text[i + 1]) for text in (_TCVN3_SMALL, _TCVN3_CAPITAL) for i in range(0, len(text), 2)
    ]
    table = {ord(letter): code for letter, code in pairs}
    for letter, code in pairs:
        table.setdefault(ord(letter.upper()), code)
    return table


def _vni_letter(letter: str) -> str:
    small = letter.lower()
    if small == "đ":
        coded = "ñ"
    else:
        marks = unicodedata.normalize("NFD", small)
        base, quality = marks[0], [mark for mark in marks[1:] if mark not in _TONES]
        tone = next((_TONES[mark] for mark in marks[1:] if mark in _TONES), None)
        if "\u0302" in quality:
            coded = base + ("â" if tone is None else _VNI_CIRCUMFLEX[tone])
        elif "\u0306" in quality:
            coded = base + ("ê" if tone is None else _VNI_BREVE[tone])
        elif "\u031b" in quality:
            coded = {"o": "ô", "u": "ö"}[base] + ("" if tone is None else _VNI_PLAIN[tone])
        elif base == "i" and tone is not None:
            coded = _VNI_I[tone]
        elif base == "y" and tone == 4:
            coded = "î"
        else:
            coded = base + ("" if tone is None else _VNI_PLAIN[tone])
    return coded.upper() if letter != small else coded


@cache
def _vni_table() -> dict[int, str]:
    return {ord(letter): _vni_letter(letter) for letter in vietnamese_letters()}


@cache
def _cp1258_table() -> dict[int, str]:
    table = {}
    for letter in vietnamese_letters():
        marks = unicodedata.normalize("NFD", letter)
        quality = "".join(mark for mark in marks if mark not in _TONES)
        tone = "".join(mark for mark in marks if mark in _TONES)
        table[ord(letter)] = unicodedata.normalize("NFC", quality) + tone
    return table


def to_tcvn3(text: str) -> str:
    """The characters that a Latin-1 reader would see; encode them as latin-1."""
    return unicodedata.normalize("NFC", text).translate(_tcvn3_table())


def to_vni(text: str) -> str:
    """The characters that a Latin-1 reader would see; encode them as latin-1."""
    return unicodedata.normalize("NFC", text).translate(_vni_table())


def to_cp1258(text: str) -> str:
    """Letters with their tone as a combining mark, the only form that Python's cp1258 codec can encode."""
    return unicodedata.normalize("NFC", text).translate(_cp1258_table())
