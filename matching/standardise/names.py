"""Names of people as they are kept: NFC, title case, tone marks at their standard place, one space between words.

The order of the words is never changed (Ê Đê and others write the given name first), and a word that is no Vietnamese
syllable is left as it is, so names of minorities and foreigners pass unharmed.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache, lru_cache

from matching.standardise.encodings import LEGACY_ENCODINGS, decode_legacy, repair_mojibake
from matching.standardise.letters import MARKS, fold_word
from matching.standardise.parsed import MISSING, NO_OPTIONS, Options, Parsed
from matching.standardise.reference import read_table
from matching.standardise.syllables import could_be_plain_syllable, from_keystrokes, standard_syllable
from matching.standardise.text import says_nothing, tidy

_QUOTES = dict.fromkeys("\u2019\u2018\u02bc\u02b9\u2032\u00b4`\u201b\uff07\u02bb", "'")
_PUNCTUATION = str.maketrans(_QUOTES | {"\u2010": "-", "\u2011": "-"})
_APOSTROPHES = _PUNCTUATION | str.maketrans({"Ð": "Đ", "ð": "đ"})
_NOTE = re.compile(r"[(\[{<][^)\]}>]*(?:[)\]}>]|$)")
_REMARK = re.compile(
    r"(?<=\w)[\s,;/-]+(?:đã chết|đã mất|chết|mất|từ trần|tức là|tức|tên thường gọi|tên gọi khác|tên khác|bí danh|"
    r"con ông|con bà|con của|con chị|cháu ông|cháu bà|vợ ông|chồng bà)\b.*$",
    re.IGNORECASE,
)
_UNNAMED = re.compile(
    r"\b(?:chưa (?:được )?đặt(?: tên)?|chưa có tên|chua dat ten|chua co ten|không tên|sơ sinh)\b"
    r"|^(?:bé |cháu |con )?(?:con|cb|c/b) (?:của |gái |trai )?(?:bà|chị|cô|sản phụ|mẹ|ba|chi|ông|anh)\b|^cb \w+ \w+"
    r"|^(?:cháu )?(?:bé|em|con|cháu) (?:trai|gái)(?: (?:con|của|\d)\b.*)?$|^(?:be|con) (?:trai|gai)$|^trẻ\b",
    re.IGNORECASE,
)
_HONORIFICS = frozenset(
    {
        "bà",
        "anh",
        "chị",
        "em",
        "cháu",
        "cụ",
        "cô",
        "chú",
        "bác",
        "ông",
        "mr",
        "mrs",
        "ms",
        "bé",
        "đ/c",
        "thầy",
    }
)
_LETTERS_ONLY = re.compile(rf"[^\w{MARKS}' \-]|_")
_ODD_SYMBOL = re.compile(
    rf"[^\w{MARKS}\s'\".,;:/()\[\]-]"
)  # more than punctuation: perhaps letters in an unknown encoding
_PREFIX_GAP = re.compile(r"\b([HYKhyk])\s*'\s*(?=\w)")
_STRAY_APOSTROPHE = re.compile(r"(?<!\w)'|'(?!\w)")
_HYPHENS = re.compile(r"\s*-+\s*")
_MOST_ROUNDS = 5
_LOST_LETTERS = re.compile(r"(?<=[^\W\d])[?\ufffd]+|(?<![?\ufffd])[?\ufffd]+(?=[^\W\d])")
_INITIAL = re.compile(r"\b[^\W\d_]\.(?=\s*\w)")
_DIGITS = re.compile(r"\d+")


@cache
def surnames() -> frozenset[str]:
    """Surnames in lower case; used to tell Vietnamese names from others, never to complete one."""
    return frozenset(row["surname"].lower() for row in read_table("surname_list.csv"))


@cache
def _frequent_surnames() -> frozenset[str]:
    return frozenset(name.lower() for row in read_table("surnames.csv") for name in row["surname"].split("/"))


@cache
def _long_plain_surnames() -> frozenset[str]:
    """Surnames without marks that are long enough not to be taken for a foreign word."""
    return frozenset(folded for folded in map(fold_word, surnames()) if len(folded) > 3)


@cache
def _abbreviations() -> dict[str, str]:
    return {row["abbreviation"].lower(): row["expansion"] for row in read_table("name_abbreviations.csv")}


@lru_cache(maxsize=1 << 17)
def _word(word: str) -> tuple[str, bool]:
    """A word in title case with its tone mark in place, and whether it is a Vietnamese syllable beyond doubt."""
    lower = word.lower()
    syllable = standard_syllable(lower)
    return title_word(
        syllable or lower
    ), syllable is not None and lower not in _HONORIFICS and lower not in _SPECIAL


# words with which remarks, unnamed children and placeholders begin: names holding one take the long way
_SPECIAL = frozenset(
    {
        "con",
        "chưa",
        "không",
        "bé",
        "trẻ",
        "chết",
        "mất",
        "tức",
        "ko",
        "khong",
        "chua",
        "cb",
        "sơ",
        "tên",
        "từ",
    }
)


def title_word(lower: str) -> str:
    """'nguyễn' -> 'Nguyễn', "h'hen" -> "H'Hen", 'mary-jane' -> 'Mary-Jane'."""
    if "'" not in lower and "-" not in lower:
        return _capital(lower)
    return "-".join("'".join(map(_capital, part.split("'"))) for part in lower.split("-"))


def _capital(part: str) -> str:
    first = part[:1].upper()
    return (first if len(first) == 1 else part[:1]) + part[1:]


def canonical_name(raw: str, *, options: Options = NO_OPTIONS) -> Parsed:
    del options
    if raw.replace(" ", "").isalpha():
        words = [_word(word) for word in raw.split()]
        if all(certain for _, certain in words):
            return Parsed(" ".join([word for word, _ in words]))
    parsed = _examined(raw)
    for _ in range(_MOST_ROUNDS):  # what one repair uncovers, the next may see ('0. Con bà Lan')
        if parsed.value is None or (again := _examined(parsed.value)).value == parsed.value:
            break
        parsed = Parsed(again.value, again.issue if again.value is None else parsed.issue or again.issue)
    return parsed


def _examined(raw: str) -> Parsed:
    """The long way: for every name that is not made of plain Vietnamese syllables only."""
    repaired = repair_mojibake(raw)
    whole = unicodedata.normalize("NFC", raw if repaired is None else repaired)
    issue = None if repaired is None else "name.mojibake"
    if _LOST_LETTERS.search(whole):  # written in an encoding without these letters
        whole, issue = _LOST_LETTERS.sub("", whole), "name.letters_lost"
    text = tidy(whole).translate(_APOSTROPHES)
    if not text:
        return MISSING
    if says_nothing(text):
        return Parsed(None, "name.placeholder")
    if _UNNAMED.search(text):
        return Parsed(None, "name.unnamed")
    # the untidied text: a soft hyphen is a letter in legacy fonts
    decoded = _from_legacy(unicodedata.normalize("NFC", " ".join(raw.split())))
    if decoded is not None:
        text, issue = decoded, "name.legacy_encoding"
    stripped = _REMARK.sub("", _NOTE.sub(" ", text)).strip()
    if stripped != text:
        issue = issue or "name.note_removed"
    words, word_issue = _cleaned_words(stripped)
    if not words or not any(c.isalpha() for word in words for c in word):
        return Parsed(
            None, "name.placeholder" if not any(c.isalpha() for c in stripped) else "name.unreadable"
        )
    return Parsed(" ".join(words), issue or word_issue)


def _cleaned_words(text: str) -> tuple[list[str], str | None]:
    issue = None
    text = _PREFIX_GAP.sub(r"\1'", text)
    initials = "name.initials" if _INITIAL.search(text) else None
    keyed = _from_keystrokes(_LETTERS_ONLY.sub(" ", text).split())
    if keyed is not None:
        return keyed, "name.keystrokes"
    if _DIGITS.search(text):
        text, issue = _DIGITS.sub("", text), "name.digits_removed"
    if _ODD_SYMBOL.search(text):
        issue = issue or "name.symbols_removed"
    words = _STRAY_APOSTROPHE.sub(" ", _HYPHENS.sub("-", _LETTERS_ONLY.sub(" ", text))).split()
    words = [part for word in words for part in _hyphenated(word.strip("-")) if part]
    words, honoured = _without_honorific(words)
    if words and words[0].lower() in _abbreviations() and len(words) > 1:
        words[0], issue = _abbreviations()[words[0].lower()], issue or "name.abbreviated"
    return [_word(word)[0] for word in words], issue or honoured or initials


def _hyphenated(word: str) -> list[str]:
    """Nguyễn-Văn-An is three words; Mary-Jane stays one."""
    parts = [part for part in word.split("-") if part]
    if len(parts) > 1 and all(standard_syllable(part.lower()) for part in parts):
        return parts
    return ["-".join(parts)]


def _without_honorific(words: list[str]) -> tuple[list[str], str | None]:
    """Drops a leading form of address: only before a surname and another word, since several are also names.

    'Ông' is itself a surname, so after it only a very frequent surname and two more words will do.
    """
    first = words[0].lower() if words else ""
    if first not in _HONORIFICS:
        return words, None
    if first in {"mr", "mrs", "ms"}:
        return (words[1:], "name.honorific") if len(words) > 1 else (words, None)
    known, needed = (_frequent_surnames(), 4) if first == "ông" else (surnames(), 3)
    if len(words) >= needed and words[1].lower() in known:
        return words[1:], "name.honorific"
    return words, None


def _from_keystrokes(words: list[str]) -> list[str] | None:
    """The name meant by Telex or VNI keystrokes left in it, where that is beyond doubt.

    Every word must then be a syllable and the first a surname, so that Lees or Hans are never rewritten.
    """
    if len(words) < 2 or len(words) > 6:
        return None
    meant: list[str] = []
    changed = False
    for word in words:
        lower = word.lower()
        syllable = standard_syllable(lower)
        if syllable is None:
            syllable = from_keystrokes(lower)
            changed = changed or syllable is not None
            if syllable is None and could_be_plain_syllable(lower):
                syllable = lower
        if syllable is None:
            return None
        meant.append(syllable)
    # Nguyeen is a Nguyễn whose tone key was not hit: the letters say which surname, if not its tone
    if not changed or not (meant[0] in surnames() or fold_word(meant[0]) in _long_plain_surnames()):
        return None
    return [title_word(word) for word in meant]


_UNICODE_ONLY = re.compile("[\u1ea0-\u1ef9]")  # letters that no reader of one-byte text can have produced
_LEGACY_LETTERS = re.compile("[\u00a1-\u00ff\u0152-\u0178\u0192-\u02dc\u2013-\u2122]")


def _from_legacy(text: str) -> str | None:
    """Text typed in a legacy font whose encoding nobody declared: taken where all words become syllables after a surname."""
    if not _LEGACY_LETTERS.search(text) or _UNICODE_ONLY.search(text):
        return None
    if all(standard_syllable(word.lower()) for word in text.translate(_APOSTROPHES).split()):
        return None
    words = text.split()
    if len(words) < 2:
        return None
    for encoding in LEGACY_ENCODINGS:
        decoded: list[str] = []
        for word in words:
            meant, syllable = _from_legacy_word(word, encoding)
            if syllable is None or (not decoded and syllable not in surnames()):
                break
            decoded.append(meant)
        else:
            return " ".join(decoded)
    return None


@lru_cache(1 << 15)  # names share their words
def _from_legacy_word(word: str, encoding: str) -> tuple[str, str | None]:
    """The word as it was meant, and the syllable it is, if one."""
    meant = decode_legacy(word, encoding)
    syllable = standard_syllable(meant.lower())
    if syllable is None and encoding == "tcvn3":  # its letter ư is a soft hyphen, which other programs drop
        whole = meant.replace("ơ", "ươ").replace("¬", "ươ")
        return whole, standard_syllable(whole.lower())
    return meant, syllable


def parse_name_part(raw: str, *, options: Options = NO_OPTIONS) -> Parsed:
    """A given name or surname that an office keeps in a column of its own, of any language.

    Nothing is repaired by the rules of Vietnamese. Text in capitals or small letters only becomes title case; mixed case
    (McDonald, van Dijk) stays.
    """
    del options
    repaired = repair_mojibake(raw)
    text = tidy(raw if repaired is None else repaired).translate(_PUNCTUATION).strip(" ,;.-")
    if not text:
        return MISSING if not tidy(raw) else Parsed(None, "name.placeholder")
    if says_nothing(text) or not any(c.isalpha() for c in text):
        return Parsed(None, "name.placeholder")
    if text in (text.lower(), text.upper()):
        text = " ".join(title_word(word) for word in text.lower().split())
    return Parsed(text, None if repaired is None else "name.mojibake")
