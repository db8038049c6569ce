from __future__ import annotations

import json

import duckdb
import pytest

from golden_record.contribution import Override
from golden_record.explain import _REASONS, explain
from golden_record.provenance import TIE_BREAK, Golden, canonical_json, golden_hash
from golden_record.rules import CRITERIA
from tests.unit.golden_record.scenario import golden_of, policy_of, says
from tests.unit.golden_record.test_survivorship import word


def test_canonical_json_sorts_keys_and_leaves_letters_as_they_are():
    assert canonical_json({"b": ["Đỗ Ễ"], "a": 1}).decode() == '{"a":1,"b":["Đỗ Ễ"]}'


def test_canonical_json_writes_every_character_as_duckdb_does():
    characters = [chr(code) for code in range(0x300)] + ["\\u001f", "\u2028", "😀", "\uffff"]
    rows = duckdb.sql(
        "SELECT to_json(c)::VARCHAR FROM (SELECT unnest($c) AS c)", params={"c": characters}
    ).fetchall()
    assert [canonical_json(character).decode() for character in characters] == [row[0] for row in rows]


def test_a_golden_record_comes_back_from_its_json():
    golden = golden_of(policy_of("trust"), says(1, "a"), says(2, "b"), overrides=[word("y", None)])
    again = Golden.from_json(values=golden.values_json(), provenance=golden.provenance_json())
    assert again == golden
    assert golden_hash(again) == golden_hash(golden)
    assert json.loads(golden.provenance_json())["x"] == {
        "chosen": [{"agree": 1, "record": 1, "version": 1}],
        "criterion": "tie_break",
        "rule": "the_rule",
        "runners_up": [{"agree": 1, "criterion": "tie_break", "record": 2, "value": "b", "version": 1}],
    }


def test_where_all_agree_provenance_is_no_more_than_the_source():
    golden = golden_of(policy_of("trust"), says(1, "a"), says(2, "a"))
    assert golden.provenance_json() == b'{"x":{"agree":2,"record":1,"version":1}}'
    assert explain(golden, attribute="x", language="en") == (
        "Taken from record 1 (version 1), 2 records hold this value: no source says otherwise."
    )
    assert "không nguồn nào nói khác" in explain(golden, attribute="x", language="vi")


def test_the_hash_covers_where_a_value_came_from():
    one, other = (golden_of(policy_of("trust"), says(record, "a")) for record in (1, 2))
    assert one.values == other.values
    assert golden_hash(one) != golden_hash(other)


def test_a_sentence_tells_why_in_both_languages():
    trust = {("population", "default"): 0.9}
    golden = golden_of(policy_of("trust"), says(1, "Bí Mật"), says(12, "An", "population"), trust=trust)
    english = explain(golden, attribute="x", language="en")
    assert english == (
        "Taken from record 12 (version 1), 1 record holds this value, by the rule the_rule: this source is trusted more."
    )
    vietnamese = explain(golden, attribute="x", language="vi")
    assert "bản ghi 12 (phiên bản 1)" in vietnamese
    assert "tin cậy hơn" in vietnamese
    assert "Bí Mật" not in english + vietnamese


def test_a_sentence_names_the_steward_and_what_nobody_holds():
    golden = golden_of(
        policy_of("trust"), says(1, "a"), overrides=[word("x", None), word("y", "b", by="hoa")]
    )
    assert "withheld" in explain(golden, attribute="x", language="en")
    assert "hoa" in explain(golden, attribute="y", language="vi")
    assert explain(golden, attribute="z", language="en") == "No source holds this value."


@pytest.mark.parametrize("language", ["vi", "en"])
def test_every_criterion_has_its_words(language):
    labels = (
        {TIE_BREAK}
        | (CRITERIA.keys() - {"most_complete"})
        | {f"most_complete:{by}" for by in ("date", "words", "marks")}
    )
    assert _REASONS[language].keys() == labels


def test_an_override_keeps_no_local_time():
    assert isinstance(word("x", "a"), Override)
    assert word("x", "a").stamp.endswith("Z")
