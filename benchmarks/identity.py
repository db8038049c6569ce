"""Merge and unmerge by hand: median milliseconds on stores of several sizes, in turn, and what size costs.

    python -m benchmarks.identity --people 20000 --people 200000
    python -m benchmarks.identity --store small.db --store large.db

Each merge joins a person who is in the population database and one who is not, with golden records, numbers, aliases and
events, and is undone afterwards. The stores take turns, so that the load of the machine meets all alike.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from benchmarks.batch_parts import job_part, simulate_part
from mdm.identity.commands import Merge, Unmerge
from mdm.settings import Settings
from mdm.stewardship.service import Identity
from mdm.store.engine import reading
from mdm.store.tables import entity, record, ssn

if TYPE_CHECKING:
    from collections.abc import Sequence


class Measured:
    """One store, and the pairs of people that are merged in it."""

    def __init__(self, settings: Settings, pairs: int, seed: int) -> None:
        self.identity = Identity(settings, keep_open=True)
        self.merge: list[float] = []
        self.unmerge: list[float] = []
        with reading(settings) as connection:
            self.records = int(connection.scalar(select(func.count()).select_from(record)) or 0)
            sides = [
                list(
                    connection.scalars(
                        select(entity.c.entity_id)
                        .join(ssn, ssn.c.entity_key == entity.c.entity_key)
                        .where(ssn.c.kind == kind, ssn.c.state == "active", entity.c.status == "active")
                        .order_by(entity.c.entity_key)
                    )
                )
                for kind in ("ssn", "temporary")
            ]
        draw = random.Random(seed)
        count = min(pairs, *map(len, sides))
        self.pairs = list(zip(*(draw.sample(side, count) for side in sides), strict=True))

    def step(self, number: int) -> None:
        left, right = self.pairs[number]
        started = time.perf_counter()
        done = self.identity.carry_out(Merge(left=left, right=right), actor="benchmark", reason="measured")
        merged = time.perf_counter()
        self.identity.carry_out(Unmerge(event=done.events[0]), actor="benchmark", reason="measured")
        self.unmerge.append((time.perf_counter() - merged) * 1e3)
        self.merge.append((merged - started) * 1e3)

    def result(self) -> dict[str, Any]:
        return {
            "records": self.records,
            "merge": _spread(self.merge),
            "unmerge": _spread(self.unmerge),
        }


def _spread(times: list[float]) -> dict[str, float]:
    """Milliseconds."""
    cuts = statistics.quantiles(times, n=20)
    return {"median": round(statistics.median(times), 2), "p95": round(cuts[18], 2)}


def measure(stores: Sequence[Settings], pairs: int, seed: int) -> dict[str, Any]:
    measured = [Measured(settings, pairs, seed) for settings in stores]
    for number in range(min(len(one.pairs) for one in measured)):
        for one in measured:
            one.step(number)
    results = [one.result() for one in measured]
    smallest, largest = (f(results, key=lambda result: result["records"]) for f in (min, max))
    return {
        "stores": results,
        "largest over smallest": {
            what: round(largest[what]["median"] / smallest[what]["median"], 2)
            for what in ("merge", "unmerge")
        },
    }


def finished_store(folder: Path, people: int) -> Settings:
    """A store after the first delivery of a simulation, and a run."""
    files, store = folder / "files", str(folder / "mdm.db")
    simulate_part(str(people), "1", str(files), "default")
    job_part(str(files), store)
    return Settings(store=store)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--store", action="append", default=[], help="an existing store; it is written to")
    parser.add_argument("--people", action="append", type=int, default=[], help="of a simulated store")
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument(
        "--seed", type=int, default=1, help="another one for a store that was measured before"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        stores = [Settings(store=store) for store in arguments.store]
        stores += [finished_store(Path(folder) / str(people), people) for people in arguments.people]
        print(json.dumps(measure(stores, arguments.pairs, arguments.seed), indent=2))


if __name__ == "__main__":
    main()
