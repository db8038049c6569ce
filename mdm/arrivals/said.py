"""What a caller says of a person, in canonical attributes and their own spelling, to canonical values: as ingest does it."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from matching.standardise.addresses import resolve
from matching.standardise.columns import parse_many
from matching.standardise.contradictions import contradictions
from matching.standardise.types import value_type
from mdm.errors import InputError
from mdm.registries.mapping import contradicting

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from matching.standardise.units import Units
    from mdm.registries.attributes import Attribute

ADDRESS = "address"
"""The name under which an address is given, in parts or as one text."""
ADDRESS_PARTS = ("street", "commune", "district", "province", "text", "commune_code")
_WRITTEN = ("street", "commune", "district", "province")
_NUL, _REPLACED = "\0", "\ufffd"

Given = "Mapping[str, str | list[str] | Mapping[str, str]]"


@dataclass(frozen=True)
class Said:
    """Canonical attributes (texts and lists of texts) and issue codes by attribute."""

    attributes: dict[str, Any]
    issues: dict[str, str] = field(default_factory=dict)


def standardise(
    given: Mapping[str, Any], *, declared: Mapping[str, Attribute], units: Units, as_of: date | None
) -> Said:
    """Of one record.

    Args:
        given: canonical attribute to text or list of texts; ADDRESS to a text or to ADDRESS_PARTS.
        declared: the attributes of the kind.
        units: administrative units.
        as_of: the day of what is said: its addresses are of that day.

    Raises:
        InputError: an attribute that is not declared, or nothing that can be used.
    """
    grouped = {name for name, attribute in declared.items() if attribute.group == ADDRESS}
    known = sorted(declared.keys() - grouped | ({ADDRESS} if grouped else set()))
    if unknown := sorted(given.keys() - set(known)):
        raise InputError(
            f"{len(unknown)} attributes are not known here",
            where="attributes",
            hint=f"Known: {', '.join(known)}.",
        )
    values: dict[str, Any] = {}
    issues: dict[str, str | None] = {}
    for name, said in given.items():
        if name == ADDRESS:
            found, issues["address_unit"] = _address(said, units, as_of)
            values |= found
        else:
            values[name], issues[name] = _value(name, said, declared[name])
    comparable = contradicting({name: value for name, value in values.items() if value}, declared)
    for name, codes in contradictions({n: pa.array([v], pa.string()) for n, v in comparable.items()}).items():
        issues[name] = issues.get(name) or codes[0].as_py()
    kept = {name: value for name, value in sorted(values.items()) if value}
    if not kept:
        raise InputError(
            "nothing of it can be used", where="attributes", hint="Give at least a name or a number."
        )
    return Said(kept, {name: issue for name, issue in sorted(issues.items()) if issue is not None})


def _value(name: str, said: Any, attribute: Attribute) -> tuple[Any, str | None]:
    kind = value_type(attribute.type)
    if attribute.many:
        texts = [text for each in (said if isinstance(said, list) else [said]) if (text := _tidy(each))]
        return parse_many(texts, kind) if texts else (None, None)
    if not isinstance(said, str):
        raise InputError("takes one text", where=f"attributes/{name}")
    text = _tidy(said)
    return (None, None) if text is None else tuple(kind.parse(text))  # type: ignore[return-value]


def _address(said: Any, units: Units, as_of: date | None) -> tuple[dict[str, Any], str | None]:
    parts = {"text": said} if isinstance(said, str) else said
    if not isinstance(parts, dict) or not parts.keys() <= set(ADDRESS_PARTS):
        raise InputError(
            "takes a text, or some of its parts",
            where=f"attributes/{ADDRESS}",
            hint=f"Parts: {', '.join(ADDRESS_PARTS)}.",
        )
    tidied = {name: _tidy(part) for name, part in parts.items()}
    found = resolve(units, **tidied, as_of=as_of)
    written = ", ".join(part for name in _WRITTEN if (part := tidied.get(name)))
    return {
        "address_text": tidied.get("text") or written or None,
        "address_street": found.street,
        "address_unit": found.code,
        "address_province": found.province_code,
    }, found.issue


def _tidy(text: str) -> str | None:
    """As `mdm.registries.cells.tidy`."""
    return unicodedata.normalize("NFC", text.strip()).replace(_NUL, _REPLACED) or None
