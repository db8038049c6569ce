"""What the store knows of a run: its times and steps, the deliveries it saw, the rows it wrote."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal
from uuid import UUID

import pyarrow as pa

from mdm.errors import InputError
from mdm.identity.events import EventKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mdm.store.engine import Bulk

_BEGINS = {
    "alias": [("alias", "from_event")],
    "edge": [("edge", "from_event"), ("edge_past", "from_event")],
    "entity": [("entity", "changed_event"), ("entity_past", "from_event")],
    "golden": [("golden", "from_event")],
    "membership": [("membership", "from_event")],
    "review": [("review", "raised_event")],
    "ssn": [("ssn", "changed_event"), ("ssn_past", "from_event")],
}
"""Where a row, or a version of one, names the event with which it began."""
_RUN = pa.schema(
    [("started_at", pa.string()), ("finished_at", pa.string()), ("upto", pa.int64()), ("later", pa.string())]
)
_STEPS = pa.schema([("step", pa.string()), ("finished_at", pa.string()), ("seconds", pa.float64())])
_COUNTS = pa.schema([("at", pa.string()), ("rows", pa.int64())])
_DELIVERIES = pa.schema(
    [("batch_id", pa.int64())]
    + [(name, pa.string()) for name in ("registry", "file", "sha256", "declaration", "delivered_on")]
    + [("received", pa.int64())]
)


@dataclass(frozen=True)
class Delivery:
    """One landed file."""

    batch_id: int
    registry: str
    file: str
    sha256: str
    declaration: str
    delivered_on: str | None
    received: int


@dataclass(frozen=True)
class ToldStep:
    step: str
    finished_at: str
    seconds: float

    @property
    def started_at(self) -> str:
        begun = datetime.fromisoformat(self.finished_at) - timedelta(seconds=self.seconds)
        return begun.isoformat(timespec="microseconds")


@dataclass(frozen=True)
class Stop:
    """How a run ended that was not finished."""

    at: str
    state: Literal["FAIL", "ABORT"]
    """FAIL by an error, ABORT by whoever stopped it or gave it up."""
    message: str | None = None
    taken_up: str | None = None
    """When the process that failed had begun the run or gone on with it."""


@dataclass(frozen=True)
class ToldRun:
    store_id: str
    run_id: str
    started_at: str
    finished_at: str | None
    deliveries: list[Delivery]
    """All that had landed when it began."""
    steps: list[ToldStep]
    """In their order."""
    written: Mapping[str, Counter[str]]
    """Of each step, table to rows, or versions of rows, that began with an event of it."""
    stop: Stop | None


def tell_run(store: Bulk, run_id: str | None, *, stop: Stop | None = None) -> ToldRun:
    """What the store knows of a run, by default the latest; `stop` is what only the process that failed knows.

    Raises:
        InputError: there is no such run.
    """
    known = _known_id(store, run_id)
    run = store.read(
        f"SELECT started_at, finished_at, upto, (SELECT MIN(l.started_at) FROM run AS l WHERE l.started_at > r.started_at)"
        f" FROM run AS r WHERE run_id = '{known}'",
        _RUN,
    ).to_pylist()[0]
    if stop is None and run["finished_at"] is None and run["later"] is not None:
        stop = Stop(run["later"], "ABORT")  # given up for one of other declarations or deliveries
    steps = store.read(
        f"SELECT step, finished_at, seconds FROM run_step WHERE run_id = '{known}' ORDER BY finished_at, step",
        _STEPS,
    ).to_pylist()
    # batches are numbered as their events come
    deliveries = store.read(
        f"SELECT {', '.join(_DELIVERIES.names)} FROM batch WHERE batch_id <="
        f" (SELECT COUNT(*) FROM event WHERE kind = '{EventKind.BATCH_LANDED}' AND seq <= {run['upto']}) ORDER BY batch_id",
        _DELIVERIES,
    ).to_pylist()
    return ToldRun(
        store_id=str(store.scalar("SELECT value FROM meta WHERE name = 'store_id'")),
        run_id=known,
        started_at=run["started_at"],
        finished_at=run["finished_at"],
        deliveries=[Delivery(**row) for row in deliveries],
        steps=[ToldStep(**row) for row in steps],
        written=_written(
            store, known, upto=run["upto"], steps={row["finished_at"]: row["step"] for row in steps}
        ),
        stop=stop,
    )


def _known_id(store: Bulk, run_id: str | None) -> str:
    last = store.scalar("SELECT run_id FROM run ORDER BY started_at DESC LIMIT 1")
    if last is None:
        raise InputError("there has been no run yet", hint="Run first: mdm run.")
    if run_id is None:
        return str(last)
    try:
        known = store.scalar(f"SELECT run_id FROM run WHERE run_id = '{UUID(run_id)}'")
    except ValueError:
        known = None
    if known is None:
        raise InputError("no run has this ID", hint=f"The latest is {last}.")
    return str(known)


def _written(store: Bulk, run_id: str, *, upto: int, steps: Mapping[str, str]) -> dict[str, Counter[str]]:
    """`steps`: time to the step that was finished then. An event belongs to the step that was finished next."""
    times = sorted(steps)
    written: dict[str, Counter[str]] = {step: Counter() for step in steps.values()}
    if not steps:
        return written
    of_run = f"e.seq > {upto} AND e.run = '{run_id}'"
    queries = []
    for table, parts in _BEGINS.items():
        for part, begin in parts:
            joined = f"{part} AS t JOIN event AS e ON e.seq = t.{begin} WHERE t.{begin} > {upto} AND {of_run}"
            queries.append((table, f"SELECT e.at, COUNT(*) FROM {joined} GROUP BY e.at"))
    kept = f"SELECT e.at, COUNT(*) FROM event AS e WHERE e.kind = '{EventKind.MODEL_KEPT}' AND {of_run} GROUP BY e.at"
    for table, query in [*queries, ("model", kept)]:
        for row in store.read(query, _COUNTS).to_pylist():
            place = min(bisect_left(times, row["at"]), len(times) - 1)
            written[steps[times[place]]][table] += row["rows"]
    return written
