"""Reads of single entities, now and as of past moments: median microseconds, and what the past costs against now.

    python -m benchmarks.history --entities 100000
    python -m benchmarks.history --store mdm.db --reads 2000

A generated store holds people with four records of three versions, three golden records, two entity versions, an SSN that
changed once and two aliases. A read is all of an entity: standing, records with their versions, golden record, numbers and aliases. Each kind of read
takes the same entities in turn with the others, so that the load of the machine meets all alike.
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

import numpy as np
import pyarrow as pa
from sqlalchemy import select

from mdm.identity.events import EventKind, Events, Stamp, json_lists, json_strings
from mdm.identity.numbers import NumberKind
from mdm.identity.ssn import NumberPlan
from mdm.settings import Settings
from mdm.store.engine import bulk, reading
from mdm.store.history import entity_at, history
from mdm.store.log import append_event, append_events
from mdm.store.moments import read_moment
from mdm.store.schema import create
from mdm.store.tables import entity, event

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from mdm.store.engine import Bulk

RECORDS, ROUNDS = 4, 3
VALUES = json.dumps({f"attribute_{number:02}": f"value {number} " * 3 for number in range(20)})
PROVENANCE = json.dumps(
    {f"attribute_{number:02}": {"agree": 3, "record": number, "version": 1} for number in range(20)}
)
RAW = json.dumps({f"COLUMN_{number:02}": f"text {number}" for number in range(20)})


def _at(number: int) -> str:
    return f"2026-01-{number:02}T08:00:00.000000+00:00"


def _same(text: str | None, count: int) -> pa.Array:
    return pa.repeat(pa.scalar(text, pa.string()), count)


def generate(settings: Settings, entities: int) -> None:
    """Three rounds: in each a delivery lands, and every golden record changes; people are formed in the first."""
    create(settings)
    keys, records = np.arange(1, entities + 1), np.arange(1, entities * RECORDS + 1)
    owner = np.repeat(keys, RECORDS)
    ids = pa.array([f"0190a000-0000-7000-8000-{key:012x}" for key in keys.tolist()])
    numbers = pa.array(NumberPlan(bytes(32)).numbers(NumberKind.SSN, start=0, count=entities))
    with bulk(settings) as store:
        for number in range(1, ROUNDS + 1):
            stamp = Stamp(at=_at(number), actor="benchmark")
            _land(store, records, number, stamp)
            if number == 1:
                offsets = pa.array(np.arange(0, len(records) + 1, RECORDS, dtype=np.int32))
                lists = pa.ListArray.from_arrays(offsets, pa.array(records))
                data = {"kind": json_strings(_same("person", entities)), "records": json_lists(lists)}
                formed = Events.bulk(EventKind.ENTITY_FORMED, entity=ids, data=data)
                first = append_events(store, formed, stamp=stamp)
                _form(store, keys, ids, owner=owner, first=first)
                _number(store, keys, numbers, first + entities)
            seq = append_event(store, EventKind.GOLDEN_COMPUTED, {"changed": entities}, stamp=stamp)
            _golden(store, keys, number, seq)
            _aliases(store, keys, number, seq)


def _land(store: Bulk, records: Any, number: int, stamp: Stamp) -> None:
    count = len(records)
    append_event(store, EventKind.BATCH_LANDED, {"batch_id": number}, stamp=stamp)
    versions = {
        "version_id": records + (number - 1) * count,
        "record_id": records,
        "version": np.full(count, number),
        "batch_id": np.full(count, number),
        "row_number": records,
    }
    texts = {"status": "active", "content_hash": "", "raw": RAW, "attributes": VALUES, "standardiser": "1"}
    store.append("record_version", pa.table({**versions, **{n: _same(t, count) for n, t in texts.items()}}))
    if number == 1:
        fixed = {"registry": "office", "kind": "person", "status": "active", "content_hash": ""}
        local = pa.array(records).cast(pa.string())
        rows = {"record_id": records, "version": np.full(count, ROUNDS), "local_id": local}
        store.append("record", pa.table({**rows, **{n: _same(t, count) for n, t in fixed.items()}}))


def _form(store: Bulk, keys: Any, ids: pa.Array, *, owner: Any, first: int) -> None:
    """Each person's first version lasted until all were formed."""
    count, events = len(keys), first + np.arange(len(keys))
    changed = np.full(count, first + count - 1)
    present = {"entity_key": keys, "entity_id": ids, "version": np.full(count, 2), "changed_event": changed}
    texts = {"kind": _same("person", count), "status": _same("active", count)}
    store.append("entity", pa.table({**present, **texts, "formed_event": events}))
    past = {"entity_key": keys, "version": np.full(count, 1), "from_event": events, "until_event": changed}
    store.append("entity_past", pa.table({**past, "status": _same("active", count)}))
    joined, records = events[owner - 1], np.arange(1, len(owner) + 1)
    rows = {"membership_id": records, "record_id": records, "entity_key": owner, "from_event": joined}
    store.append("membership", pa.table(rows))


def _number(store: Bulk, keys: Any, numbers: pa.Array, seq: int) -> None:
    count = len(keys)
    now = {"number": numbers, "sequence": keys, "entity_key": keys, "issued_event": np.full(count, seq)}
    texts = {"kind": _same("ssn", count), "state": _same("active", count), "reason": _same("anchored", count)}
    store.append("ssn", pa.table({**now, **texts, "changed_event": np.full(count, seq + 1)}))
    past = {"number": numbers, "from_event": np.full(count, seq), "until_event": np.full(count, seq + 1)}
    store.append(
        "ssn_past",
        pa.table(
            {
                **past,
                "entity_key": keys,
                "state": _same("suspended", count),
                "reason": _same("investigation", count),
            }
        ),
    )


def _golden(store: Bulk, keys: Any, number: int, seq: int) -> None:
    count = len(keys)
    store.execute(f"UPDATE golden SET until_event = {seq} WHERE until_event IS NULL")
    whole = {"golden_id": keys + (number - 1) * count, "entity_key": keys, "from_event": np.full(count, seq)}
    texts = {
        "values": VALUES,
        "provenance": PROVENANCE,
        "hash": "0" * 64,
        "policy": "0" * 64,
        "as_of": "2026-12-31",
    }
    store.append("golden", pa.table({**whole, **{name: _same(text, count) for name, text in texts.items()}}))


def _aliases(store: Bulk, keys: Any, number: int, seq: int) -> None:
    """One number stays, one is replaced in each round."""
    count = len(keys)
    store.execute(f"UPDATE alias SET until_event = {seq} WHERE until_event IS NULL AND scheme = 'tax_code'")
    for place, scheme in enumerate(["tax_code", "personal_id"][: 2 if number == 1 else 1]):
        first = store.next_id("alias", "alias_id")
        values = pa.array(keys * 10 + place * 5 + number).cast(pa.string())
        rows = {
            "alias_id": first + np.arange(count),
            "entity_key": keys,
            "from_event": np.full(count, seq),
        }
        store.append("alias", pa.table({**rows, "scheme": _same(scheme, count), "value": values}))


def measure(connection: Connection, reads: int) -> dict[str, dict[str, float]]:
    """Medians by kind of read, in microseconds, and their ratio to the read of now."""
    last = read_moment(connection).seq
    middle, middle_at = connection.execute(
        select(event.c.seq, event.c.at).where(event.c.seq == max(1, last * 2 // 3))
    ).one()
    known = list(
        connection.scalars(select(entity.c.entity_id).where(entity.c.formed_event <= middle).limit(200_000))
    )
    chosen = random.Random(1).choices(known, k=reads)
    kinds: dict[str, Callable[[str], object]] = {
        "now": lambda name: entity_at(connection, name),
        "as of an event": lambda name: entity_at(connection, name, read_moment(connection, middle)),
        "as of a time": lambda name: entity_at(connection, name, read_moment(connection, middle_at)),
        "history": lambda name: history(connection, name),
    }
    taken: dict[str, list[float]] = {kind: [] for kind in kinds}
    for place, name in enumerate(chosen):
        for kind, read in random.Random(place).sample(sorted(kinds.items()), len(kinds)):
            started = time.perf_counter()
            read(name)
            taken[kind].append((time.perf_counter() - started) * 1e6)
    medians = {kind: statistics.median(times) for kind, times in taken.items()}
    return {
        kind: {"microseconds": round(median), "ratio": round(median / medians["now"], 2)}
        for kind, median in medians.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--store", help="an existing store [default: a generated one]")
    parser.add_argument("--entities", type=int, default=100_000, help="of the generated store")
    parser.add_argument("--reads", type=int, default=1_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(store=arguments.store or str(Path(folder) / "mdm.db"))
        if arguments.store is None:
            generate(settings, arguments.entities)
        with reading(settings) as connection:
            print(json.dumps(measure(connection, arguments.reads), indent=2))


if __name__ == "__main__":
    main()
