"""Killed at any instant, a job goes on where it was and ends as if nothing had happened."""

import os
import random
import signal
import subprocess
import sys
import time

import pyarrow as pa
import pytest

from mdm.pipeline.verify import verify
from tests.engines import by_day_on_sqlite, environment
from tests.integration.job import new_store, rows, scalar

PARTITION = (
    "SELECT CAST(m.entity_key AS TEXT), r.registry || '/' || r.local_id FROM membership AS m"
    " JOIN record AS r ON r.record_id = m.record_id WHERE m.until_event IS NULL"
)


def started(settings, *arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "mdm.cli", *map(str, arguments)],
        env={**os.environ, **environment(settings)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def killed_until_done(settings, draw, *arguments, kills, longest):
    """Starts the command, kills it after a random time, again and again; then lets it finish. Returns how many kills hit."""
    hit = 0
    for _ in range(kills):
        process = started(settings, *arguments)
        time.sleep(draw.uniform(0.3, longest))
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            hit += 1
        process.wait()
        assert [check for check in verify(settings) if check.wrong] == []
    assert started(settings, *arguments).wait() == 0
    return hit


def partition(settings):
    found = {}
    for row in rows(settings, PARTITION, pa.schema([("entity", pa.string()), ("record", pa.string())])):
        found.setdefault(row["entity"], set()).add(row["record"])
    return {frozenset(group) for group in found.values()}


def check_killed_job(engine, tmp_path, country, finished, *, seed, kills):
    draw = random.Random(seed)
    settings = new_store(engine, tmp_path)
    hit = killed_until_done(settings, draw, "ingest", country.files / "delivery-1", kills=kills, longest=6.0)
    hit += killed_until_done(settings, draw, "run", kills=kills, longest=9.0)
    assert hit > 0
    assert [check for check in verify(settings) if check.wrong] == []
    for table in ("record", "record_version", "quarantine", "golden", "ssn", "event"):
        count = f"SELECT COUNT(*) FROM {table}"
        assert (table, scalar(settings, count)) == (table, scalar(finished, count))
    assert partition(settings) == partition(finished)


@by_day_on_sqlite
def test_a_killed_job_ends_as_if_nothing_had_happened(engine, tmp_path, country, finished):
    check_killed_job(engine, tmp_path, country, finished, seed=1, kills=2)


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(5))
def test_many_kills(engine, tmp_path, country, finished, seed):
    check_killed_job(engine, tmp_path, country, finished, seed=seed, kills=10)
