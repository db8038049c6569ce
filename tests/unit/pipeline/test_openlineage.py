"""Events of OpenLineage are what the specification says, and tell of a run what the store knows of it."""

import json
from collections import Counter
from dataclasses import replace
from uuid import UUID

import pytest

from mdm.pipeline.openlineage.events import FLOWS, PRODUCER, run_events
from mdm.pipeline.openlineage.told import Delivery, Stop, ToldRun, ToldStep
from mdm.pipeline.run import STEPS
from mdm.registries.declaration import declaration_hash, load_registries
from mdm.settings import Settings
from tests.openlineage_client import told_by_the_client, without_empty

STORE, RUN = "3c1c6d0e-6d4c-4b53-9f0e-5d9a3f0f3a11", "01900000-0000-7000-8000-000000000001"


@pytest.fixture(scope="module")
def registries():
    return load_registries(Settings().registries_folder)


@pytest.fixture(scope="module")
def told(registries):
    def delivery(number, code, file, received):
        return Delivery(
            number, code, file, f"{number:064x}", declaration_hash(registries[code]), None, received
        )

    return ToldRun(
        store_id=STORE,
        run_id=RUN,
        started_at="2026-01-01T00:00:00.000000+00:00",
        finished_at="2026-01-01T00:01:00.000000+00:00",
        deliveries=[
            delivery(1, "tax", "a.csv", 10),
            replace(delivery(2, "population", "b.csv", 20), delivered_on="2025-12-31"),
            delivery(3, "tax", "c.csv", 5),
        ],
        steps=[
            ToldStep(step, f"2026-01-01T00:00:{number:02}.500000+00:00", 0.25)
            for number, step in enumerate(FLOWS, start=1)
        ],
        written={
            **{step: Counter() for step in FLOWS},
            "reconcile": Counter(entity=3, membership=30, ssn=1),
            "number": Counter(ssn=3),
        },
        stop=None,
    )


def of(events, job, state):
    (found,) = [event for event in events if event["job"]["name"] == job and event["eventType"] == state]
    return found


def datasets(event, side):
    return {dataset["name"]: dataset for dataset in event[side]}


def test_each_step_of_a_run_says_what_it_reads_and_writes():
    assert list(FLOWS) == list(STEPS)


def test_every_event_is_as_the_specification_has_it(told, registries):
    stopped = replace(
        told, finished_at=None, steps=told.steps[:2], stop=Stop("2026-01-02T00:00:00+00:00", "FAIL", "x")
    )
    for run in (told, stopped):
        for event in run_events(run, registries):
            assert told_by_the_client(event) == without_empty(event)
            assert event["producer"] == PRODUCER
            UUID(event["run"]["runId"])


def test_the_producer_is_a_uri_of_no_host():
    assert PRODUCER.startswith("pkg:generic/asxh-mdm@")


def test_each_run_starts_once_and_ends_once_inside_its_parent(told, registries):
    events = run_events(told, registries)
    assert [event["eventType"] for event in events] == [
        "START",
        *["START", "COMPLETE"] * len(FLOWS),
        "COMPLETE",
    ]
    jobs = {}
    for event in events:
        jobs.setdefault(event["run"]["runId"], []).append(event["job"]["name"])
    assert sorted(jobs.values()) == sorted(
        [[name] * 2 for name in ["mdm.run", *(f"mdm.run.{s}" for s in FLOWS)]]
    )
    for event in events:
        parent = event["run"]["facets"].get("parent")
        if event["job"]["name"] == "mdm.run":
            assert parent is None
            assert event["run"]["runId"] == RUN
        else:
            assert (parent["run"]["runId"], parent["job"]["name"]) == (RUN, "mdm.run")
    assert [event["eventTime"] for event in events] == sorted(event["eventTime"] for event in events)
    score = of(events, "mdm.run.score", "START")
    assert score["eventTime"] == "2026-01-01T00:00:02.250000+00:00"


def test_inputs_are_the_registries_with_their_deliveries_rows_and_attributes(told, registries):
    start = of(run_events(told, registries), "mdm.run", "START")
    inputs = datasets(start, "inputs")
    assert list(inputs) == ["registry/population", "registry/tax"]
    tax = inputs["registry/tax"]
    assert tax["namespace"] == f"urn:uuid:{STORE}"
    statistics = tax["inputFacets"]["inputStatistics"]
    assert (statistics["rowCount"], statistics["fileCount"]) == (15, 2)
    assert tax["facets"]["version"]["datasetVersion"] == f"{3:064x}"
    partitions = tax["inputFacets"]["subset"]["inputCondition"]["partitions"]
    assert [part["dimensions"]["file"] for part in partitions] == ["a.csv", "c.csv"]
    (kind,) = tax["facets"]["schema"]["fields"]
    names = {field["name"] for field in kind["fields"]}
    assert kind["name"] == "person"
    assert {"full_name", "tax_code", "address_unit"} <= names
    assert "address" not in names
    assert tax["facets"]["ownership"]["owners"] == [{"name": registries["tax"].owner.en, "type": "OWNER"}]


def test_nothing_is_told_of_a_declaration_that_has_changed_or_gone_since(told, registries):
    changed = {"tax": registries["tax"].model_copy(update={"legal_basis": "another"})}
    inputs = datasets(run_events(told, changed)[0], "inputs")
    assert set(inputs["registry/tax"]["facets"]) == {"version"}
    assert set(inputs["registry/population"]["facets"]) == {"version"}


def test_outputs_are_tables_with_the_rows_that_were_written(told, registries):
    events = run_events(told, registries)
    rows = {
        (event["job"]["name"], dataset["name"]): dataset["outputFacets"]["outputStatistics"]["rowCount"]
        for event in events
        for dataset in event["outputs"]
    }
    assert rows["mdm.run.reconcile", "entity"] == 3
    assert rows["mdm.run.reconcile", "ssn"] == 1
    assert rows["mdm.run.number", "ssn"] == 3
    assert rows["mdm.run", "ssn"] == 4
    assert rows["mdm.run.train", "model"] == 0
    golden = datasets(of(events, "mdm.run.golden", "COMPLETE"), "outputs")["golden"]["facets"]
    assert {"entity_key", "values", "provenance"} <= {field["name"] for field in golden["schema"]["fields"]}
    assert "golden record" in golden["documentation"]["description"]


def test_every_table_that_a_step_reads_is_written_by_a_step_or_a_person():
    written = {table for flow in FLOWS.values() for table in flow.writes}
    assert {table for flow in FLOWS.values() for table in flow.tables} - written == {"decision"}


def test_a_failed_run_names_the_step_and_its_error_under_a_run_of_its_own(told, registries):
    stop = Stop("2026-01-01T00:00:09+00:00", "FAIL", "no space", taken_up="2026-01-01T00:00:05.000000+00:00")
    failed = run_events(replace(told, finished_at=None, steps=told.steps[:2], stop=stop), registries)
    again = run_events(replace(told, finished_at=None, steps=told.steps[:2], stop=replace(stop, at="2026-01-02T00:00:09+00:00")), registries)  # fmt: skip
    assert [(event["job"]["name"], event["eventType"]) for event in failed[-3:]] == [
        ("mdm.run.cluster", "START"),
        ("mdm.run.cluster", "FAIL"),
        ("mdm.run", "FAIL"),
    ]
    assert failed[-3]["eventTime"] == stop.taken_up
    assert failed[-3]["run"]["runId"] == failed[-2]["run"]["runId"] != again[-2]["run"]["runId"]
    for event in failed[-2:]:
        assert event["run"]["facets"]["errorMessage"]["message"] == "no space"


def test_a_run_that_was_given_up_is_aborted_and_one_under_way_has_no_end(told, registries):
    given_up = replace(
        told, finished_at=None, steps=told.steps[:1], stop=Stop("2026-01-03T00:00:00+00:00", "ABORT")
    )
    events = run_events(given_up, registries)
    assert (events[-1]["eventType"], events[-1]["job"]["name"]) == ("ABORT", "mdm.run")
    assert len(events) == 4
    under_way = run_events(replace(given_up, stop=None), registries)
    assert [event["eventType"] for event in under_way] == ["START", "START", "COMPLETE"]


def test_events_are_plain_json(told, registries):
    events = run_events(told, registries)
    assert json.loads(json.dumps(events)) == events
