"""`mdm verify` on a store: seconds by check, and events a second.

    python -m benchmarks.verify --store sqlite:///mdm.db
    python -m benchmarks.verify --people 100000

`--people N` simulates N people, ingests their first delivery and runs, and verifies that store. Events a second are those of the
log over the time of the whole verification, and over that of all but the golden records, which are computed anew from record versions.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from itertools import pairwise
from pathlib import Path

from mdm.pipeline.ingest import Ingest
from mdm.pipeline.run import run
from mdm.pipeline.verify import verify
from mdm.settings import Settings
from mdm.simulation.settings import load_simulation_settings
from mdm.simulation.simulate import simulate
from mdm.store.keys import make_key, make_log_key
from mdm.store.schema import create

ANEW = "golden values"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--store", help="sqlite:///FILE or postgresql://...")
    which.add_argument("--people", type=int)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as temporary:
        settings = (
            Settings(store=arguments.store) if arguments.store else made(Path(temporary), arguments.people)
        )
        for _ in range(arguments.rounds):
            show(settings, as_json=arguments.json)


def made(folder: Path, people: int) -> Settings:
    settings = Settings(store=str(folder / "mdm.db"))
    declared = load_simulation_settings(settings.configs / "simulation.yaml")
    simulate(people=people, seed=5, out=folder / "files", settings=declared)
    create(settings)
    make_key(settings)
    make_log_key(settings)
    Ingest(settings).folder(folder / "files" / "delivery-1")
    run(settings)
    return settings


def show(settings: Settings, *, as_json: bool) -> None:
    moments: list[tuple[str, float, float]] = []

    def tell(name: str) -> None:
        moments.append((name, time.perf_counter(), time.process_time()))

    checks = verify(settings, tell=tell)
    tell("")
    steps = list(pairwise(moments))
    seconds = {name: after - before for (name, before, _), (_, after, _) in steps}
    processor = {name: after - before for (name, _, before), (_, _, after) in steps}
    total = sum(seconds.values())
    wrong = [f"{check.name}: {check.wrong}" for check in checks if check.wrong]
    events = next(check.examined for check in checks if check.name == "events")
    goldens = next((check.examined for check in checks if check.name == ANEW), 0)
    anew = seconds.get(ANEW, 0.0)
    found = {
        "events": events,
        "seconds": round(total, 2),
        "processor_seconds": round(sum(processor.values()), 2),
        "checks": {name: [round(taken, 3), round(processor[name], 3)] for name, taken in seconds.items()},
        "events_per_second": round(events / total),
        "events_per_second_without_golden_values": round(events / (total - anew)),
        "golden_records": goldens,
        "golden_records_per_second": round(goldens / anew) if anew else 0,
        "wrong": wrong,
    }
    if as_json:
        print(json.dumps(found))
        return
    print(f"{'check':<22}{'examined':>12}{'seconds':>9}{'processor':>11}")
    for check in checks:
        name = check.name
        print(f"{name:<22}{check.examined:>12,}{seconds[name]:>9.2f}{processor[name]:>11.2f}")
    print(
        f"\n{events:,} events in {total:.1f} s ({sum(processor.values()):.1f} of the processor): {found['events_per_second']:,} a second"
    )
    print(f"without the golden records anew: {found['events_per_second_without_golden_values']:,} a second")
    print(f"golden records anew: {goldens:,}, {found['golden_records_per_second']:,} a second")
    for text in wrong:
        print(f"wrong: {text}")


if __name__ == "__main__":
    main()
