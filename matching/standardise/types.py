"""The value types of canonical attributes."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

from matching.standardise.dates import parse_date
from matching.standardise.ethnicity import parse_ethnicity
from matching.standardise.identifiers import (
    parse_cmnd,
    parse_health_card_no,
    parse_identifier,
    parse_passport_no,
    parse_personal_id,
    parse_social_insurance_no,
    parse_tax_code,
)
from matching.standardise.names import canonical_name, parse_name_part
from matching.standardise.parsed import NO_OPTIONS, Options, Parsed
from matching.standardise.phones import parse_phone
from matching.standardise.sex import parse_sex
from matching.standardise.text import parse_code, parse_integer, parse_text
from matching.standardise.units import parse_unit_code

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["STANDARDISER_VERSION", "VALUE_TYPES", "Options", "Parsed", "ValueType", "value_type"]

# Raised whenever a parser may give another value or feature for the same text.
STANDARDISER_VERSION = "2"


class Parser(Protocol):
    def __call__(self, raw: str, *, options: Options = NO_OPTIONS) -> Parsed: ...


@dataclass(frozen=True, slots=True)
class ValueType:
    name: str
    parse: Parser


_PARSERS: dict[str, Parser] = {
    "name": canonical_name,
    "name_part": parse_name_part,
    "date": parse_date,
    "sex": parse_sex,
    "personal_id": parse_personal_id,
    "cmnd": parse_cmnd,
    "social_insurance_no": parse_social_insurance_no,
    "health_card_no": parse_health_card_no,
    "tax_code": parse_tax_code,
    "passport_no": parse_passport_no,
    "identifier": parse_identifier,
    "phone": parse_phone,
    "ethnicity": parse_ethnicity,
    "unit": parse_unit_code,
    "code": parse_code,
    "text": parse_text,
    "integer": parse_integer,
}
LONGEST = 1000
"""Letters. What is longer is no name, date or number, whatever it begins with; free text may have any length."""


def _limited(name: str, parse: Parser) -> Parser:
    too_long = Parsed(None, f"{name}.too_long")

    def limited(raw: str, *, options: Options = NO_OPTIONS) -> Parsed:
        return parse(raw, options=options) if len(raw) <= LONGEST else too_long

    return limited


VALUE_TYPES: Mapping[str, ValueType] = MappingProxyType(
    {
        name: ValueType(name, parse if name == "text" else _limited(name, parse))
        for name, parse in _PARSERS.items()
    }
)


def value_type(name: str) -> ValueType:
    """Raises ValueError for a name that is not in VALUE_TYPES."""
    try:
        return VALUE_TYPES[name]
    except KeyError:
        raise ValueError(f"Unknown value type '{name}'; known are {', '.join(VALUE_TYPES)}.") from None
