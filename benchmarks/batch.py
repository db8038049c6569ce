"""The whole job beside plain Splink on the same records: stage times, rates, peak memory, the ratio.

    python -m benchmarks.batch --people 500000 [--rounds 2] [--growth 50000]

Each round runs, one after the other and each in a process of its own, our whole job (ingest, train, score, cluster,
reconcile, golden records, numbers) and plain Splink (train, predict, cluster) on the records that the job landed, with the
same comparisons and blocking rules. Simulating the files is not part of either. `--growth N` also runs the job on N
people and reports the exponents of time and memory between the two sizes.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--people", type=int, default=500_000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--profile", default="default", help="mild, default or hard")
    parser.add_argument("--growth", type=int, default=0, help="a second, smaller number of people")
    parser.add_argument("--folder", type=Path, default=None, help="keep the files and stores here")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as temporary:
        folder = arguments.folder or Path(temporary)
        sizes = [arguments.people, *([arguments.growth] if arguments.growth else [])]
        results = [measure(folder, people, arguments) for people in sizes]
    report = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            "system": platform.platform(),
        },
        "profile": arguments.profile,
        "seed": arguments.seed,
        "sizes": results,
    }
    if arguments.growth:
        report["growth"] = growth(results)
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"batch-{arguments.people}.json"
    path.write_text(json.dumps(report, indent=2) + "\n")
    show(report)
    print(f"\nWritten to {path}")


def measure(folder: Path, people: int, arguments: argparse.Namespace) -> dict[str, Any]:
    files = folder / f"files-{people}"
    if not files.exists():
        print(f"simulating {people:,} people ...", flush=True)
        step("simulate", people, arguments.seed, files, arguments.profile)
    rounds: dict[str, list[dict[str, Any]]] = {"job": [], "splink": []}
    for number in range(arguments.rounds):
        store = folder / f"store-{people}-{number}.db"
        print(f"round {number + 1}: the whole job on {people:,} people ...", flush=True)
        rounds["job"].append(step("job", files, store))
        print(f"round {number + 1}: plain Splink on the same records ...", flush=True)
        rounds["splink"].append(step("splink", store))
        if number + 1 < arguments.rounds:
            for path in folder.glob(f"{store.name}*"):
                if path.is_file():
                    path.unlink()
    quality = step("evaluate", files, folder / f"store-{people}-{arguments.rounds - 1}.db")
    found = {"people": people, **rounds, "quality": quality}
    show_size(found, arguments.profile)
    return found


def step(name: str, *arguments: Any) -> dict[str, Any]:
    """Runs one part in its own process, which prints JSON as its last line; adds wall time and peak memory of its process tree."""
    command = [sys.executable, "-m", "benchmarks.batch_parts", name, *map(str, arguments)]
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    peak = Peak(process.pid)
    output, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"{name} failed with status {process.returncode}")
    found: dict[str, Any] = json.loads(output.strip().splitlines()[-1])
    return {**found, "wall": round(time.perf_counter() - started, 2), "peak_gb": round(peak.stop() / 1e9, 2)}


class Peak(threading.Thread):
    """The largest resident memory of a process and its children, sampled."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid, self._largest, self._running = pid, 0, True
        self.start()

    def run(self) -> None:
        while self._running:
            self._largest = max(self._largest, sum(map(_resident, _tree(self._pid))))
            time.sleep(0.25)

    def stop(self) -> int:
        self._running = False
        self.join()
        # what a sample may have missed: the largest single child that has ended
        return max(
            self._largest,
            resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 if self._largest == 0 else 0,
        )


def _tree(pid: int) -> list[int]:
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += [child for text in task.read_text().split() for child in _tree(int(text))]
        except OSError:
            continue
    return found


def _resident(pid: int) -> int:
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):  # memory of its own; mapped files are the system's to give back
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def growth(results: list[dict[str, Any]]) -> dict[str, float]:
    large, small = results
    records = math.log(large["job"][0]["records"] / small["job"][0]["records"])
    return {
        name: round(math.log(_median(large["job"], name) / _median(small["job"], name)) / records, 3)
        for name in ("seconds", "peak_gb")
    }


def _median(rounds: list[dict[str, Any]], name: str) -> float:
    return float(statistics.median(found[name] for found in rounds))


def show(report: dict[str, Any]) -> None:
    if "growth" in report:
        print(f"\ngrowth exponents: time {report['growth']['seconds']}, memory {report['growth']['peak_gb']}")


def show_size(size: dict[str, Any], profile: str) -> None:
    print(f"\n{size['people']:,} people, {size['job'][0]['records']:,} records, profile {profile}")
    for number, (job, splink) in enumerate(zip(size["job"], size["splink"], strict=True), start=1):
        print(f"  round {number}")
        for name, seconds in job["steps"].items():
            print(
                f"    {name:<12}{seconds:>9.1f} s {job['records'] / seconds if seconds else 0:>12,.0f} records/s"
            )
        print(
            f"    {'whole job':<12}{job['seconds']:>9.1f} s {job['records'] / job['seconds']:>12,.0f} records/s, peak {job['peak_gb']} GB"
        )
        print(
            f"    plain Splink{splink['seconds']:>9.1f} s {splink['records'] / splink['seconds']:>12,.0f} records/s, peak {splink['peak_gb']} GB  {splink['steps']}"
        )
        print(f"    ratio       {job['seconds'] / splink['seconds']:>9.2f}")
    quality = size["quality"]
    print(f"  precision {quality['precision']:.5f}, recall {quality['recall']:.5f}")


if __name__ == "__main__":
    main()
