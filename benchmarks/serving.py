"""How fast the server answers about one record, as stores grow.

    python -m benchmarks.serving [--people 20000 200000] [--seconds 10] [--keep FOLDER]

For each number of people: simulates, runs the first delivery (about five records a person), starts `mdm serve` on a copy of the store, and asks in a closed loop
with 1, 8 and 32 clients: match (a record of somebody with an error, and of nobody, in turn), upsert (the same), xref. Client and server share the machine; a
request is made before its time begins. Then, in the same run, Splink's `predict_between` of one record against all, with the same model.

The copy leaves the store's file in the system's memory, where a server that has run for a while has it. `--keep` keeps stores for the next time.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
from splink import DuckDBAPI, Linker, block_on

from matching.batch import register_frequencies, splink_settings
from mdm.pipeline.indexing import load_indexed, model_of_edges
from mdm.pipeline.workspace import workspace
from mdm.registries.attributes import load_attributes
from mdm.settings import Settings
from mdm.store.engine import bulk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_CLIENTS = (1, 8, 32)
_SAMPLE = 2_000
_SAID = pa.schema(
    [
        ("registry", pa.string()),
        ("local_id", pa.string()),
        ("attributes", pa.string()),
        ("rest", pa.string()),
    ]
)
Request = tuple[str, str, Any]
"""Method, path, body."""


@dataclass(frozen=True)
class Timed:
    clients: int
    count: int
    seconds: float
    milliseconds: np.ndarray[Any, np.dtype[np.float64]]
    refused: int

    def line(self, name: str) -> str:
        p50, p99 = np.percentile(self.milliseconds, [50, 99])
        return (
            f"{name:<8}{self.clients:>4} clients {p50:>8.2f} ms p50 {p99:>8.2f} ms p99 {self.count / self.seconds:>8.0f} a second"
            f"{self.refused:>6} refused"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--people", type=int, nargs="+", default=[20_000, 200_000])
    parser.add_argument("--seconds", type=float, default=10, help="of each measurement")
    parser.add_argument("--keep", type=Path, default=None)
    parser.add_argument("--without-splink", action="store_true")
    arguments = parser.parse_args()
    for people in arguments.people:
        with tempfile.TemporaryDirectory(prefix="serving-") as temporary:
            folder = (arguments.keep or Path(temporary)) / str(people)
            settings = _store(folder, people)
            said = _said(settings)
            with bulk(settings) as store:
                records = store.scalar("SELECT COUNT(*) FROM match_feature")
            print(f"\n{people:,} people, {records:,} records")
            with _copy(settings) as copied, _Server(copied) as server:
                _measure(server, said, seconds=arguments.seconds)
            if not arguments.without_splink:
                _splink(settings)


def _store(folder: Path, people: int) -> Settings:
    settings = Settings(store=f"sqlite:///{folder / 'mdm.db'}")
    if not (folder / "ready").exists():
        folder.mkdir(parents=True, exist_ok=True)
        mdm = [sys.executable, "-m", "mdm.cli"]
        environment = os.environ | {"MDM_STORE": settings.store}
        for command in (
            ["simulate", "--people", str(people), "--seed", "31", "--out", str(folder / "files")],
            ["init"],
            ["ingest", str(folder / "files" / "delivery-1")],
            ["run"],
            ["index"],
        ):
            subprocess.run(
                [*mdm, *command],
                env=environment,
                check=True,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        (folder / "ready").touch()
    return settings


@contextmanager
def _copy(settings: Settings) -> Iterator[Settings]:
    """What is measured leaves the store as it was."""
    file = settings.store_file
    with tempfile.TemporaryDirectory(prefix="served-", dir=file.parent) as folder:
        for path in file.parent.glob(f"{file.name}*"):
            if path.is_file():
                shutil.copy(path, folder)
        yield Settings(store=f"sqlite:///{Path(folder) / file.name}")


def _said(settings: Settings) -> list[dict[str, Any]]:
    with bulk(settings) as store:
        last = store.scalar("SELECT MAX(record_id) FROM record")
        rng = random.Random(7)
        chosen = ",".join(str(rng.randrange(1, last)) for _ in range(_SAMPLE))
        rows = store.read(
            "SELECT r.registry, r.local_id, v.attributes, '' FROM record AS r JOIN record_version AS v"
            " ON v.record_id = r.record_id AND v.version = r.version"
            f" WHERE r.kind = 'person' AND r.status = 'active' AND r.record_id IN ({chosen})",
            _SAID,
        )
    found = []
    for row in rows.to_pylist():
        attributes = json.loads(row["attributes"])
        address = attributes.get("address_text")
        given = {name: value for name, value in attributes.items() if not name.startswith("address_")}
        given.pop("household_ref", None)
        found.append({**row, "given": given | ({"address": {"text": address}} if address else {})})
    return found


def _changed(said: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """As another office would write it; every second one is a newcomer."""
    given = dict(said["given"])
    if rng.random() < 0.5:
        name = given.get("full_name", "Nguyễn Văn An").split()
        given["full_name"] = " ".join([*name[:-1], rng.choice(["Anh", "Bảo", "Chi", "Dung"])])
        given = {name: given[name] for name in ("full_name", "sex", "address") if name in given}
        given["birth_date"] = f"{rng.randint(1940, 2020)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"
    elif "full_name" in given:
        given["full_name"] = given["full_name"].upper()
    return given


class _Server:
    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def __enter__(self) -> Self:
        mdm = [sys.executable, "-m", "mdm.cli"]
        environment = os.environ | {"MDM_STORE": self.settings.store, "MDM_API_RATE_LIMIT": "100000/second"}
        made = subprocess.run(
            [*mdm, "key", "add", f"bench-{time.time_ns()}", "--role", "registry:tax", "--role", "steward"],
            env=environment, check=True, capture_output=True, text=True,
        )  # fmt: skip
        self.key = made.stdout.strip()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.log = self.settings.store_file.with_name("serve.log").open("w")
        self.process = subprocess.Popen(
            [*mdm, "serve", "--port", str(self.port)], env=environment, stdout=self.log, stderr=self.log
        )
        for _ in range(600):
            try:
                if _ask(self.connect(), self.written(("GET", "/readyz", None))) == 200:
                    return self
            except OSError:
                time.sleep(0.2)
        raise SystemExit("the server does not start")

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait()
        self.log.close()

    def connect(self) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def written(self, request: Request) -> bytes:
        """As it goes over the wire."""
        method, path, body = request
        sent = b"" if body is None else json.dumps(body).encode()
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {self.key}\r\n"
            f"X-Purpose: stewardship\r\nContent-Type: application/json\r\nContent-Length: {len(sent)}\r\n\r\n"
        )
        return head.encode() + sent


def _ask(connection: socket.socket, written: bytes) -> int:
    """The status of the answer, which is read to its end."""
    connection.sendall(written)
    answer = connection.recv(65_536)
    while (ends := answer.find(b"\r\n\r\n")) < 0:
        answer += connection.recv(65_536)
    length = int(answer[:ends].lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    while len(answer) < ends + 4 + length:
        answer += connection.recv(65_536)
    return int(answer.split(b" ", 2)[1])


def _measure(server: _Server, said: list[dict[str, Any]], *, seconds: float) -> None:
    fresh = iter(range(10**9))

    def match(rng: random.Random) -> Request:
        return "POST", "/v1/match", {"attributes": _changed(rng.choice(said), rng)}

    def upsert(rng: random.Random) -> Request:
        path = f"/v1/registries/tax/records/bench-{os.getpid()}-{time.time_ns()}-{next(fresh)}"
        return "PUT", path, {"attributes": _changed(rng.choice(said), rng)}

    def xref(rng: random.Random) -> Request:
        one = rng.choice(said)
        return "GET", f"/v1/xref?registry={one['registry']}&local_id={one['local_id']}", None

    for name, make in (("match", match), ("upsert", upsert), ("xref", xref)):
        _closed_loop(server, make, clients=1, seconds=min(3, seconds))
        for clients in _CLIENTS:
            print(_closed_loop(server, make, clients=clients, seconds=seconds).line(name), flush=True)


def _closed_loop(
    server: _Server, make: Callable[[random.Random], Request], *, clients: int, seconds: float
) -> Timed:
    """Each client asks again as soon as it is answered."""
    times: list[list[float]] = [[] for _ in range(clients)]
    refused = [0] * clients
    ends = time.perf_counter() + seconds

    def client(place: int) -> None:
        rng, connection = random.Random(f"{place}.{time.time_ns()}"), server.connect()
        while time.perf_counter() < ends:
            written = server.written(make(rng))
            began = time.perf_counter()
            status = _ask(connection, written)
            times[place].append((time.perf_counter() - began) * 1000)
            refused[place] += status >= 400
        connection.close()

    threads = [threading.Thread(target=client, args=(place,)) for place in range(clients)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    every = np.array([t for each in times for t in each])
    return Timed(clients, len(every), time.perf_counter() - began, every, sum(refused))


def _splink(settings: Settings) -> None:
    """One record against all, by the same trained model and blocking rules, in DuckDB's memory."""
    milliseconds = []
    with _linker(settings) as (linker, api, connection, blocking):
        everyone = api.register("everyone")
        for number in range(12):
            connection.execute(
                f"CREATE OR REPLACE TABLE one_{number} AS FROM person ORDER BY hash(record_id + {number}) LIMIT 1"
            )
            connection.execute(f"UPDATE one_{number} SET record_id = -1 - {number}")
            one = api.register(f"one_{number}")
            began = time.perf_counter()
            found = linker.inference.predict_between(
                everyone,
                one,
                blocking_rules_to_generate_predictions=blocking,
                threshold_match_weight=-4,
                warning_mode="never",
            )
            found.as_record_list()
            milliseconds.append((time.perf_counter() - began) * 1000)
    p50, worst = np.percentile(milliseconds[2:], [50, 100])
    print(
        f"Splink predict_between, one record: {p50:.0f} ms p50, {worst:.0f} ms at most, of {len(milliseconds) - 2}"
    )


@contextmanager
def _linker(settings: Settings) -> Iterator[Any]:
    with bulk(settings) as store:
        trained = model_of_edges(store)
    with workspace(settings, "bench") as work:
        load_indexed(work, trained, load_attributes(settings.attributes_file))
        work.connection.execute("CREATE TABLE everyone AS FROM person")
        api = DuckDBAPI(work.connection)
        linker = Linker(api.register("person"), splink_settings(trained), log_level="ERROR")
        for column in trained.declaration.term_frequency_columns:
            register_frequencies(work.connection, api, linker, trained, column, records="person")
        types = dict(
            work.connection.execute("SELECT column_name, column_type FROM (DESCRIBE person)").fetchall()
        )
        blocking = [
            block_on(
                *rule.columns,
                arrays_to_explode=[c for c in rule.columns if types[c].endswith("[]")] or None,
            )
            for rule in trained.declaration.blocking
        ]
        yield linker, api, work.connection, blocking


if __name__ == "__main__":
    main()
