"""The change feed and subscriptions over HTTP: who is told of what, positions, waiting, secrets."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.api.hamlet import Hamlet

WHY = {"reason": "seen the papers"}
URL = {"url": "https://a.example/hook"}


def follow(hamlet, *, by="sealed_steward", after="0", limit=1000):
    """All events after a position, and where the log ends."""
    events, more = [], True
    while more:
        page = hamlet.get(f"/v1/events?after={after}&limit={limit}", by=by).json()
        assert set(page) == {"events", "next", "more"}
        events += page["events"]
        after, more = page["next"], page["more"]
    return events, after


def happen(hamlet):
    pair = {
        "left": {"registry": "tax", "local_id": "an"},
        "right": {"registry": "tax", "local_id": "binh"},
        **WHY,
    }
    assert hamlet.post("/v1/cannot-links", pair).status_code == 200


def named(events):
    return {entity["id"] for event in events for entity in event["entities"]}


def test_a_reader_follows_the_log_by_its_positions(shared_hamlet: Hamlet):
    events, end = follow(shared_hamlet, limit=3)
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert events == follow(shared_hamlet)[0]
    assert follow(shared_hamlet, after=end) == ([], end)
    chosen = shared_hamlet.get(
        "/v1/events?kinds=entity.merged&kinds=run.finished", by="sealed_steward"
    ).json()["events"]
    assert {event["kind"] for event in chosen} == {"run.finished"}
    assert {event["at"][-6:] for event in events} == {"+00:00"}


def test_who_is_told_of_whom(shared_hamlet: Hamlet):
    everybody, dung = named(follow(shared_hamlet)[0]), shared_hamlet.who("school/dung")["id"]
    assert dung in everybody
    assert named(follow(shared_hamlet, by="steward")[0]) == everybody - {dung}
    own = {shared_hamlet.who(f"tax/{name}")["id"] for name in ("an", "binh", "123456789")}
    told, _ = follow(shared_hamlet, by="tax")
    assert named(told) == own
    versions = {entity["version"] for event in told for entity in event["entities"]}
    assert versions == {None}


def test_who_was_told_is_kept(hamlet: Hamlet):
    follow(hamlet, by="tax")
    an = hamlet.who("tax/an")["id"]
    seen = hamlet.get(f"/v1/audit/access?subject={an}", by="auditor", purpose="audit").json()["accesses"]
    assert ("key:tax", "events", ["status"]) in [
        (one["actor"], one["operation"], one["fields"]) for one in seen
    ]


def test_a_reader_who_waits_is_answered_when_something_happens(hamlet: Hamlet):
    _, end = follow(hamlet)
    with ThreadPoolExecutor(1) as threads:
        asked = threads.submit(hamlet.get, f"/v1/events?after={end}&wait=30")
        happen(hamlet)
        assert [event["kind"] for event in asked.result().json()["events"]] == ["decision.made"]
    _, end = follow(hamlet)
    page = hamlet.get(f"/v1/events?after={end}&wait=0.1").json()
    assert (page["events"], page["more"]) == ([], False)


@pytest.mark.parametrize(
    "query", ["after=x", "limit=0", "limit=1001", "kinds=entity.eaten", "wait=31", "limit=1&limit=2"]
)
def test_what_cannot_be_asked_is_refused(shared_hamlet: Hamlet, query):
    assert shared_hamlet.get(f"/v1/events?{query}").status_code == 422


def test_an_event_that_has_not_happened_is_refused(shared_hamlet: Hamlet):
    answer = shared_hamlet.get("/v1/events?after=99999")
    assert (answer.status_code, answer.json()["code"]) == (400, "input")
    assert "99999" not in answer.text


# --- subscriptions ---------------------------------------------------------------------------------------------------


def test_a_subscription_is_made_changed_and_ended(hamlet: Hamlet):
    def ask(method, path, body=None):
        return hamlet.ask(method, path, body, by="admin")

    made = ask("POST", "/v1/subscriptions", URL)
    assert made.status_code == 201
    name, secret = made.json()["subscription"]["id"], made.json()["secret"]
    assert secret.startswith("whsec_")
    assert secret not in ask("GET", "/v1/subscriptions").text
    path = f"/v1/subscriptions/{name}"
    assert ask("POST", f"{path}/rotate", {}).json()["secret"] not in {secret, None}
    assert ask("POST", f"{path}/pause").json()["state"] == "paused"
    assert ask("POST", f"{path}/resume").json()["state"] == "active"
    behind = ask("POST", f"{path}/replay", {"after": "0"}).json()["behind"]
    assert behind == len(follow(hamlet)[0])
    assert ask("POST", f"{path}/replay", {"after": "0"}).json()["behind"] == behind
    assert ask("GET", f"{path}/dead-letters").json() == {"dead_letters": []}
    for method, at in (("POST", "dead-letters/7/retry"), ("DELETE", "dead-letters/7")):
        answer = ask(method, f"{path}/{at}")
        assert (answer.status_code, answer.json()["code"]) == (404, "input.no_dead_letter")
    ended = ask("DELETE", path)
    assert (ended.status_code, ended.content) == (204, b"")
    answer = ask("GET", path)
    assert (answer.status_code, answer.json()["code"]) == (404, "input.no_subscription")


def test_a_registry_subscribes_for_itself_only(hamlet: Hamlet):
    mine = hamlet.post("/v1/subscriptions", URL, by="tax").json()["subscription"]
    assert mine["registry"] == "tax"
    other = hamlet.post("/v1/subscriptions", URL, by="admin").json()["subscription"]
    assert other["registry"] is None
    refused = hamlet.post("/v1/subscriptions", {**URL, "registry": "population"}, by="tax")
    assert (refused.status_code, refused.json()["code"]) == (400, "input")
    listed = hamlet.get("/v1/subscriptions", by="tax").json()["subscriptions"]
    assert [one["id"] for one in listed] == [mine["id"]]
    path = f"/v1/subscriptions/{other['id']}"
    for method, at, body in (
        ("GET", "", None),
        ("DELETE", "", None),
        ("POST", "/rotate", {}),
        ("POST", "/pause", None),
        ("POST", "/resume", None),
        ("POST", "/replay", {"after": "0"}),
        ("GET", "/dead-letters", None),
        ("POST", "/dead-letters/1/retry", None),
        ("DELETE", "/dead-letters/1", None),
    ):
        answer = hamlet.ask(method, f"{path}{at}", body, by="tax")
        assert (answer.status_code, answer.json()["code"]) == (404, "input.no_subscription"), at
    assert len(hamlet.get("/v1/subscriptions", by="admin").json()["subscriptions"]) == 2


def test_a_repeated_request_gets_the_first_answer(hamlet: Hamlet):
    first = hamlet.post("/v1/subscriptions", URL, by="admin", key="k1")
    assert hamlet.post("/v1/subscriptions", URL, by="admin", key="k1").json() == first.json()
    other = hamlet.post("/v1/subscriptions", {**URL, "ordered": False}, by="admin", key="k1")
    assert (other.status_code, other.json()["code"]) == (422, "identity.key")
    assert len(hamlet.get("/v1/subscriptions", by="admin").json()["subscriptions"]) == 1


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"url": ""},
        {**URL, "sees_sealed": True},
        {**URL, "kinds": []},
        {**URL, "kinds": ["entity.eaten"]},
        {**URL, "registry": "No!"},
    ],
)
def test_what_is_no_subscription_is_refused(shared_hamlet: Hamlet, body):
    assert shared_hamlet.post("/v1/subscriptions", body, by="admin").status_code == 422


@pytest.mark.parametrize("url", ["ftp://a.example/", "https://10.0.0.1/", "https://u:p@a.example/"])
def test_urls_that_messages_may_not_go_to_are_refused(shared_hamlet: Hamlet, url):
    answer = shared_hamlet.post("/v1/subscriptions", {"url": url}, by="admin")
    assert (answer.status_code, answer.json()["code"]) == (400, "input")
