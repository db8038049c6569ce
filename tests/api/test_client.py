"""The client against a started server, on both engines: a registry's day, and a steward's."""

import json

import pytest

from api.client import ApiError, Client
from api.schemas.records import RecordLine
from tests.api.test_server import copied, served

NAM = {"full_name": "Phan Nam", "file_no": "N1"}


@pytest.fixture(scope="module")
def address(engine, asking_on, tmp_path_factory):
    folder = tmp_path_factory.mktemp("client")
    stored = copied(engine, asking_on, folder)
    shown = json.loads((stored.configs / "keys.json").read_text())
    with served(stored, folder / "server.log") as (found, _):
        yield found, shown


@pytest.fixture
def client_of(address):
    found, shown = address
    made = []

    def client(who, purpose="stewardship"):
        made.append(Client(found, shown[who], purpose=purpose))
        return made[-1]

    yield client
    for one in made:
        one.close()


def test_a_registry_searches_creates_changes_and_withdraws(client_of):
    tax = client_of("tax")
    assert tax.match(NAM).candidates == []
    done = tax.put_record("tax", "nam/1 2", NAM)
    assert done.created
    assert [found.id for found in tax.match(NAM).candidates] == [done.id]
    assert tax.xref(registry="tax", local_id="nam/1 2").matches[0].id == done.id
    assert tax.put_record("tax", "nam/1 2", NAM).unchanged
    assert tax.person(done.id).golden == {"full_name": "Phan Nam"}
    assert tax.withdraw_record("tax", "nam/1 2").id is None
    assert tax.match(NAM).candidates == []


def test_many_records_have_a_result_each(client_of):
    lines = [
        RecordLine(local_id=f"m{n}", attributes={"full_name": "Phan Nam", "file_no": f"M{n}"})
        for n in range(510)
    ]
    lines[505] = RecordLine(local_id="bad", attributes={"shoe_size": "44"})
    told = list(client_of("tax").send_records("tax", lines))
    assert [one.line for one in told] == list(range(1, 511))
    assert {one.line: one.status for one in told if one.status != 201} == {506: 400}
    assert len({one.answer.id for one in told if one.answer}) == 509


def test_a_refusal_says_what_to_do(client_of):
    tax = client_of("tax")
    with pytest.raises(ApiError) as refused:
        tax.put_record("population", "x", NAM)
    assert (refused.value.status, refused.value.code) == (403, "access.refused")
    assert refused.value.hint
    assert refused.value.request_id
    with pytest.raises(ApiError) as purpose:
        client_of("tax", purpose="curiosity").match(NAM)
    assert purpose.value.code == "access.purpose"
    with pytest.raises(ApiError) as nobody:
        tax.xref(registry="tax", local_id="nobody")
    assert (nobody.value.status, nobody.value.code) == (404, "identity.not_found")


def test_a_steward_merges_and_undoes_it(client_of):
    tax, steward = client_of("tax"), client_of("steward")
    one, other = (
        steward.person(tax.put_record("tax", f"two{n}", {"full_name": "Vũ Hai", "file_no": f"V{n}"}).id)
        for n in range(2)
    )
    seen = steward.merge(one, other, reason="to look", preview=True)
    assert seen.needs_approval is False
    done = steward.merge(one, other, reason="one person", key="client-merge-1")
    assert steward.merge(one, other, reason="one person", key="client-merge-1").events == done.events
    merged = steward.person(other.id)
    assert merged.id == one.id or merged.superseded == [other.id]
    kinds = [event.event.kind for event in steward.history(merged.id).events]
    assert "entity.merged" in kinds
    event = done.events[0]
    versions = steward.unmerge(event, reason="to look", preview=True).versions
    steward.unmerge(event, reason="two after all", versions=versions)
    assert steward.person(other.id).id == other.id
    with pytest.raises(ApiError) as stale:
        steward.merge(one, other, reason="on old knowledge")
    assert stale.value.status == 412


def test_reviews_are_claimed_and_decided(client_of):
    steward = client_of("steward")
    task = steward.claim(steward.reviews().reviews[0].review)
    assert task.claim.by
    assert steward.decide(task, "dismissed", reason="of no matter").events
    assert task.review not in {one.review for one in steward.reviews().reviews}


def test_what_happens_is_followed(client_of):
    tax = client_of("tax")
    after = "0"
    while (page := tax.events(after=after, limit=1000)).more:
        after = page.next
    done = tax.put_record("tax", "followed", {"full_name": "Lý Ba", "file_no": "F9"})
    told = tax.events(after=page.next, wait=5)
    assert done.id in {entity.id for event in told.events for entity in event.entities}
