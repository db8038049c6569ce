"""Many at once: the laws hold, and no deadlock or serialisation error reaches anybody."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mdm.pipeline.verify import verify
from tests.engines import POSTGRESQL, environment
from tests.laws import Laws
from tests.village import Village, village_settings

ROOT = Path(__file__).parents[2]


def village_environment(settings):
    return {**os.environ, **environment(settings), "MDM_CONFIGS": str(settings.configs)}


def steward(settings, seed, seconds):
    """A process; see tests.integration.merging."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.integration.merging", str(seed), str(seconds)],
        env=village_environment(settings),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def people(folder, engine, *, count):
    """A village of people with one record each, of all registries in turn."""
    village = Village(village_settings(engine, folder))
    names = ("population", "school", "tax")
    for place, registry in enumerate(names):
        village.deliver_rows(
            registry,
            {f"r{n}": {"full_name": f"Lê An {n}", "file_no": f"F{n}"} for n in range(place, count, 3)},
        )
    village.run()
    return village


def check_many_stewards(folder, engine, *, processes, seconds, count):
    village = people(folder, engine, count=count)
    laws = Laws(village.identity)
    laws.check(fresh=True)
    before = len(laws.past["event"])
    running = [steward(village.settings, seed, seconds) for seed in range(processes)]
    said = [process.communicate() for process in running]
    assert [(process.returncode, errors) for process, (_, errors) in zip(running, said, strict=True)] == [
        (0, "")
    ] * processes
    done = [int(out.split()[0]) for out, _ in said]
    assert all(count > 0 for count in done)
    laws.check(fresh=True)
    assert len(laws.past["event"]) > before
    assert [check for check in verify(village.settings) if check.wrong] == []
    village.run()
    laws.check(fresh=True)
    assert [check for check in verify(village.settings) if check.wrong] == []
    village.close()


def test_two_stewards_at_once(engine, tmp_path):
    check_many_stewards(tmp_path, engine, processes=2, seconds=3, count=12)


@pytest.mark.nightly
def test_eight_stewards_for_a_minute(engine_of, tmp_path):
    check_many_stewards(tmp_path, engine_of(POSTGRESQL), processes=8, seconds=60, count=30)
