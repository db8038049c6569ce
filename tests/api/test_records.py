"""Records that a registry sends: matched at once, by itself or line by line; and whom a record may be of."""

import json
from concurrent.futures import ThreadPoolExecutor

AN = {"full_name": "Lê An", "file_no": "A"}


def put(hamlet, local_id, attributes, *, by="tax", registry="tax", **given):
    return hamlet.ask(
        "PUT", f"/v1/registries/{registry}/records/{local_id}", {"attributes": attributes}, by=by, **given
    )


def found(hamlet, attributes, *, by="tax", **given):
    answer = hamlet.post("/v1/match", {"attributes": attributes, **given}, by=by)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_record_becomes_part_of_its_person(hamlet):
    an = hamlet.who("tax/an")["id"]
    answer = put(hamlet, "an2", AN)
    assert answer.status_code == 201
    told = answer.json()
    assert (told["id"], told["created"], told["version"]) == (an, True, 1)
    (changed,) = told["changed"]
    assert changed["id"] == an
    assert {"registry": "tax", "local_id": "an2"} in changed["records"]
    again = put(hamlet, "an2", AN)
    assert (again.status_code, again.json()["unchanged"], again.json()["changed"]) == (200, True, [])
    assert hamlet.who("tax/an2")["id"] == an


def test_a_new_person_gets_a_number(hamlet):
    told = put(hamlet, "new", {"full_name": "Phan Nam", "file_no": "N"}).json()
    person = hamlet.get(f"/v1/persons/{told['id']}").json()
    assert [number["kind"] for number in person["numbers"]] == ["temporary"]
    assert told["numbers"] == []  # a registry is told of numbers where its declaration grants it
    by_population = hamlet.ask(
        "PUT",
        "/v1/registries/population/records/nam",
        {"attributes": {"full_name": "Phan Nam", "file_no": "N", "personal_id": "001099000009"}},
        by="population",
    )
    assert by_population.json()["id"] == told["id"]
    numbers = hamlet.get(f"/v1/persons/{told['id']}").json()["numbers"]
    assert {(n["kind"], n["state"]) for n in numbers} == {("ssn", "active"), ("temporary", "superseded")}


def test_a_corrected_record_moves_and_a_withdrawn_one_is_gone(hamlet):
    first = put(hamlet, "m", {"full_name": "Phan Nam", "file_no": "M"}).json()
    moved = put(hamlet, "m", {"full_name": "Lê An", "file_no": "A"}).json()
    assert moved["id"] == hamlet.who("tax/an")["id"] != first["id"]
    assert {one["status"] for one in moved["changed"] if one["id"] == first["id"]} <= {
        "retired",
        "superseded",
    }
    gone = hamlet.ask("DELETE", "/v1/registries/tax/records/m", by="tax")
    assert (gone.status_code, "id" in gone.json() and gone.json()["id"]) == (200, None)
    assert hamlet.ask("DELETE", "/v1/registries/tax/records/nobody", by="tax").status_code == 404
    assert found(hamlet, {"file_no": "M"})["candidates"] == []


def test_a_registry_writes_its_own_records_only(hamlet):
    answer = put(hamlet, "x", AN, registry="population")
    assert (answer.status_code, answer.json()["code"]) == (403, "access.refused")
    assert hamlet.get("/v1/xref?registry=population&local_id=x").status_code == 404


def test_what_cannot_be_taken_is_refused_and_nothing_is_kept(hamlet):
    before = hamlet.serving.feed.last()
    for attributes, status in (
        ({"shoe_size": "forty-four"}, 400),
        ({"full_name": "không có"}, 400),
        ({"full_name": 7}, 422),
        ({}, 422),
        ({"full_name": ["Lê", "An"]}, 400),
    ):
        answer = put(hamlet, "bad", attributes)
        assert answer.status_code == status, attributes
        assert "Lê" not in answer.text
        assert "forty" not in answer.text
    assert hamlet.serving.feed.last() == before


def test_a_change_names_the_version_it_was_decided_on(hamlet):
    hamlet.who("tax/an")
    stale = put(hamlet, "an", {**AN, "student_code": "S9"}, match=hamlet.tags("tax/binh"))
    assert (stale.status_code, stale.json()["code"]) == (412, "identity.stale")
    assert put(hamlet, "an", {**AN, "student_code": "S9"}, match=hamlet.tags("tax/an")).status_code == 200


def test_two_at_once_make_one_person(hamlet):
    def bring(number):
        return put(hamlet, f"twin{number}", {"full_name": "Phan Nam", "file_no": "T"}).json()["id"]

    with ThreadPoolExecutor(8) as threads:
        people = set(threads.map(bring, range(16)))
    assert len(people) == 1


def test_a_search_finds_whom_a_run_would_find(hamlet):
    answer = found(hamlet, AN)
    (candidate,) = answer["candidates"]
    assert candidate["id"] == hamlet.who("tax/an")["id"]
    assert candidate["band"] == "link"
    assert candidate["probability"] > 0.9
    assert [one["comparison"] for one in candidate["evidence"]] == ["file_no"]
    weight = put(hamlet, "an3", AN)
    assert weight.json()["id"] == candidate["id"]
    assert found(hamlet, {"full_name": "Nobody Known"})["candidates"] == []


def test_nobody_is_found_by_a_sealed_record(hamlet):
    dung = {"file_no": "D"}
    assert found(hamlet, dung)["candidates"] == []
    assert found(hamlet, dung, by="steward")["candidates"] == []
    assert [c["id"] for c in found(hamlet, dung, by="sealed_steward")["candidates"]] == [
        hamlet.who("school/dung")["id"]
    ]
    whole = found(hamlet, {"file_no": "A", "student_code": "S1"}, by="sealed_steward")["candidates"]
    part = found(hamlet, {"file_no": "A", "student_code": "S1"})["candidates"]
    assert whole[0]["weight"] >= part[0]["weight"]
    assert [one["comparison"] for one in part[0]["evidence"]] == ["file_no"]


def batch(hamlet, lines, *, by="tax"):
    body = b"".join(line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n" for line in lines)
    headers = {
        "Authorization": f"Bearer {hamlet.keys[by]}",
        "X-Purpose": "stewardship",
        "Content-Type": "application/x-ndjson",
    }
    answer = hamlet.client.post("/v1/registries/tax/records:batch", content=body, headers=headers)
    assert answer.headers["content-type"].startswith("application/x-ndjson"), answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


def test_each_line_of_a_batch_has_its_result(hamlet):
    told = batch(
        hamlet,
        [
            {"local_id": "b1", "attributes": AN},
            {"local_id": "b2", "attributes": {"shoe_size": "44"}},
            b"{not json}\n",
            {"local_id": "b3"},
            {"local_id": "b1", "op": "withdraw"},
            {"local_id": "nobody", "op": "withdraw"},
            {"local_id": "b4", "attributes": {"full_name": "Phan Nam", "file_no": "N"}, "force": True},
            {"local_id": "b5", "attributes": {"full_name": "Phan Nam", "file_no": "N"}},
        ],
    )
    assert [(one["line"], one["status"]) for one in told] == [
        (1, 201), (2, 400), (3, 422), (4, 422), (5, 200), (6, 404), (7, 422), (8, 201),
    ]  # fmt: skip
    assert told[0]["answer"]["id"] == hamlet.who("tax/an")["id"]
    assert told[1]["detail"]
    assert hamlet.get("/v1/xref?registry=tax&local_id=b4").status_code == 404


def test_reads_and_writes_are_kept(hamlet):
    told = put(hamlet, "kept", AN).json()
    found(hamlet, AN)
    accesses = hamlet.get(f"/v1/audit/access?subject={told['id']}", by="auditor", purpose="audit").json()[
        "accesses"
    ]
    assert {"record.put", "match"} <= {one["operation"] for one in accesses}
