"""The whole job: from files to golden records with numbers, again and again."""

import json
import os
import shutil
import subprocess
import sys

import pyarrow as pa
import pytest

from mdm.errors import ConfigurationError
from mdm.pipeline.evaluation import anchor_of, evaluate
from mdm.pipeline.ingest import Ingest
from mdm.pipeline.run import STEPS, run
from mdm.pipeline.verify import verify
from mdm.registries.declaration import load_registries
from tests.engines import by_day_on_sqlite, environment
from tests.integration.job import new_store, rows, scalar

EVENTS = "SELECT COUNT(*) FROM event"


def dump(settings):
    """Everything that the store says of identity, without surrogate ids of rows."""
    return {
        table: rows(settings, sql, pa.schema([(name, pa.string()) for name in "abcdef"[:width]]))
        for table, sql, width in (
            ("member", "SELECT CAST(record_id AS TEXT), CAST(entity_key AS TEXT), CAST(from_event AS TEXT), CAST(until_event AS TEXT) FROM membership ORDER BY 1, 3", 4),
            ("golden", 'SELECT CAST(entity_key AS TEXT), CAST(from_event AS TEXT), CAST(until_event AS TEXT), "values", provenance, hash FROM golden ORDER BY 1, 2', 6),
            ("ssn", "SELECT number, kind, CAST(entity_key AS TEXT), state, superseded_by FROM ssn ORDER BY 1", 5),
            ("entity", "SELECT entity_id, status, CAST(version AS TEXT) FROM entity ORDER BY 1", 3),
        )
    }  # fmt: skip


def test_every_step_leaves_a_sound_store(finished):
    assert [check.name for check in verify(finished) if check.wrong] == []
    assert scalar(finished, "SELECT COUNT(*) FROM run_step") == len(STEPS)


def test_every_active_record_of_a_person_is_in_one_entity_with_a_golden_record_and_a_number(finished):
    people = scalar(finished, "SELECT COUNT(*) FROM record WHERE kind = 'person' AND status = 'active'")
    assert people > 1_000
    assert in_one_entity(finished, "person") == people
    entities = active_entities(finished, "person")
    assert with_golden_record(finished, "person") == entities
    assert scalar(finished, "SELECT COUNT(DISTINCT entity_key) FROM ssn") == entities


def test_every_active_record_of_a_household_is_in_one_entity_with_a_golden_record_and_no_number(finished):
    lists = scalar(finished, "SELECT COUNT(*) FROM record WHERE kind = 'household' AND status = 'active'")
    assert lists > 100
    assert in_one_entity(finished, "household") == lists
    assert with_golden_record(finished, "household") == active_entities(finished, "household")
    numbered = "SELECT COUNT(*) FROM ssn JOIN entity AS e ON e.entity_key = ssn.entity_key WHERE e.kind = 'household'"
    assert scalar(finished, numbered) == 0


def in_one_entity(settings, kind):
    return scalar(
        settings,
        "SELECT COUNT(*) FROM membership AS m JOIN entity AS e ON e.entity_key = m.entity_key"
        f" WHERE m.until_event IS NULL AND e.kind = '{kind}'",
    )


def active_entities(settings, kind):
    return scalar(settings, f"SELECT COUNT(*) FROM entity WHERE status = 'active' AND kind = '{kind}'")


def with_golden_record(settings, kind):
    return scalar(
        settings,
        "SELECT COUNT(*) FROM golden AS g JOIN entity AS e ON e.entity_key = g.entity_key"
        f" WHERE g.until_event IS NULL AND e.kind = '{kind}'",
    )


def test_people_of_the_population_database_get_an_ssn_and_others_a_temporary_number(finished):
    kinds = rows(
        finished,
        "SELECT s.kind, MAX(CASE WHEN r.registry = 'population' THEN 1 ELSE 0 END) AS anchored FROM ssn AS s"
        " JOIN membership AS m ON m.entity_key = s.entity_key JOIN record AS r ON r.record_id = m.record_id"
        " GROUP BY s.number, s.kind",
        pa.schema([("kind", pa.string()), ("anchored", pa.int64())]),
    )
    assert {(row["kind"], row["anchored"]) for row in kinds} == {("ssn", 1), ("temporary", 0)}


def test_no_two_population_records_are_one_person(finished):
    twice = scalar(
        finished,
        "SELECT COUNT(*) FROM (SELECT m.entity_key FROM membership AS m JOIN record AS r ON r.record_id = m.record_id"
        " WHERE r.registry = 'population' AND m.until_event IS NULL GROUP BY m.entity_key HAVING COUNT(*) > 1) AS twice",
    )
    assert twice == 0


def test_the_truth_was_not_needed_and_says_the_job_is_good(finished, country):
    """The truth lies apart from the files: ingest and run had no way to read it."""
    assert not (country.files / "truth").exists()
    result = evaluate(finished, country.truth, anchor=anchor_of(load_registries(finished.registries_folder)))
    assert result.without_truth == 0
    assert result.pairs.precision >= 0.995
    assert result.pairs.recall >= 0.95


def test_rows_that_must_be_rejected_are_and_no_others(engine, finished, tmp_path, country):
    settings = engine.copy(finished, tmp_path)
    Ingest(settings).folder(country.files / "delivery-2")
    result = evaluate(settings, country.truth, anchor="population")
    assert result.rejects_expected > 0
    assert (result.rejects_found, result.rejects_unexpected) == (result.rejects_expected, 0)


def test_a_second_run_has_nothing_to_do_and_a_forced_one_changes_nothing(engine, finished, tmp_path):
    settings = engine.copy(finished, tmp_path)
    before, events = dump(settings), scalar(settings, EVENTS)
    assert run(settings).nothing_to_do
    assert scalar(settings, EVENTS) == events
    forced = run(settings, force=True)
    assert not forced.nothing_to_do
    assert not forced.changed_anything
    assert scalar(settings, EVENTS) == events + 1  # the one that tells of the run
    assert dump(settings) == before


def test_the_same_files_again_change_nothing(engine, finished, tmp_path, country):
    settings = engine.copy(finished, tmp_path)
    before, events = dump(settings), scalar(settings, EVENTS)
    report = Ingest(settings).folder(country.files / "delivery-1")
    assert all(file.already for file in report.files)
    assert run(settings).nothing_to_do
    assert scalar(settings, EVENTS) == events
    assert dump(settings) == before


def test_the_same_rows_in_another_file_give_no_new_version(engine, finished, tmp_path, country):
    settings = engine.copy(finished, tmp_path)
    versions = scalar(settings, "SELECT COUNT(*) FROM record_version")
    folder = tmp_path / "again" / "tax"
    folder.mkdir(parents=True)
    source = next((country.files / "delivery-1" / "tax").iterdir())
    text = source.read_bytes()
    (folder / source.name).write_bytes(text + b"\n" if not text.endswith(b"\n\n") else text[:-1])
    report = Ingest(settings).folder(tmp_path / "again")
    (taken,) = report.files
    assert not taken.already
    assert taken.counts.unchanged == taken.counts.records > 0
    assert scalar(settings, "SELECT COUNT(*) FROM record_version") == versions


def test_a_later_delivery_keeps_every_entity_and_number(engine, finished, tmp_path, country):
    settings = engine.copy(finished, tmp_path)
    numbers = {
        row["a"]
        for row in rows(
            settings, "SELECT number FROM ssn WHERE kind = 'ssn'", pa.schema([("a", pa.string())])
        )
    }
    homes = {row["b"]: row["a"] for row in rows(settings, "SELECT entity_id, number FROM ssn JOIN entity ON entity.entity_key = ssn.entity_key WHERE ssn.kind = 'ssn'", pa.schema([("a", pa.string()), ("b", pa.string())]))}  # fmt: skip
    report = Ingest(settings).folder(country.files / "delivery-2")
    assert sum(counts.changed for counts in report.by_registry().values()) > 0
    assert sum(counts.withdrawn for counts in report.by_registry().values()) > 0
    run(settings)
    assert [check.name for check in verify(settings) if check.wrong] == []
    later = {row["b"]: row["a"] for row in rows(settings, "SELECT entity_id, number FROM ssn JOIN entity ON entity.entity_key = ssn.entity_key WHERE ssn.kind = 'ssn'", pa.schema([("a", pa.string()), ("b", pa.string())]))}  # fmt: skip
    assert numbers <= set(later)
    assert {number: later[number] for number in numbers} == homes


def test_two_that_ingest_at_once_land_every_file_once(engine, tmp_path, country):
    settings = new_store(engine, tmp_path)
    command = [sys.executable, "-m", "mdm.cli", "ingest", str(country.files / "delivery-1"), "--json"]
    at = {**os.environ, **environment(settings)}
    both = [subprocess.Popen(command, env=at, stdout=subprocess.PIPE) for _ in range(2)]
    told = [json.loads(process.communicate()[0]) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert [report["failed"] for report in told] == [[], []]
    assert scalar(settings, "SELECT COUNT(*) FROM batch") == scalar(
        settings, "SELECT COUNT(DISTINCT sha256) FROM batch"
    )
    assert [check.name for check in verify(settings) if check.wrong] == []


def test_received_is_accepted_plus_quarantined_in_every_batch(finished):
    assert scalar(finished, "SELECT COUNT(*) FROM batch WHERE received <> accepted + quarantined") == 0
    assert scalar(finished, "SELECT CAST(SUM(quarantined) AS BIGINT) FROM batch") == scalar(
        finished, "SELECT COUNT(*) FROM quarantine"
    )


@by_day_on_sqlite
def test_the_outcome_does_not_depend_on_the_order_of_deliveries_files(engine, tmp_path, country):
    """Records get other ids when registries come in another order; who is together stays the same."""
    together = []
    for name, order in (("a", 1), ("b", -1)):
        folder = tmp_path / name
        folder.mkdir()
        settings = new_store(engine, folder)
        ingest = Ingest(settings)
        for part in sorted((country.files / "delivery-1").iterdir())[::order]:
            single = folder / f"only-{part.name}" / part.name
            shutil.copytree(part, single)
            ingest.folder(single.parent)
        run(settings)
        found = rows(
            settings,
            "SELECT CAST(m.entity_key AS TEXT), r.registry || '/' || r.local_id FROM membership AS m"
            " JOIN record AS r ON r.record_id = m.record_id WHERE m.until_event IS NULL",
            pa.schema([("entity", pa.string()), ("record", pa.string())]),
        )
        groups: dict[str, set[str]] = {}
        for row in found:
            groups.setdefault(row["entity"], set()).add(row["record"])
        together.append({frozenset(group) for group in groups.values()})
    assert len(together[0] ^ together[1]) <= 0.002 * len(together[0])


def test_another_key_is_refused(engine, finished, tmp_path):
    settings = engine.copy(finished, tmp_path)
    settings.key_file.write_text("00" * 32 + "\n", encoding="ascii")
    with pytest.raises(ConfigurationError, match="not the one"):
        run(settings, force=True)


def test_a_missing_key_is_named_with_what_to_do(engine, finished, tmp_path):
    settings = engine.copy(finished, tmp_path).model_copy(update={"ssn_key_file": tmp_path / "none"})
    with pytest.raises(ConfigurationError, match="mdm init"):
        run(settings, force=True)
