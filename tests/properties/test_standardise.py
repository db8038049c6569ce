"""Laws of the standardisers: canonical values are fixed points, spelling variants agree, columns equal single values."""

from __future__ import annotations

import datetime as dt
import unicodedata
from types import SimpleNamespace

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from matching.standardise.addresses import resolve, resolve_columns
from matching.standardise.columns import parse_column, parse_many, parse_many_column
from matching.standardise.features import feature_columns, feature_schema, features
from matching.standardise.name_forms import name_forms
from matching.standardise.types import VALUE_TYPES
from matching.standardise.units import default_units

SYLLABLES = [
    "nguyễn",
    "trần",
    "thị",
    "văn",
    "hòa",
    "hoà",
    "thủy",
    "thuỷ",
    "úy",
    "uý",
    "quý",
    "quí",
    "mỹ",
    "mĩ",
    "lý",
    "lí",
    "đặng",
    "ðặng",
    "d'an",
    "h'hen",
    "k'",
    "y",
    "ka",
    "niê",
    "mlô",
    "đình",
    "gìn",
    "giáp",
    "ng.",
    "v.",
    "bà",
    "ông",
    "cháu",
    "con",
    "chưa",
    "đặt",
    "tên",
    "(chết)",
    "vawn",
    "nguyeenx",
    "nguye6n4",
    "smith",
    "o'brien",
    "mary-jane",
    "josé",
    "lees",
]
LETTERS = "aăâbcdđeêghiklmnoôơpqrstuưvxy ÀẢÃÁẠàảãáạ'’-.()/0123456789\u0301\u0300\u0323\u00a0"
anything = st.text(max_size=24)
vietnamese = st.one_of(
    st.lists(st.sampled_from(SYLLABLES), min_size=1, max_size=5).map(" ".join),
    st.text(alphabet=LETTERS, max_size=24),
)
numbers = st.text(alphabet="0123456789", max_size=16)
dates = st.one_of(
    st.dates(dt.date(1800, 1, 1), dt.date(2035, 12, 31)).flatmap(
        lambda day: st.sampled_from(
            [
                day.strftime(f)
                for f in ("%d/%m/%Y", "%Y-%m-%d", "%d%m%Y", "%m/%Y", "%Y", "%d.%m.%y", "%Y-%m-%dT17:00:00Z")
            ]
        )
    ),
    st.builds("{}/{}/{}".format, st.integers(0, 40), st.integers(0, 20), st.integers(0, 2100)),
)
phones = st.builds(
    "{}{}".format, st.sampled_from(["0", "+84", "84", "0084", "01", ""]), st.integers(10**7, 10**11)
)
raw = st.one_of(anything, vietnamese, numbers, dates, phones)
quick = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.parametrize("type_name", VALUE_TYPES)
@quick
@given(text=raw)
def test_a_canonical_value_is_a_fixed_point(type_name: str, text: str) -> None:
    parse = VALUE_TYPES[type_name].parse
    value = parse(text).value
    if value is not None:
        assert parse(value).value == value
        assert value
        assert value == value.strip()
        assert unicodedata.is_normalized("NFC", value)


@pytest.mark.parametrize("type_name", VALUE_TYPES)
@quick
@given(text=raw)
@example(text="Ù?")
def test_composed_and_decomposed_text_agree(type_name: str, text: str) -> None:
    parse = VALUE_TYPES[type_name].parse
    assert parse(unicodedata.normalize("NFC", text)) == parse(unicodedata.normalize("NFD", text))


@quick
@given(
    names=st.lists(
        st.sampled_from([("hoà", "hòa"), ("thuỷ", "thủy"), ("uý", "úy"), ("khoẻ", "khỏe"), ("nguyễn",) * 2]),
        min_size=1,
    )
)
def test_the_place_of_the_tone_mark_does_not_matter(names: list[tuple[str, str]]) -> None:
    old, new = (" ".join(pair[side] for pair in names) for side in (0, 1))
    parse = VALUE_TYPES["name"].parse
    assert parse(old) == parse(new)
    assert parse(old).value == new.title()


@quick
@given(text=vietnamese)
def test_case_and_blanks_do_not_matter_to_a_name(text: str) -> None:
    parse = VALUE_TYPES["name"].parse
    plain = parse(text).value
    assert parse(text.upper()).value == plain
    assert parse(f"  {text.replace(' ', '   ')} ").value == plain


@quick
@given(text=raw)
def test_ascii_forms_of_a_name_are_ascii_and_not_empty(text: str) -> None:
    value = VALUE_TYPES["name"].parse(text).value
    if value is not None:
        forms = name_forms(value)
        assert forms.folded
        assert forms.folded.isascii()
        assert forms.toneless.isascii()
        assert forms.sorted_words.isascii()
        assert forms.given
        assert len(forms.initials) == len(forms.folded.split())


@pytest.mark.parametrize("type_name", VALUE_TYPES)
@settings(max_examples=40, deadline=None)
@given(texts=st.lists(st.one_of(st.none(), raw), max_size=20), chunks=st.integers(1, 3))
def test_a_column_is_parsed_like_its_cells(type_name: str, texts: list[str | None], chunks: int) -> None:
    parse = VALUE_TYPES[type_name].parse
    column = pa.chunked_array([pa.array(texts[i::chunks], pa.string()) for i in range(chunks)])
    parsed = parse_column(type_name, column)
    expected = [(None, None) if text is None else tuple(parse(text)) for text in column.to_pylist()]
    assert list(zip(parsed.values.to_pylist(), parsed.issues.to_pylist(), strict=True)) == expected


@settings(max_examples=60, deadline=None)
@given(cells=st.lists(st.one_of(st.none(), st.lists(phones, max_size=4)), max_size=12))
def test_many_values_in_a_cell_are_parsed_like_single_ones(cells: list[list[str] | None]) -> None:
    kind = VALUE_TYPES["phone"]
    joined = pa.array([None if cell is None else "; ".join(cell) for cell in cells], pa.string())
    from_text = parse_many_column("phone", joined)
    from_lists = parse_many_column("phone", pa.array(cells, pa.list_(pa.string())))
    expected = [(parse_many(cell, kind)[0] or None) if cell else None for cell in cells]
    assert from_text.values.to_pylist() == expected
    assert from_lists.values.to_pylist() == expected


TYPES = {
    "full_name": "name", "mother_name": "name", "other_name": "name", "birth_date": "date", "sex": "sex",
    "personal_id": "personal_id", "former_personal_id": "personal_id", "cmnd": "cmnd", "tax_code": "tax_code",
    "social_insurance_no": "social_insurance_no", "health_card_no": "health_card_no", "phone": "phone", "ethnicity": "ethnicity",
    "address_street": "text", "birth_place": "text", "address_unit": "unit", "address_province": "unit", "file_no": "code",
    "household_size": "integer",
}  # fmt: skip
MANY = {"other_name", "former_personal_id", "cmnd", "phone"}
DECLARATION = {name: SimpleNamespace(type=type_, many=name in MANY) for name, type_ in TYPES.items()}
UNIT_CODES = ["L00001", "L26740", "N00004", "L001", "L52", "N79", "L90755"]
PIDS = ["001080012345", "079199000001", "038204000002"]
samples = {
    "name": vietnamese, "date": dates, "sex": st.sampled_from(["Nam", "Nữ"]), "personal_id": st.sampled_from(PIDS),
    "cmnd": st.from_regex(r"[0-9]{9}", fullmatch=True), "tax_code": st.sampled_from(["0100109106", *PIDS]),
    "social_insurance_no": st.sampled_from(["0123456780", PIDS[0]]), "phone": phones, "ethnicity": st.just("Kinh"),
    "health_card_no": st.sampled_from(["GD4010123456789", "0123456780", PIDS[1]]), "text": vietnamese, "code": numbers,
    "unit": st.sampled_from(UNIT_CODES), "integer": st.integers(0, 20).map(str),
}  # fmt: skip


@st.composite
def canonical_records(draw: st.DrawFn) -> dict[str, str | list[str]]:
    record: dict[str, str | list[str]] = {}
    for name, type_ in TYPES.items():
        if not draw(st.booleans()):
            continue
        kind = VALUE_TYPES[type_]
        if name in MANY:
            values, _ = parse_many(draw(st.lists(samples[type_], min_size=1, max_size=3)), kind)
            if values:
                record[name] = values
        elif (value := kind.parse(draw(samples[type_])).value) is not None:
            record[name] = value
    return record


@pytest.mark.parametrize("kind", ["person", "household"])
@settings(max_examples=60, deadline=None)
@given(records=st.lists(canonical_records(), max_size=6))
def test_features_of_a_table_equal_those_of_its_records(
    kind: str, records: list[dict[str, str | list[str]]]
) -> None:
    schema = pa.schema([(name, pa.list_(pa.string()) if name in MANY else pa.string()) for name in TYPES])
    table = pa.Table.from_pylist(records, schema=schema)
    columns = feature_columns(kind, table, declaration=DECLARATION)
    assert columns.schema == feature_schema(kind, declaration=DECLARATION)
    assert columns.to_pylist() == [features(kind, record, declaration=DECLARATION) for record in records]


addresses = st.fixed_dictionaries(
    {},
    optional={
        "street": vietnamese,
        "commune": st.sampled_from(
            ["Phường Bến Nghé", "p. ben nghe", "Xã Tân Thành", "Phúc Xá", "Phươg Bến Nghé", "x"]
        ),
        "district": st.sampled_from(["Quận 1", "Q.1", "Ba Đình", "Châu Thành"]),
        "province": st.sampled_from(["Hồ Chí Minh", "TP HCM", "Hà Nội", "Long An", "Nowhere"]),
        "text": st.sampled_from(
            ["12 Lê Lợi, Bến Nghé, Q.1, TP.HCM", "Phường Sài Gòn, Thành phố Hồ Chí Minh", "không rõ"]
        ),
        "commune_code": st.sampled_from(["00004", "4", "26740", "99999", "abc"]),
        "as_of": st.sampled_from([dt.date(2019, 5, 1), dt.date(2025, 7, 1), dt.date(2025, 6, 30)]),
    },
)


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(addresses, max_size=8))
def test_addresses_in_columns_are_resolved_like_single_ones(rows: list[dict[str, object]]) -> None:
    units = default_units()
    names = ["street", "commune", "district", "province", "text", "commune_code"]
    schema = pa.schema([*((name, pa.string()) for name in names), ("as_of", pa.date32())])
    found = resolve_columns(pa.Table.from_pylist(rows, schema=schema), units=units).to_pylist()
    expected = [resolve(units, **row) for row in rows]  # type: ignore[arg-type]
    assert found == [
        {"unit": r.code, "level": r.level, "province": r.province_code, "street": r.street, "issue": r.issue}
        for r in expected
    ]


@pytest.mark.parametrize("type_name", VALUE_TYPES)
@pytest.mark.parametrize("piece", ["9", "a ", "?", "1/", "(", "con bà ", "xã ", "\u1798\u17d2", "Ä‚", "\x00"])
def test_a_text_of_any_length_is_parsed(type_name: str, piece: str) -> None:
    parse = VALUE_TYPES[type_name].parse
    for text in (piece * (900 // len(piece)), piece * 20_000):
        value = parse(text).value
        assert value is None or parse(value).value == value
    resolved = resolve(default_units(), text=piece * 20_000, province=piece * 20_000)
    assert resolved.level in (None, "province")
