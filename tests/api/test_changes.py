"""What stewards change through the API: preview, versions, keys, four eyes, claims, numbers."""

import pytest

from mdm.identity.verifier import verify
from tests.api.hamlet import Hamlet

WHY = "seen both papers"


def merge(hamlet, left="tax/an", right="tax/binh", *, by="steward", preview=False, **given):
    body = {
        "left": hamlet.who(left)["id"],
        "right": hamlet.who(right)["id"],
        "reason": WHY,
        "preview": preview,
    }
    if not preview:
        given.setdefault("match", hamlet.tags(left, right))
    return hamlet.post("/v1/merges", body, by=by, **given)


def test_a_merge_is_previewed_done_and_undone(hamlet: Hamlet):
    an, binh = hamlet.who("tax/an"), hamlet.who("tax/binh")
    preview = merge(hamlet, preview=True).json()
    assert preview["versions"] == {an["id"]: an["version"], binh["id"]: binh["version"]}
    assert preview["notified"] == ["population", "tax"]
    assert preview["records"][an["id"]] == [
        {"registry": "population", "local_id": "an"},
        {"registry": "tax", "local_id": "an"},
        {"registry": "tax", "local_id": "binh"},
    ]
    assert (preview["records"][binh["id"]], preview["joined_since"]) == ([], [])
    assert hamlet.who("tax/an") == {**an, "event": hamlet.who("tax/an")["event"]}

    done = merge(hamlet)
    assert done.status_code == 200
    answer = done.json()
    changed = {one["id"]: one for one in answer["changed"]}
    assert changed[an["id"]]["status"] == "active"
    assert changed[an["id"]]["records"] == [
        {"registry": "population", "local_id": "an"},
        {"registry": "tax", "local_id": "an"},
        {"registry": "tax", "local_id": "binh"},
    ]
    assert (changed[binh["id"]]["status"], changed[binh["id"]]["superseded_by"]) == ("superseded", an["id"])
    assert (changed[binh["id"]]["records"], answer["approval"], answer["numbers"]) == ([], None, [])

    event = answer["events"][0]
    asked = {"reason": "two people after all"}
    preview = hamlet.post(f"/v1/merges/{event}/unmerge", {**asked, "preview": True}).json()
    match = ", ".join(f'"{entity}:{version}"' for entity, version in preview["versions"].items())
    undone = hamlet.post(f"/v1/merges/{event}/unmerge", asked, match=match)
    assert undone.status_code == 200, undone.text
    assert {one["id"]: one["status"] for one in undone.json()["changed"]} == {
        an["id"]: "active",
        binh["id"]: "active",
    }
    after = hamlet.who("tax/binh")
    assert {**after, "version": 0, "event": 0} == {**binh, "version": 0, "event": 0}


def test_a_change_names_the_versions_it_was_decided_on(hamlet: Hamlet):
    an, binh = hamlet.who("tax/an"), hamlet.who("tax/binh")
    stale = f'"{an["id"]}:{an["version"] + 1}", "{binh["id"]}:{binh["version"]}"'
    assert (merge(hamlet, match=stale).status_code, merge(hamlet, match=stale).json()["code"]) == (
        412,
        "identity.stale",
    )
    for short in (f'"{an["id"]}:1"', None):
        answer = merge(hamlet, match=short)
        assert (answer.status_code, answer.json()["code"]) == (428, "request.if_match")
    for unread in ("*", f'W/"{an["id"]}:1"', f"{an['id']}:1", '"x:1"', f'"{an["id"]}:0"', ","):
        answer = merge(hamlet, match=unread)
        assert (answer.status_code, answer.json()["code"]) == (400, "request.if_match")
    assert hamlet.who("tax/an")["version"] == an["version"]


def test_the_same_request_twice_is_done_once(hamlet: Hamlet):
    match = hamlet.tags("tax/an", "tax/binh")
    body = {"left": hamlet.who("tax/an")["id"], "right": hamlet.who("tax/binh")["id"], "reason": WHY}
    first = hamlet.post("/v1/merges", body, match=match, key="one")
    hamlet.post("/v1/numbers:reserve", {"count": 1, "reason": WHY})
    again = hamlet.post("/v1/merges", body, match=match, key="one")
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.content == again.content
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    other = hamlet.post("/v1/merges", {**body, "reason": "another reason"}, match=match, key="one")
    assert (other.status_code, other.json()["code"]) == (422, "identity.key")
    by_another = hamlet.post(
        "/v1/numbers:reserve", {"count": 1, "reason": WHY}, by="other_steward", key="one"
    )
    assert by_another.status_code == 200
    assert len(by_another.json()["numbers"]) == 1


def test_two_verified_personal_ids_are_refused(hamlet: Hamlet):
    answer = merge(hamlet, "population/an", "population/em")
    assert (answer.status_code, answer.json()["code"]) == (409, "identity")


def test_records_are_split_off(hamlet: Hamlet):
    an = hamlet.who("tax/an")
    body = {"id": an["id"], "records": [{"registry": "tax", "local_id": "an"}], "reason": WHY}
    seen = hamlet.post("/v1/splits", {**body, "preview": True}).json()
    assert seen["versions"] == {an["id"]: an["version"]}
    done = hamlet.post("/v1/splits", body, match=f'"{an["id"]}:{an["version"]}"').json()
    into = hamlet.who("tax/an")["id"]
    assert into != an["id"]
    assert {one["id"]: one["records"] for one in done["changed"]} == {
        an["id"]: [{"registry": "population", "local_id": "an"}],
        into: [{"registry": "tax", "local_id": "an"}],
    }


def test_a_sealed_record_cannot_be_named_by_those_who_may_not_know(hamlet: Hamlet):
    an = hamlet.who("tax/an")
    for name in ("an", "nobody"):
        body = {"id": an["id"], "records": [{"registry": "school", "local_id": name}], "reason": WHY}
        answer = hamlet.post("/v1/splits", body, match=f'"{an["id"]}:{an["version"]}"')
        assert (answer.status_code, answer.json()["detail"]) == (
            404,
            "Registry school has no such record of a person.",
        )


def test_decisions_are_made_and_withdrawn(hamlet: Hamlet):
    pair = {
        "left": {"registry": "tax", "local_id": "an"},
        "right": {"registry": "tax", "local_id": "binh"},
        "reason": WHY,
    }
    assert hamlet.post("/v1/cannot-links", pair).status_code == 200
    refused = hamlet.post("/v1/cannot-links", pair)
    assert (refused.status_code, refused.json()["code"]) == (409, "identity")
    assert merge(hamlet).status_code == 409
    assert hamlet.post("/v1/links:revoke", pair).status_code == 200
    linked = hamlet.post("/v1/links", pair)
    assert linked.status_code == 200
    assert linked.json()["changed"] == []


# --- numbers ---------------------------------------------------------------------------------------------------------


def test_numbers_are_reserved_given_changed_and_cancelled(hamlet: Hamlet):
    em = hamlet.who("population/em")
    tag = f'"{em["id"]}:{em["version"]}"'
    path = f"/v1/persons/{em['id']}/ssn"
    has_one = hamlet.post(f"{path}:issue", {"reason": WHY}, match=tag)
    assert (has_one.status_code, has_one.json()["code"]) == (409, "identity")
    suspended = {"state": "suspended", "reason_code": "investigation", "reason": WHY}
    assert hamlet.post(f"{path}:change", suspended, match=tag).status_code == 200
    assert hamlet.who("population/em")["numbers"][0]["state"] == "suspended"
    wrong = hamlet.post(f"{path}:change", {**suspended, "state": "active"}, match=tag)
    assert (wrong.status_code, wrong.json()["code"]) == (409, "identity")
    cancel = {"reason_code": "issued_in_error", "reason": WHY}
    assert hamlet.post(f"{path}:cancel", cancel, match=tag).status_code == 200
    assert hamlet.post(f"{path}:cancel", cancel, match=tag).status_code == 404

    reserved = hamlet.post("/v1/numbers:reserve", {"count": 2, "reason": WHY}).json()["numbers"]
    assert len(set(reserved)) == 2
    given = hamlet.post(f"{path}:issue", {"number": reserved[0], "reason": WHY}, match=tag)
    assert given.status_code == 200
    assert [one["id"] for one in given.json()["changed"]] == [em["id"]]
    assert [n["number"] for n in hamlet.who("population/em")["numbers"] if n["state"] == "active"] == [
        reserved[0]
    ]


def test_a_new_number_is_issued_in_one_step(hamlet: Hamlet):
    em = hamlet.who("population/em")
    tag = f'"{em["id"]}:{em["version"]}"'
    path = f"/v1/persons/{em['id']}/ssn"
    hamlet.post(f"{path}:cancel", {"reason_code": "issued_in_error", "reason": WHY}, match=tag)
    issued = hamlet.post(f"{path}:issue", {"reason": WHY}, match=tag, key="issue")
    (number,) = issued.json()["numbers"]
    assert [n["number"] for n in hamlet.who("population/em")["numbers"] if n["state"] == "active"] == [number]
    assert hamlet.post(f"{path}:issue", {"reason": WHY}, match=tag, key="issue").json()["numbers"] == [number]


def test_only_people_whom_the_population_database_knows_get_a_number(hamlet: Hamlet):
    chi = hamlet.who("tax/123456789")
    answer = hamlet.post(
        f"/v1/persons/{chi['id']}/ssn:issue", {"reason": WHY}, match=f'"{chi["id"]}:{chi["version"]}"'
    )
    assert answer.status_code == 409
    assert "population database does not know" in answer.json()["detail"]


# --- proofs ----------------------------------------------------------------------------------------------------------


def test_the_log_is_signed_and_proved(hamlet: Hamlet):
    at_run = hamlet.get("/v1/audit/checkpoint", by="auditor", purpose="audit").json()
    first = hamlet.post("/v1/audit/checkpoint", by="auditor", purpose="audit").json()
    assert first["size"] >= at_run["size"]
    assert hamlet.get("/v1/audit/checkpoint", by="admin", purpose="audit").json() == first
    assert hamlet.post("/v1/audit/checkpoint", by="auditor", purpose="audit").json() == first
    hamlet.post("/v1/numbers:reserve", {"count": 3, "reason": WHY})
    second = hamlet.post("/v1/audit/checkpoint", by="auditor", purpose="audit").json()
    assert second["size"] == first["size"] + 3

    for query in (f"event={first['size']}", f"old={first['size']}"):
        proof = hamlet.get(f"/v1/audit/proof?{query}", by="auditor", purpose="audit").json()["proof"]
        assert str(first["size"]) in verify(proof, first["public_key"]).replace(",", "")
    for query in ("", "event=1&old=2", "event=0", "old=x"):
        assert hamlet.get(f"/v1/audit/proof?{query}", by="auditor", purpose="audit").status_code == 422
    assert hamlet.get("/v1/audit/proof?event=9999", by="auditor", purpose="audit").status_code == 400


@pytest.mark.parametrize("path", ["/v1/merges", "/v1/splits", "/v1/links", "/v1/numbers:reserve"])
def test_no_value_comes_back_in_a_refusal(hamlet: Hamlet, path):
    secret = "Nguyễn Văn Bí Mật 079099123456"
    for body in ({"reason": secret, "left": secret, "count": secret}, {secret: 1}, [secret], secret):
        answer = hamlet.post(path, body)
        assert answer.status_code == 422
        assert "Nguy" not in answer.text
        assert "079099123456" not in answer.text
