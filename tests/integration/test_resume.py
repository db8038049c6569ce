"""A run that was stopped, and whose working files are gone, ends as one that was never stopped."""

import pickle
import shutil

import pytest

from mdm.pipeline import run as run_module
from mdm.pipeline.ingest import Ingest
from mdm.pipeline.run import STEPS, run
from mdm.pipeline.verify import verify
from tests.engines import ENGINES, POSTGRESQL, SQLITE
from tests.integration.job import new_store
from tests.integration.test_delta import outcome
from tests.sharing import once

LATER = [name for name in STEPS if name != "train"]
BY_DAY = {
    SQLITE: {"score", "reconcile", "household_golden", "number"},
    POSTGRESQL: {"reconcile", "household_golden"},
}


@pytest.fixture(scope="session")
def unstopped(engine, shared_folder, finished, country):
    """What a run on the second delivery finds, and how many rows of each step."""

    def make(folder):
        settings = engine.copy(finished, folder)
        Ingest(settings).folder(country.files / "delivery-2")
        report = run(settings)
        (folder / "outcome").write_bytes(pickle.dumps((outcome(settings), details(report))))

    folder = once(shared_folder / f"unstopped-{engine.name}", make)
    return pickle.loads((folder / "outcome").read_bytes())


def details(report):
    """Of the steps that follow from the working files: what they counted."""
    return {
        name: {**report.detail(name), "moment": None} for name in ("score", "reconcile", "golden", "number")
    }


def stop_in(step, settings, monkeypatch):
    """Whatever it does before its own transaction is done."""

    def stopped(*_):
        raise RuntimeError("stopped")

    with monkeypatch.context() as patch:
        patch.setitem(run_module.STEPS, step, stopped)
        with pytest.raises(RuntimeError, match="stopped"):
            run(settings)


def lose_files(settings):
    """Those of runs; the keys stay."""
    left = [path for path in settings.work_folder.iterdir() if path.is_dir()]
    assert left
    for path in left:
        shutil.rmtree(path)


@pytest.mark.parametrize(
    ("engine", "step"),
    [
        pytest.param(engine, step, marks=[] if step in BY_DAY[engine] else [pytest.mark.nightly])
        for engine in ENGINES
        for step in LATER
    ],
    indirect=["engine"],
)
def test_a_run_that_was_stopped_and_lost_its_files(
    engine, finished, unstopped, country, tmp_path, monkeypatch, step
):
    settings = engine.copy(finished, tmp_path)
    Ingest(settings).folder(country.files / "delivery-2")
    stop_in(step, settings, monkeypatch)
    lose_files(settings)
    report = run(settings)
    assert report.resumed
    expected, counted = unstopped
    found = outcome(settings)
    for name in expected:
        assert found[name] == expected[name], name
    assert [check.wrong for check in verify(settings) if check.wrong] == []
    if step in ("score", "cluster"):
        assert details(report) == counted


def test_only_what_was_lost_is_done_again(engine, finished, country, tmp_path, monkeypatch):
    settings = engine.copy(finished, tmp_path)
    Ingest(settings).folder(country.files / "delivery-2")
    stop_in("reconcile", settings, monkeypatch)
    lose_files(settings)
    assert {step.step for step in run(settings).steps if step.earlier} == {"train", "score"}


def test_what_was_not_lost_is_not_done_again(engine, finished, country, tmp_path, monkeypatch):
    settings = engine.copy(finished, tmp_path)
    Ingest(settings).folder(country.files / "delivery-2")
    stop_in("golden", settings, monkeypatch)
    lose_files(settings)
    earlier = {step.step for step in run(settings).steps if step.earlier}
    assert earlier == {"train", "score", "cluster", "reconcile"}


def test_a_first_run_that_loses_its_files_after_every_step(
    engine_of, tmp_path, country, finished_on, monkeypatch
):
    engine = engine_of(SQLITE)
    settings = new_store(engine, tmp_path)
    assert Ingest(settings).folder(country.files / "delivery-1").failed == []
    for step in LATER:
        stop_in(step, settings, monkeypatch)
        lose_files(settings)
    run(settings)
    found, expected = outcome(settings), outcome(finished_on(engine))
    for name in expected:
        assert found[name] == expected[name], name
