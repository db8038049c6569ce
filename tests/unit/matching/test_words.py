"""Words of models: declared ones, and those that a model of any data has without a declaration."""

from pathlib import Path

import pytest

from matching.model import Model, ModelError, Words, load_model, load_model_and_words
from matching.standardise.features import feature_schema
from matching.words import LANGUAGES, Wording, load_wording
from mdm.registries.attributes import load_attributes

CONFIGS = Path(__file__).parents[3] / "configs"
MODELS = sorted((CONFIGS / "matching").glob("*.yaml"))
ATTRIBUTES = load_attributes(CONFIGS / "attributes.yaml")

LEVELS = {
    "given_name": [
        {"equal": ["given_name_folded"], "term_frequency": "given_name_folded"},
        {"swapped": ["given_name_folded", "surname_folded"]},
        {"distance": "given_name_folded", "at_most": 1},
        {"jaro_winkler": "given_name_folded", "at_least": 0.85},
        {"otherwise": True},
    ],
    "date_of_birth": [
        {"equal": ["date_of_birth_iso"]},
        {"swapped": ["date_of_birth_day", "date_of_birth_month"], "equal": ["date_of_birth_year"]},
        {"equal": ["date_of_birth_year"], "missing": "date_of_birth_iso"},
        {"equal": ["date_of_birth_month", "date_of_birth_day"]},
        {"within": "date_of_birth_year", "at_most": 2},
        {"otherwise": True},
    ],
    "telephones": [
        {"overlap": "telephones"},
        {"distance": "telephones", "at_most": 2},
        {"present": ["telephones"]},
        {"otherwise": True},
    ],
    "town": [
        {"equal": ["town_key"]},
        {"equal": ["town_toneless"]},
        {"all_of": [{"jaro_winkler": "town_folded", "at_least": 0.9}, {"equal": ["post_code"]}]},
        {"any_of": [{"equal": ["region"]}, {"equal": ["post_code"]}]},
        {"otherwise": True},
    ],
}
SAID = {
    "given_name": [
        ("cùng tên", "same given name"),
        ("tên và surname đổi chỗ cho nhau", "given name and surname exchanged"),
        ("tên lệch một ký tự", "given name one character off"),
        ("tên gần giống nhau", "similar given name"),
        ("khác tên", "different given name"),
    ],
    "date_of_birth": [
        ("cùng ngày sinh", "same date of birth"),
        ("ngày và tháng trong ngày sinh đổi chỗ cho nhau", "day and month in the date of birth exchanged"),
        ("cùng năm trong ngày sinh (có bên ghi không đủ)", "same year in the date of birth (incomplete on one side)"),
        ("cùng tháng và ngày trong ngày sinh", "same month and day in the date of birth"),
        ("năm trong ngày sinh lệch không quá 2", "year in the date of birth at most 2 apart"),
        ("khác ngày sinh", "different date of birth"),
    ],
    "telephones": [
        ("cùng telephones", "same telephones"),
        ("telephones lệch không quá 2 ký tự", "telephones at most 2 characters off"),
        ("khác telephones (cả hai bên đều ghi)", "different telephones (recorded on both sides)"),
        ("khác telephones", "different telephones"),
    ],
    "town": [
        ("cùng town", "same town"),
        ("cùng town (chỉ khác dấu thanh)", "same town (tone marks apart)"),
        ("town gần giống nhau và cùng post code", "similar town and same post code"),
        ("cùng region hoặc cùng post code", "same region or same post code"),
        ("khác town", "different town"),
    ],
}  # fmt: skip


def model_of(levels, **more):
    return Model.model_validate(
        {
            "name": "person",
            "kind": "person",
            "comparisons": [{"name": name, "missing": [], "levels": given} for name, given in levels.items()],
            "blocking": [],
            "training": {"prior": {"rules": [["given"]], "recall": 1}, "expectation_maximisation": []},
            "thresholds": {"link": 10, "review": 4, "keep": -4},
            **more,
        }
    )


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_every_comparison_and_level_has_words_of_its_own_in_both_languages(path):
    model, words = load_model_and_words(path)
    attributes = ATTRIBUTES.of(model.kind)
    labels = {name: Words(vi=found.vi, en=found.en) for name, found in attributes.items()}
    wording = Wording(model, words, labels=labels)
    for comparison in model.comparisons:
        assert comparison.name in {*labels, *words.fields}, comparison.name
        clauses = [wording.clause(comparison, place) for place in range(len(comparison.levels))]
        for language in LANGUAGES:
            said = [clause.text(language) for clause in clauses]
            assert len(set(said)) == len(said), said
            assert all(text.strip() and "_" not in text for text in said)
        assert all(clause.text("vi") != clause.text("en") for clause in clauses)
    assert model.alternative is None or words.alternative is not None


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_warnings_and_shown_values_name_what_there_is(path):
    model, words = load_model_and_words(path)
    columns = {*feature_schema(model.kind, declaration=ATTRIBUTES.of(model.kind)).names}
    for warning in words.warnings:
        assert {*warning.equal, *warning.differ, *warning.unless} <= columns
    assert {name for field in words.fields.values() for name in field.shows} <= {*ATTRIBUTES.of(model.kind)}


@pytest.mark.parametrize("name", LEVELS)
def test_a_model_without_words_is_worded_by_labels_kinds_and_columns(name):
    labels = {
        "given_name": Words(vi="Tên", en="Given name"),
        "date_of_birth": Words(vi="Ngày sinh", en="Date of birth"),
        "surname": Words(vi="surname", en="surname"),
    }
    model = model_of(LEVELS)
    wording = Wording(model, labels=labels)
    comparison = next(c for c in model.comparisons if c.name == name)
    clauses = [wording.clause(comparison, place) for place in range(len(comparison.levels))]
    assert [(clause.text("vi"), clause.text("en")) for clause in clauses] == SAID[name]


def test_a_rare_value_is_named_where_the_level_weighs_it():
    model = model_of(LEVELS)
    wording, rare = Wording(model), Words(vi="hiếm", en="rare")
    assert wording.clause(model.comparisons[0], 0).text("vi", rarity=rare) == "cùng given name hiếm"
    assert wording.clause(model.comparisons[0], 0).text("en", rarity=rare) == "same rare given name"
    assert wording.clause(model.comparisons[1], 0).text("en", rarity=rare) == "same date of birth"


def test_labels_begin_small_within_a_sentence_and_acronyms_stay():
    labels = {"a": Words(vi="Số CMND", en="Old number"), "b": Words(vi="CMND", en="ID")}
    wording = Wording(model_of(LEVELS), labels=labels)
    assert wording.field("a") == Words(vi="số CMND", en="old number")
    assert wording.field("b") == Words(vi="CMND", en="ID")


def edited(tmp_path, old, new):
    text = (CONFIGS / "matching" / "person.yaml").read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "person.yaml"
    path.write_text(text.replace(old, new), encoding="utf-8")
    return path


def test_other_words_make_no_other_model(tmp_path):
    before = CONFIGS / "matching" / "person.yaml"
    after = edited(tmp_path, "{vi: họ tên, en: name}", "{vi: danh xưng, en: what they are called}")
    assert load_model(after) == load_model(before)
    assert load_model(after).hash == load_model(before).hash
    assert load_wording(after).field("full_name").vi == "danh xưng"


def test_a_level_keeps_its_words_where_others_come_before_it(tmp_path):
    trained = load_model(CONFIGS / "matching" / "person.yaml")
    path = edited(tmp_path, "      - {equal: [birth_date_full]}\n", "")
    birth_date = next(c for c in trained.comparisons if c.name == "birth_date")
    assert load_wording(path).clause(birth_date, 2).text("en") == "day and month of birth exchanged"


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("words: {vi: họ tên, en: name}", "words: {vi: họ tên}", "fields.full_name.en"),
        ("words: {vi: họ tên, en: name}", "words: họ tên", "fields.full_name"),
        ("words: {vi: cùng địa chỉ, en: same address}", "words: {vi: '', en: x}", "levels.place.1.vi"),
        ("differ: [birth_date_year]", "unlike: [birth_date_year]", "warnings.2"),
    ],
)
def test_unusable_words_are_refused_by_name(tmp_path, old, new, says):
    with pytest.raises(ModelError, match=says):
        load_model(edited(tmp_path, old, new))
