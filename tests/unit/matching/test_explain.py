"""Why a pair has its weight: rows that add up, and a plain sentence."""

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matching.artefact import LevelParameters, TrainedModel
from matching.explain import LONGEST_SENTENCE, Explainer
from matching.model import Words, load_model_and_words
from matching.scorer import Scorer
from matching.words import LANGUAGES, Wording
from mdm.registries.attributes import load_attributes
from tests.unit.matching.scenario import CONFIGS, MODEL, family_records, feature_table

ATTRIBUTES = load_attributes(CONFIGS / "attributes.yaml").person
WORDING = Wording(
    *load_model_and_words(CONFIGS / "matching" / "person.yaml"),
    labels={name: Words(vi=found.vi, en=found.en) for name, found in ATTRIBUTES.items()},
)
RECORDS = feature_table(family_records(120, seed=5)).to_pylist()


def drawn_model(seed):
    """Of the declared comparisons, with probabilities out of a hat."""
    draw = random.Random(seed)

    def shares(levels):
        parts = [draw.random() ** 4 + 1e-9 for _ in levels]
        return [part / sum(parts) for part in parts]

    parameters = {
        c.name: [LevelParameters(m, u) for m, u in zip(shares(c.levels), shares(c.levels), strict=True)]
        for c in MODEL.comparisons
    }
    frequencies = {}
    for column in MODEL.term_frequency_columns:
        counts = Counter(record[column] for record in RECORDS if record[column] is not None)
        frequencies[column] = {value: n / len(RECORDS) for value, n in counts.items() if n > 1}
    return TrainedModel(
        declaration=MODEL,
        prior=10 ** draw.uniform(-7, -1),
        parameters=parameters,
        term_frequencies=frequencies,
        frequency_floor=1 / len(RECORDS),
        records=len(RECORDS),
        untrained=[],
        alternative={c.name: shares(c.levels) for c in MODEL.comparisons},
    )


PAIRS = st.integers(0, len(RECORDS) - 8).flatmap(
    lambda n: st.tuples(st.just(n), st.one_of(st.integers(n, n + 7), st.integers(0, len(RECORDS) - 1)))
)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32), st.lists(PAIRS, min_size=1, max_size=40))
def test_of_any_model_and_pair_the_rows_add_up_and_the_sentence_is_plain(seed, pairs):
    trained = drawn_model(seed)
    scorer, explainer = Scorer(trained), Explainer(trained, WORDING)
    for a, b in pairs:
        left, right = RECORDS[a], RECORDS[b]
        found, turned = explainer.explain(left, right), explainer.explain(right, left)
        assert [row.field for row in found.rows] == [*(c.name for c in MODEL.comparisons), "family"]
        weight = scorer.weight(left, right)
        assert found.prior + sum(row.bits for row in found.rows) == pytest.approx(weight, abs=1e-9)
        assert found.weight == pytest.approx(weight, abs=1e-9)
        for row in found.rows:
            told = "for" if row.bits > 0 else "against"
            assert row.stance == ("none" if abs(row.bits) < 0.05 else told)
        for language in LANGUAGES:
            sentence = found.sentence(language)
            assert sentence == turned.sentence(language)
            assert len(sentence.split()) <= LONGEST_SENTENCE
            assert sentence[0].isupper()
            assert sentence.endswith(".")
            assert not any(mark.isdigit() or mark in "_=[]{}" for mark in sentence)
            assert ".." not in sentence
            assert "  " not in sentence


# --- a small model in which every weight is known ---------------------------------------------------------------------

BITS = {  # by comparison, of its levels; 1 bit is m = 2u
    "full_name": [9, 8, 7, 6, 5, 3, 1, 1, 0.5, -1, -3, -6],
    "birth_date": [12, 6, 5, 4, 3, -1, -2, -8],
    "sex": [1, -6],
    "personal_id": [25, 12, 7, -8, -4],
    "social_insurance_no": [22, 10, -4],
    "phone": [8, -0.5],
    "place": [15, 12, 9, 6, -1, -3],
    "mother": [8, 5, -5],
}


def plain_model(**changes):
    parameters = {}
    for comparison in MODEL.comparisons:
        bits = BITS.get(comparison.name, [0] * len(comparison.levels))
        parameters[comparison.name] = [LevelParameters(m=2.0**b * 1e-9, u=1e-9) for b in bits]
    declared = MODEL.model_copy(update={"alternative": None, **changes})
    return TrainedModel(
        declared, 2.0**-20, parameters, {c: {} for c in MODEL.term_frequency_columns}, 1e-9, 10, []
    )


def explained(one, other, trained=None):
    left, right = feature_table([{"sex": None, **one}, {"sex": None, **other}]).to_pylist()
    return Explainer(trained or plain_model(), WORDING).explain(left, right, shown=(one, other))


AN = {"full_name": "Nguyễn Văn An", "birth_date": "1980-05-17", "sex": "male"}
HERE = {"address_unit": "L00103", "address_street": "Số 4 ngõ 7"}
THERE = {"address_unit": "L01324", "address_street": "Số 12"}
TWIN = {**AN, **HERE, "mother_name": "Phạm Thị Hoa"}


SENTENCES = {
    "three for, one against": (
        {**AN, **HERE, "social_insurance_no": "7900000001"},
        {**AN, **THERE, "social_insurance_no": "7900000001"},
        """Cùng số BHXH, ngày sinh và họ tên; khác tỉnh cư trú. Rất có thể là một người.""",
        """Same social-insurance number, date of birth and name; different province. Very likely one person.""",
    ),
    "doubtful for": (
        AN,
        {"full_name": "Nguyễn Văn An", "birth_date": "1980-05-17"},
        """Cùng ngày sinh và họ tên. Chưa thể nói là một người hay hai người khác nhau.""",
        """Same date of birth and name. It cannot be told whether one person or two different people.""",
    ),
    "too little for": (
        AN,
        {"full_name": "Nguyen Van An", "birth_date": "1980", "sex": "male"},
        """Chỉ cùng họ tên (chỉ khác dấu), năm sinh (có bên không rõ ngày) và giới tính.
        Có lẽ là hai người khác nhau, chưa chắc chắn.""",
        """Only the same name (marks apart), year of birth (day unknown on one side) and sex.
        Probably two different people, but not certain.""",
    ),
    "one for": (
        {"sex": "male"},
        {"sex": "male"},
        """Chỉ cùng giới tính. Rất có thể là hai người khác nhau.""",
        """Only the same sex. Very likely two different people.""",
    ),
    "one against": (
        {"sex": "male"},
        {"sex": "female"},
        """Khác giới tính. Rất có thể là hai người khác nhau.""",
        """Different sex. Very likely two different people.""",
    ),
    "nothing": (
        {"sex": "male"},
        {"full_name": "Nguyễn Văn An"},
        """Không có mục nào cả hai bên cùng ghi. Rất có thể là hai người khác nhau.""",
        """Nothing is recorded on both sides. Very likely two different people.""",
    ),
    "two fitting numbers": (
        {**AN, **HERE, "personal_id": "001080000012"},
        {**AN, **HERE, "personal_id": "001080345679"},
        """Cùng ngày sinh, địa chỉ và họ tên; hai số CCCD khác nhau đều đúng cấu trúc.
        Có lẽ là một người, chưa chắc chắn.""",
        """Same date of birth, address and name; two different personal numbers, both well formed.
        Probably one person, but not certain.""",
    ),
    "twins": (
        {**TWIN, "full_name": "Nguyễn Văn Hùng"},
        {**TWIN, "full_name": "Nguyễn Gia Bách"},
        """Cùng ngày sinh, địa chỉ và họ tên mẹ; khác họ tên. Coi chừng anh chị em sinh đôi.
        Có lẽ là một người, chưa chắc chắn.""",
        """Same date of birth, address and mother's name; different name. Beware of twins.
        Probably one person, but not certain.""",
    ),
    "a shared number": (
        {**AN, "personal_id": "001080000012"},
        {"full_name": "Trần Thị Bích", "birth_date": "1952-11-30", "personal_id": "001080000012"},
        """Cùng số định danh; khác ngày sinh và họ tên. Hai hồ sơ dùng chung một số nhưng khác cả tên lẫn ngày sinh.
        Hệ thống không tự nối, cần người quyết định.""",
        """Same personal number; different date of birth and name. Two records share a number but neither name nor
        date of birth. Not linked automatically: a person must decide.""",
    ),
}


@pytest.mark.parametrize("name", SENTENCES)
def test_sentences(name):
    one, other, vi, en = SENTENCES[name]
    found = explained(one, other)
    assert found.sentence("vi") == " ".join(vi.split())
    assert found.sentence("en") == " ".join(en.split())
    assert found.forbidden == (name == "a shared number")


def test_a_warning_is_not_given_where_a_number_is_shared():
    one, other = SENTENCES["twins"][:2]
    assert [remark.words.en for remark in explained(one, other).remarks] == ["Beware of twins"]
    number = {"personal_id": "001080000012"}
    assert explained({**one, **number}, {**other, **number}).remarks == ()
    assert explained({**one, "full_name": None}, other).remarks == ()


def test_a_rare_name_is_called_rare():
    trained = plain_model()
    u = 1e-3
    trained.parameters["full_name"][0] = LevelParameters(m=u * 2**9, u=u)
    left, right = feature_table([AN, AN]).to_pylist()
    key = left["full_name_key"]
    said = {}
    for name, frequency in (("rare", u / 100), ("usual", u), ("common", u * 100)):
        trained.term_frequencies["full_name_key"][key] = frequency
        row = Explainer(trained, WORDING).explain(left, right).rows[0]
        said[name] = (row.finding.vi, row.finding.en)
    assert said == {
        "rare": ("cùng họ tên hiếm", "same rare name"),
        "usual": ("cùng họ tên", "same name"),
        "common": ("cùng họ tên phổ biến", "same common name"),
    }


def test_what_is_the_same_and_speaks_against_is_only_the_same():
    trained = plain_model()
    trained.parameters["sex"][0] = LevelParameters(m=0.1, u=0.9)
    found = explained(AN, {**AN, "birth_date": None}, trained)
    assert found.sentence("vi").startswith("Cùng họ tên; chỉ cùng giới tính.")
    assert found.sentence("en").startswith("Same name; only the same sex.")


def test_the_alternative_is_named_where_it_makes_the_pair_doubtful():
    trained = drawn_model(1)
    parameters = plain_model().parameters
    alternative = {name: [0.5] * len(levels) for name, levels in parameters.items()}
    family = TrainedModel(
        MODEL, 2.0**-20, parameters, trained.term_frequencies, 1e-9, 10, [], alternative=alternative
    )
    found = explained(
        {**TWIN, "full_name": "Nguyễn Văn Hùng"}, {**TWIN, "full_name": "Nguyễn Gia Bách"}, family
    )
    assert found.rows[-1].field == "family"
    assert found.rows[-1].bits < -1
    assert "giống như hai người một nhà" in found.sentence("vi")
    assert "alike as two people of one family" in found.sentence("en")


def test_the_table_goes_from_the_prior_by_the_evidence_to_the_sum():
    found = explained({**AN, **HERE}, {**AN, "sex": "female", "birth_date": "1980"})
    table = found.table("vi")
    assert table.headings == ("Mục", "Hồ sơ 1", "Hồ sơ 2", "Kết quả", "Bit", "Ý nghĩa")
    assert table.rows[0] == ("trước khi so sánh", "", "", "", "-20.0", "")
    assert table.rows[1] == ("họ tên", "Nguyễn Văn An", "Nguyễn Văn An", "cùng họ tên", "+9.0", "ủng hộ")
    assert table.rows[4] == ("giới tính", "male", "female", "khác giới tính", "-6.0", "chống lại")
    assert table.rows[5] == ("số định danh", "", "", "hai bên không ghi", "", "không rõ")
    place = next(row for row in found.table("en").rows if row[0] == "residence")
    assert place == ("residence", "Số 4 ngõ 7, L00103", "", "not recorded on one side", "", "none")
    assert len(table.rows) == len(MODEL.comparisons) + 2
    assert float(table.rows[-1][4]) == pytest.approx(found.weight, abs=0.05)


def test_values_that_are_not_given_are_taken_from_the_features():
    left, right = feature_table([AN, {**AN, "birth_date": "1980"}]).to_pylist()
    rows = {row.field: row for row in Explainer(plain_model(), WORDING).explain(left, right).rows}
    assert (rows["birth_date"].left, rows["birth_date"].right) == ("1980-05-17", "1980")
    assert rows["birth_date"].level == "equal birth_date_year birth_date_full"
    assert rows["phone"].left is None
    assert rows["phone"].level is None


def test_households_are_called_households():
    trained = plain_model(kind="household")
    assert explained(AN, AN, trained).sentence("en").endswith("Probably one household, but not certain.")
    assert explained({"sex": "male"}, {"sex": "female"}, trained).sentence("vi").endswith("hai hộ khác nhau.")


def test_it_can_be_told_as_json():
    told = explained(AN, AN).as_dict()
    assert told["sentence"]["en"].startswith("Same date of birth")
    assert told["rows"][0]["label"] == {"vi": "họ tên", "en": "name"}
    assert told["prior"] + sum(row["bits"] for row in told["rows"]) == pytest.approx(told["weight"])
