"""The provenance of a person is a sound W3C PROV document, without personal data unless asked for."""

import orjson
import pytest
from prov.model import (
    PROV,
    ProvActivity,
    ProvAgent,
    ProvAssociation,
    ProvDerivation,
    ProvDocument,
    ProvElement,
    ProvEntity,
    ProvGeneration,
    ProvInvalidation,
    ProvRelation,
    ProvUsage,
)
from sqlalchemy import select

from mdm.store.engine import reading
from mdm.store.prov import MDM, UUID, provenance
from mdm.store.tables import meta
from tests.integration.story import CHIEF, STEWARD


@pytest.fixture
def connection(story):
    with reading(story.settings) as connection:
        yield connection


def read_back(document):
    return ProvDocument.deserialize(content=document.serialize(format="json"), format="json")


def typed(document, name):
    return {
        element.identifier
        for element in document.get_records(ProvElement)
        if MDM[name] in element.get_asserted_types()
    }


@pytest.mark.parametrize("with_values", [False, True])
@pytest.mark.parametrize("who", ["anchored", "stray", "a", "c", "old", "dying"])
def test_it_is_read_back_as_it_was_written(story, connection, who, with_values):
    document = provenance(connection, story.cast[who], with_values=with_values)
    assert read_back(document) == document
    assert document.unified() == document


@pytest.mark.parametrize("who", ["anchored", "stray", "a", "c", "old", "dying"])
def test_everything_it_speaks_of_is_in_it_once(story, connection, who):
    document = read_back(provenance(connection, story.cast[who]))
    declared = [element.identifier for element in document.get_records(ProvElement)]
    assert len(declared) == len(set(declared))
    for relation in document.get_records(ProvRelation):
        for name, value in relation.formal_attributes:
            if name != PROV["time"] and value is not None:
                assert value in declared, relation


def test_kinds_are_what_prov_says_they_are(story, connection):
    document = provenance(connection, story.cast["anchored"])
    kinds = {element.identifier: type(element) for element in document.get_records(ProvElement)}
    for name, kind in (
        ("GoldenRecord", ProvEntity),
        ("RecordVersion", ProvEntity),
        ("Delivery", ProvEntity),
        ("PersonVersion", ProvEntity),
        ("Landing", ProvActivity),
        ("Run", ProvActivity),
        ("golden.computed", ProvActivity),
        ("entity.merged", ProvActivity),
        ("entity.unmerged", ProvActivity),
        ("entity.split", ProvActivity),
    ):
        found = typed(document, name)
        assert found, name
        assert {kinds[identifier] for identifier in found} == {kind}
    agents = {str(e.identifier).split(":")[1].split("-")[0] for e in document.get_records(ProvAgent)}
    assert agents == {"software", "program", "person", "registry"}


def test_an_entity_is_generated_once_and_never_before_it_is_used_or_ended(story, connection):
    """PROV-CONSTRAINTS: unique generation and invalidation, generation before both."""
    document = read_back(provenance(connection, story.cast["anchored"]))
    starts = {a.identifier: a.get_startTime() for a in document.get_records(ProvActivity)}
    made, ended = ({}, {})
    for times, kind in ((made, ProvGeneration), (ended, ProvInvalidation)):
        for relation in document.get_records(kind):
            (_, what), (_, by), *_ = relation.formal_attributes
            assert what not in times
            times[what] = starts[by]
    assert all(made[what] <= at for what, at in ended.items())
    for usage in document.get_records(ProvUsage):
        (_, activity), (_, what), *_ = usage.formal_attributes
        if what in made:
            assert made[what] <= starts[activity]
        if what in ended:
            assert starts[activity] <= ended[what]


def test_a_golden_record_is_derived_from_the_records_of_its_values(story, connection):
    step = story.steps["second run"]
    person = step.people[story.cast["anchored"]]
    document = provenance(connection, story.cast["anchored"])
    store = connection.scalar(select(meta.c.value).where(meta.c.name == "store_id"))
    name = f"urn:uuid:{store}#golden-{story.cast['anchored']}-{person['golden']['since']}"
    expected = {
        (source["record"], source["version"])
        for entry in person["golden"]["provenance"].values()
        for source in entry.get("chosen", [entry])
    }
    derived = {
        dict(relation.formal_attributes)[PROV["usedEntity"]].localpart
        for relation in document.get_records(ProvDerivation)
        if dict(relation.formal_attributes)[PROV["generatedEntity"]].uri == name
    }
    records = {local for local in derived if local.startswith("record-")}
    assert records == {f"record-{record}-v{version}" for record, version in expected}


def test_who_acted_and_who_approved_are_associated(story, connection):
    document = provenance(connection, story.cast["old"])
    (merge,) = typed(document, "entity.merged")
    told = [
        (dict(relation.formal_attributes)[PROV["agent"]].localpart, dict(relation.extra_attributes))
        for relation in document.get_records(ProvAssociation)
        if dict(relation.formal_attributes)[PROV["activity"]] == merge
    ]
    assert {agent for agent, _ in told} == {f"person-{STEWARD}", f"person-{CHIEF.replace(' ', '%20')}"}
    assert [extra[PROV["role"]] for _, extra in told if PROV["role"] in extra] == [MDM["approver"]]


def test_who_takes_records_over_is_derived_from_who_had_them(story, connection):
    document = provenance(connection, story.cast["anchored"], story.steps["merged"].moment)
    used = {
        dict(relation.formal_attributes)[PROV["usedEntity"]]
        for relation in document.get_records(ProvDerivation)
    }
    assert UUID[story.cast["stray"]] in used
    merged = provenance(connection, story.cast["stray"], story.steps["merged"].moment)
    assert UUID[story.cast["anchored"]] not in {
        dict(relation.formal_attributes)[PROV["usedEntity"]]
        for relation in merged.get_records(ProvDerivation)
    }


def test_it_ends_at_its_moment(story, connection):
    early = provenance(connection, story.cast["anchored"], story.steps["run"].moment)
    late = provenance(connection, story.cast["anchored"])
    assert typed(early, "entity.merged") == set()
    assert {e.identifier for e in early.get_records(ProvElement)} < {
        e.identifier for e in late.get_records(ProvElement)
    }


@pytest.mark.parametrize("who", ["anchored", "old", "c"])
def test_personal_data_is_in_it_only_when_asked_for(story, connection, who):
    name = story.heir(who)
    person = story.steps["second run"].people[name]
    kept = person["golden"]["values"]
    secrets = {
        *(kept[name] for name in ("full_name", "birth_date", "personal_id", "address_text") if name in kept),
        *(member["local_id"] for member in person["members"]),
        *(held["number"] for held in person["numbers"]),
        "certificate seen",
        "same person",
    }
    plain = orjson.dumps(orjson.loads(provenance(connection, name).serialize(format="json"))).decode()
    assert [secret for secret in secrets if secret in plain] == []
    whole = provenance(connection, name, with_values=True).serialize(format="json")
    told = orjson.dumps(orjson.loads(whole)).decode()
    assert kept["full_name"] in told
    assert all(held["number"] in told for held in person["numbers"])


def test_hidden_registries_are_in_no_part_of_it(story, connection):
    shown = provenance(connection, story.cast["anchored"], hidden={"health_insurance"})
    assert "health_insurance" in provenance(connection, story.cast["anchored"]).serialize(format="json")
    assert "health_insurance" not in shown.serialize(format="json")
    assert read_back(shown) == shown
