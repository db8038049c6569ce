"""A server whose store goes away and comes back, or is held by a run: it says so, and goes on without a restart."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx2
import pytest

from mdm.store.engine import bulk
from tests import postgresql as own
from tests.api.hamlet import add_people, configure
from tests.api.test_server import headers, served
from tests.engines import POSTGRESQL, SQLITE, Engine
from tests.village import Village, village_settings

XREF = "/v1/xref?registry=tax&local_id=900000000"
CALLS = [
    ("GET", XREF, None, "tax"),
    ("POST", "/v1/xref:batch", {"names": [{"registry": "tax", "local_id": "900000000"}]}, "tax"),
    ("GET", "/v1/persons/00000000-0000-7000-8000-000000000000", None, "steward"),
    ("GET", "/v1/reviews", None, "steward"),
    ("POST", "/v1/reviews/1/claim", None, "steward"),
    ("GET", "/v1/approvals", None, "approver"),
    ("POST", "/v1/numbers:reserve", {"count": 1, "reason": "for a test"}, "steward"),
    ("GET", "/v1/events", None, "steward"),
    ("POST", "/v1/subscriptions", {"url": "https://a.example/hook"}, "tax"),
    ("GET", "/v1/audit/checkpoint", None, "auditor"),
    ("POST", "/v1/audit/checkpoint", None, "auditor"),
    ("POST", "/v1/sessions", {"name": "lan", "password": "a wrong password"}, None),
    ("POST", "/v1/match", {"attributes": {"full_name": "Lê An", "file_no": "A"}}, "tax"),
    ("PUT", "/v1/registries/tax/records/new", {"attributes": {"full_name": "Phan Nam"}}, "tax"),
    ("DELETE", "/v1/registries/tax/records/nobody", None, "tax"),
    ("GET", "/v1/reviews", None, "other_steward"),
]
"""The last one's key was never shown before the store went away."""


def small_store(engine, folder):
    settings = village_settings(engine, folder)
    configure(settings)
    village = Village(settings)
    village.deliver_rows("tax", {"900000000": {"full_name": "Lê An", "file_no": "A"}})
    village.run()
    village.close()
    add_people(settings)
    return settings


@pytest.fixture
def own_server(postgresql):
    """A PostgreSQL that may be stopped."""
    folder = own.SessionFolder()
    yield own.Server(folder.path)
    folder.close()


class Server:
    def __init__(self, client, settings):
        self.client, self.settings = client, settings

    def ask(self, method, path, body=None, who=None):
        shown = headers(self.settings, who) if who else {}
        return self.client.request(method, path, json=body, headers=shown)


@contextmanager
def serving(settings, log):
    with served(settings, log) as (address, _), httpx2.Client(base_url=address, timeout=60) as client:
        yield Server(client, settings)
    assert "Traceback" not in log.read_text()


def is_away(server):
    ready = server.ask("GET", "/readyz")
    assert (ready.status_code, ready.json()["ready"]) == (503, False)
    assert ready.json()["failing"]["store"] == "store"
    for call in CALLS:
        answer = server.ask(*call)
        assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json"), call
        assert answer.json()["code"] in {"store", "store.busy"}, call
        assert answer.headers["Retry-After"] == "1"
    assert server.ask("GET", "/healthz").status_code == 200


def is_back(server):
    until = time.monotonic() + 30
    while server.ask("GET", "/readyz").status_code != 200 and time.monotonic() < until:
        time.sleep(0.1)
    assert server.ask("GET", "/readyz").json() == {"ready": True, "failing": {}}
    for call in CALLS:
        answer = server.ask(*call)
        assert answer.status_code < 500, (call, answer.text)
    assert server.ask(*CALLS[0]).status_code == 200


def test_postgresql_stops_and_starts(own_server, tmp_path):
    settings = small_store(Engine(POSTGRESQL, own_server), tmp_path)
    with serving(settings, tmp_path / "server.log") as server:
        for call in CALLS[:-1]:
            assert server.ask(*call).status_code < 500
        own_server.stop()
        is_away(server)
        own_server.start()
        is_back(server)


def test_an_sqlite_file_is_moved_away_and_back(engine_of, tmp_path):
    settings = small_store(engine_of(SQLITE), tmp_path)
    elsewhere = settings.store_file.with_name("elsewhere")
    with serving(settings, tmp_path / "server.log") as server:
        assert server.ask(*CALLS[0]).status_code == 200
        settings.store_file.rename(elsewhere)
        is_away(server)
        assert not settings.store_file.exists()
        elsewhere.rename(settings.store_file)
        is_back(server)
        settings.store_file.rename(elsewhere)
        settings.store_file.write_bytes(elsewhere.read_bytes())
        is_away(server)


def test_who_looks_does_not_wait_for_those_who_write(engine_of, tmp_path):
    settings = small_store(engine_of(POSTGRESQL), tmp_path)
    looks = [call for call in CALLS if call[1] in {XREF, "/v1/match", "/v1/events"}]
    with serving(settings, tmp_path / "server.log") as server, ThreadPoolExecutor() as pool:

        def bring(number):
            path = f"/v1/registries/tax/records/new-{number}"
            return server.ask("PUT", path, {"attributes": {"full_name": "Phan Nam"}}, "tax")

        with bulk(settings, writes=True):  # as a run that writes what it has found
            brought = [pool.submit(bring, number) for number in range(5)]
            for call in looks * 5:
                assert server.ask(*call).status_code == 200, call
            assert not any(answer.done() for answer in brought)
        assert [answer.result().status_code for answer in brought] == [201] * 5
