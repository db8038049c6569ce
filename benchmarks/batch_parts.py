"""The parts of `benchmarks.batch`, each run in a process of its own; the last line printed is a JSON object."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from splink import DuckDBAPI, Linker, block_on

from matching.model import Model, load_model
from mdm.pipeline.evaluation import evaluate
from mdm.pipeline.ingest import Ingest
from mdm.pipeline.run import run
from mdm.pipeline.steps import PERSON
from mdm.pipeline.workspace import workspace
from mdm.registries.attributes import load_attributes
from mdm.settings import Settings
from mdm.simulation.settings import load_simulation_settings
from mdm.simulation.simulate import simulate
from mdm.store.engine import bulk
from mdm.store.keys import make_key, make_log_key
from mdm.store.schema import create

if TYPE_CHECKING:
    from collections.abc import Callable

    import duckdb


@dataclass
class Clock:
    steps: dict[str, float] = field(default_factory=dict)

    def time(self, name: str, work: Callable[[], Any]) -> Any:
        started = time.perf_counter()
        done = work()
        self.steps[name] = round(time.perf_counter() - started, 2)
        return done


def simulate_part(people: str, seed: str, out: str, profile: str) -> dict[str, Any]:
    settings = load_simulation_settings(Settings().configs / "simulation.yaml").with_profile(profile)
    simulate(people=int(people), seed=int(seed), out=Path(out), settings=settings)
    return {}


def job_part(files: str, store: str) -> dict[str, Any]:
    settings = Settings(store=store)
    started = time.perf_counter()
    create(settings)
    make_key(settings)
    make_log_key(settings)
    clock = Clock()
    report = clock.time("ingest", lambda: Ingest(settings).folder(Path(files) / "delivery-1"))
    if report.failed:
        raise SystemExit(f"not taken: {[str(failed.error) for failed in report.failed]}")
    done = clock.time("run", lambda: run(settings))
    seconds = time.perf_counter() - started
    steps = {"ingest": clock.steps["ingest"], **{step.step: step.seconds for step in done.steps}}
    received = sum(counts.received for counts in report.by_registry().values())
    return {
        "seconds": round(seconds, 2),
        "records": received,
        "steps": steps,
        "details": {s.step: s.detail for s in done.steps},
    }


def splink_part(store: str) -> dict[str, Any]:
    """Train, predict and cluster as Splink's documentation shows (u from ten million random pairs, expectation maximisation over all
    pairs of each rule), with our comparisons and blocking rules. Loading is not counted.
    """
    settings = Settings(store=store)
    model = load_model(settings.person_model_file)
    attributes = load_attributes(settings.attributes_file)
    with workspace(settings, "plain-splink") as work:
        work.load_records(PERSON, attributes)
        records = work.make_features(PERSON, model.feature_columns, attributes)
        clock = Clock()
        started = time.perf_counter()
        failed = _plain_splink(work.connection, model, clock)
        seconds = time.perf_counter() - started
    return {"seconds": round(seconds, 2), "records": records, "steps": clock.steps, "failed_sessions": failed}


def _plain_splink(connection: duckdb.DuckDBPyConnection, model: Model, clock: Clock) -> list[str]:
    """Returns the training sessions that Splink gave up."""
    linker = Linker(
        DuckDBAPI(connection).register(PERSON, dataset_display_name="plain"),
        declared_settings(model),
        log_level="WARNING",
    )
    failed: list[str] = clock.time("train", lambda: train_splink(linker, model))
    predicted = clock.time(
        "predict",
        lambda: linker.inference.predict(threshold_match_weight=model.thresholds.keep, warning_mode="never"),
    )
    clock.time(
        "cluster",
        lambda: linker.clustering.cluster_pairwise_predictions_at_threshold(
            predicted, threshold_match_weight=model.thresholds.link
        ),
    )
    return failed


def train_splink(linker: Linker, model: Model) -> list[str]:
    """Returns the training sessions that Splink gave up."""
    training = model.training
    linker.training.estimate_probability_two_random_records_match(
        [block_on(*columns) for columns in training.prior.rules], recall=training.prior.recall
    )
    linker.training.estimate_u_using_random_sampling(max_pairs=1e7, seed=training.seed)
    failed = []
    for columns in training.expectation_maximisation:
        try:
            linker.training.estimate_parameters_using_expectation_maximisation(
                block_on(*columns), estimate_without_term_frequencies=True
            )
        except ValueError as error:  # Splink 5.0.0 stops where an m probability falls below 1e-300
            failed.append(f"{columns}: {error}"[:200])
    return failed


def declared_settings(model: Model) -> dict[str, Any]:
    comparisons = []
    for comparison in model.comparisons:
        missing = " OR ".join(f'"{column}_{side}" IS NULL' for column in comparison.missing for side in "lr")
        levels: list[dict[str, Any]] = [
            {"sql_condition": missing, "label_for_charts": "missing", "is_null_level": True}
        ]
        for place, level in enumerate(comparison.levels):
            declared: dict[str, Any] = {
                "sql_condition": level.sql(),
                "label_for_charts": f"{comparison.name} {place}",
            }
            if level.term_frequency:
                declared["tf_adjustment_column"] = level.term_frequency
            levels.append(declared)
        comparisons.append({"output_column_name": comparison.name, "comparison_levels": levels})
    lists = {"personal_ids", "cmnd", "phone", "communes_now"}
    return {
        "link_type": "dedupe_only",
        "unique_id_column_name": "record_id",
        "comparisons": comparisons,
        "blocking_rules_to_generate_predictions": [
            block_on(
                *rule.columns, arrays_to_explode=[c for c in rule.columns if c in lists] or None
            ).create_blocking_rule_dict("duckdb")
            for rule in model.blocking
        ],
        "retain_matching_columns": False,
        "retain_intermediate_calculation_columns": False,
    }


def evaluate_part(files: str, store: str) -> dict[str, Any]:
    found = evaluate(Settings(store=store), Path(files), anchor="population")
    with bulk(Settings(store=store)) as open_store:
        people = open_store.scalar("SELECT COUNT(*) FROM entity WHERE status = 'active'")
    return {
        "precision": found.pairs.precision,
        "recall": found.pairs.recall,
        "false_merges": found.clusters.false_merges,
        "people": people,
    }


PARTS: dict[str, Callable[..., dict[str, Any]]] = {
    "simulate": simulate_part,
    "job": job_part,
    "splink": splink_part,
    "evaluate": evaluate_part,
}

if __name__ == "__main__":
    print(json.dumps(PARTS[sys.argv[1]](*sys.argv[2:])))
