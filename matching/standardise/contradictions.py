"""What the values of one record say against each other. Which side is wrong is not known: the number gets the issue.

The number keeps its value, as weak evidence; survivorship ranks it after one that nothing speaks against.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from matching.standardise.identifiers import personal_id_facts

if TYPE_CHECKING:
    from collections.abc import Mapping

_PARENTS = {"mother_personal_id": "female", "father_personal_id": "male"}
_HOLDERS_OF_PERSONAL_IDS = ("tax_code", "social_insurance_no", "health_card_no")
_NOTHING = pa.scalar(None, pa.string())


def contradictions(values: Mapping[str, pa.Array]) -> dict[str, pa.Array]:
    """Issue codes by attribute, null where nothing speaks against the value, for canonical columns of single values.

    personal_id.sex, personal_id.birth_year (digits 4 to 6); mother_personal_id.sex and father_personal_id.sex;
    X.personal_id where X holds another personal number than the record's own; health_card_no.social_insurance_no where
    the card's last ten digits are not the social-insurance number beside it.
    """
    found: dict[str, pa.Array] = {}
    if "personal_id" in values:
        sex, year = _stated(values["personal_id"])
        tests = {}
        if "sex" in values:
            tests["personal_id.sex"] = pc.not_equal(sex, values["sex"])
        if "birth_date" in values:
            tests["personal_id.birth_year"] = pc.not_equal(
                year, pc.utf8_slice_codeunits(values["birth_date"], 0, 4)
            )
        found["personal_id"] = _first_code(tests, len(values["personal_id"]))
        for name in _HOLDERS_OF_PERSONAL_IDS:
            if name in values:
                own = pc.equal(pc.utf8_length(values[name]), 12)
                other = pc.and_kleene(own, pc.not_equal(values[name], values["personal_id"]))
                found[name] = _first_code({f"{name}.personal_id": other}, len(values[name]))
    for name, expected in _PARENTS.items():
        if name in values:
            found[name] = _first_code(
                {f"{name}.sex": pc.not_equal(_stated(values[name])[0], expected)}, len(values[name])
            )
    if {"health_card_no", "social_insurance_no"} <= values.keys():
        other = _other_insurance_number(values["health_card_no"], values["social_insurance_no"])
        issue = _first_code({"health_card_no.social_insurance_no": other}, len(other))
        found["health_card_no"] = pc.coalesce(found.get("health_card_no", issue), issue)
    return found


def _stated(numbers: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Sex and year of birth (as text) in each personal number, null where its structure is wrong."""
    encoded = pc.dictionary_encode(numbers)
    facts = [personal_id_facts(number) for number in encoded.dictionary.to_pylist()]
    sexes = pa.array([fact and fact.sex for fact in facts], pa.string())
    years = pa.array([fact and str(fact.birth_year) for fact in facts], pa.string())
    return sexes.take(encoded.indices), years.take(encoded.indices)


def _other_insurance_number(cards: pa.Array, numbers: pa.Array) -> pa.Array:
    comparable = pc.and_kleene(
        pc.is_in(pc.utf8_length(cards), value_set=pa.array([10, 15], pa.int32())),
        pc.equal(pc.utf8_length(numbers), 10),
    )
    return pc.and_kleene(comparable, pc.not_equal(pc.utf8_slice_codeunits(cards, -10), numbers))


def _first_code(tests: Mapping[str, pa.Array], rows: int) -> pa.Array:
    codes = pa.nulls(rows, pa.string())
    for code, holds in tests.items():
        codes = pc.coalesce(codes, pc.if_else(pc.fill_null(holds, False), code, _NOTHING))
    return codes
