from __future__ import annotations

import pyarrow as pa
import pytest

from matching.standardise.contradictions import contradictions
from matching.standardise.identifiers import (
    parse_cmnd,
    parse_health_card_no,
    parse_identifier,
    parse_passport_no,
    parse_personal_id,
    parse_social_insurance_no,
    parse_tax_code,
    personal_id_facts,
    social_insurance_no_of,
)
from matching.standardise.phones import parse_phone

KNOWN = {"not_after": "2025-12-31"}


@pytest.mark.parametrize(
    ("raw", "value", "issue"),
    [
        ("001080012345", "001080012345", None),
        ("001 080 012 345", "001080012345", None),
        ("'001080012345", "001080012345", None),
        ("038180012345.0", "038180012345", None),
        ("1080012345", "001080012345", "personal_id.zero_restored"),
        ("38180012345", "038180012345", "personal_id.zero_restored"),
        ("O0108OO12345", "001080012345", "personal_id.letters_replaced"),
        ("999080012345", "999080012345", "personal_id.structure"),
        ("001999012345", "001999012345", "personal_id.structure"),
        ("001299012345", "001299012345", "personal_id.structure"),  # born in 2099
        ("012345679", None, "personal_id.other_kind"),
        ("00108001234", None, "personal_id.length"),
        ("111111111111", None, "personal_id.placeholder"),
        ("123456789012", None, "personal_id.placeholder"),
        ("không", None, "personal_id.placeholder"),
        ("x", None, "personal_id.placeholder"),
        ("1.23457E+11", None, "personal_id.scientific"),
        ("abc", None, "personal_id.unreadable"),
        ("", None, None),
    ],
)
def test_a_personal_number_is_checked_by_its_structure(
    raw: str, value: str | None, issue: str | None
) -> None:
    assert parse_personal_id(raw, options=KNOWN) == (value, issue)


def test_a_personal_number_tells_province_sex_and_birth_year() -> None:
    assert personal_id_facts("079199000001") == ("079", "female", 1999)
    assert personal_id_facts("001204000001") == ("001", "male", 2004)
    assert personal_id_facts("003080012345") is None  # no province has 003
    assert personal_id_facts("00108001234") is None


def column(*values: str | None) -> pa.Array:
    return pa.array(values, pa.string())


def test_a_personal_number_is_held_against_sex_and_birth_date() -> None:
    found = contradictions(
        {
            "personal_id": column(*["079199000001"] * 5, "999999999999", None),
            "sex": column("female", "male", "male", None, None, "male", "male"),
            "birth_date": column("1999-04", "1999", "1989-04-01", "1989", None, "1980", "1980"),
        }
    )
    assert found["personal_id"].to_pylist() == [
        None, "personal_id.sex", "personal_id.sex", "personal_id.birth_year", None, None, None,
    ]  # fmt: skip


def test_the_numbers_of_a_record_are_held_against_each_other() -> None:
    found = contradictions(
        {
            "personal_id": column("079199000001", "079199000001", None),
            "tax_code": column("079199000001", "001080012345", "001080012345"),
            "health_card_no": column("GD4010123456780", "GD4010123456780", "0123456780"),
            "social_insurance_no": column("0123456780", "0123456781", None),
            "mother_personal_id": column("079199000001", "001080012345", None),
        }
    )
    assert found["tax_code"].to_pylist() == [None, "tax_code.personal_id", None]
    assert found["health_card_no"].to_pylist() == [None, "health_card_no.social_insurance_no", None]
    assert found["mother_personal_id"].to_pylist() == [None, "mother_personal_id.sex", None]
    assert found["personal_id"].null_count == 3
    assert contradictions({"sex": column("male")}) == {}


@pytest.mark.parametrize(
    ("raw", "value", "issue"),
    [
        ("SW1A 1AA", "SW1A1AA", None),
        ("ab-12.3", "AB123", None),
        ("+61 (2) 9999 9998", "61299999998", None),
        ("2222", "2222", None),
        ("0", "0", None),
        ("222222", None, "identifier.placeholder"),
        ("N/A", None, "identifier.placeholder"),
        ("1.8E+06", None, "identifier.scientific"),
        ("a%b", None, "identifier.structure"),
        (" ", None, None),
    ],
)
def test_an_identifier_of_another_country_keeps_letters_and_digits(
    raw: str, value: str | None, issue: str | None
) -> None:
    assert parse_identifier(raw) == (value, issue)


@pytest.mark.parametrize(
    ("parse", "raw", "value", "issue"),
    [
        (parse_cmnd, "271450001", "271450001", None),
        (parse_cmnd, "12345679", "012345679", "cmnd.zero_restored"),
        (parse_cmnd, "001080012345", None, "cmnd.other_kind"),
        (parse_cmnd, "123456789", None, "cmnd.placeholder"),
        (parse_cmnd, "5234", None, "cmnd.length"),
        (parse_social_insurance_no, "0123456780", "0123456780", None),
        (parse_social_insurance_no, "123456780", "0123456780", "social_insurance_no.zero_restored"),
        (parse_social_insurance_no, "GD4010123456780", "0123456780", "social_insurance_no.from_card"),
        (parse_social_insurance_no, "001080012345", "001080012345", "social_insurance_no.personal_id"),
        (parse_social_insurance_no, "00000", None, "social_insurance_no.placeholder"),
        (parse_social_insurance_no, "12345", None, "social_insurance_no.placeholder"),
        (parse_social_insurance_no, "52345", None, "social_insurance_no.length"),
        (parse_health_card_no, "GD4010123456780", "GD4010123456780", None),
        (parse_health_card_no, "gd 4 01 01234 56780", "GD4010123456780", None),
        (parse_health_card_no, "GD4O10123456780", "GD4010123456780", "health_card_no.letters_replaced"),
        (parse_health_card_no, "GD9010123456780", "GD9010123456780", "health_card_no.structure"),
        (parse_health_card_no, "0123456780", "0123456780", None),
        (parse_health_card_no, "GD401", None, "health_card_no.structure"),
        (parse_tax_code, "0100109106", "0100109106", None),
        (parse_tax_code, "0100109106-001", "0100109106001", None),
        (parse_tax_code, "0100109107", "0100109107", "tax_code.check_digit"),
        (parse_tax_code, "100109106", "0100109106", "tax_code.zero_restored"),
        (parse_tax_code, "001080012345", "001080012345", None),
        (parse_tax_code, "12", None, "tax_code.placeholder"),
        (parse_tax_code, "52", None, "tax_code.length"),
        (parse_passport_no, "b 1234567", "B1234567", None),
        (parse_passport_no, "C12345678", "C12345678", None),
        (parse_passport_no, "ABCDEFG", None, "passport_no.structure"),
        (parse_phone, "0901234567", "0901234567", None),
        (parse_phone, "+84901234567", "0901234567", None),
        (parse_phone, "+84 (0)90 123 45 67", "0901234567", None),
        (parse_phone, "84.901.234.567", "0901234567", None),
        (parse_phone, "0084901234567", "0901234567", None),
        (parse_phone, "01201234567", "0701234567", None),
        (parse_phone, "0199 123 4567", "0591234567", None),
        (parse_phone, "841681234567", "0381234567", None),
        (parse_phone, "901234567", "0901234567", "phone.zero_restored"),
        (parse_phone, "1201234567", "0701234567", "phone.zero_restored"),
        (parse_phone, "901234567.0", "0901234567", "phone.zero_restored"),
        (parse_phone, "845123456", "0845123456", "phone.zero_restored"),
        (parse_phone, "024 3812 3456", "02438123456", None),
        (parse_phone, "04 3812 3456", "0438123456", "phone.old_landline"),
        (parse_phone, "0900000000", None, "phone.placeholder"),
        (parse_phone, "không", None, "phone.placeholder"),
        (parse_phone, "12345", None, "phone.structure"),
        (parse_phone, "01131234567", None, "phone.structure"),
        (parse_phone, "", None, None),
    ],
)  # fmt: skip
def test_numbers_are_brought_to_their_canonical_form(
    parse, raw: str, value: str | None, issue: str | None
) -> None:
    assert parse(raw) == (value, issue)


def test_the_health_card_holds_the_social_insurance_number() -> None:
    assert social_insurance_no_of("GD4010123456780") == "0123456780"
    assert social_insurance_no_of("0123456780") == "0123456780"
    assert social_insurance_no_of("001080012345") is None
