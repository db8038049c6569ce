"""Persons, households, crosswalk: what each reader gets."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from mdm.errors import StoreError
from mdm.store.engine import reading
from tests.api.hamlet import Hamlet


def test_staff_read_a_whole_person(shared_hamlet: Hamlet):
    found = shared_hamlet.who("tax/an", by="steward")
    answer = shared_hamlet.get(f"/v1/persons/{found['id']}")
    assert answer.status_code == 200
    assert answer.headers["ETag"] == f'"{found["id"]}:{found["version"]}"'
    person = answer.json()
    assert person == found
    assert person["golden"] == {"file_no": "A", "full_name": "Lê An", "personal_id": "001099000001"}
    assert [number["kind"] for number in person["numbers"]] == ["ssn"]
    assert person["records"] == [
        {"registry": "population", "local_id": "an"},
        {"registry": "tax", "local_id": "an"},
    ]
    assert (person["kind"], person["status"], person["superseded"]) == ("person", "active", [])


def test_a_registry_reads_what_its_declaration_grants(shared_hamlet: Hamlet):
    whole = shared_hamlet.who("tax/an", by="steward")
    person = shared_hamlet.get(f"/v1/persons/{whole['id']}", by="tax").json()
    assert person["golden"] == {"full_name": "Lê An"}
    assert [number["number"] for number in person["numbers"]] == [whole["numbers"][0]["number"]]
    assert person["records"] == [{"registry": "tax", "local_id": "an"}]
    assert (person["version"], person["event"], person["aliases"]) == (None, None, [])


def test_without_a_grant_a_registry_reads_id_and_status(shared_hamlet: Hamlet):
    person = shared_hamlet.who("school/dung", by="school")
    assert person["golden"] == {}
    assert person["numbers"] == []
    assert person["status"] == "active"
    assert person["records"] == [{"registry": "school", "local_id": "dung"}]


def test_a_registry_asks_for_its_own_ids_only(shared_hamlet: Hamlet):
    others = shared_hamlet.get("/v1/xref?registry=population&local_id=an", by="tax")
    nobodys = shared_hamlet.get("/v1/xref?registry=unheard_of&local_id=an", by="tax")
    assert others.status_code == nobodys.status_code == 404
    assert without_id(others) == without_id(nobodys)


@pytest.mark.parametrize(("name", "value"), [("personal_id", "001099000001"), ("id", None), ("ssn", None)])
def test_one_person_by_any_name(shared_hamlet: Hamlet, name, value):
    found = shared_hamlet.who("population/an", by="steward")
    given = value or {"id": found["id"], "ssn": found["numbers"][0]["number"]}[name]
    answer = shared_hamlet.get(f"/v1/xref?{name}={given}", by="steward")
    assert answer.json() == {"matches": [found]}
    many = shared_hamlet.post("/v1/xref:batch", {"names": [{name: given}]}, by="steward")
    assert many.json() == {"results": [{"matches": [found], "code": None}]}


@pytest.mark.parametrize(
    "query",
    [
        "",
        "registry=tax",
        "local_id=an",
        "ssn=12",
        "registry=tax&local_id=an&ssn=349656212090",
        "personal_id=x",
    ],
)
def test_a_query_that_names_no_person_or_two_is_refused(shared_hamlet: Hamlet, query):
    answer = shared_hamlet.get(f"/v1/xref?{query}")
    assert (answer.status_code, answer.json()["code"]) == (422, "request.invalid")


def test_a_batch_tells_line_by_line(shared_hamlet: Hamlet):
    names = [{"registry": "tax", "local_id": "an"}, {"registry": "tax", "local_id": "nobody"}]
    answer = shared_hamlet.post("/v1/xref:batch", {"names": names}, by="tax")
    first, second = answer.json()["results"]
    assert [person["records"] for person in first["matches"]] == [[names[0]]]
    assert second == {"matches": [], "code": "identity.not_found"}


def test_history_members_lineage_and_prov(shared_hamlet: Hamlet):
    found = shared_hamlet.who("tax/an", by="steward")
    path = f"/v1/persons/{found['id']}"
    events = shared_hamlet.get(f"{path}/history").json()["events"]
    assert events[0]["event"]["kind"] == "entity.formed"
    assert events[0]["words"] == {"vi": "Lập từ 2 bản ghi", "en": "Formed of 2 records"}
    members = shared_hamlet.get(f"{path}/members").json()["members"]
    assert [(m["registry"], m["local_id"]) for m in members] == [("population", "an"), ("tax", "an")]
    lineage = shared_hamlet.get(f"{path}/lineage?field=full_name").json()
    (value,) = lineage["values"]
    assert (value["value"], value["chosen"][0]["source"]["record"]["registry"]) == ("Lê An", "population")
    assert [lost["value"] for lost in value["runners_up"]] == ["Le An"]
    assert lineage["members"] == []
    assert len(shared_hamlet.get(f"{path}/lineage").json()["members"]) == 2
    prov = shared_hamlet.get(f"{path}/prov").json()
    assert "activity" in prov
    assert "Lê An" not in str(prov)


def test_history_comes_in_pages(shared_hamlet: Hamlet):
    found = shared_hamlet.who("tax/an", by="steward")
    path = f"/v1/persons/{found['id']}/history"
    whole = shared_hamlet.get(path).json()["events"]
    events, query = [], "?limit=1"
    while True:
        answer = shared_hamlet.get(path + query).json()
        events += answer["events"]
        assert len(answer["events"]) <= 1
        if answer["next"] is None:
            break
        query = f"?limit=1&cursor={answer['next']}"
    assert events == whole
    assert len(whole) > 2


@pytest.mark.parametrize("cursor", ["x", "aGlzdG9yeTo=", "cmV2aWV3czoy", "é", "aGlzdG9yeTp4"])
def test_a_cursor_of_another_list_is_refused(shared_hamlet: Hamlet, cursor):
    found = shared_hamlet.who("tax/an", by="steward")
    answer = shared_hamlet.get(f"/v1/persons/{found['id']}/history?cursor={cursor}")
    assert (answer.status_code, answer.json()["code"]) == (422, "request.cursor")


def test_a_person_as_of_a_past_event(hamlet: Hamlet):
    an, chi = hamlet.who("tax/an"), hamlet.who("tax/123456789")
    merged = hamlet.post(
        "/v1/merges",
        {"left": an["id"], "right": chi["id"], "reason": "one person"},
        match=hamlet.tags("tax/an", "tax/123456789"),
        by="sealed_steward",
    )
    assert merged.status_code == 200, merged.text
    now = hamlet.get(f"/v1/persons/{chi['id']}", by="sealed_steward").json()
    assert (now["id"], now["superseded"], now["status"]) == (an["id"], [chi["id"]], "active")
    assert len(now["records"]) == 4
    before = merged.json()["events"][0] - 1
    then = hamlet.get(f"/v1/persons/{chi['id']}?as_of={before}", by="sealed_steward").json()
    assert {**then, "event": chi["event"]} == chi
    own = hamlet.get(f"/v1/persons/{chi['id']}", by="tax").json()
    assert own["superseded"] == [chi["id"]]
    history = hamlet.get(f"/v1/persons/{chi['id']}/history").json()["events"]
    assert history[-1]["event"]["kind"] in {"entity.merged", "golden.computed", "aliases.changed"}


def test_a_kind_has_its_own_path(shared_hamlet: Hamlet):
    found = shared_hamlet.who("tax/an", by="steward")
    for part in ("", "/history", "/members", "/lineage", "/prov"):
        answer = shared_hamlet.get(f"/v1/households/{found['id']}{part}")
        assert (answer.status_code, answer.json()["code"]) == (404, "identity.not_found")


def test_as_of_what_is_no_moment(shared_hamlet: Hamlet):
    found = shared_hamlet.who("tax/an", by="steward")
    for when in ("yesterday", "2026-13-01", "99999999"):
        answer = shared_hamlet.get(f"/v1/persons/{found['id']}?as_of={when}")
        assert (answer.status_code, answer.json()["code"]) == (400, "input")


def test_every_read_is_kept_before_it_is_answered(hamlet: Hamlet):
    found = hamlet.who("tax/an", by="tax")
    answer = hamlet.get(f"/v1/persons/{found['id']}", by="tax", purpose="audit", X_Request_ID="of-mine-1")
    assert answer.headers["X-Request-ID"] == "of-mine-1"
    listed = hamlet.get(f"/v1/audit/access?subject={found['id']}", by="auditor", purpose="audit")
    first, second = listed.json()["accesses"]
    assert (first["operation"], first["actor"], first["purpose"]) == ("xref", "key:tax", "stewardship")
    assert second["operation"] == "person_read".replace("_", ".")
    assert second["fields"] == ["full_name", "numbers", "records"]
    assert (second["purpose"], second["request_id"]) == ("audit", "of-mine-1")
    again = hamlet.get(
        f"/v1/audit/access?subject={found['id']}&limit=1", by="auditor", purpose="audit"
    ).json()
    assert again["accesses"] == [first]
    rest = hamlet.get(
        f"/v1/audit/access?subject={found['id']}&cursor={again['next']}", by="auditor", purpose="audit"
    ).json()["accesses"]
    assert rest[0] == second
    assert [one["operation"] for one in rest[1:]] == ["access.list", "access.list"]


def test_who_read_one_that_was_merged(hamlet: Hamlet):
    an, chi = hamlet.who("tax/an"), hamlet.who("tax/123456789")
    hamlet.post(
        "/v1/merges",
        {"left": an["id"], "right": chi["id"], "reason": "one person"},
        match=hamlet.tags("tax/an", "tax/123456789"),
    )
    listed = hamlet.get(f"/v1/audit/access?subject={an['id']}", by="auditor", purpose="audit").json()
    assert {one["id"] for one in listed["accesses"]} == {an["id"], chi["id"]}


def test_nothing_is_answered_where_the_read_cannot_be_kept(hamlet: Hamlet, monkeypatch):
    found = hamlet.who("tax/an", by="tax")

    @contextmanager
    def full(_engine):
        raise StoreError("There is no room.")
        yield

    with monkeypatch.context() as patch:
        patch.setattr("mdm.access.access_log.writing", full)
        answer = hamlet.get(f"/v1/persons/{found['id']}", by="tax")
        assert (answer.status_code, answer.json()["code"]) == (503, "store")
        assert "golden" not in answer.text
        ready = hamlet.get("/readyz", by=None)
        assert (ready.status_code, ready.json()["failing"]) == (503, {"access_log": "store"})
    assert hamlet.get("/readyz", by=None).status_code == 200
    assert hamlet.get(f"/v1/persons/{found['id']}", by="tax").status_code == 200


def test_who_waits_too_long_for_the_log_is_told_to_try_again(hamlet: Hamlet, monkeypatch):
    found = hamlet.who("tax/an", by="tax")
    monkeypatch.setattr("mdm.access.access_log._PATIENCE_SECONDS", 0.01)
    with hamlet.serving.access_log._turn:
        answer = hamlet.get(f"/v1/persons/{found['id']}", by="tax")
    assert (answer.status_code, answer.json()["code"]) == (503, "store.busy")
    assert "golden" not in answer.text


def test_reads_at_one_time_share_commits_and_are_all_kept(hamlet: Hamlet):
    an = hamlet.who("tax/an")["id"]
    log = hamlet.serving.access_log

    def note(number):
        log.note({an: ["name"]}, actor="lan", purpose="audit", operation="x", request_id=f"r{number}")

    with ThreadPoolExecutor(16) as threads:
        list(threads.map(note, range(200)))
    kept = [access.request_id for access in log.of(an, limit=1_000) if access.operation == "x"]
    assert sorted(kept) == sorted(f"r{number}" for number in range(200))


def test_readiness_looks_at_store_and_keys(hamlet: Hamlet):
    assert hamlet.get("/readyz", by=None).json() == {"ready": True, "failing": {}}
    moved = hamlet.settings.key_file.with_suffix(".away")
    hamlet.settings.key_file.rename(moved)
    answer = hamlet.get("/readyz", by=None)
    assert (answer.status_code, answer.json()["failing"]) == (503, {"keys": "configuration"})
    moved.rename(hamlet.settings.key_file)
    assert hamlet.get("/readyz", by=None).status_code == 200
    assert hamlet.get("/healthz", by=None).json() == {"alive": True}
    if hamlet.settings.is_sqlite:
        away = hamlet.settings.store_file.with_suffix(".away")
        hamlet.settings.store_file.rename(away)
        assert "store" in hamlet.get("/readyz", by=None).json()["failing"]
        away.rename(hamlet.settings.store_file)
        assert hamlet.get("/readyz", by=None).status_code == 200


def test_the_store_of_the_tests_is_the_engine_it_says(shared_hamlet: Hamlet, engine):
    with reading(shared_hamlet.settings) as connection:
        assert connection.dialect.name == engine.name


def without_id(answer):
    return {name: value for name, value in answer.json().items() if name != "request_id"}
