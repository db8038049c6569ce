"""The letters of Vietnamese: tone, quality, and the ASCII forms on which distances are measured.

Three forms of a word (distances count bytes in some engines, so they must run on ASCII):

- canonical: NFC, the tone mark at its standard place;
- toneless: tones dropped, letter quality kept as one ASCII symbol each, see TONELESS_SYMBOLS;
- folded: plain lower-case ASCII.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from itertools import product

from anyascii import anyascii

# Tones by combining mark; 0 is the level tone.
TONE_MARKS = {"\u0301": 1, "\u0300": 2, "\u0309": 3, "\u0303": 4, "\u0323": 5}  # sắc huyền hỏi ngã nặng
_MARK_OF_TONE = {tone: mark for mark, tone in TONE_MARKS.items()}
VOWELS = "aăâeêioôơuưy"

# Capitals are free in lower-case text: circumflex and the horned u and barred d become the capital, the breve "@",
# the horned o "0".
TONELESS_SYMBOLS = {"ă": "@", "â": "A", "đ": "D", "ê": "E", "ô": "O", "ơ": "0", "ư": "U"}
_TONELESS = str.maketrans(TONELESS_SYMBOLS)
_ASCII_LETTERS = str.maketrans(
    {
        "đ": "d", "ð": "d", "ø": "o", "ł": "l", "ß": "ss", "æ": "ae", "œ": "oe", "þ": "th", "ı": "i",
        "ħ": "h", "ŋ": "ng", "ə": "e", "ŧ": "t",
    }
)  # fmt: skip

_TONED = {
    unicodedata.normalize("NFC", vowel + mark): (vowel, tone)
    for vowel, (mark, tone) in product(VOWELS, TONE_MARKS.items())
}
_COMPOSED = {(vowel, tone): letter for letter, (vowel, tone) in _TONED.items()} | {
    (vowel, 0): vowel for vowel in VOWELS
}
_UNTONED = str.maketrans({letter: vowel for letter, (vowel, _) in _TONED.items()})
_Y_AFTER_CONSONANT = re.compile(r"(?<=[bcdfghjklmnpqrstvwxz])y$|(?<=^qu)y$")


def with_tone(vowel: str, tone: int) -> str:
    return _COMPOSED[vowel, tone]


def split_tone(word: str) -> tuple[str, int]:
    """A lower-case NFC word without its tone marks, and the tone; -1 where it carries more than one."""
    tones = [_TONED[letter][1] for letter in word if letter in _TONED]
    if not tones:
        return word, 0
    return word.translate(_UNTONED), tones[0] if len(tones) == 1 else -1


def toneless(word: str) -> str:
    """A lower-case NFC word with tones dropped and each of ă â ê ô ơ ư đ as one ASCII symbol."""
    return ascii_letters(word.translate(_UNTONED).translate(_TONELESS))


def ascii_letters(text: str) -> str:
    """Plain ASCII: marks dropped, special letters spelt out, other scripts transliterated (Иванов -> ivanov, 王 -> wang).

    A text of which nothing would be left becomes its code points, so that different ones stay different.
    """
    if text.isascii():
        return text
    plain = "".join(map(_ascii_letter, unicodedata.normalize("NFC", text)))
    return plain if plain or not text.strip() else "".join(f"u{ord(c):x}" for c in text)


@lru_cache(maxsize=1 << 14)
def _ascii_letter(letter: str) -> str:
    bare = "".join(
        c for c in unicodedata.normalize("NFKD", letter) if not unicodedata.combining(c)
    ).translate(_ASCII_LETTERS)
    if bare.isascii():
        return bare
    return "".join(c for c in anyascii(letter).lower() if c.isalnum())


@lru_cache(maxsize=1 << 16)
def fold_word(word: str) -> str:
    """One word in plain lower-case ASCII; a final y after a consonant becomes i (Mỹ = Mĩ, Quý = Quí, Lý = Lí)."""
    return _Y_AFTER_CONSONANT.sub("i", ascii_letters(word.lower()).lower())


def fold(text: str) -> str:
    """Lower-case ASCII words of letters and digits, one space between them."""
    return " ".join(filter(None, (fold_word(word) for word in _WORDS.findall(text))))


# without the vowel signs and other marks of its script a Khmer word would fall into its consonants
MARKS = "".join(c for c in map(chr, range(0x370, 0x3100)) if unicodedata.category(c).startswith("M"))
_WORDS = re.compile(rf"[^\W_]+(?:[\u0300-\u036f{MARKS}]+[^\W_]*)*")
