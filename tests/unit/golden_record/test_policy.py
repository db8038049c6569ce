from __future__ import annotations

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from golden_record.policy import PolicyError, load_policy

CONFIGS = Path(__file__).parents[3] / "configs"
GOOD = """\
kind: person
rules:
  names:
    order: [valid, {precedence: [birth_events]}, trust]
  phones:
    order: [most_recent]
    keep: all
    limit: 2
default: names
attributes:
  phone: phones
"""


def loaded(tmp_path, text):
    path = tmp_path / "person.yaml"
    path.write_text(text, encoding="utf-8")
    return load_policy(path)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("trust]", "trusted]", r"person.yaml:4: rules.names.order.2"),
        (
            "{precedence: [birth_events]}",
            "{precedence: []}",
            r"person.yaml:4: rules.names.order.1.*precedence",
        ),
        ("{precedence: [birth_events]}", "{decaying_trust: 0}", r"person.yaml:4: .*half_life_days"),
        ("{precedence: [birth_events]}", "{trust: 3}", r"person.yaml:4: rules.names.order.1"),
        ("    limit: 2", "    most: 2", r"person.yaml:8: rules.phones.most: Extra inputs"),
        ("    keep: all\n", "", r"person.yaml:5: rules.phones: limit is for a rule with keep: all"),
        ("phone: phones", "phone: fones", r"attributes.phone: there is no rule fones"),
        (
            "order: [most_recent]",
            "order: [most_recent, most_recent]",
            r"person.yaml:5: .*most_recent appears twice",
        ),
        ("order: [most_recent]", "order: [most_members]", r"phone: the rule phones counts the members"),
        ("default: names", "", r"person.yaml:1: default: Field required"),
        ("kind: person", "kind: [person", r"person.yaml:\d+: "),
        ("phone: phones", "phone: phones\n  phone: names", r"person.yaml:1\d: .*duplicate"),
        ("attributes:", "groups: {a: {rule: phones, members: [b]}}\nattributes:", r"groups.a: .* keeps all"),
        (
            "attributes:",
            "groups: {a: {rule: names, members: [phone]}}\nattributes:",
            r"phone has a rule of its own",
        ),
        (
            "attributes:",
            "groups: {a: {rule: names, members: [b]}, c: {rule: names, members: [b]}}\nattributes:",
            r"groups.c: b is already in the group a",
        ),
        (
            "[most_recent]",
            "[personal_number_agrees: {sex: phone, birth_date: b}]",
            r"phone: phone must be a single attribute with one value",
        ),
    ],
)
def test_a_fault_is_told_with_line_and_key(tmp_path, old, new, told):
    assert old in GOOD
    loaded(tmp_path, GOOD)
    with pytest.raises(PolicyError, match=told):
        loaded(tmp_path, GOOD.replace(old, new))


def test_all_faults_are_told_at_once(tmp_path):
    with pytest.raises(PolicyError) as caught:
        loaded(tmp_path, GOOD.replace("trust]", "trusted]").replace("limit: 2", "limit: 0"))
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize("text", ["", "- a", "\tx"])
def test_what_is_no_policy_is_refused(tmp_path, text):
    with pytest.raises(PolicyError, match=r"person.yaml:1"):
        loaded(tmp_path, text)
    with pytest.raises(PolicyError, match="cannot be read"):
        load_policy(tmp_path / "nowhere.yaml")


def test_the_hash_follows_the_content_and_not_the_layout(tmp_path):
    first = loaded(tmp_path, GOOD).hash
    assert (
        loaded(tmp_path, "# a comment\n" + GOOD.replace("[most_recent]", "\n    - most_recent")).hash == first
    )
    assert loaded(tmp_path, GOOD.replace("limit: 2", "limit: 3")).hash != first
    assert (
        loaded(
            tmp_path,
            GOOD.replace("valid, {precedence: [birth_events]}", "{precedence: [birth_events]}, valid"),
        ).hash
        != first
    )


@pytest.mark.parametrize("kind", ["person", "household"])
def test_the_declared_policies_fit_the_canonical_attributes(kind):
    policy = load_policy(CONFIGS / "golden_record" / f"{kind}.yaml")
    attributes = YAML(typ="safe").load((CONFIGS / "attributes.yaml").read_text(encoding="utf-8"))[kind]
    in_groups = {member: name for name, group in policy.groups.items() for member in group.members}
    assert policy.kind == kind
    assert policy.attributes.keys() | in_groups.keys() <= attributes.keys()
    for name, declared in attributes.items():
        assert in_groups.get(name) == declared.get("group")
        if declared.get("many"):
            assert policy.rule_of(name).keep == "all", name
    used = {policy.default, *policy.attributes.values(), *(group.rule for group in policy.groups.values())}
    assert policy.rules.keys() == used
