"""Events are sealed into canonical bytes; bulk and single ones are alike."""

import hashlib

import orjson
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from mdm.identity.events import (
    EventKind,
    Events,
    Stamp,
    canonical_json,
    json_lists,
    json_numbers,
    json_strings,
    seal,
)

STAMP = Stamp(at="2026-01-02T03:04:05.000006+00:00", actor="cán bộ", reason='said "yes"\n', run="r1")


@given(st.lists(st.lists(st.integers(1, 2**53), min_size=1, max_size=4), min_size=1, max_size=6))
def test_bulk_events_have_the_bytes_of_single_ones(members):
    ids = [f"entity-{place}" for place in range(len(members))]
    bulk = Events.bulk(
        EventKind.ENTITY_FORMED,
        entity=pa.array(ids),
        data={
            "records": json_lists(pa.array(members, pa.list_(pa.int64()))),
            "kind": json_strings(pa.array(["person"] * len(ids))),
            "size": json_numbers(pa.array([len(m) for m in members])),
        },
    )
    single = Events.of(
        (EventKind.ENTITY_FORMED, name, {"records": records, "kind": "person", "size": len(records)})
        for name, records in zip(ids, members, strict=True)
    )
    assert seal(bulk, first_seq=7, stamp=STAMP).equals(seal(single, first_seq=7, stamp=STAMP))


def test_a_sealed_body_is_canonical_json_with_everything_in_it():
    sealed = seal(Events.of([(EventKind.BATCH_LANDED, None, {"b": 1, "a": "ế"})]), first_seq=1, stamp=STAMP)
    body = sealed["body"][0].as_py()
    assert canonical_json(orjson.loads(body)) == body
    assert orjson.loads(body) == {
        "seq": 1,
        "at": STAMP.at,
        "kind": "batch.landed",
        "entity": None,
        "run": "r1",
        "actor": "cán bộ",
        "reason": 'said "yes"\n',
        "data": {"a": "ế", "b": 1},
    }


def test_the_leaf_is_the_hash_of_rfc_6962():
    sealed = seal(Events.of([(EventKind.BATCH_LANDED, None, {})]), first_seq=1, stamp=STAMP)
    body = sealed["body"][0].as_py().encode()
    assert sealed["leaf"][0].as_py() == hashlib.sha256(b"\x00" + body).hexdigest()


def test_numbers_run_on_without_gaps():
    events = Events.concat([Events.of([(EventKind.BATCH_LANDED, None, {})]) for _ in range(3)])
    assert seal(events, first_seq=5, stamp=STAMP)["seq"].to_pylist() == [5, 6, 7]
