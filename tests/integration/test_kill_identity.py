"""Killed at any instant of a delivery, a run or a merge, a store is whole: all of a change is there, or none of it."""

import multiprocessing
import os
import random
import signal
import time

import pytest

from mdm.pipeline.verify import verify
from tests.integration.merging import live
from tests.integration.test_concurrency import people
from tests.laws import Laws


@pytest.fixture(scope="module")
def processes():
    """Processes that have imported everything already, so that the kills hit the work."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.integration.merging"])
    return context


def check_killed_village(engine, folder, processes, *, seed, kills):
    draw = random.Random(seed)
    village = people(folder, engine, count=12)
    laws = Laws(village.identity)
    for number in range(kills):
        worker = processes.Process(target=live, args=(village.settings, draw.randrange(1 << 30)), daemon=True)
        worker.start()
        time.sleep(draw.uniform(0.05, 1.5))
        assert worker.is_alive(), "it works until it is killed"
        os.kill(worker.pid, signal.SIGKILL)
        worker.join()
        laws.check(fresh=False)
        if number % 10 == 0:
            assert [check for check in verify(village.settings) if check.wrong] == []
    village.run()
    laws.check(fresh=True)
    assert not village.run(force=True).changed_anything
    assert [check for check in verify(village.settings) if check.wrong] == []
    village.close()


def test_a_village_killed_a_few_times(engine, tmp_path, processes):
    check_killed_village(engine, tmp_path, processes, seed=1, kills=4)


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(5))
def test_a_village_killed_many_times(engine, tmp_path, processes, seed):
    check_killed_village(engine, tmp_path, processes, seed=seed, kills=25)
