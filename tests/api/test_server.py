"""`mdm serve` over real HTTP, as its users start it."""

import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import text
from standardwebhooks.webhooks import Webhook
from typer.testing import CliRunner

from mdm.access import accounts, keys
from mdm.cli import app
from mdm.settings import Settings
from mdm.store.engine import make_engine
from tests.api.hamlet import PASSWORD
from tests.engines import POSTGRESQL, SQLITE, environment
from tests.integration.job import new_store
from tests.integration.test_commands import mdm
from tests.receiver import receiving

ROOT = Path(__file__).parents[2]


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@contextmanager
def served(settings, log, *options, **given):
    """The address of a server of its own, and its process."""
    port = free_port()
    surroundings = {
        **os.environ,
        **environment(settings),
        "MDM_CONFIGS": str(settings.configs),
        "PYTHONPATH": str(ROOT),
        **given,
    }
    command = [sys.executable, "-m", "mdm.cli", "serve", "--port", str(port), *options]
    with log.open("w") as lines:
        process = subprocess.Popen(command, env=surroundings, stderr=lines, cwd=log.parent)
    try:
        yield wait_for(f"http://127.0.0.1:{port}", process), process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(30)


def wait_for(address, process):
    for _ in range(600):
        assert process.poll() is None, "the server did not start"
        try:
            if httpx2.get(f"{address}/readyz").status_code == 200:
                return address
        except httpx2.TransportError:
            pass
        time.sleep(0.05)
    raise AssertionError("the server does not answer")


def copied(engine, asking_on, folder):
    made = Settings.model_validate_json((asking_on(engine) / "store").read_text())
    return engine.copy(made, folder).model_copy(update={"configs": made.configs})


@pytest.fixture
def stored(engine, asking_on, tmp_path):
    return copied(engine, asking_on, tmp_path)


def headers(settings, who="steward"):
    shown = json.loads((settings.configs / "keys.json").read_text())[who]
    return {"Authorization": f"Bearer {shown}", "X-Purpose": "stewardship"}


def curls(name):
    """The fenced blocks of a page that are marked as curl."""
    return re.findall(
        r"^```curl\n(.*?)^```", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )


@pytest.mark.parametrize("name", [SQLITE, pytest.param(POSTGRESQL, marks=pytest.mark.nightly)])
def test_a_server_from_start_to_end(name, engine_of, asking_on, tmp_path):
    """The examples of README and docs; requests that are too large, too slow, cut off; what is in the log; the end."""
    stored = copied(engine_of(name), asking_on, tmp_path)
    log = tmp_path / "server.log"
    options = ("--workers", "2") if name == POSTGRESQL else ()
    with (
        receiving() as collector,
        served(
            stored,
            log,
            *options,
            MDM_API_BODY_SECONDS="0.3",
            MDM_WEBHOOK_NETWORKS="127.0.0.1",
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
        ) as (address, process),
    ):
        run_examples(address, stored)
        tells_by_webhook(address, stored)
        refuses_what_is_too_much(address, stored)
        survives_what_is_no_request(address, stored)
        if name == POSTGRESQL:
            goes_on_after_the_store_was_away(address, stored)
        counted = httpx2.get(f"{address}/metrics", headers=headers(stored, "admin")).text
        assert 'mdm_http_requests_total{method="GET",route="xref",status="200"}' in counted
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) in {0, -signal.SIGTERM}
    spans = b"".join(got.body for got in collector.got)
    assert {got.path for got in collector.got} == {"/hook/v1/traces"}
    assert b"GET /v1/xref" in spans
    assert b"900000000" not in spans
    lines = log.read_text().splitlines()
    told = [json.loads(line) for line in lines if line.startswith("{")]
    plain = [line for line in lines if line.strip() and not line.startswith("{")]
    assert [line.split()[0] for line in plain] in (["Serving"], ["Making", "Serving"])
    assert {"xref", "review_decide", "none"} <= {one.get("route") for one in told}
    assert not [secret for secret in ("900000000", "Lê An", "mdm_", "local_id") if secret in log.read_text()]


def run_examples(address, settings):
    shown = headers(settings)["Authorization"].split()[1]
    office = headers(settings, "tax")["Authorization"].split()[1]
    (task,) = httpx2.get(f"{address}/v1/reviews?limit=1", headers=headers(settings)).json()["reviews"]
    for page in ("README.md", "docs/api.md"):
        (block,) = curls(page)
        script = block.replace("http://127.0.0.1:8000", address).replace("8801", "900000000")
        script = script.replace("/17/", f"/{task['review']}/").replace('"17:', f'"{task["review"]}:')
        script = script.replace("curl -sS", "curl -sS --fail-with-body")
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            env={**os.environ, "KEY": shown, "REGISTRY_KEY": office},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert '"matches"' in done.stdout
    assert (
        '"dismissed"' in httpx2.get(f"{address}/v1/reviews/{task['review']}", headers=headers(settings)).text
    )


def tells_by_webhook(address, settings):
    with receiving() as receiver:
        body = {"url": receiver.url, "after": "0", "kinds": ["golden.computed"]}
        shown = headers(settings, "tax")
        made = httpx2.post(f"{address}/v1/subscriptions", json=body, headers=shown).json()
        receiver.wait(lambda: receiver.got)
        got = receiver.got[0]
        Webhook(made["secret"]).verify(got.body, got.headers)
        path = f"{address}/v1/subscriptions/{made['subscription']['id']}"
        assert httpx2.delete(path, headers=shown).status_code == 204
    assert {event["kind"] for event in got.events} == {"golden.computed"}


def refuses_what_is_too_much(address, settings):
    shown = headers(settings)
    path = f"{address}/v1/merges"
    big = b"[" + b"1," * 600_000 + b"1]"
    as_json = {**shown, "Content-Type": "application/json"}
    for body in (big, (big[at : at + 65_536] for at in range(0, len(big), 65_536))):
        answer = httpx2.post(path, content=body, headers=as_json)
        assert (answer.status_code, answer.json()["code"]) == (413, "request.too_large")
    host, port = address.removeprefix("http://").split(":")
    head = "POST /v1/merges HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in shown.items()) + "\r\n{"
    with socket.create_connection((host, int(port))) as slow:
        slow.sendall(head.encode())
        slow.settimeout(30)
        assert b" 408 " in slow.recv(65_536).split(b"\r\n")[0]
    with socket.create_connection((host, int(port))) as cut:
        cut.sendall(head.encode())
    assert httpx2.get(f"{address}/nowhere").json()["code"] == "route.unknown"
    assert httpx2.get(f"{address}/readyz").json() == {"ready": True, "failing": {}}


def survives_what_is_no_request(address, settings):
    host, port = address.removeprefix("http://").split(":")
    chance = random.Random(7)
    shown = headers(settings, "everybody")
    bearer = f"Authorization: {shown['Authorization']}\r\nX-Purpose: stewardship\r\n"
    head = f"POST /v1/xref:batch HTTP/1.1\r\nHost: x\r\n{bearer}Content-Type: application/json\r\n"
    for said in (
        chance.randbytes(2_000),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # how TLS begins
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /v1/xref HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 200_000,
        f"{head}Content-Length: -1\r\n\r\n".encode(),
        f"{head}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello".encode(),
        f"{head}Transfer-Encoding: chunked\r\n\r\nzz\r\n".encode(),
        f"{head}Transfer-Encoding: chunked\r\n\r\n5\r\n{{".encode(),
    ):
        with socket.create_connection((host, int(port))) as stranger, suppress(OSError):
            stranger.settimeout(10)
            stranger.sendall(said)
            stranger.shutdown(socket.SHUT_WR)
            first = stranger.recv(65_536).split(b"\r\n")[0]
            assert first == b"" or 400 <= int(first.split()[1]) < 500, (said[:60], first)
    with httpx2.Client(base_url=address, headers={**shown, "Content-Type": "application/json"}) as client:
        whole = b'{"names": [{"registry": "tax", "local_id": "900000000"}, {"id": "' + b"0" * 36 + b'"}]}'
        for _ in range(150):
            body = bytearray(whole)
            for _ in range(chance.randrange(1, 6)):
                at = chance.randrange(len(body))
                body[at : at + chance.randrange(4)] = chance.randbytes(chance.randrange(4))
            path = chance.choice(("/v1/xref:batch", "/v1/merges", "/v1/subscriptions", "/v1/sessions"))
            answer = client.post(path, content=bytes(body))
            assert answer.status_code < 500, (path, bytes(body), answer.text)
    assert httpx2.get(f"{address}/readyz").json() == {"ready": True, "failing": {}}


def goes_on_after_the_store_was_away(address, settings):
    engine = make_engine(settings)
    with engine.connect() as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
    engine.dispose()
    for _ in range(4):
        answer = httpx2.get(f"{address}/v1/xref?registry=tax&local_id=900000000", headers=headers(settings))
        assert answer.status_code == 200, answer.text


# --- what it refuses to start as -------------------------------------------------------------------------------------


@pytest.fixture
def at(stored):
    return {**environment(stored), "MDM_CONFIGS": str(stored.configs), "MDM_ACTOR": "op"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--host", "0.0.0.0"), "--tls-cert"),
        (("--host", "::"), "--tls-cert"),
        (("--host", "192.0.2.7"), "--tls-cert"),
        (("--host", "mdm.example.vn"), "--tls-cert"),
        (("--tls-cert", "x.pem"), "go together"),
        (("--workers", 2), "Use PostgreSQL"),
    ],
)
def test_what_a_server_does_not_start_as(engine_of, tmp_path, options, said):
    settings = new_store(engine_of(SQLITE), tmp_path)
    assert said in mdm("serve", *options, status=3, **environment(settings)).output


def test_a_declaration_that_is_wrong_is_told_before_it_starts(engine_of, tmp_path):
    settings = new_store(engine_of(SQLITE), tmp_path)
    given = {**environment(settings), "MDM_CONFIGS": str(tmp_path)}
    assert "purposes.yaml" in mdm("serve", status=3, **given).output


# --- keys and accounts by command ------------------------------------------------------------------------------------


def test_keys_by_command(at, stored):
    made = mdm("key", "add", "hospital", "--role", "registry:tax", "--days", 30, **at).stdout.strip()
    assert re.fullmatch(r"mdm_[0-9a-f]{10}_[\w-]{43}", made)
    listed = json.loads(mdm("key", "list", "--json", **at).stdout)
    (found,) = [key for key in listed if key["name"] == "hospital"]
    assert (found["roles"], found["created_by"], found["revoked_at"]) == (["registry:tax"], "op", None)
    assert "hospital" in mdm("key", "list", **at).stdout
    engine = make_engine(stored)
    assert keys.holder(engine, made).actor == "key:hospital"
    mdm("key", "revoke", "hospital", **at)
    assert keys.holder(engine, made) is None
    engine.dispose()
    assert "no registry is declared" in mdm("key", "add", "x", "--role", "registry:x", status=4, **at).output


def test_accounts_by_command(at, stored):
    def asked(*arguments, answers):
        return CliRunner().invoke(app, arguments, env=at, input=answers)

    password = "five small lemons today"
    made = asked("user", "add", "binh", "--role", "approver", answers=f"{password}\n{password}\n")
    assert made.exit_code == 0, made.output
    assert password not in made.output
    short = asked("user", "add", "chi", "--role", "approver", answers="short\nshort\n")
    assert (short.exit_code, "too easy" in short.output) == (4, True)
    engine = make_engine(stored)
    assert accounts.signed_in(engine, "binh", password).roles == ["approver"]
    mdm("user", "disable", "binh", **at)
    assert accounts.signed_in(engine, "binh", password) is None
    mdm("user", "enable", "binh", **at)
    assert accounts.signed_in(engine, "binh", password).name == "binh"
    assert asked("user", "password", "binh", answers=f"{PASSWORD}\n{PASSWORD}\n").exit_code == 0
    assert accounts.signed_in(engine, "binh", password) is None
    engine.dispose()
    listed = {one["name"]: one["state"] for one in json.loads(mdm("user", "list", "--json", **at).stdout)}
    assert listed == {"binh": "active", "lan": "active"}
    assert "binh" in mdm("user", "list", **at).stdout
    assert "no account" in mdm("user", "disable", "nobody", status=4, **at).output
