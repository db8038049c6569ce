"""The Vietnamese syllable: whether a word is one, where its tone mark stands, and how it is typed without a keyboard driver.

A syllable is onset + rhyme + tone. The lists hold the spellings that occur; a word outside them is foreign, a minority
name, misspelt or stripped of its marks, and is then left as it is.
"""

from __future__ import annotations

import re
from functools import lru_cache

from matching.standardise.letters import ascii_letters, split_tone, with_tone

_ONSETS = (
    "ngh", "ch", "gh", "gi", "kh", "ng", "nh", "ph", "qu", "th", "tr",
    "b", "c", "d", "đ", "g", "h", "k", "l", "m", "n", "p", "r", "s", "t", "v", "x", "",
)  # fmt: skip
_RHYMES = frozenset(
    re.findall(
        r"\w+",
        """
        a ac ach ai am an ang anh ao ap at au ay ăc ăm ăn ăng ăp ăt âc âm ân âng âp ât âu ây
        e ec em en eng eo ep et ê êch êm ên ênh êp êt êu
        i ia ich iêc iêm iên iêng iêp iêt iêu im in inh ip it iu
        o oa oac oach oai oam oan oang oanh oao oap oat oay oăc oăm oăn oăng oăt oc oe oen oeo oet oi om on ong ooc oong op ot
        ô ôc ôi ôm ôn ông ôp ôt ơ ơi ơm ơn ơp ơt
        u ua uân uâng uât uây uc uê uêch uênh ui um un ung uơ uôc uôi uôm uôn uông uôt up ut uy uya uych uyên uyêt uynh uyt uyu
        ư ưa ưc ưi ưng ươc ươi ươm ươn ương ươp ươt ươu ưt ưu y yêm yên yêng yêt yêu
        """,
    )
)
_RHYMES_AFTER_QU = frozenset(
    re.findall(
        r"\w+",
        """
        a ac ach ai am an ang anh ao ap at au ay ăc ăm ăn ăng ăp ăt âc ân âng âp ât âu ây
        e ec em en eo et ê êch ên ênh êt êu i ich in inh it iu y ych yên yêt ynh yt ơ ôc uôc
        """,
    )
)
_FRONT = "eêiy"
_STOPS = ("c", "ch", "p", "t")
_MARKED = "âêôơăư"
_VOWEL_RUN = re.compile("[aăâeêioôơuưy]+")
_PLAIN_RHYMES = frozenset(ascii_letters(rhyme) for rhyme in _RHYMES | _RHYMES_AFTER_QU)


def _split(word: str) -> tuple[str, str] | None:
    """Onset and rhyme of a lower-case word without tone mark."""
    for onset in _ONSETS:
        if word.startswith(onset):
            rhyme = word[len(onset) :]
            if _fits(onset, rhyme):
                return onset, rhyme
    return None


def _fits(onset: str, rhyme: str) -> bool:
    if onset == "qu":
        return rhyme in _RHYMES_AFTER_QU
    if rhyme not in _RHYMES:
        return False
    front = rhyme[0] in _FRONT
    if onset in {"k", "gh", "ngh"}:
        return front
    if onset in {"c", "ng"}:
        return not front
    return not (onset == "g" and front and rhyme[0] != "i") and not (onset == "gi" and rhyme[0] in "iy")


@lru_cache(maxsize=1 << 16)
def standard_syllable(word: str) -> str | None:
    """A lower-case NFC word with its tone mark at the standard place, or None if it is not a Vietnamese syllable.

    The standard place is the one official documents and place names use: hòa, thủy, quý (not hoà, thuỷ).
    """
    bare, tone = split_tone(word)
    parts = _split(bare) if tone >= 0 else None
    return None if parts is None else compose(*parts, tone)


def compose(onset: str, rhyme: str, tone: int) -> str | None:
    """A syllable with its tone mark placed; None where a stopped rhyme cannot bear the tone."""
    coda = _VOWEL_RUN.sub("", rhyme)
    if coda in _STOPS and tone not in (0, 1, 5):
        return None
    if tone == 0:
        return onset + rhyme
    place = _tone_place(rhyme, open_rhyme=not coda)
    return onset + rhyme[:place] + with_tone(rhyme[place], tone) + rhyme[place + 1 :]


def _tone_place(rhyme: str, *, open_rhyme: bool) -> int:
    vowels = re.match(_VOWEL_RUN, rhyme)
    length = len(vowels[0]) if vowels else 1
    marked = [i for i in range(length) if rhyme[i] in _MARKED]
    if marked:
        return marked[-1]
    if open_rhyme and length > 1:
        return length - 2
    return length - 1


def could_be_plain_syllable(word: str) -> bool:
    """True for an ASCII word that is a syllable whose marks were dropped ('nguyen')."""
    return word.isascii() and any(
        word.startswith(o) and word[len(o) :] in _PLAIN_RHYMES for o in _PLAIN_ONSETS
    )


# plain spellings of one rhyme only, which is no rhyme itself
_RHYME_OF_PLAIN = {
    plain: rhymes[0]
    for plain in _PLAIN_RHYMES - _RHYMES - _RHYMES_AFTER_QU
    if len(rhymes := [rhyme for rhyme in _RHYMES if ascii_letters(rhyme) == plain]) == 1
}
_PLAIN_ONSETS = tuple(dict.fromkeys(ascii_letters(onset) for onset in _ONSETS))

# --- keystrokes left in the text by an input method that was off -------------------------------------------------

_TELEX_TONES = {"s": 1, "f": 2, "r": 3, "x": 4, "j": 5}
_VNI_TONES = {"1": 1, "2": 2, "3": 3, "4": 4, "5": 5}
_CIRCUMFLEX = {"a": "â", "e": "ê", "o": "ô"}
_KEYED = re.compile(
    r"(?P<onset>ngh?|[cgknpt]h|gi(?=[aeouy])|qu|tr|[bcdđghklmnprstvx]|)(?P<rest>[aeiouyăâêôơưw].*)", re.DOTALL
)


@lru_cache(maxsize=1 << 16)
def from_keystrokes(word: str) -> str | None:
    """The syllable meant by Telex ('nguyeenx', 'vawn') or VNI ('nguye6n4') keystrokes; None if there is none.

    Only for words that are no syllables as they stand. The driver may have been on for a part of the word ('hươngf').
    """
    if not word.isalnum():
        return None
    if not word.isascii():
        return _tone_key_left(word)
    tones, keys = (
        (_VNI_TONES, _vni_letters) if any(c.isdigit() for c in word) else (_TELEX_TONES, _telex_letters)
    )
    match = _KEYED.fullmatch(_barred(word))
    if match is None:
        return None
    onset, rest = match["onset"], match["rest"]
    found = [c for c in rest if c in tones]
    if len(found) > 1:
        return None
    rhyme = keys("".join(c for c in rest if c not in tones))
    if rhyme is not None and not _fits(onset, rhyme):
        rhyme = _RHYME_OF_PLAIN.get(rhyme)  # uyen can only be uyên
    if rhyme is None or not _fits(onset, rhyme):
        return None
    syllable = compose(onset, rhyme, tones[found[0]] if found else 0)
    return None if syllable == word else syllable


def _tone_key_left(word: str) -> str | None:
    bare, tone = split_tone(word[:-1])
    key = (_TELEX_TONES | _VNI_TONES).get(word[-1])
    parts = _split(bare) if key and tone in (0, key) else None
    return None if parts is None or key is None else compose(*parts, key)


def _barred(word: str) -> str:
    if word.startswith("d9"):
        return "đ" + word[2:]
    if word.startswith("dd"):
        return "đ" + word[2:]
    if word.startswith("d") and word[-1:] in ("9", "d") and len(word) > 2:
        return "đ" + word[1:-1]
    return word


def _telex_letters(keys: str) -> str | None:
    for vowel, marked in _CIRCUMFLEX.items():
        if keys.count(vowel) == 2:
            first = keys.index(vowel)
            keys = keys[:first] + marked + keys[first + 1 :].replace(vowel, "", 1)
    if "w" not in keys:
        return keys
    if keys.count("w") > 2:
        return None
    return _horned(keys.replace("w", ""))


def _vni_letters(keys: str) -> str | None:
    letters = re.sub(r"\d", "", keys)
    if "6" in keys:
        place = max((letters.rfind(vowel) for vowel in _CIRCUMFLEX if vowel in letters), default=-1)
        if place < 0:
            return None
        letters = letters[:place] + _CIRCUMFLEX[letters[place]] + letters[place + 1 :]
    if "7" in keys:
        return _horned(letters) if re.search("[ou]", letters) else None
    if "8" in keys:
        return letters.replace("a", "ă", 1)
    return letters


def _horned(letters: str) -> str:
    """The letters with the breve or horn that `w` stands for; a lone w is ư."""
    if "uo" in letters:
        return letters.replace("uo", "ươ", 1)
    if "u" in letters and not letters.startswith("ua") and "o" not in letters:
        return letters.replace("u", "ư", 1)
    if letters.startswith("ua"):
        return "ưa" + letters[2:]
    if "a" in letters:
        return letters.replace("a", "ă", 1)
    if "o" in letters:
        return letters.replace("o", "ơ", 1)
    return "ư" + letters
