"""`mdm entity` and `mdm export --as-of` as a person and as a script would use them."""

import csv
import json

import pytest
from prov.model import ProvDocument

from mdm.cli.terminal import out
from tests.engines import environment
from tests.integration.test_commands import mdm


@pytest.fixture
def at(story):
    return environment(story.settings)


def asked(*arguments, **environment):
    return json.loads(mdm("entity", *arguments, "--json", **environment).stdout)


def record_of(person):
    member = person["members"][0]
    return f"{member['registry']}/{member['local_id']}"


@pytest.mark.parametrize("called", ["id", "number", "record", "alias"])
def test_one_person_is_shown_by_any_name(story, at, called):
    name = story.cast["dying"]
    person = story.steps["second run"].people[name]
    number = person["golden"]["values"]["personal_id"]
    names = {
        "id": name,
        "number": story.numbers["dying"],
        "record": record_of(person),
        "alias": f"personal_id:{number}",
    }
    told = asked("show", names[called], **at)
    assert told["entity_id"] == name
    assert told["golden"]["values"] == person["golden"]["values"]
    assert [m["record"] for m in told["members"]] == [m["record"] for m in person["members"]]
    assert told["chain"][-1] == {"kind": "entity", "name": name, "since": person["since"]}


@pytest.mark.parametrize("step", ["run", "merged", "death"])
def test_a_person_is_shown_as_of_an_event(story, at, step):
    told = story.steps[step]
    shown = asked("show", story.numbers["stray"], "--as-of", told.moment.seq, **at)
    expected = told.people[shown["entity_id"]]
    assert shown["moment"] == {"seq": told.moment.seq, "batch": told.moment.batch}
    assert {name: shown[name] for name in ("status", "version", "numbers", "aliases")} == {
        name: expected[name] for name in ("status", "version", "numbers", "aliases")
    }


def test_a_merged_person_is_answered_by_the_one_that_stands_and_has_a_history_of_its_own(story, at):
    cast = story.cast
    shown = asked("show", cast["a"], **at)
    assert shown["entity_id"] == story.heir("c")
    assert [link["name"] for link in shown["chain"][:3]] == [cast["a"], cast["b"], cast["c"]]
    told = asked("history", cast["a"], **at)
    assert told["entity_id"] == cast["a"]
    assert told["events"][-2]["event"]["kind"] == "entity.merged"
    text = " ".join(mdm("entity", "show", cast["a"], **at).output.split())
    assert f"{cast['a']} -> {cast['b']} -> {cast['c']}" in text


def test_a_person_reads_records_numbers_and_values(story, at):
    person = story.steps["second run"].people[story.cast["anchored"]]
    text = mdm("entity", "show", story.cast["anchored"], **at).output
    for value in (person["golden"]["values"]["full_name"], person["numbers"][0]["number"], "population"):
        assert value in text


@pytest.mark.parametrize(("language", "said"), [("vi", "Hủy việc nhập ở sự kiện"), ("en", "was undone")])
def test_a_history_is_told_in_both_languages(story, at, monkeypatch, language, said):
    monkeypatch.setattr(out, "width", 200)  # no cell is broken into lines
    text = mdm("entity", "history", story.cast["anchored"], "--lang", language, **at).output
    assert said in " ".join(text.split())
    assert "two people after all" in " ".join(text.split())


def test_a_lineage_leads_to_file_and_row(story, at):
    told = asked("lineage", story.cast["anchored"], "--attribute", "personal_id", **at)
    (value,) = told["values"]
    assert told["members"] == []
    source = value["chosen"][0]["source"]
    assert source["cells"] == {"SoDinhDanh": value["value"]}
    text = mdm("entity", "lineage", story.cast["anchored"], "--attribute", "personal_id", **at).output
    for part in (
        source["record"]["delivery"]["file"],
        f"row {source['record']['row_number']}",
        "SoDinhDanh=",
    ):
        assert part in " ".join(text.split())


def test_a_lineage_of_everything_has_each_value_and_each_record(story, at):
    person = story.steps["second run"].people[story.cast["anchored"]]
    told = asked("lineage", story.cast["anchored"], **at)
    assert [value["attribute"] for value in told["values"]] == sorted(person["golden"]["provenance"])
    assert [m["record"]["record"] for m in told["members"]] == [m["record"] for m in person["members"]]
    text = mdm("entity", "lineage", story.cast["anchored"], **at).output
    assert "bits" in text
    assert "all agree" in text


def test_a_lineage_of_a_record_says_why_it_belongs(story, at):
    person = story.steps["second run"].people[story.cast["stray"]]
    told = asked("lineage", record_of(person), **at)
    (member,) = told["members"]
    kinds = [stay["since"]["kind"] for stay in member["stays"]][:3]
    assert kinds == ["entity.formed", "entity.merged", "entity.unmerged"]
    text = " ".join(mdm("entity", "lineage", record_of(person), **at).output.split())
    assert "cannot_link" in text


def test_a_lineage_of_someone_without_a_golden_record_is_that_of_the_records(story, at):
    moment = story.steps["run"].moment
    person = story.steps["run"].people[story.cast["a"]]
    told = asked("lineage", story.cast["a"], "--as-of", person["formed"], **at)
    assert told["values"] == []
    assert len(told["members"]) == len(person["members"])
    assert person["formed"] < moment.seq


def test_provenance_is_written_as_prov_json(story, at, tmp_path):
    text = mdm("entity", "prov", story.cast["anchored"], **at).stdout
    document = ProvDocument.deserialize(content=text, format="json")
    path = tmp_path / "prov.json"
    mdm("entity", "prov", story.cast["anchored"], "--out", path, **at)
    assert ProvDocument.deserialize(content=path.read_text(encoding="utf-8"), format="json") == document
    assert "--force" in mdm("entity", "prov", story.cast["a"], "--out", path, status=4, **at).output
    name = story.steps["second run"].people[story.cast["anchored"]]["golden"]["values"]["full_name"]
    mdm("entity", "prov", story.cast["anchored"], "--out", path, "--force", "--values", **at)
    assert name in {
        v
        for e in json.loads(path.read_text(encoding="utf-8"))["entity"].values()
        for v in e.values()
        if isinstance(v, str)
    }


def test_records_of_sealed_registries_are_shown_only_when_asked_for(story, at):
    people = story.steps["second run"].people
    name = next(
        name
        for name, person in people.items()
        if "social_evils" in {m["registry"] for m in person["members"]}
    )
    for command in ("show", "lineage", "history"):
        assert "social_evils" not in mdm("entity", command, name, "--json", **at).stdout
        assert "social_evils" in mdm("entity", command, name, "--json", "--include-sealed", **at).stdout
    assert "social_evils" not in mdm("entity", "prov", name, **at).stdout
    assert "social_evils" in mdm("entity", "prov", name, "--include-sealed", **at).stdout
    sealed = next(m for m in people[name]["members"] if m["registry"] == "social_evils")
    record = f"social_evils/{sealed['local_id']}"
    assert "--include-sealed" in mdm("entity", "show", record, status=4, **at).output
    assert asked("show", record, "--include-sealed", **at)["entity_id"] == name


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("show", "123"), 4, "names no entity"),
        (("show", "population/nobody"), 6, "belongs to no entity"),
        (("show", "ANCHORED", "--as-of", "1"), 6, "none then"),
        (("show", "ANCHORED", "--as-of", "tomorrow"), 4, "YYYY-MM-DD"),
        (("show", "ANCHORED", "--as-of", "99999999"), 4, "has not happened"),
        (("lineage", "ANCHORED", "--attribute", "nothing"), 6, "It has"),
        (("history", "ANCHORED", "--lang", "fr"), 2, "--lang"),
    ],
)
def test_mistakes_end_with_their_own_status_and_what_to_do(story, at, arguments, status, said):
    given = [story.cast["anchored"] if a == "ANCHORED" else a for a in arguments]
    assert said in " ".join(mdm("entity", *given, status=status, **at).output.split())


def test_an_export_as_of_a_day_before_the_store_is_empty_and_of_an_event_is_that_steps(story, at, tmp_path):
    path = tmp_path / "crosswalk.csv"
    mdm("export", "crosswalk", "--out", path, "--as-of", "2020-01-01", **at)
    with path.open(encoding="utf-8", newline="") as file:
        assert list(csv.DictReader(file)) == []
    step = story.steps["merged"]
    mdm("export", "crosswalk", "--out", path, "--force", "--as-of", step.moment.seq, **at)
    assert path.read_bytes() == step.files["crosswalk"]
    assert (
        "as it is now"
        in mdm("export", "quarantine", "--out", path, "--force", "--as-of", "1", status=4, **at).output
    )
