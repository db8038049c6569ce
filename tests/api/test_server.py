"""`mdm serve` over real HTTP, as its users start it."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from mdm.access import accounts, keys
from mdm.cli import app
from mdm.settings import Settings
from mdm.store.engine import make_engine
from tests.api.hamlet import PASSWORD
from tests.engines import POSTGRESQL, SQLITE, environment
from tests.integration.job import new_store
from tests.integration.test_commands import mdm

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
    limits = {"MDM_API_BODY_SECONDS": "0.3"}
    options = ("--workers", "2") if name == POSTGRESQL else ()
    with served(stored, log, *options, **limits) as (address, process):
        run_examples(address, stored)
        refuses_what_is_too_much(address, stored)
        if name == POSTGRESQL:
            goes_on_after_the_store_was_away(address, stored)
        counted = httpx2.get(f"{address}/metrics", headers=headers(stored, "admin")).text
        assert 'mdm_http_requests_total{method="GET",route="xref",status="200"}' in counted
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) in {0, -signal.SIGTERM}
    lines = log.read_text().splitlines()
    told = [json.loads(line) for line in lines if line.startswith("{")]
    assert len(told) >= len(lines) - 1
    assert {"xref", "review_decide", "none"} <= {one.get("route") for one in told}
    assert not [secret for secret in ("900000000", "Lê An", "mdm_", "local_id") if secret in log.read_text()]


def run_examples(address, settings):
    shown = headers(settings)["Authorization"].split()[1]
    (task,) = httpx2.get(f"{address}/v1/reviews?limit=1", headers=headers(settings)).json()["reviews"]
    for page in ("README.md", "docs/api.md"):
        (block,) = curls(page)
        script = block.replace("http://127.0.0.1:8000", address).replace("8801", "900000000")
        script = script.replace("/17/", f"/{task['review']}/").replace('"17:', f'"{task["review"]}:')
        script = script.replace("curl -sS", "curl -sS --fail-with-body")
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            env={**os.environ, "KEY": shown},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert '"matches"' in done.stdout
    assert (
        '"dismissed"' in httpx2.get(f"{address}/v1/reviews/{task['review']}", headers=headers(settings)).text
    )


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
