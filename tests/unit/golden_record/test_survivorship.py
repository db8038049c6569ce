from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from golden_record.contribution import Contribution, Override, Trust
from golden_record.provenance import RunnerUp, Source
from golden_record.survivorship import OverrideError
from tests.unit.golden_record.scenario import golden_of, policy_of, says, winner

TRUST = {("population", "default"): 0.9, ("tax", "default"): 0.5, ("tax", "x"): 0.95}


def test_the_more_trusted_registry_wins_by_attribute():
    assert winner("trust", says(1, "a"), says(2, "b", "population"), trust=TRUST) == ("a", "trust")
    by_default = {key: value for key, value in TRUST.items() if key[1] == "default"}
    assert winner("trust", says(1, "a"), says(2, "b", "population"), trust=by_default) == ("b", "trust")


def test_a_registry_without_declared_trust_comes_last():
    assert winner("trust", says(1, "a", "unheard_of"), says(2, "b"), trust=TRUST) == ("b", "trust")


def test_trust_halves_with_every_half_life():
    trust = {("population", "default"): 0.9, ("tax", "default"): 0.5}
    old, fresh = says(1, "old", "population", day="2024-07-01"), says(2, "fresh", day="2025-07-01")
    assert winner({"decaying_trust": 365}, old, fresh, trust=trust) == ("fresh", "decaying_trust")
    assert winner({"decaying_trust": 730}, old, fresh, trust=trust) == ("old", "decaying_trust")


def test_a_record_without_a_day_counts_as_old_and_one_from_the_future_as_new():
    trust = {("tax", "default"): 0.5}
    undated, dated = says(1, "undated"), says(2, "dated", day="2020-01-01")
    assert winner({"decaying_trust": 365}, undated, dated, trust=trust)[0] == "dated"
    lenient = {"decaying_trust": {"half_life_days": 365, "undated_days": 0}}
    assert winner(lenient, undated, dated, trust=trust)[0] == "undated"
    today, future = says(1, "b", day="2025-07-01"), says(2, "a", day="2031-01-01")
    assert winner({"decaying_trust": 365}, today, future, trust=trust) == ("a", "tie_break")


def test_the_most_recent_wins_and_no_day_comes_last():
    assert winner("most_recent", says(1, "a", day="1801-01-01"), says(2, "b")) == ("a", "most_recent")
    assert winner("most_recent", says(1, "a", day="2020-01-01"), says(2, "b", day="2020-01-02"))[0] == "b"


def test_frequency_by_records_and_by_registries():
    copied = [says(1, "a"), says(2, "a"), says(3, "a"), says(4, "b", "school"), says(5, "b", "merit")]
    assert winner("most_frequent", *copied) == ("a", "most_frequent")
    assert winner({"most_frequent": "registries"}, *copied) == ("b", "most_frequent")


@pytest.mark.parametrize(
    ("criterion", "best", "other"),
    [
        ({"most_complete": "date"}, "1980-05", "1980"),
        ({"most_complete": "words"}, "Nguyễn Văn An", "Nguyễn An"),
        ({"most_complete": "marks"}, "Nguyễn Văn An", "Nguyen Van An"),
        ("longest", "Nguyễn Văn An", "Ng. V. A"),
        ("minimum", "2019-12-31", "2020"),
        ("maximum", "2020", "2019-12-31"),
        ({"minimum": "number"}, "9", "10"),
        ({"maximum": "number"}, "10", "9"),
        ({"maximum": "number"}, "-4", "many"),
        ({"minimum": "number"}, "7", "1.5"),
    ],
)
def test_what_a_value_looks_like(criterion, best, other):
    told = criterion if isinstance(criterion, str) else next(iter(criterion))
    for contributions in ((says(1, best), says(2, other)), (says(1, other), says(2, best))):
        value, decided_by = winner(criterion, *contributions)
        assert value == best
        assert decided_by.startswith(told)


def test_valid_before_invalid_unless_the_issue_is_tolerated():
    doubtful = says(1, "a", issue="date.day_missing")
    assert winner("valid", doubtful, says(2, "b")) == ("b", "valid")
    assert winner({"valid": ["date.day_missing"]}, doubtful, says(2, "b")) == ("a", "tie_break")


def test_the_birth_certificate_before_all():
    certificate = says(9, "b", "birth_events", day="1990-01-01")
    others = [says(1, "a", "population", day="2025-01-01"), says(2, "a")]
    order = ({"precedence": ["birth_events"]}, "trust", "most_frequent")
    assert winner(*order, certificate, *others, trust=TRUST) == ("b", "precedence")


def test_a_personal_number_must_agree_with_the_golden_sex_and_birth_year():
    number = {"personal_number_agrees": {"sex": "sex", "birth_date": "birth_date"}}
    policy = policy_of(
        "most_frequent",
        rules={"the_rule": {"order": ["most_frequent"]}, "number": {"order": [number, "most_frequent"]}},
        attributes={"x": "number"},
    )
    facts = {"sex": "female", "birth_date": "1985-02-03"}
    borrowed = [says(n, "001080123456", **facts) for n in (1, 2)]
    golden = golden_of(policy, *borrowed, says(3, "001185123456"), says(4, "12"))
    assert golden.values["x"] == "001185123456"
    assert golden.provenance["x"].criterion == "personal_number_agrees"
    assert [r.value for r in golden.provenance["x"].runners_up] == ["001080123456", "12"]


def test_the_first_criterion_that_separates_decides_and_the_next_ones_only_break_ties():
    a, b, c = says(1, "a", day="2020-01-01"), says(2, "b", day="2021-01-01"), says(3, "a", "population")
    assert winner("trust", "most_recent", a, b, trust={}) == ("b", "most_recent")
    assert winner("most_frequent", "most_recent", a, b, c) == ("a", "most_frequent")


def test_equal_in_all_goes_by_value_and_equal_values_by_record():
    golden = golden_of(policy_of("trust"), says(7, "b"), says(8, "a"), says(3, "a"))
    assert golden.values["x"] == "a"
    assert golden.provenance["x"].chosen == (Source(agree=2, record=3, version=1),)
    assert golden.provenance["x"].criterion == "tie_break"


def test_where_all_agree_no_rule_is_asked_and_the_earliest_record_is_the_source():
    golden = golden_of(policy_of("trust"), says(7, "a", "population"), says(3, "a"), trust=TRUST)
    decision = golden.provenance["x"]
    assert (decision.rule, decision.criterion, decision.runners_up) == (None, "uncontested", ())
    assert decision.chosen == (Source(agree=2, record=3, version=1),)


def test_union_keeps_every_value_once_in_the_order_of_the_rule():
    policy = policy_of("most_frequent", "most_recent", keep="all")
    golden = golden_of(policy, says(1, ["2", "1", ""]), says(2, ["1"]), says(3, ["3"], day="2020-01-01"))
    assert golden.values["x"] == ["1", "3", "2"]
    assert [source.agree for source in golden.provenance["x"].chosen] == [2, 1, 1]
    assert golden.provenance["x"].criterion == "uncontested"


def test_a_limited_union_names_what_it_left_and_why():
    golden = golden_of(policy_of("most_frequent", keep="all", limit=1), says(1, ["2", "1"]), says(2, ["1"]))
    assert golden.values["x"] == ["1"]
    assert golden.provenance["x"].criterion == "most_frequent"
    assert golden.provenance["x"].runners_up == (
        RunnerUp("2", agree=1, record=1, version=1, criterion="most_frequent"),
    )


ADDRESS = {"groups": {"address": {"rule": "the_rule", "members": ["unit", "street", "province"]}}}


def test_a_group_comes_from_one_record():
    place = {"order": ["most_members", "most_recent"]}
    policy = policy_of(
        "trust",
        rules={"the_rule": {"order": ["trust"]}, "place": place},
        groups={"address": {"rule": "place", "members": ["unit", "street", "province"]}},
    )
    older = Contribution(1, 1, "tax", date(2020, 1, 1), {"unit": "N00004", "street": "12 Hàng Bông"}, {})
    newer = Contribution(2, 1, "tax", date(2024, 1, 1), {"province": "N01", "unit": "N00008"}, {})
    newest = Contribution(3, 1, "tax", date(2025, 1, 1), {"province": "N79"}, {})
    golden = golden_of(policy, newest, older, newer)
    assert golden.values == {"province": "N01", "unit": "N00008"}
    decision = golden.provenance["address"]
    assert decision.members == ("province", "unit")
    assert decision.criterion == "most_recent"
    assert [(r.value, r.criterion) for r in decision.runners_up] == [
        (older.attributes, "most_recent"),
        ({"province": "N79"}, "most_members"),
    ]
    assert golden.decision_on("unit") is decision


def test_group_trust_is_that_of_the_group_then_of_its_members():
    trust = Trust(
        {
            ("tax", "address"): 0.2,
            ("tax", "street"): 0.8,
            ("school", "street"): 0.7,
            ("school", "default"): 0.1,
        }
    )
    names = ("address", "province", "street", "unit")
    assert [trust.of(registry, names=names) for registry in ("tax", "school", "merit")] == [200, 700, 0]


def test_at_most_the_declared_number_of_runners_up():
    contributions = [says(number, f"v{number}") for number in range(6)]
    for number in (0, 2):
        golden = golden_of(policy_of("trust", runners_up=number), *contributions)
        assert len(golden.provenance["x"].runners_up) == number
        assert golden.provenance["x"].criterion == "tie_break"


def test_missing_values_neither_win_nor_count():
    golden = golden_of(
        policy_of("most_recent"), says(1, "", day="2025-01-01"), says(2, "a"), says(3, "b", attribute="y")
    )
    assert golden.values == {"x": "a", "y": "b"}
    assert golden.provenance["x"].criterion == "uncontested"
    assert golden_of(policy_of("most_recent")).values == {}


def word(attribute, value, by="lan", day=1):
    return Override(attribute=attribute, value=value, by=by, at=datetime(2025, 1, day, tzinfo=UTC))


def test_a_steward_stands_above_every_rule_and_the_latest_word_holds():
    overrides = [word("x", "later", day=3), word("x", "earlier", day=2)]
    golden = golden_of(policy_of("trust"), says(1, "a"), says(2, "later"), overrides=overrides)
    assert golden.values["x"] == "later"
    decision = golden.provenance["x"]
    assert (decision.criterion, decision.by, decision.at) == (
        "override",
        "lan",
        "2025-01-03T00:00:00.000000Z",
    )
    assert decision.chosen == (Source(agree=1),)
    assert [runner_up.value for runner_up in decision.runners_up] == ["a"]


def test_a_steward_may_withhold_a_value_or_give_one_no_record_has():
    golden = golden_of(policy_of("trust"), says(1, "a"), overrides=[word("x", None), word("y", "new")])
    assert golden.values == {"y": "new"}
    assert golden.provenance["x"].chosen == ()


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("x", ["a"]),
        ("x", ""),
        ("x", {"a": "b"}),
        ("address", "a"),
        ("address", {"x": "a"}),
        ("address", {}),
        ("unit", "a"),
    ],
)
def test_an_override_that_does_not_fit_its_rule_is_refused(attribute, value):
    with pytest.raises(OverrideError, match=attribute):
        golden_of(policy_of("trust", **ADDRESS), says(1, "a"), overrides=[word(attribute, value)])


def test_a_union_is_overridden_by_a_list():
    policy = policy_of("trust", keep="all")
    golden = golden_of(policy, says(1, ["1", "2"]), overrides=[word("x", ["9", "2", "9"])])
    assert golden.values["x"] == ["9", "2"]
    assert [source.agree for source in golden.provenance["x"].chosen] == [0, 1]
    with pytest.raises(OverrideError):
        golden_of(policy, overrides=[word("x", "9")])


@pytest.mark.parametrize(("record", "version"), [(-1, 1), (2**43, 1), (1, -1), (1, 2**20)])
def test_numbers_out_of_range_are_refused(record, version):
    with pytest.raises(ValueError, match="out of range"):
        Contribution(record=record, version=version, registry="tax")


def test_trust_is_between_nought_and_one():
    with pytest.raises(ValueError, match="tax, x"):
        Trust({("tax", "x"): 1.1})
