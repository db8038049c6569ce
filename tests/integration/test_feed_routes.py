"""The feed and subscriptions over HTTP, as the API mounts them."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from fastapi.testclient import TestClient

from api.routers import events, subscriptions
from mdm.errors import MdmError
from mdm.feed.events import Feed
from mdm.feed.subscriptions import Subscriptions
from mdm.feed.viewer import Viewer
from tests.integration.test_webhooks import QUICK, happen, last


@pytest.fixture
def village(engine, tmp_path, small_village_on):
    made = small_village_on(engine, tmp_path)
    yield made
    made.close()


@pytest.fixture
def noted():
    return []


@pytest.fixture
def client(village, noted):
    """Who asks is told by a header: a registry, or nobody for the administrator."""
    feed = Feed(village.identity.engine)
    desk = Subscriptions(village.identity.engine, village.settings.model_copy(update=QUICK))

    def registries(request: Request):
        own = request.headers.get("x-registry")
        return None if own is None else frozenset({own})

    def reader(request: Request) -> events.Reader:
        own = registries(request)
        return events.Reader(Viewer(frozenset() if own is None else frozenset({"school"}), own), noted.append)

    def asker(request: Request) -> subscriptions.Asker:
        return subscriptions.Asker(request.headers.get("x-registry", "admin"), registries(request))

    def refused(_: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"code": error.code, "where": error.where}, 400)

    app = FastAPI(exception_handlers={MdmError: refused})
    app.include_router(events.router(feed=lambda: feed, reader=reader), prefix="/v1")
    app.include_router(subscriptions.router(subscriptions=lambda: desk, asker=asker), prefix="/v1")
    with TestClient(app) as made:
        yield made


TAX = {"x-registry": "tax"}


def test_a_reader_follows_the_log_by_its_positions(village, client, noted):
    seqs, after, more = [], "0", True
    while more:
        page = client.get("/v1/events", params={"after": after, "limit": 7}).json()
        seqs += [event["seq"] for event in page["events"]]
        after, more = page["next"], page["more"]
    assert seqs == list(range(1, last(village) + 1))
    assert set(page) == {"events", "next", "more"}
    assert {name for told in noted for name in told} == set(village.homes().values())
    own = client.get("/v1/events", params={"limit": 1000}, headers=TAX).json()["events"]
    named = {changed["id"] for event in own for changed in event["entities"]}
    assert named == {village.home("tax/r2"), village.home("tax/r5")}
    merged = client.get("/v1/events", params={"kinds": ["entity.merged", "run.finished"]}).json()
    assert {event["kind"] for event in merged["events"]} == {"run.finished"}


def test_a_reader_who_waits_is_answered_when_something_happens(village, client):
    after = client.get("/v1/events", params={"after": last(village)}).json()["next"]
    with ThreadPoolExecutor(1) as threads:
        asked = threads.submit(client.get, "/v1/events", params={"after": after, "wait": 30})
        happen(village, 1)
        assert [event["kind"] for event in asked.result().json()["events"]] == ["decision.made"]
    ends = client.get("/v1/events", params={"after": last(village), "wait": 0.1}).json()
    assert (ends["events"], ends["more"]) == ([], False)


@pytest.mark.parametrize(
    "params", [{"after": "x"}, {"limit": 0}, {"limit": 1001}, {"kinds": "entity.eaten"}, {"wait": 31}]
)
def test_what_cannot_be_asked_is_refused(client, params):
    assert client.get("/v1/events", params=params).status_code == 422


def test_an_event_that_has_not_happened_is_refused(client):
    assert client.get("/v1/events", params={"after": "99999"}).json()["code"] == "input"


def test_a_subscription_is_made_changed_and_ended(village, client):
    made = client.post("/v1/subscriptions", json={"url": "https://a.example/hook"})
    assert made.status_code == 201
    name, secret = made.json()["subscription"]["id"], made.json()["secret"]
    assert secret.startswith("whsec_")
    assert secret not in client.get("/v1/subscriptions").text
    path = f"/v1/subscriptions/{name}"
    assert client.post(f"{path}/rotate").json()["secret"] not in {secret, None}
    assert client.post(f"{path}/pause").json()["state"] == "paused"
    assert client.post(f"{path}/resume").json()["state"] == "active"
    position = last(village)
    assert client.post(f"{path}/replay", json={"after": "0"}).json()["behind"] == position
    assert client.get(f"{path}/dead-letters").json() == {"dead_letters": []}
    for method, at in (("post", "dead-letters/7/retry"), ("delete", "dead-letters/7")):
        assert client.request(method, f"{path}/{at}").json()["code"] == "input"
    assert client.delete(path).status_code == 204
    assert client.get(path).json()["code"] == "input.no_subscription"


def test_a_registry_subscribes_for_itself_only(client):
    url = {"url": "https://tax.example/hook"}
    mine = client.post("/v1/subscriptions", json=url, headers=TAX).json()["subscription"]
    assert mine["registry"] == "tax"
    other = client.post("/v1/subscriptions", json=url).json()["subscription"]
    assert other["registry"] is None
    refused = client.post("/v1/subscriptions", json={**url, "registry": "population"}, headers=TAX)
    assert (refused.status_code, refused.json()["where"]) == (400, "registry")
    assert [s["id"] for s in client.get("/v1/subscriptions", headers=TAX).json()["subscriptions"]] == [
        mine["id"]
    ]
    for method in ("get", "delete"):
        answer = client.request(method, f"/v1/subscriptions/{other['id']}", headers=TAX)
        assert answer.json()["code"] == "input.no_subscription"


def test_a_repeated_request_gets_the_first_answer(client):
    key = {"idempotency-key": "k1"}
    body = {"url": "https://a.example/hook"}
    first = client.post("/v1/subscriptions", json=body, headers=key).json()
    assert client.post("/v1/subscriptions", json=body, headers=key).json() == first
    assert len(client.get("/v1/subscriptions").json()["subscriptions"]) == 1


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"url": ""},
        {"url": "https://a.example/", "sees_sealed": True},
        {"url": "https://a.example/", "kinds": []},
        {"url": "https://a.example/", "kinds": ["entity.eaten"]},
        {"url": "https://a.example/", "registry": "No!"},
    ],
)
def test_fields_that_are_not_described_are_refused(client, body):
    assert client.post("/v1/subscriptions", json=body).status_code == 422


@pytest.mark.parametrize("url", ["ftp://a.example/", "https://10.0.0.1/", "https://u:p@a.example/"])
def test_urls_that_messages_may_not_go_to_are_refused(client, url):
    answer = client.post("/v1/subscriptions", json={"url": url})
    assert (answer.status_code, answer.json()) == (400, {"code": "input", "where": "url"})
