"""The stewards' queue over the API: list, claim, release, decide; and what waits for a second person."""

import pytest
from fastapi.testclient import TestClient

from api.app import create_app
from mdm.pipeline.verify import verify
from mdm.settings import Settings
from tests.api.hamlet import Hamlet

WHY = "seen both papers"
DECIDE = {"verdict": "dismissed", "reason": WHY}


@pytest.fixture
def asking(engine, asking_store, tmp_path):
    made = Settings.model_validate_json((asking_store / "store").read_text())
    settings = engine.copy(made, tmp_path).model_copy(update={"configs": made.configs, "threads": 1})
    with TestClient(create_app(settings)) as client:
        yield Hamlet(client, settings)


def numbers(hamlet, **given):
    return [task["review"] for task in hamlet.get("/v1/reviews", **given).json()["reviews"]]


def test_a_question_on_a_sealed_record_is_for_those_who_may_know(asking: Hamlet):
    seen, whole = numbers(asking), numbers(asking, by="sealed_steward")
    assert (len(seen), len(whole)) == (3, 4)
    (sealed,) = set(whole) - set(seen)
    for path, body in (("", None), ("/claim", {}), ("/release", {}), ("/decision", DECIDE)):
        method = "GET" if body is None else "POST"
        answer = asking.ask(method, f"/v1/reviews/{sealed}{path}", body or None, match=f'"{sealed}:1"')
        none = asking.ask(method, f"/v1/reviews/99{path}", body or None, match='"99:1"')
        assert answer.status_code == none.status_code == 404
        assert answer.json()["detail"].replace(str(sealed), "99") == none.json()["detail"]


def test_lists_mask_numbers_and_come_in_pages(asking: Hamlet):
    whole = asking.get("/v1/reviews").json()["reviews"]
    assert {record["local_id"] for task in whole for record in task["records"]} <= {
        *(f"******00{n}" for n in range(3)),
        *(f"p{n}" for n in range(4)),
    }
    pages, query = [], "?limit=2"
    while query:
        answer = asking.get(f"/v1/reviews{query}").json()
        pages.append(answer["reviews"])
        query = f"?limit=2&cursor={answer['next']}" if answer["next"] else ""
    assert [len(page) for page in pages] == [2, 1]
    assert [*pages[0], *pages[1]] == whole
    one = asking.get(f"/v1/reviews/{whole[0]['review']}")
    assert "900000000" in one.text
    assert one.headers["ETag"] == f'"{whole[0]["review"]}:1"'
    assert asking.get("/v1/reviews?reason=nothing").json() == {"reviews": [], "next": None}


def test_a_question_is_claimed_by_one_at_a_time(asking: Hamlet):
    number = numbers(asking)[0]
    path = f"/v1/reviews/{number}"
    claim = asking.post(f"{path}/claim").json()["claim"]
    assert claim["by"] == "key:steward"
    assert asking.post(f"{path}/claim").json()["claim"]["until"] >= claim["until"]
    for answer in (
        asking.post(f"{path}/claim", by="other_steward"),
        asking.post(f"{path}/decision", DECIDE, by="other_steward", match=f'"{number}:1"'),
    ):
        assert (answer.status_code, answer.json()["code"]) == (409, "identity.claimed")
    assert asking.post(f"{path}/release", by="other_steward").json()["claim"]["by"] == "key:steward"
    assert asking.get(path).json()["claim"]["by"] == "key:steward"
    assert asking.post(f"{path}/release").json()["claim"] is None
    assert asking.post(f"{path}/claim", by="other_steward").json()["claim"]["by"] == "key:other-steward"


def test_a_claim_expires(asking: Hamlet, monkeypatch):
    number = numbers(asking)[0]
    asking.post(f"/v1/reviews/{number}/claim")
    with asking.serving.identity.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE review_claim SET expires_at = '2020-01-01T00:00:00.000000+00:00'")
    assert asking.get(f"/v1/reviews/{number}").json()["claim"] is None
    taken = asking.post(f"/v1/reviews/{number}/claim", by="other_steward")
    assert taken.json()["claim"]["by"] == "key:other-steward"


def test_a_question_is_decided_once(asking: Hamlet):
    number = numbers(asking)[0]
    path = f"/v1/reviews/{number}"
    asking.post(f"{path}/claim")
    unsaid = asking.post(f"{path}/decision", DECIDE)
    assert (unsaid.status_code, unsaid.json()["code"]) == (428, "request.if_match")
    stale = asking.post(f"{path}/decision", DECIDE, match=f'"{number}:2"')
    assert (stale.status_code, stale.json()["code"]) == (412, "identity.stale")
    done = asking.post(f"{path}/decision", DECIDE, match=f'"{number}:1"', key="once")
    assert done.status_code == 200
    assert done.json()["changed"] == []
    again = asking.post(f"{path}/decision", DECIDE, match=f'"{number}:1"', key="once")
    assert again.content == done.content
    late = asking.post(f"{path}/decision", DECIDE, match=f'"{number}:2"')
    assert (late.status_code, late.json()["code"]) == (409, "identity")
    assert asking.post(f"{path}/claim").status_code == 409
    after = asking.get(path).json()
    assert (after["state"], after["version"], after["claim"]) == ("dismissed", 2, None)
    assert after["decided"] == done.json()["events"][-1]
    assert number not in numbers(asking)
    assert [task["review"] for task in asking.get("/v1/reviews?state=dismissed").json()["reviews"]] == [
        number
    ]


def test_two_numbers_are_merged_by_two_people(asking: Hamlet):
    left, right = asking.who("population/p0"), asking.who("population/p1")
    body = {"left": left["id"], "right": right["id"], "reason": "one person, file 123456789"}
    match = asking.tags("population/p0", "population/p1")
    asked = asking.post("/v1/merges", body, match=match, key="both")
    assert asked.status_code == 202
    assert asked.json()["changed"] == []
    number = asked.json()["approval"]
    assert asking.post("/v1/merges", body, match=match, key="both").content == asked.content
    (waiting,) = asking.get("/v1/approvals", by="approver").json()["approvals"]
    assert (waiting["approval"], waiting["requested_by"]) == (number, "key:steward")
    assert waiting["reason"] == "one person, file ******789"
    assert waiting["command"]["left"] == left["id"]
    approved = asking.post(f"/v1/approvals/{number}/approve", by="approver", key="yes")
    assert approved.status_code == 200
    assert {one["id"]: one["status"] for one in approved.json()["changed"]} == {
        left["id"]: "active",
        right["id"]: "superseded",
    }
    again = asking.post(f"/v1/approvals/{number}/approve", by="approver", key="yes")
    assert again.content == approved.content
    assert asking.post(f"/v1/approvals/{number}/approve", by="approver").status_code == 409
    assert asking.get("/v1/approvals").json() == {"approvals": [], "next": None}


def test_who_asked_does_not_approve_and_a_refusal_is_kept(asking: Hamlet):
    left, right = asking.who("population/p0"), asking.who("population/p2")
    body = {"left": left["id"], "right": right["id"], "reason": WHY}
    asked = asking.post(
        "/v1/merges", body, match=asking.tags("population/p0", "population/p2"), by="both_hats"
    )
    number = asked.json()["approval"]
    own = asking.post(f"/v1/approvals/{number}/approve", by="both_hats")
    assert (own.status_code, own.json()["code"]) == (409, "identity")
    why = {"reason": "not the same signature"}
    refused = asking.post(f"/v1/approvals/{number}/refuse", why, by="approver", key="no")
    assert refused.status_code == 200
    again = asking.post(f"/v1/approvals/{number}/refuse", why, by="approver", key="no")
    assert (again.status_code, again.content) == (200, refused.content)
    assert asking.who("population/p2")["id"] == right["id"]
    assert asking.post("/v1/approvals/99/refuse", {"reason": WHY}, by="approver").status_code == 404


def test_the_store_is_what_its_events_say_after_all_of_it(engine, asking_store, tmp_path):
    made = Settings.model_validate_json((asking_store / "store").read_text())
    settings = engine.copy(made, tmp_path).model_copy(update={"configs": made.configs, "threads": 1})
    with TestClient(create_app(settings)) as client:
        hamlet = Hamlet(client, settings)
        number = numbers(hamlet)[0]
        hamlet.post(f"/v1/reviews/{number}/claim")
        hamlet.post(f"/v1/reviews/{number}/decision", DECIDE, match=f'"{number}:1"', key="decide")
        for other, answer, body in (("p1", "refuse", {"reason": WHY}), ("p2", "approve", None)):
            names = ("population/p0", f"population/{other}")
            ids = {side: hamlet.who(name)["id"] for side, name in zip(("left", "right"), names, strict=True)}
            asked = hamlet.post("/v1/merges", {**ids, "reason": WHY}, match=hamlet.tags(*names), key=other)
            path = f"/v1/approvals/{asked.json()['approval']}/{answer}"
            assert hamlet.post(path, body, by="approver", key=other).status_code == 200
        person = hamlet.who("population/p3")
        tag, path = f'"{person["id"]}:{person["version"]}"', f"/v1/persons/{person['id']}/ssn"
        cancel = {"reason_code": "issued_in_error", "reason": WHY}
        assert hamlet.post(f"{path}:cancel", cancel, match=tag, key="cancel").status_code == 200
        assert hamlet.post(f"{path}:issue", {"reason": WHY}, match=tag, key="issue").status_code == 200
        assert hamlet.post("/v1/audit/checkpoint", by="admin", purpose="audit").status_code == 200
    assert [check for check in verify(settings) if check.wrong] == []
