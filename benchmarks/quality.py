"""How good the people are, beside plain Splink on the same records.

    python -m benchmarks.quality --people 100000 --profile hard [--data DIR]

Simulates (or takes the simulation in DIR), takes both deliveries and runs the whole job. Then Splink, on the same features:

- *plain*: Splink's own comparisons for each field (Jaro-Winkler names with term frequencies, its date of birth comparison,
  edit distance on numbers, overlap of lists), its training, its connected components;
- *declared*: the comparisons of our model, trained and clustered by Splink.

Both with our blocking rules and link threshold; and Splink at higher thresholds, to see how many false merges it makes at
our recall. The truth is read by the counting alone.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import splink.comparison_library as cl
from splink import DuckDBAPI, Linker, block_on

from benchmarks.batch_parts import declared_settings, train_splink
from benchmarks.quality_counts import Counts, Judged, bands, blocking_recall, show, show_thresholds
from matching.blocking import make_keys, make_pairs, missed_pairs
from matching.model import Model, load_model
from mdm.pipeline.ingest import Ingest
from mdm.pipeline.run import run
from mdm.pipeline.steps import PERSON
from mdm.pipeline.workspace import Workspace, workspace
from mdm.registries.attributes import load_attributes
from mdm.settings import Settings
from mdm.simulation.settings import load_simulation_settings
from mdm.simulation.simulate import simulate
from mdm.store.engine import bulk
from mdm.store.keys import make_key, make_log_key
from mdm.store.schema import create

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_RECORDS = pa.schema(
    [("record_id", pa.int64()), ("registry", pa.string()), ("local_id", pa.string()), ("cluster", pa.int64())]
)
_EDGES = pa.schema(
    [("record_l", pa.int64()), ("record_r", pa.int64()), ("weight", pa.float64()), ("conflict", pa.string())]
)
_STRICTER = (4, 8, 12, 16, 20, 24, 30)
_LISTS = {"personal_ids", "cmnd", "phone", "communes_now"}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--people", type=int, default=100_000)
    parser.add_argument("--profile", default="default", help="mild, default or hard")
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--data", type=Path, default=None, help="a simulation's folder, instead of a new one")
    parser.add_argument("--folder", type=Path, default=None, help="keep files and store here")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="quality-") as temporary:
        folder = arguments.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        files = arguments.data or folder / "files"
        if not files.exists():
            declared = load_simulation_settings(Settings().configs / "simulation.yaml")
            simulate(
                people=arguments.people,
                seed=arguments.seed,
                out=files,
                settings=declared.with_profile(arguments.profile),
            )
        measure(files, Settings(store=str(folder / "quality.db")))


def measure(files: Path, settings: Settings) -> None:
    _job(files, settings)
    model, attributes = load_model(settings.person_model_file), load_attributes(settings.attributes_file)
    with bulk(settings) as store:
        ours = store.read(
            "SELECT r.record_id, r.registry, r.local_id, m.entity_key FROM record AS r JOIN membership AS m"
            " ON m.record_id = r.record_id AND m.until_event IS NULL WHERE r.kind = 'person' AND r.status = 'active'",
            _RECORDS,
        )
        edges = store.read("SELECT record_l, record_r, weight, conflict FROM edge", _EDGES)
    with workspace(settings, "quality") as work:
        work.load_records(PERSON, attributes)
        wanted = sorted({*model.feature_columns, *_PLAIN_COLUMNS})
        work.make_features(PERSON, wanted, attributes)
        judged = Judged(work.connection, ours.select(["record_id", "registry", "local_id"]), files)
        results = {"ours": judged.counts(ours.select(["record_id", "cluster"]))}
        work.put("edge", edges)
        calibration = bands(work.connection)
        rules = _blocking(work, model)
        stricter: dict[str, list[tuple[float, Counts]]] = {}
        for name, made in (("Splink, plain", _plain_settings), ("Splink, declared", declared_settings)):
            found = [(bits, judged.counts(table)) for bits, table in _splink(work, model, made(model))]
            results[name], stricter[name] = found[0][1], found
    show(results, calibration, rules)
    show_thresholds(stricter)


def _job(files: Path, settings: Settings) -> None:
    if not Path(settings.store).exists():
        create(settings)
        make_key(settings)
        make_log_key(settings)
        for delivery in sorted(files.glob("delivery-*")):
            Ingest(settings).folder(delivery)
    run(settings)


def _blocking(work: Workspace, model: Model) -> list[str]:
    connection = work.connection
    make_keys(connection, model, records=PERSON, into="blocking_key")
    reports = make_pairs(connection, model, keys="blocking_key", into="pair")
    lines = [
        f"{r.rule:<22}{r.pairs:>12,} pairs, largest block {r.largest_block:>6,}, divided {r.refined_blocks:,}, "
        f"skipped {r.skipped_blocks:,} with {r.skipped_records:,} records and {r.skipped_pairs:,} pairs"
        for r in reports
    ]
    missed = missed_pairs(connection, model, keys="blocking_key", edges="edge")
    lines.append(
        f"recall of blocking {blocking_recall(connection):.5f}; without truth, at most {missed.recall:.5f}"
    )
    connection.execute("DROP TABLE blocking_key; DROP TABLE pair")
    return lines


def _splink(work: Workspace, model: Model, settings: dict[str, Any]) -> Iterator[tuple[float, pa.Table]]:
    """Its clusters at our threshold (bits) and at higher ones."""
    linker = Linker(
        DuckDBAPI(work.connection).register(PERSON, dataset_display_name="plain"),
        settings,
        log_level="ERROR",
    )
    train_splink(linker, model)
    predicted = linker.inference.predict(threshold_match_weight=model.thresholds.link, warning_mode="never")
    for bits in (model.thresholds.link, *(model.thresholds.link + more for more in _STRICTER)):
        clusters = linker.clustering.cluster_pairwise_predictions_at_threshold(
            predicted, threshold_match_weight=bits
        )
        found = work.connection.sql(
            f"SELECT record_id, dense_rank() OVER (ORDER BY cluster_id) AS cluster FROM {clusters.physical_name}"
        )
        yield bits, found.to_arrow_table()
    linker.table_management.invalidate_cache()  # type: ignore[no-untyped-call]


_NUMBERS = ("personal_id", "social_insurance_no", "tax_code", "passport_no", "birth_certificate_no")
_NAMES = ("full_name_folded", "mother_name_folded", "father_name_folded")
_PLAIN_COLUMNS = (
    *_NUMBERS,
    *_NAMES,
    "birth_date_iso",
    "sex",
    "cmnd",
    "phone",
    "province",
    "commune",
    "street_folded",
)


def _plain_settings(model: Model) -> dict[str, Any]:
    frequent: Callable[[Any], Any] = lambda comparison: comparison.configure(term_frequency_adjustments=True)  # noqa: E731
    comparisons = [
        *(frequent(cl.JaroWinklerAtThresholds(name, [0.95, 0.88])) for name in _NAMES),
        cl.DateOfBirthComparison("birth_date_iso", input_is_string=True),
        cl.ExactMatch("sex"),
        *(cl.DamerauLevenshteinAtThresholds(name, [1, 2]) for name in _NUMBERS),
        cl.ArrayIntersectAtSizes("cmnd", [1]),
        cl.ArrayIntersectAtSizes("phone", [1]),
        *(frequent(cl.ExactMatch(name)) for name in ("province", "commune", "street_folded")),
    ]
    return {
        "link_type": "dedupe_only",
        "unique_id_column_name": "record_id",
        "comparisons": comparisons,
        "blocking_rules_to_generate_predictions": [
            block_on(*rule.columns, arrays_to_explode=[c for c in rule.columns if c in _LISTS] or None)
            for rule in model.blocking
        ],
    }


if __name__ == "__main__":
    main()
