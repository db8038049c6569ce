from __future__ import annotations

from types import SimpleNamespace

import pyarrow as pa
import pytest

from matching.standardise.columns import parse_column, parse_many_column
from matching.standardise.encodings import decode_legacy, decode_legacy_column, repair_mojibake
from matching.standardise.ethnicity import parse_ethnicity
from matching.standardise.features import feature_columns, features
from matching.standardise.sex import parse_sex
from matching.standardise.text import parse_code, parse_integer, parse_text
from matching.standardise.types import VALUE_TYPES, value_type

PERSON = {
    name: SimpleNamespace(type=type_, many=name in {"phone", "former_personal_id"})
    for name, type_ in {
        "full_name": "name", "mother_name": "name", "birth_date": "date", "sex": "sex", "personal_id": "personal_id",
        "former_personal_id": "personal_id", "social_insurance_no": "social_insurance_no", "health_card_no": "health_card_no",
        "tax_code": "tax_code", "phone": "phone", "address_street": "text", "address_unit": "unit", "address_province": "unit",
    }.items()
}  # fmt: skip


def of(**attributes: object) -> dict[str, object]:
    return features("person", attributes, declaration=PERSON)


@pytest.mark.parametrize(
    ("raw", "sex"), [("Nam", "male"), ("NỮ", "female"), ("nu", "female"), ("F", "female"), ("male", "male")]
)
def test_sex_is_read_as_written(raw: str, sex: str) -> None:
    assert parse_sex(raw) == (sex, None)


def test_a_number_for_sex_means_nothing_without_a_declaration() -> None:
    assert parse_sex("1") == (None, "sex.unknown")


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("kinh", "Kinh"),
        ("01", "Kinh"),
        ("H'mông", "Mông"),
        ("Ê Đê", "Ê-đê"),
        ("dân tộc Tày", "Tày"),
        ("Khmer", "Khơ-me"),
        ("Lào", "Lào"),
    ],
)
def test_an_ethnic_group_is_known_by_many_spellings(raw: str, name: str) -> None:
    assert parse_ethnicity(raw) == (name, None)


def test_an_unknown_group_keeps_its_text() -> None:
    assert parse_ethnicity("Pháp") == ("Pháp", "ethnicity.unknown")


def test_text_codes_and_integers() -> None:
    assert parse_text("  Thôn \x00 3 ") == ("Thôn 3", None)
    assert parse_text("không có") == (None, "text.placeholder")
    assert parse_code(" 123/2019-KS ") == ("123/2019-KS", None)
    assert parse_integer("1.200") == ("1200", None)
    assert parse_integer("5.0") == ("5", None)
    assert parse_integer("5.5") == (None, "integer.unreadable")


def test_legacy_encodings_are_decoded() -> None:
    assert decode_legacy("NguyÔn V¨n An", "tcvn3") == "Nguyễn Văn An"
    assert decode_legacy_column(pa.array(["Nguyeãn", None]), "vni").to_pylist() == ["Nguyễn", None]
    with pytest.raises(ValueError, match="ebcdic"):
        decode_legacy("x", "ebcdic")


def test_utf8_read_as_cp1252_is_read_again() -> None:
    assert repair_mojibake("Đặng Thị Á".encode().decode("latin-1")) == "Đặng Thị Á"
    assert repair_mojibake("Nguyá»…n") == "Nguyễn"
    assert repair_mojibake("LÃNH") is None


def test_a_null_cell_stays_null() -> None:
    parsed = parse_column("date", pa.array(["1/2/1980", None, "x"]))
    assert parsed.values.to_pylist() == ["1980-02-01", None, None]
    assert parsed.issues.to_pylist() == [None, None, "date.placeholder"]


def test_an_empty_column_is_parsed_to_an_empty_column() -> None:
    for empty in (pa.array([], pa.string()), pa.chunked_array([], pa.string())):
        assert parse_column("name", empty).values.to_pylist() == []


def test_several_values_of_a_cell_are_kept_once_and_in_order() -> None:
    cells = pa.array(["0901234567; 01201234567, 0901234567", "0901234567 - abc", "không", None])
    parsed = parse_many_column("phone", cells)
    assert parsed.values.to_pylist() == [["0901234567", "0701234567"], ["0901234567"], None, None]
    assert parsed.issues.to_pylist() == [None, "phone.structure", "phone.placeholder", None]
    assert parse_many_column("phone", pa.array(["0901234567x0912345678"]), split="x").values.to_pylist() == [
        ["0901234567", "0912345678"]
    ]


def test_an_unknown_type_is_refused() -> None:
    with pytest.raises(ValueError, match="colour"):
        value_type("colour")
    assert set(VALUE_TYPES) == {type_.name for type_ in VALUE_TYPES.values()}


def test_a_date_gives_its_parts_and_precision() -> None:
    full = of(birth_date="1980-05-17")
    assert [full[f"birth_date_{part}"] for part in ("iso", "year", "month", "day", "precision")] == [
        "1980-05-17",
        1980,
        5,
        17,
        "day",
    ]
    month = of(birth_date="1980-05")
    assert [month[f"birth_date_{part}"] for part in ("iso", "year", "month", "day", "precision")] == [
        None,
        1980,
        5,
        None,
        "month",
    ]
    assert of(birth_date="1980")["birth_date_precision"] == "year"
    assert of(birth_date="1980-01-01")["birth_date_precision"] == "january_first"


def test_a_personal_number_in_another_field_is_moved_to_its_own() -> None:
    found = of(tax_code="079199000001", former_personal_id=["079199000002"])
    assert found["personal_id"] == "079199000001"
    assert found["tax_code"] is None
    assert (found["pid_sex"], found["pid_birth_year"]) == ("female", 1999)
    assert found["personal_ids"] == ["079199000001", "079199000002"]


def test_a_different_personal_number_in_another_field_is_kept_beside_the_own_one() -> None:
    found = of(personal_id="001080012345", tax_code="079199000001")
    assert found["personal_id"] == "001080012345"
    assert found["personal_ids"] == ["001080012345", "079199000001"]


def test_the_health_card_fills_an_empty_social_insurance_number_only() -> None:
    assert of(health_card_no="GD4010123456780")["social_insurance_no"] == "0123456780"
    assert (
        of(health_card_no="GD4010123456780", social_insurance_no="9999999990")["social_insurance_no"]
        == "9999999990"
    )


def test_an_address_gives_commune_its_successors_and_todays_province() -> None:
    found = of(address_unit="L00001", address_province="L52", address_street="Số 5 Lê Lợi")
    assert (found["commune"], found["communes_now"], found["province"]) == ("L00001", ["N00097"], "N01")
    assert found["street_folded"] == "so 5 le loi"
    district = of(address_unit="L001")
    assert (district["commune"], district["communes_now"], district["province"]) == (None, None, "N01")
    assert of(address_province="L52")["province"] == "N52"


def test_missing_attributes_give_null_features_of_the_same_schema() -> None:
    table = feature_columns(
        "person", pa.table({"full_name": ["Nguyễn Văn An"], "other": ["x"]}), declaration=PERSON
    )
    row = table.to_pylist()[0]
    assert row["full_name_folded"] == "nguyen van an"
    assert row["personal_ids"] is None
    assert {name for name, value in row.items() if value is not None} == {
        "full_name_key", "full_name_toneless", "full_name_folded", "surname", "middle", "given", "name_sorted", "name_initials",
        "name_sound", "name_ends",
    }  # fmt: skip


def test_a_household_has_no_features_of_a_person() -> None:
    declared = {"head_name": PERSON["full_name"], "personal_id": PERSON["personal_id"]}
    assert "pid_sex" not in features("household", {"personal_id": "079199000001"}, declaration=declared)
