"""The forms of a canonical name on which it is compared."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from matching.standardise.letters import fold_word, toneless

# Clan names of Ê Đê, Gia-rai and Mnông people, folded; beside one a lone H, Y or K is a prefix and no initial.
_CLANS = frozenset(
    re.findall(
        r"\w+",
        "nie mlo bya buon ayun eban kbuor knul ksor kpa siu rcom rmah rahlan nay hmok hwing hdok hra bkrong bdap kdoh kriek",
    )
)
_PREFIXES = frozenset("hyk")
# Ka of Cơ Ho women (also written K'), Rơ of Gia-rai clans (Rơ Chăm, Rơ-chăm, RơChăm): first, and anywhere
_FIRST_WORDS = frozenset({"ka"})
_CLAN_WORDS = frozenset({"ro"})
_JOINED = _PREFIXES | _FIRST_WORDS | _CLAN_WORDS
_JOINTS = re.compile(r"[\s\-]+")


class NameForms(NamedTuple):
    """`canonical_key` lower-case canonical; `toneless` one ASCII symbol for each letter of its own quality; the rest plain ASCII.

    `middle` and `surname` are None in a name of one word (it is then the given name).
    """

    canonical_key: str
    toneless: str
    folded: str
    surname: str | None
    middle: str | None
    given: str
    sorted_words: str
    initials: str


@lru_cache(maxsize=1 << 17)
def _folded_word(word: str) -> str:
    return fold_word(word.replace("'", ""))


@lru_cache(maxsize=1 << 17)
def _toneless_word(word: str) -> str:
    return toneless(word.replace("'", ""))


def name_forms(canonical: str) -> NameForms:
    """Forms of a canonical name.

    A minority prefix is joined to its word in the ASCII forms, so that H'Hen, H' Hen, H Hen and HHen agree, as do the
    spellings of Rơ Chăm. The last word is
    taken as the given name; in a compound given name (Bảo Ngọc) the first half is the last word of `middle`.
    """
    key = canonical.lower()
    words = _JOINTS.split(key) if "-" in key else key.split(" ")
    folded = [_folded_word(word) for word in words]
    plain = [_toneless_word(word) for word in words]
    if not _JOINED.isdisjoint(folded):
        folded, plain = _prefixes_joined(folded, plain)
    folded = [word for word in folded if word] or ["?"]
    return NameForms(
        key,
        " ".join(plain),
        " ".join(folded),
        folded[0] if len(folded) > 1 else None,
        " ".join(folded[1:-1]) or None,
        folded[-1],
        " ".join(sorted(folded)),
        "".join([word[0] for word in folded]),
    )


def _prefixes_joined(folded: list[str], plain: list[str]) -> tuple[list[str], list[str]]:
    minority = any(word in _CLANS for word in folded)
    result: tuple[list[str], list[str]] = ([], [])
    skip = False
    for place, word in enumerate(folded):
        if skip:
            skip = False
            continue
        following = folded[place + 1] if place + 1 < len(folded) else ""
        a_prefix = word in _PREFIXES and (place == 0 or minority) and following not in _CLANS
        if following and (a_prefix or (word in _FIRST_WORDS and place == 0) or word in _CLAN_WORDS):
            result[0].append(word + folded[place + 1])
            result[1].append(plain[place] + plain[place + 1])
            skip = True
        else:
            result[0].append(word)
            result[1].append(plain[place])
    return result
