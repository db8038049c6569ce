"""The demonstration: the whole job on simulated registries, from an empty folder to a report."""

from __future__ import annotations

import shutil
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa

from mdm.errors import InputError
from mdm.pipeline.evaluation import anchor_of, evaluate
from mdm.pipeline.ingest import Ingest
from mdm.pipeline.progress import Progress, Silent, share_of
from mdm.pipeline.report import write_report
from mdm.pipeline.run import run
from mdm.registries.declaration import load_registries
from mdm.settings import Settings
from mdm.simulation.settings import load_simulation_settings
from mdm.simulation.simulate import simulate
from mdm.store.engine import bulk
from mdm.store.keys import make_key, make_log_key
from mdm.store.schema import create

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from mdm.pipeline.evaluation import Evaluation
    from mdm.pipeline.ingest import IngestReport
    from mdm.pipeline.run import RunReport
    from mdm.registries.declaration import RegistryDeclaration

_MARK = ".mdm-demo"


@dataclass(frozen=True)
class RegistryRow:
    code: str
    name: str
    received: int
    accepted: int
    quarantined: int
    duplicates: int
    """Records beyond the first of a person, in this registry."""


@dataclass
class TimedStep:
    name: str
    seconds: float = 0.0
    rows: int = 0


@dataclass
class DemoResult:
    people: int
    seed: int
    profile: str
    store: Path
    report: Path
    registries: list[RegistryRow] = field(default_factory=list)
    totals: dict[str, int | float] = field(default_factory=dict)
    steps: list[TimedStep] = field(default_factory=list)
    evaluation: Evaluation | None = None
    runs: list[RunReport] = field(default_factory=list)


def run_demo(
    *, people: int, seed: int, folder: Path, profile: str, progress: Progress | None = None
) -> DemoResult:
    """Simulates, ingests the first delivery and runs, then the later delivery and runs again, evaluates and reports."""
    progress = progress or Silent()
    _make_room(folder)
    settings = Settings(
        store=f"sqlite:///{folder / 'mdm.db'}", work=None, ssn_key_file=None, log_signing_key_file=None
    )
    result = DemoResult(people, seed, profile, store=folder / "mdm.db", report=folder / "report.html")
    files = folder / "files"
    simulation = load_simulation_settings(settings.configs / "simulation.yaml").with_profile(profile)
    with _timing(result, "simulate") as timed, share_of(progress, "simulate") as tell:
        summary = simulate(
            people=people,
            seed=seed,
            out=files,
            settings=simulation,
            progress=lambda step, done: tell(done, step),
        )
        timed.rows = sum(summary.rows.values())
    create(settings)
    make_key(settings)
    make_log_key(settings)
    ingested = []
    for number, delivery in enumerate(("delivery-1", "delivery-2"), start=1):
        with _timing(result, f"ingest, delivery {number}") as timed:
            report = Ingest(settings, progress=progress).folder(files / delivery)
            timed.rows = sum(counts.received for counts in report.by_registry().values())
        ingested.append(report)
        done = run(settings, progress=progress)
        result.runs.append(done)
        result.steps += [
            TimedStep(f"{step.step}, run {number}", step.seconds, step.rows) for step in done.steps
        ]
    registries = load_registries(settings.registries_folder)
    with _timing(result, "evaluate") as timed:
        result.evaluation = evaluate(settings, files, anchor=anchor_of(registries), blocking=True)
        households = result.evaluation.households
        timed.rows = result.evaluation.records + (households.records if households else 0)
    result.registries = list(_registry_rows(settings, registries, ingested))
    result.totals = _totals(settings, result.evaluation)
    write_report(result)
    return result


@contextmanager
def _timing(result: DemoResult, name: str) -> Iterator[TimedStep]:
    step = TimedStep(name)
    started = time.perf_counter()
    yield step
    step.seconds = time.perf_counter() - started
    result.steps.append(step)


def _make_room(folder: Path) -> None:
    """Replaces an earlier demo; never touches a folder that is something else."""
    if folder.exists() and any(folder.iterdir()):
        if not (folder / _MARK).exists():
            raise InputError(
                "the folder is not empty and was not made by a demo",
                where=str(folder),
                hint="Name a new folder with --out.",
            )
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _MARK).touch()


_PER_REGISTRY = pa.schema([("registry", pa.string()), ("records", pa.int64()), ("people", pa.int64())])


def _registry_rows(
    settings: Settings, registries: Mapping[str, RegistryDeclaration], reports: list[IngestReport]
) -> Iterator[RegistryRow]:
    with bulk(settings) as store:
        found = store.read(
            "SELECT r.registry, COUNT(*), COUNT(DISTINCT m.entity_key) FROM record AS r JOIN membership AS m ON m.record_id = r.record_id"
            " AND m.until_event IS NULL WHERE r.kind = 'person' AND r.status = 'active' GROUP BY r.registry",
            _PER_REGISTRY,
        ).to_pylist()
    duplicates = {row["registry"]: row["records"] - row["people"] for row in found}
    for code, declared in registries.items():
        counts = [totals[code] for totals in (report.by_registry() for report in reports) if code in totals]
        if counts:
            yield RegistryRow(
                code,
                declared.name.vi,
                received=sum(c.received for c in counts),
                accepted=sum(c.accepted for c in counts),
                quarantined=sum(c.quarantined for c in counts),
                duplicates=duplicates.get(code, 0),
            )


def _totals(settings: Settings, evaluation: Evaluation) -> dict[str, int | float]:
    with bulk(settings) as store:
        counts = {
            "people": "SELECT COUNT(*) FROM entity WHERE kind = 'person' AND status = 'active'",
            "households": "SELECT COUNT(*) FROM entity WHERE kind = 'household' AND status = 'active'",
            "golden records": "SELECT COUNT(*) FROM golden WHERE until_event IS NULL",
            "social-security numbers": "SELECT COUNT(*) FROM ssn WHERE kind = 'ssn' AND state <> 'superseded'",
            "temporary numbers": "SELECT COUNT(*) FROM ssn WHERE kind = 'temporary' AND state <> 'superseded'",
            "questions for stewards": "SELECT COUNT(*) FROM review WHERE state = 'open'",
        }
        totals: dict[str, int | float] = {label: int(store.scalar(sql)) for label, sql in counts.items()}
    return {**totals, "precision": evaluation.pairs.precision, "recall": evaluation.pairs.recall}
