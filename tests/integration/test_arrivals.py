"""Single records: what they do is what a run over all records would have done."""

import random
from contextlib import contextmanager
from datetime import date

import orjson
import pytest
from sqlalchemy import text

from mdm.arrivals.service import Arrivals
from mdm.pipeline.indexing import make_index
from mdm.pipeline.run import run
from mdm.pipeline.verify import verify
from mdm.registries.attributes import load_attributes
from mdm.registries.declaration import load_registries
from mdm.stewardship.service import Identity

# of the year of the deliveries: a later one would have all ages counted anew
BY = {"actor": "office", "observed_on": date(2025, 12, 1)}
NEW = {
    "full_name": "Nguyễn Thị Hoa Mười",
    "birth_date": "07/09/1983",
    "sex": "nữ",
    "personal_id": "001183000217",
    "address": "xã Hồng Vân, thành phố Hà Nội",
}


@contextmanager
def arrivals_on(settings):
    attributes = load_attributes(settings.attributes_file)
    registries = load_registries(settings.registries_folder, attributes=attributes)
    identity = Identity(settings, keep_open=True)
    try:
        yield Arrivals(identity, attributes=attributes, registries=registries)
    finally:
        identity.close()


@pytest.fixture
def indexed(engine, finished, tmp_path):
    settings = engine.copy(finished, tmp_path)
    make_index(settings)
    return settings


def people(settings):
    """Active records: registry, local ID, what a caller would say of them, the person."""
    identity = Identity(settings)
    with identity.engine.connect() as connection:
        rows = connection.execute(
            text(
                "SELECT r.registry, r.local_id, v.attributes, e.entity_id FROM record AS r"
                " JOIN record_version AS v ON v.record_id = r.record_id AND v.version = r.version"
                " JOIN membership AS m ON m.record_id = r.record_id AND m.until_event IS NULL"
                " JOIN entity AS e ON e.entity_key = m.entity_key"
                " WHERE r.kind = 'person' AND r.status = 'active' ORDER BY r.record_id"
            )
        ).all()
    identity.close()
    return [(registry, local_id, given(said), entity) for registry, local_id, said, entity in rows]


def given(said):
    attributes = orjson.loads(said)
    address = attributes.get("address_text")
    kept = {name: value for name, value in attributes.items() if not name.startswith("address_")}
    return kept | ({"address": address} if address else {})


def counted(report):
    """What a run did to people."""
    score, reconcile, golden, number = (
        report.detail(step) for step in ("score", "reconcile", "golden", "number")
    )
    return {
        **{name: score[name] for name in ("added", "removed")},
        **{name: reconcile[name] for name in ("formed", "linked", "merged", "moved", "reviews")},
        "golden": golden["changed"],
        **{name: number[name] for name in ("issued", "temporary", "anchored", "deceased")},
    }


def stir(arrivals, known, rng, *, times):
    """New people, further records of known ones, changes, wrong numbers, withdrawals."""
    for turn in range(times):
        registry, local_id, said, _ = rng.choice(known)
        other = rng.choice(known)[2]
        act = rng.choice(["copy", "new", "rename", "number", "gone", "move", "list"])
        if act == "copy":
            arrivals.upsert(rng.choice(known)[0], f"copy-{turn}", said, **BY)
        elif act == "new":
            called = f"{said.get('full_name', 'Vũ Văn')} {rng.choice(['Anh', 'Bình', 'Chi'])}"
            born = f"{1950 + turn}-03-0{1 + turn % 9}"
            arrivals.upsert(registry, f"new-{turn}", {"full_name": called, "birth_date": born}, **BY)
        elif act == "rename" and "full_name" in said:
            arrivals.upsert(registry, local_id, {**said, "full_name": said["full_name"] + " Em"}, **BY)
        elif act == "number" and "personal_id" in other:
            arrivals.upsert(registry, local_id, {**said, "personal_id": other["personal_id"]}, **BY)
        elif act == "move" and "address" in other:
            arrivals.upsert(registry, local_id, {**said, "address": other["address"]}, **BY)
        elif act == "list" and "household_ref" in other:
            arrivals.upsert(registry, local_id, {**said, "household_ref": other["household_ref"]}, **BY)
        elif act == "gone":
            arrivals.withdraw(registry, local_id, actor="office")


@pytest.mark.parametrize("seed", [1, 2])
def test_a_run_over_everything_finds_nothing_left_to_do(indexed, seed):
    known = people(indexed)
    with arrivals_on(indexed) as arrivals:
        stir(arrivals, known, random.Random(seed), times=60)
    assert [check for check in verify(indexed) if check.wrong] == []
    found = counted(run(indexed, force=True))
    assert found == dict.fromkeys(found, 0)
