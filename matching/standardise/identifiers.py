"""Numbers of people: structure, lost zeros, placeholders, and what one number says about another field.

Personal number (12 digits): 3 province or country of birth registration, 1 sex and century, 2 year of birth, 6 random
(Circular 07/2016/TT-BCA). Social-insurance number: 10 digits. Health card: 2 letters, benefit digit, 2 province
digits, the holder's 10-digit social-insurance number (or, since 2021, that number alone). Tax code: 10 digits with a check
digit, 13 for branches; since 1 July 2025 a personal number serves as tax code, and since 1 August 2025 as
social-insurance number.

A number that breaks a rule but could still be what the paper says keeps its value beside the issue: it is weak evidence, and
survivorship ranks it last.
"""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

from stdnum.exceptions import ValidationError
from stdnum.vn import mst

from matching.standardise.dates import latest_day
from matching.standardise.parsed import MISSING, NO_OPTIONS, Options, Parsed
from matching.standardise.reference import read_table
from matching.standardise.text import says_nothing, tidy

_SEPARATORS = re.compile(r"[\s.\-_/']+")
_DIGIT_LOOKALIKES = str.maketrans("OoIl", "0011")
_HEALTH_CARD = re.compile(r"[A-Z]{2}[1-5][0-9]{12}")
_NO_BRACKETS = str.maketrans("", "", "+()#")
_IDENTIFIER = re.compile(r"[A-Z0-9]{1,40}")
# shorter ones are as often true codes: 2222 is a postcode, 12345 a number of a file
_SHORTEST_PLACEHOLDER = 6
_PASSPORT = re.compile(r"[A-Z0-9]{6,15}")
_COUNTING = "01234567890123456789"
_COUNTRY_PREFIXES = range(
    101, 400
)  # provinces begin with 0; countries of birth are numbered from 101 upwards
_SEX_AND_CENTURY = {"0": ("male", 1900), "1": ("female", 1900), "2": ("male", 2000), "3": ("female", 2000)}


class PersonalIdFacts(NamedTuple):
    province: str  # three digits: province, or country of birth
    sex: str
    birth_year: int


@cache
def _known_prefixes() -> frozenset[str]:
    provinces = {row["id_prefix_3digit"] for row in read_table("provinces_63_to_34.csv")}
    return frozenset(provinces | {str(country) for country in _COUNTRY_PREFIXES})


def personal_id_facts(personal_id: str) -> PersonalIdFacts | None:
    """What a well-formed personal number states; None where its structure is wrong."""
    if len(personal_id) != 12 or not (personal_id.isascii() and personal_id.isdigit()):
        return None
    if personal_id[:3] not in _known_prefixes() or personal_id[3] not in _SEX_AND_CENTURY:
        return None
    sex, century = _SEX_AND_CENTURY[personal_id[3]]
    return PersonalIdFacts(personal_id[:3], sex, century + int(personal_id[4:6]))


def _compact(raw: str) -> str:
    """Without separators; the fraction that a spreadsheet adds to a number is dropped."""
    text = tidy(raw)
    if len(text) > 2 and text.endswith(".0") and text[:-2].isdigit():
        text = text[:-2]
    return _SEPARATORS.sub("", text)


def _placeholder(digits: str) -> bool:
    return len(set(digits)) <= 1 or digits in _COUNTING or digits in _COUNTING[::-1]


def _plain_number(raw: str) -> bool:
    """The short way for the many numbers that are written as they should be."""
    return raw.isascii() and raw.isdigit() and not _placeholder(raw)


def _unusable(kind: str, raw: str, text: str) -> Parsed | None:
    """What is common to all numbers that are not usable at first sight; None for the rest."""
    if not text:
        return MISSING if not tidy(raw) else Parsed(None, f"{kind}.placeholder")
    if says_nothing(tidy(raw)) or (text.isdigit() and _placeholder(text)):
        return Parsed(None, f"{kind}.placeholder")
    if not text.isascii():
        return Parsed(None, f"{kind}.unreadable")
    if re.fullmatch(r"\d[\d,]*E\+?\d+", text.upper()):
        return Parsed(None, f"{kind}.scientific")  # a spreadsheet has rounded the number away
    return None


def _digits(kind: str, raw: str) -> tuple[str, str | None] | Parsed:
    """The digits of a number and an issue met on the way, or the final answer."""
    text = _compact(raw)
    unusable = _unusable(kind, raw, text)
    if unusable is not None:
        return unusable
    if text.isdigit():
        return text, None
    replaced = text.translate(_DIGIT_LOOKALIKES)
    if replaced.isdigit() and sum(c.isdigit() for c in text) > len(text) // 2:
        return replaced, f"{kind}.letters_replaced"
    return Parsed(None, f"{kind}.unreadable")


def _born_by_now(personal_id: str, options: Options) -> bool:
    facts = personal_id_facts(personal_id)
    return facts is not None and (facts.birth_year < 2000 or facts.birth_year <= latest_day(options).year)


def parse_personal_id(raw: str, *, options: Options = NO_OPTIONS) -> Parsed:
    if _born_by_now(raw, options) and raw.count(raw[0]) < 12:
        return Parsed(raw)
    found = _digits("personal_id", raw)
    if isinstance(found, Parsed):
        return found
    digits, issue = found
    if len(digits) == 12:
        return Parsed(digits, issue if _born_by_now(digits, options) else "personal_id.structure")
    if len(digits) in (10, 11):
        restored = digits.zfill(12)
        if _born_by_now(restored, options):
            return Parsed(restored, "personal_id.zero_restored")
    return Parsed(None, "personal_id.other_kind" if len(digits) == 9 else "personal_id.length")


def parse_cmnd(raw: str, *, options: Options = NO_OPTIONS) -> Parsed:
    """The nine-digit identity-card number; a twelve-digit one is another kind and belongs to personal_id."""
    del options
    if len(raw) == 9 and _plain_number(raw):
        return Parsed(raw)
    found = _digits("cmnd", raw)
    if isinstance(found, Parsed):
        return found
    digits, issue = found
    if len(digits) == 9:
        return Parsed(digits, issue)
    if len(digits) == 8:
        return Parsed("0" + digits, "cmnd.zero_restored")
    return Parsed(None, "cmnd.other_kind" if len(digits) == 12 else "cmnd.length")


def parse_social_insurance_no(raw: str, *, options: Options = NO_OPTIONS) -> Parsed:
    del options
    if len(raw) == 10 and _plain_number(raw):
        return Parsed(raw)
    text = _compact(raw).upper()
    if _HEALTH_CARD.fullmatch(text):
        return Parsed(text[-10:], "social_insurance_no.from_card")
    found = _digits("social_insurance_no", raw)
    if isinstance(found, Parsed):
        return found
    digits, issue = found
    if len(digits) in {9, 10}:
        return Parsed(digits.zfill(10), issue if len(digits) == 10 else "social_insurance_no.zero_restored")
    personal = personal_id_facts(digits) is not None
    return Parsed(
        digits if personal else None, f"social_insurance_no.{'personal_id' if personal else 'length'}"
    )


def parse_health_card_no(raw: str, *, options: Options = NO_OPTIONS) -> Parsed:
    """The 15-character card, or the 10-digit or (personal number) 12-digit form of newer cards."""
    del options
    if _HEALTH_CARD.fullmatch(raw):
        return Parsed(raw)
    text = _compact(raw).upper()
    unusable = _unusable("health_card_no", raw, text)
    if unusable is not None:
        return unusable
    if len(text) == 15 and text[:2].isalpha():
        return _long_card(text)
    if text.isdigit() and (len(text) in {9, 10} or personal_id_facts(text) is not None):
        return Parsed(text.zfill(10), "health_card_no.zero_restored" if len(text) == 9 else None)
    return Parsed(None, "health_card_no.structure")


def _long_card(text: str) -> Parsed:
    digits = text[2:].translate(_DIGIT_LOOKALIKES)
    if not digits.isdigit():
        return Parsed(None, "health_card_no.structure")
    card = text[:2] + digits
    if not _HEALTH_CARD.fullmatch(card):
        return Parsed(card, "health_card_no.structure")
    return Parsed(card, None if card == text else "health_card_no.letters_replaced")


def social_insurance_no_of(health_card_no: str) -> str | None:
    """The social-insurance number inside a canonical health-card number."""
    return health_card_no[-10:] if len(health_card_no) in (10, 15) else None


def parse_tax_code(raw: str, *, options: Options = NO_OPTIONS) -> Parsed:
    del options
    found = _digits("tax_code", raw)
    if isinstance(found, Parsed):
        return found
    digits, issue = found
    if len(digits) == 12:
        return Parsed(digits, issue if personal_id_facts(digits) else "tax_code.structure")
    if len(digits) in (9, 12) and _tax_check(digits.zfill(len(digits) + 1)):
        return Parsed(digits.zfill(len(digits) + 1), "tax_code.zero_restored")
    if len(digits) in (10, 13):
        return Parsed(digits, issue if _tax_check(digits) else "tax_code.check_digit")
    return Parsed(None, "tax_code.length")


def _tax_check(digits: str) -> bool:
    try:
        mst.validate(digits)
    except ValidationError:
        return False
    return True


def parse_passport_no(raw: str, *, options: Options = NO_OPTIONS) -> Parsed:
    """Letters and digits in capitals; Vietnamese ones are a letter and seven or eight digits."""
    del options
    text = _compact(raw).upper()
    unusable = _unusable("passport_no", raw, text)
    if unusable is not None:
        return unusable
    if not _PASSPORT.fullmatch(text) or sum(c.isdigit() for c in text) < 4:
        return Parsed(None, "passport_no.structure")
    return Parsed(text)


def parse_identifier(raw: str, *, options: Options = NO_OPTIONS) -> Parsed:
    """A number of another country or office, of letters and digits, in capitals and without separators; also a postcode or phone."""
    del options
    compact = _compact(raw).upper()
    text = compact.translate(_NO_BRACKETS)
    if not text:
        return MISSING if not tidy(raw) else Parsed(None, "identifier.placeholder")
    placeholder = len(text) >= _SHORTEST_PLACEHOLDER and text.isdigit() and _placeholder(text)
    if says_nothing(tidy(raw)) or placeholder:
        return Parsed(None, "identifier.placeholder")
    if re.fullmatch(r"\d[\d,]*\.?\d*E\+\d+", compact):
        return Parsed(None, "identifier.scientific")
    return Parsed(text) if _IDENTIFIER.fullmatch(text) else Parsed(None, "identifier.structure")
