"""A sealed registry shows neither membership nor values: an answer is the same, byte for byte, as if its records were not there."""

import re

import pytest
from fastapi.testclient import TestClient

from api.app import create_app
from mdm.feed.worker import Worker
from mdm.identity.clock import Source
from mdm.pipeline.run import run
from tests.api.hamlet import RECORDS, Hamlet, add_people, configure
from tests.integration.job import fixed_source
from tests.integration.test_webhooks import LOOPBACK
from tests.receiver import receiving
from tests.village import Village, village_settings

VISIBLE = {
    "population": RECORDS["population"],
    "tax": {**RECORDS["tax"], "em": {"full_name": "Do Em", "file_no": "E"}},
}


def hamlet_of(engine, folder, records, later, *, first):
    """A store with the same IDs and moments whatever else is in it; `later` comes with a second delivery."""
    folder.mkdir()
    settings = village_settings(engine, folder)
    configure(settings)
    settings.person_policy_file.write_text(
        "kind: person\nrules: {voted: {order: [{most_frequent: registries}, trust]}}\ndefault: voted\n"
    )
    settings.key_file.parent.mkdir(parents=True, exist_ok=True)
    settings.key_file.write_text("5e" * 32)
    village = Village(settings)
    for registry, rows in records.items():
        village.deliver_rows(registry, rows)
    run(settings, source=fixed_source())
    for registry, rows in later.items():
        village.deliver_rows(registry, rows)
    run(settings, source=Source(mint=fixed_source(first=first).mint))
    village.close()
    add_people(settings)
    return settings


SEALED_LATER = {
    "school": {
        # says what only it knows: An's name, and a number of its own
        "an": {"full_name": "Lê Văn An", "file_no": "A", "student_code": "S1", "personal_id": "001099000777"},
        "chi": {"full_name": "Ngô Thị Chi", "file_no": "C", "student_code": "S3"},
        "dung": {"full_name": "Lý Dũng", "file_no": "D", "student_code": "S2", "personal_id": "001099000888"},
        # outvotes one office with the words of another
        "em": {"full_name": "Do Em", "file_no": "E"},
    }
}
TAX_LATER = {"tax": {"late": {"full_name": "Phan Lý", "file_no": "L"}}}


@pytest.fixture(scope="module")
def both(engine, tmp_path_factory):
    """The store with the sealed records, and the one without."""
    folder = tmp_path_factory.mktemp("sealed")
    found = []
    # one person more is formed of the sealed records
    for name, later, first in (
        ("with", {**SEALED_LATER, **TAX_LATER}, 1_000),
        ("without", TAX_LATER, 1_001),
    ):
        found.append(hamlet_of(engine, folder / name, VISIBLE, later, first=first))
    found = [settings.model_copy(update={"webhook_networks": LOOPBACK}) for settings in found]
    with TestClient(create_app(found[0])) as one, TestClient(create_app(found[1])) as other:
        yield Hamlet(one, found[0]), Hamlet(other, found[1])


def bytes_of(answer):
    """All that a client gets, but the request's ID and new IDs of people that came later."""
    headers = {name: value for name, value in answer.headers.items() if name != "x-request-id"}
    return answer.status_code, headers, re.sub(rb'"request_id":"[^"]*"', b"", answer.content)


def ids(hamlet):
    answer = hamlet.get("/v1/xref?registry=school&local_id=dung", by="sealed_steward")
    return [
        hamlet.who(name, by="tax")["id"] for name in ("tax/an", "tax/binh", "tax/123456789", "tax/late")
    ], answer


def test_the_sealed_records_are_there_for_those_who_may_know(both):
    with_sealed, without = both
    assert with_sealed.who("tax/an")["records"][-1] == {"registry": "school", "local_id": "an"}
    assert with_sealed.who("tax/an")["golden"]["student_code"] == "S1"
    assert "student_code" not in without.who("tax/an")["golden"]
    assert ids(with_sealed)[1].status_code == 200
    assert ids(without)[1].status_code == 404


QUERIES = [
    "/v1/xref?registry=tax&local_id=an",
    "/v1/xref?registry=tax&local_id=123456789",
    "/v1/xref?registry=tax&local_id=nobody",
    "/v1/xref?registry=school&local_id=an",
    "/v1/xref?registry=school&local_id=dung",
    "/v1/xref?registry=school&local_id=nobody",
    "/v1/xref?personal_id=001099000001",
    "/v1/xref?personal_id=001099000777",
    "/v1/xref?personal_id=001099000888",
    "/v1/reviews",
    "/v1/audit/checkpoint",
]


@pytest.mark.parametrize("query", QUERIES)
def test_no_answer_to_a_registry_reveals_it(both, query):
    one, other = (hamlet.get(query, by="tax") for hamlet in both)
    assert bytes_of(one) == bytes_of(other)


def test_no_answer_about_a_person_reveals_it(both):
    with_sealed, without = both
    (known, _), (same, _) = ids(with_sealed), ids(without)
    assert known == same
    dung = with_sealed.who("school/dung")["id"]
    for entity in [*known, dung, "00000000-0000-7000-8000-000000000000"]:
        for path in ("", "?as_of=5", "/history", "/members", "/lineage", "/prov"):
            one, other = (hamlet.get(f"/v1/persons/{entity}{path}", by="tax") for hamlet in both)
            assert bytes_of(one) == bytes_of(other), (entity, path)


def test_no_answer_to_a_batch_reveals_it(both):
    names = [
        {"registry": "tax", "local_id": "an"},
        {"registry": "tax", "local_id": "123456789"},
        {"registry": "school", "local_id": "an"},
        {"personal_id": "001099000777"},
        {"personal_id": "001099000888"},
        {"id": both[0].who("school/dung")["id"]},
    ]
    one, other = (hamlet.post("/v1/xref:batch", {"names": names}, by="tax") for hamlet in both)
    assert bytes_of(one) == bytes_of(other)
    assert [result["code"] for result in one.json()["results"]] == [None, None, *["identity.not_found"] * 4]


def test_staff_without_the_role_see_no_record_and_no_value_of_it(both):
    with_sealed, _ = both
    whole = with_sealed.who("tax/an")
    assert whole["golden"]["student_code"] == "S1"
    secrets = ("S1", "S2", "S3", "Lê Văn An", "Ngô Thị Chi", "001099000777", "school", "student_code")
    for entity in (whole["id"], with_sealed.who("tax/123456789")["id"]):
        for path in ("", "/members", "/lineage", "/prov"):
            answer = with_sealed.get(f"/v1/persons/{entity}{path}", by="steward")
            assert answer.status_code == 200
            assert not [secret for secret in secrets if secret in answer.text], path
        history = with_sealed.get(f"/v1/persons/{entity}/history", by="steward").json()["events"]
        assert {ref["registry"] for one in history for ref in one["records"]} <= {"population", "tax"}
    dung = with_sealed.who("school/dung")["id"]
    assert with_sealed.get(f"/v1/persons/{dung}", by="steward").status_code == 404


def test_a_preview_is_as_if_it_were_not_there(both):
    an, binh = (both[0].who(name)["id"] for name in ("tax/an", "tax/binh"))
    body = {"left": an, "right": binh, "reason": "to look", "preview": True}
    seen = both[0].post("/v1/merges", body, by="steward")
    assert seen.status_code == 200
    assert "student_code" not in seen.text
    assert seen.json()["notified"] == ["population", "tax"]
    whole = both[0].post("/v1/merges", body, by="sealed_steward").json()
    assert whole["golden"][an]["student_code"] == "S1"
    assert len(whole["records"][an]) == len(seen.json()["records"][an]) + 1


def test_its_own_registry_sees_its_records_and_no_others(both):
    person = both[0].who("school/an", by="school")
    assert person["records"] == [{"registry": "school", "local_id": "an"}]
    assert person["golden"] == {}


# --- the change feed -------------------------------------------------------------------------------------------------


def told(events):
    """But for the places in the log, where hidden events have theirs too."""
    return [(event["kind"], event["entities"], event["is_last"]) for event in events]


def test_a_sealed_record_decides_a_golden_value(both):
    """With nothing but words of others: `tax` wrote the name that it makes the most frequent one."""
    with_sealed, without = both
    assert with_sealed.who("tax/em")["golden"]["full_name"] == "Do Em"
    assert without.who("tax/em")["golden"]["full_name"] == "Đỗ Em"


@pytest.mark.parametrize("by", ["tax", "steward"])
def test_the_feed_tells_nothing_of_it(both, by):
    one, other = (hamlet.get("/v1/events?limit=1000", by=by).json()["events"] for hamlet in both)
    whole = both[0].get("/v1/events?limit=1000", by="sealed_steward").json()["events"]
    if by == "steward":
        # whom a run asked questions about, and what it counted, is told to staff of each run alike
        one, other = ([event for event in events if event["entities"]] for events in (one, other))
    assert told(one) == told(other)
    assert len(one) < len(whole)


@pytest.mark.parametrize("body", [{"registry": "tax"}, {}])
def test_a_webhook_tells_nothing_of_it(both, body):
    sent = []
    for hamlet in both:
        by = "tax" if body else "admin"
        with receiving() as receiver:
            made = hamlet.post("/v1/subscriptions", {**body, "url": receiver.url, "after": "0"}, by=by)
            Worker(hamlet.settings, engine=hamlet.serving.people.engine).deliver_due()
            sent.append([event for got in receiver.got for event in got.events if event["entities"]])
        gone = hamlet.ask("DELETE", f"/v1/subscriptions/{made.json()['subscription']['id']}", by=by)
        assert gone.status_code == 204
    one, other = sent
    assert one
    assert told(one) == told(other)
