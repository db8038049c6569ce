from __future__ import annotations

import datetime as dt

import pyarrow as pa
import pytest

from matching.standardise.address_text import segments
from matching.standardise.addresses import ResolvedUnit, resolve, resolve_columns
from matching.standardise.unit_names import name_keys
from matching.standardise.units import Units, default_units, parse_unit_code

OLD, NEW = dt.date(2020, 1, 1), dt.date(2025, 9, 1)


@pytest.fixture(scope="module")
def units() -> Units:
    return default_units()


def found(result: ResolvedUnit) -> tuple[str | None, str | None, str | None]:
    return result.code, result.street, result.issue


@pytest.mark.parametrize(
    ("written", "keys"),
    [
        ("Phường 01", [("1", "phuong")]),
        ("P.1", [("1", "phuong")]),
        ("Q3", [("3", "quan")]),
        ("TX. Ba Đồn", [("badon", "thi xa")]),
        ("Xã Tân Kỳ", [("tanki", "xa")]),
        ("Đắk Lắk", [("daklak", "")]),
        ("Quản Bạ", [("quanba", "")]),
        ("Quan Ba", [("quanba", ""), ("ba", "quan")]),
        ("Huyện Quan Sơn", [("quanson", "huyen")]),
    ],
)
def test_names_of_units_are_reduced_to_keys(written: str, keys: list[tuple[str, str]]) -> None:
    assert list(name_keys(written)) == keys


@pytest.mark.parametrize(
    ("commune", "district", "province", "code"),
    [
        ("Phường Phúc Xá", "Quận Ba Đình", "Thành phố Hà Nội", "L00001"),
        ("P. Phuc Xa", "Q. Ba Dinh", "Ha Noi", "L00001"),
        ("PHƯỜNG PHÚC XÁ", "BA ĐÌNH", "TP HÀ NỘI", "L00001"),
        ("Phường 1", "Quận 3", "TPHCM", "L27160"),
        ("P1", "Q.3", "Sài Gòn", "L27160"),
        ("TT. Hoàn Lão", "Bố Trạch", "Quảng Bình", "L19111"),
        ("Ia Phí", "Chư Păh", "Gia Lai", "L23731"),
    ],
)
def test_exact_names_are_found_however_they_are_abbreviated(
    units: Units, commune: str, district: str, province: str, code: str
) -> None:
    result = resolve(units, commune=commune, district=district, province=province, as_of=OLD)
    assert (result.code, result.level, result.confidence, result.issue) == (code, "commune", 1.0, None)


@pytest.mark.parametrize(
    ("commune", "district", "province"),
    [
        ("Phúc Sá", "Ba Đình", "Hà Nội"),
        ("Phường Phúc Xáa", "Ba Đìn", "Hà Nôị"),
        ("Phườn Phúc Xá", "Ba Đình", "Hà Nộ"),
    ],
)
def test_a_typing_error_costs_confidence_and_is_told(
    units: Units, commune: str, district: str, province: str
) -> None:
    result = resolve(units, commune=commune, district=district, province=province, as_of=OLD)
    assert result.code == "L00001"
    assert result.confidence < 1


def test_a_unit_is_read_in_the_vocabulary_of_its_day(units: Units) -> None:
    names = {"commune": "Phường Ba Đình", "province": "Hà Nội"}
    assert found(resolve(units, **names, as_of=NEW)) == ("N00004", None, None)
    assert resolve(units, **names, as_of=OLD).issue == "unit.other_vocabulary"
    old_paper = {"commune": "Phường Phúc Xá", "district": "Quận Ba Đình", "province": "Hà Nội"}
    assert found(resolve(units, **old_paper, as_of=NEW)) == ("L00001", None, "unit.other_vocabulary")
    assert found(resolve(units, **old_paper)) == ("L00001", None, None)


def test_an_old_commune_under_the_new_name_of_its_province_is_found(units: Units) -> None:
    # Bình Định became part of Gia Lai
    result = resolve(units, commune="Xã Nhơn Lý", district="Quy Nhơn", province="Gia Lai", as_of=NEW)
    assert (result.code, result.province_code, result.province_now) == ("L21598", "L52", "N52")


def test_official_codes_mean_the_unit_of_their_day(units: Units) -> None:
    assert resolve(units, commune_code="00004", as_of=OLD).code == "L00004"
    assert resolve(units, commune_code="00004", as_of=NEW).code == "N00004"
    assert resolve(units, commune_code="4", as_of=NEW).code == "N00004"
    assert found(resolve(units, commune_code="99999", as_of=NEW)) == (None, None, "unit.unknown")


@pytest.mark.parametrize(
    ("text", "code", "street"),
    [
        ("Số 12/3 Lê Lợi, Phường Bến Nghé, Quận 1, TP. Hồ Chí Minh", "L26740", "Số 12/3 Lê Lợi"),
        ("12 Lê Lợi P. Bến Nghé Q.1 TP HCM", "L26740", "12 Lê Lợi"),
        ("12 Lê Lợi Bến Nghé Quận 1 Hồ Chí Minh", "L26740", "12 Lê Lợi"),
        ("12 Le Loi, Phuong Ben Nghe, Quan 1, Ho Chi Minh, Viet Nam", "L26740", "12 Le Loi"),
        ("thôn 3, Ia Phi, Chư Pah, Gia Lai", "L23731", "thôn 3"),
        ("Phường Phước Mỹ, Thành phố Phan Rang - Tháp Chàm, Ninh Thuận", "L22741", None),
        ("KP3, Tân Phong, Biên Hòa", "L25996", "KP3"),
        ("Huyện đảo Côn Đảo", "L90755", None),
    ],
)
def test_free_text_is_cut_into_street_and_units(
    units: Units, text: str, code: str, street: str | None
) -> None:
    assert found(resolve(units, text=text, as_of=OLD))[:2] == (code, street)


def test_free_text_may_go_with_columns_for_the_larger_units(units: Units) -> None:
    result = resolve(units, text="Số 5, P. Bến Nghé", district="Quận 1", province="TP. HCM", as_of=OLD)
    assert found(result) == ("L26740", "Số 5", None)


def test_the_deepest_certain_unit_is_given_instead_of_a_guess(units: Units) -> None:
    unknown = resolve(
        units, commune="Xã Không Ai Biết", district="Huyện Chư Păh", province="Gia Lai", as_of=OLD
    )
    assert (unknown.code, unknown.level, unknown.issue) == ("L627", "district", "unit.commune_unknown")
    assert resolve(units, province="Hà Nội", as_of=OLD).issue == "unit.commune_missing"
    assert resolve(units, commune="Tân Phong", as_of=OLD).code is None
    assert found(resolve(units, text="không rõ")) == (None, None, None)
    assert found(resolve(units)) == (None, None, None)
    assert found(resolve(units, text="ở đâu đó")) == (None, "ở đâu đó", "unit.unknown")


def test_places_are_compared_across_vocabularies(units: Units) -> None:
    assert units.successors("L00001") == ("N00097",)
    assert units.successors("N00097") == ("N00097",)
    assert units.successors("L99999") == ()
    assert units.same_place("L00001", "N00097")
    assert units.same_place("N00097", "L00001")
    assert not units.same_place("L00001", "N00004")
    assert not units.same_place("L00001", "L00004")
    assert units.same_place("L52", "N52")
    assert units.same_place("L64", "N52")
    assert not units.same_place("L99999", "L99999")
    assert units.province_now("L21598") == "N52"
    assert units.province_now("L99999") is None


def test_every_old_commune_has_a_successor_or_is_known_not_to(units: Units) -> None:
    without = [
        u.code
        for u in units.by_code.values()
        if u.level == "commune" and u.code[0] == "L" and not units.successors(u.code)
    ]
    assert len(without) < 10


def test_a_unit_code_is_checked_against_the_tables() -> None:
    assert parse_unit_code(" n79 ") == ("N79", None)
    assert parse_unit_code("L99999") == (None, "unit.unknown")
    assert parse_unit_code("Hà Nội") == (None, "unit.unreadable")


def test_a_table_of_addresses_keeps_its_rows(units: Units) -> None:
    table = pa.table(
        {
            "commune": ["Phường Bến Nghé", None, "Phường Bến Nghé"],
            "district": ["Quận 1", None, "Quận 1"],
            "province": ["TP HCM", None, "TP HCM"],
            "street": [" 12  Lê Lợi ", None, "5"],
            "as_of": pa.array([OLD, None, NEW], pa.date32()),
        }
    )
    assert resolve_columns(table, units=units).to_pylist() == [
        {"unit": "L26740", "level": "commune", "province": "L79", "street": "12 Lê Lợi", "issue": None},
        {"unit": None, "level": None, "province": None, "street": None, "issue": None},
        {
            "unit": "L26740",
            "level": "commune",
            "province": "L79",
            "street": "5",
            "issue": "unit.other_vocabulary",
        },
    ]


def test_an_unknown_address_column_is_refused(units: Units) -> None:
    with pytest.raises(ValueError, match="ward"):
        resolve_columns(pa.table({"ward": ["x"]}), units=units)


def test_dashes_inside_names_do_not_cut(units: Units) -> None:
    assert segments("Phường 10 - Vũng Tàu - Bà Rịa - Vũng Tàu", units)[-1] == "Bà Rịa - Vũng Tàu"


@pytest.mark.parametrize(
    ("text", "code", "issue"),
    [
        # a letter wrong in the commune, the district, the province, all three
        ("12 Lê Lợi, Phường Bến Ngé, Quận 1, TP. Hồ Chí Minh", "L26740", "unit.fuzzy"),
        ("Xã Quang Trung, Huyện Nguọc Lặc, Tỉnh Thanh Hóa", "L15085", "unit.fuzzy"),
        ("Phường Kim Dinh, Thành phố Bà Rịa, Tỉnh Bà ịRa - Vũng Tàu", "L26566", "unit.fuzzy"),
        ("Xã Ia Phíi, Huyện Chư Păhh, Tỉnh Gia Lay", "L23731", "unit.fuzzy"),
        # no district, no province
        ("P. Bến Nghé, TPHCM", "L26740", None),
        ("Phường Bến Nghé, Quận 1", "L26740", None),
        # the largest part first, no separators
        ("Thành phố Hồ Chí Minh, Quận 1, Phường Bến Nghé, 12 Lê Lợi", "L26740", None),
        ("15 Quốc lộ 1A Xã Cù Bị Huyện Châu Đức Tỉnh Bà Rịa - Vũng Tàu", "L26599", None),
    ],
)
def test_a_damaged_address_still_comes_to_its_commune(
    units: Units, text: str, code: str, issue: str | None
) -> None:
    result = resolve(units, text=text, as_of=OLD)
    assert (result.code, result.issue) == (code, issue)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Xã Văn aLng, Tỉnh Thái Nguyên", "N19"),  # Văn Lang of today or Văn Lăng of old
        ("Xã Xuân Hòa, Tỉnh Thanh Hóa", "L38"),  # two districts had one
        ("phuong sa pa, thi xa sa pa, tinh lao cai", "L088"),  # Sa Pa or Sa Pả
    ],
)
def test_what_cannot_be_told_apart_gives_what_it_has_in_common(units: Units, text: str, code: str) -> None:
    as_of = None if code.startswith("N") else OLD
    result = resolve(units, text=text, as_of=as_of)
    assert (result.code, result.issue) == (code, "unit.ambiguous")


def test_a_commune_without_parents_is_believed_if_its_name_is_the_only_one(units: Units) -> None:
    only = resolve(units, text="thôn 2, Xã Cù Bị", as_of=OLD)
    assert (only.level, only.issue) == ("commune", "unit.province_missing")
    assert resolve(units, text="thôn 2, Xã Tân Thành", as_of=OLD).code is None
    assert resolve(units, text="thôn 2, Cù Bị", as_of=OLD).code is None


def test_a_district_that_is_not_the_communes_is_told(units: Units) -> None:
    result = resolve(units, text="Phường Bến Nghé, Quận 5, TP. Hồ Chí Minh", as_of=OLD)
    assert (result.code, result.issue) == ("L26740", "unit.district_mismatch")
    street = resolve(units, text="Bến Nghé, Quận 5, TP. Hồ Chí Minh", as_of=OLD)
    assert (street.level, street.issue) == ("district", "unit.commune_unknown")
