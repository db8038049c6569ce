"""OpenLineage events of real runs: told as a run goes, and exported later from what the store knows."""

import json
from collections import Counter

import pytest
from typer.testing import CliRunner

from mdm.cli import app
from mdm.errors import ConfigurationError, InputError
from mdm.pipeline import run as run_module
from mdm.pipeline.ingest import Ingest
from mdm.pipeline.openlineage import export_run
from mdm.pipeline.run import STEPS, run
from mdm.registries.declaration import load_registries
from mdm.store.schema import create
from tests.engines import by_day_on_sqlite, environment
from tests.integration.job import scalar
from tests.openlineage_client import told_by_the_client, without_empty

REGISTRIES = "registry/"


@pytest.fixture
def settings(engine, finished, tmp_path):
    """The finished store, with the next delivery landed; runs append to a file."""
    (tmp_path / "copy").mkdir()
    return engine.copy(finished, tmp_path / "copy").model_copy(
        update={"openlineage_file": tmp_path / "events.ndjson"}
    )


def read(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def exported(settings, path, run_id=None):
    count = export_run(settings, run_id, path, registries=load_registries(settings.registries_folder))
    events = read(path)
    assert len(events) == count
    return events


def written(events, job):
    return {
        dataset["name"]: dataset["outputFacets"]["outputStatistics"]["rowCount"]
        for event in events
        if event["job"]["name"] == job
        for dataset in event["outputs"]
    }


def test_a_finished_run_is_told_as_the_store_has_it(finished, tmp_path):
    events = exported(finished, tmp_path / "events.ndjson")
    for event in events:
        assert told_by_the_client(event) == without_empty(event)
    assert [event["job"]["name"] for event in events[1:-1:2]] == [f"mdm.run.{step}" for step in STEPS]
    inputs = {dataset["name"]: dataset["inputFacets"]["inputStatistics"] for dataset in events[0]["inputs"]}
    assert len(inputs) == scalar(finished, "SELECT COUNT(DISTINCT registry) FROM batch")
    assert sum(told["rowCount"] for told in inputs.values()) == scalar(
        finished, "SELECT CAST(SUM(received) AS BIGINT) FROM batch"
    )
    assert sum(told["fileCount"] for told in inputs.values()) == scalar(
        finished, "SELECT COUNT(*) FROM batch"
    )
    assert all("schema" in dataset["facets"] for dataset in events[0]["inputs"])
    everything = written(events, "mdm.run")
    for table in ("alias", "edge", "entity", "golden", "membership", "model", "review"):
        assert (table, everything[table]) == (table, scalar(finished, f"SELECT COUNT(*) FROM {table}"))
    versions = "SELECT (SELECT COUNT(*) FROM ssn) + (SELECT COUNT(*) FROM ssn_past)"
    assert everything["ssn"] == scalar(finished, versions)
    raised = Counter(
        {step: written(events, f"mdm.run.{step}").get("review", 0) for step in ("cluster", "reconcile")}
    )
    assert raised.total() == everything["review"] > 0


def test_no_value_of_any_row_is_told(finished, tmp_path):
    exported(finished, tmp_path / "events.ndjson")
    text = (tmp_path / "events.ndjson").read_text(encoding="utf-8")
    for sql in (
        "SELECT MAX(number) FROM ssn",
        "SELECT MAX(local_id) FROM record WHERE registry = 'population'",
    ):
        assert str(scalar(finished, sql)) not in text


@by_day_on_sqlite
def test_a_run_appends_to_the_file_what_an_export_tells_later(settings, country, tmp_path):
    Ingest(settings).folder(country.files / "delivery-2")
    report = run(settings)
    told = read(settings.openlineage_file)
    assert told == exported(settings, tmp_path / "later.ndjson", report.run_id)
    assert (told[0]["eventType"], told[-1]["eventType"]) == ("START", "COMPLETE")
    assert written(told, "mdm.run.golden")["golden"] == report.detail("golden")["changed"] > 0
    assert written(told, "mdm.run.number")["ssn"] > 0
    run(settings)
    assert read(settings.openlineage_file) == told
    forced = run(settings, force=True)
    assert read(settings.openlineage_file)[: len(told)] == told
    nothing = read(settings.openlineage_file)[len(told) :]
    assert {event["run"]["runId"] for event in nothing if event["job"]["name"] == "mdm.run"} == {
        forced.run_id
    }
    assert set(written(nothing, "mdm.run").values()) == {0}


@by_day_on_sqlite
def test_a_run_that_fails_says_where_and_goes_on_under_its_id(settings, country, tmp_path, monkeypatch):
    Ingest(settings).folder(country.files / "delivery-2")

    def full(*_):
        raise ConfigurationError("The disk is full.", hint="Make room.")

    def broken(*_):
        raise ValueError("Nguyễn Thị Sửa, 012345678901")

    def stopped(*_):
        raise KeyboardInterrupt

    states = []
    for name, failing, error in (
        ("cluster", full, ConfigurationError),
        ("golden", broken, ValueError),
        ("number", stopped, KeyboardInterrupt),
    ):
        before = len(read(settings.openlineage_file)) if settings.openlineage_file.exists() else 0
        with monkeypatch.context() as patch:
            patch.setitem(run_module.STEPS, name, failing)
            with pytest.raises(error):
                run(settings)
        told = read(settings.openlineage_file)[before:]
        for event in told:
            assert told_by_the_client(event) == without_empty(event)
        messages = [event["run"]["facets"]["errorMessage"]["message"] for event in told[-2:]]
        states.append((told[-2]["job"]["name"], told[-2]["eventType"], told[-1]["eventType"], set(messages)))
    assert states == [
        ("mdm.run.cluster", "FAIL", "FAIL", {"The disk is full. Make room."}),
        ("mdm.run.golden", "FAIL", "FAIL", {"ValueError"}),
        ("mdm.run.number", "ABORT", "ABORT", {"KeyboardInterrupt"}),
    ]
    report = run(settings)
    assert report.resumed
    told = read(settings.openlineage_file)
    assert told[-1]["eventType"] == "COMPLETE"
    assert {event["run"]["runId"] for event in told if event["job"]["name"] == "mdm.run"} == {report.run_id}
    later = exported(settings, tmp_path / "later.ndjson")
    assert [event["eventType"] for event in later] == [
        "START",
        *["START", "COMPLETE"] * len(STEPS),
        "COMPLETE",
    ]


@by_day_on_sqlite
def test_a_run_that_was_given_up_for_another_is_told_as_aborted(settings, country, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setitem(run_module.STEPS, "score", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run(settings, force=True)
    left = read(settings.openlineage_file)[0]["run"]["runId"]
    under_way = exported(settings, tmp_path / "under_way.ndjson", left)
    assert [event["eventType"] for event in under_way] == ["START", "START", "COMPLETE"]
    Ingest(settings).folder(country.files / "delivery-2")
    report = run(settings)
    assert report.run_id != left
    given_up = exported(settings, tmp_path / "given_up.ndjson", left)
    assert given_up[:-1] == under_way
    later = exported(settings, tmp_path / "later.ndjson")[0]
    assert (given_up[-1]["eventType"], given_up[-1]["eventTime"]) == ("ABORT", later["eventTime"])


def test_a_file_that_cannot_be_written_stops_the_run_before_it_begins(settings, tmp_path):
    settings = settings.model_copy(update={"openlineage_file": tmp_path / "nowhere" / "events.ndjson"})
    with pytest.raises(ConfigurationError, match="MDM_OPENLINEAGE_FILE"):
        run(settings, force=True)
    assert scalar(settings, "SELECT COUNT(*) FROM run WHERE finished_at IS NULL") == 1


def test_the_command_writes_the_latest_run_or_the_one_asked_for(finished, tmp_path):
    def mdm(*arguments, status=0):
        at = environment(finished)
        result = CliRunner().invoke(app, [str(a) for a in arguments], env={"COLUMNS": "200", **at})
        assert result.exit_code == status, result.output
        return result.output

    path = tmp_path / "events.ndjson"
    assert f"{2 + 2 * len(STEPS)} events" in mdm("openlineage", "--out", path)
    run_id = read(path)[0]["run"]["runId"]
    assert "--force" in mdm("openlineage", run_id, "--out", path, status=4)
    mdm("openlineage", run_id.upper(), "--out", path, "--force")
    for unknown in ("none", "01900000-0000-7000-8000-ffffffffffff"):
        assert run_id in mdm("openlineage", unknown, "--out", path, "--force", status=4)


def test_without_a_run_there_is_nothing_to_tell(engine, tmp_path):
    settings = engine.settings(tmp_path)
    create(settings)
    with pytest.raises(InputError, match="no run yet"):
        exported(settings, tmp_path / "events.ndjson")
