"""Features made from several others: what they mean, and the same for a table as for one record."""

from types import SimpleNamespace

import pyarrow as pa
import pytest

from matching.standardise.features import feature_columns, features
from matching.standardise.joint import NEEDS, sound

PERSON = {
    name: SimpleNamespace(type=type_, many=False)
    for name, type_ in {
        "full_name": "name", "birth_date": "date", "sex": "sex", "personal_id": "personal_id",
        "address_street": "text", "address_unit": "unit", "address_province": "unit",
    }.items()
}  # fmt: skip


def of(**attributes):
    return features("person", attributes, declaration=PERSON)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("nguyen thi tri", "nguyen thi chi"),
        ("lo thi mo", "no thi mo"),
        ("tran xuan", "tran suan"),
        ("hoang van giang", "hoang dan dan"),
        ("ly thi mai", "li thi mai"),
        ("duong thi cuc", "duong thi cut"),
    ],
)
def test_spellings_that_sound_alike_are_one(one, other):
    assert sound(one) == sound(other)


def test_names_that_sound_different_stay_apart():
    assert len({sound(name) for name in ("hung", "dung", "tung", "khanh", "an", "anh hoa", "y", "u")}) == 8


def test_the_first_of_january_is_no_full_date():
    assert [of(birth_date=day)["birth_date_full"] for day in ("1980-02-01", "1980-01-01", "1980-02", "1980")] == [
        "1980-02-01", None, None, None,
    ]  # fmt: skip


def test_a_number_fits_where_it_says_the_sex_and_year_of_its_record():
    number = {"personal_id": "001080000017"}
    assert of(**number, sex="male", birth_date="1980-05-06")["personal_id_fitting"] == "001080000017"
    assert of(**number, sex="female", birth_date="1980-05-06")["personal_id_fitting"] is None
    assert of(**number, sex="male", birth_date="1981")["personal_id_fitting"] is None
    assert of(**number, birth_date="1980")["personal_id_fitting"] is None


def test_an_address_is_the_same_before_and_after_its_commune_was_merged():
    old, new = (of(address_unit=unit, address_street="Số 5 Lê Lợi") for unit in ("L05528", "N05528"))
    assert old["communes_now"] == new["communes_now"] == ["N05528"]
    assert old["address_now"] == new["address_now"] == "N05528 so 5 le loi"
    assert of(address_unit="L05528")["address_now"] is None


def test_an_address_in_a_commune_that_was_divided_stays_in_the_old_one():
    divided = of(address_unit="L00103", address_street="Số 5 Lê Lợi")
    assert len(divided["communes_now"]) > 1
    assert divided["address_now"] == "L00103 so 5 le loi"


def test_a_table_gives_what_its_rows_give():
    rows = [
        {
            "full_name": "Nguyễn Thị Tri",
            "sex": "female",
            "birth_date": "1980-01-01",
            "personal_id": "001180000017",
        },
        {"full_name": "Tri", "sex": "male", "birth_date": "1980", "personal_id": "001180000017"},
        {"address_unit": "L00103", "address_street": "Số 5 Lê Lợi", "birth_date": "1980-12-30"},
        {"address_unit": "L00103"},
        {"address_province": "L01", "address_street": "Số 5"},
        {},
    ]
    names = {name for row in rows for name in row}
    table = pa.Table.from_pylist([{name: row.get(name) for name in names} for row in rows])
    wanted = [*NEEDS, "birth_date_full"]
    made = feature_columns("person", table, declaration=PERSON, wanted=wanted).to_pylist()
    assert made == [{name: of(**row)[name] for name in made[0]} for row in rows]
    assert set(made[0]) == set(wanted)
