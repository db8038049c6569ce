"""What it takes to compare two records once more: their attributes as they stand, and the model that runs use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import bindparam, select

from mdm.errors import IdentityError, StoreError
from mdm.store.models import parse_model
from mdm.store.references import RecordRef
from mdm.store.tables import model, record, record_version, renumbering

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy import Connection

    from matching.artefact import TrainedModel


@dataclass(frozen=True)
class StandingRecord:
    """`attributes` are canonical, those that are present."""

    ref: RecordRef
    attributes: dict[str, Any]


def standing_records(connection: Connection, records: tuple[int, ...]) -> list[StandingRecord]:
    """Of people, in the order given. Raises IdentityError where there is none of a number, or it was withdrawn."""
    rows = {row.record_id: row for row in connection.execute(_STANDING, {"records": sorted(set(records))})}
    for number in records:
        if number not in rows:
            raise IdentityError(
                f"There is no record {number} of a person that stands.",
                hint="A withdrawn record is compared with nothing. Why a household's record belongs to it: mdm entity lineage.",
            )
    return [
        StandingRecord(
            RecordRef(number, rows[number].registry, rows[number].local_id),
            orjson.loads(rows[number].attributes),
        )
        for number in records
    ]


def standing_beside(connection: Connection, record_id: int, *, most: int) -> list[StandingRecord]:
    """At most so many on the household list of a person's record, the record among them; none where it names no list."""
    rows = connection.execute(_BESIDE, {"record": record_id, "most": most})
    return [
        StandingRecord(RecordRef(row.record_id, row.registry, row.local_id), orjson.loads(row.attributes))
        for row in rows
    ]


def former_numbers(connection: Connection, personal_ids: Collection[str]) -> dict[str, list[str]]:
    """Numbers that an office told to be re-established as one of these, in order."""
    found: dict[str, list[str]] = {}
    for new, old in connection.execute(_FORMER, {"numbers": sorted(personal_ids)}):
        found.setdefault(new, []).append(old)
    return found


def standing_model(connection: Connection, name: str) -> TrainedModel:
    """The one that runs use. Raises StoreError where there is none, or this version cannot read it."""
    found = connection.execute(_MODEL, {"name": name}).first()
    if found is None:
        raise StoreError(f"No model of a {name} is trained yet.", hint="Link the records first: mdm run.")
    return parse_model(found.body, found.hash)


_CURRENT = (record_version.c.record_id == record.c.record_id) & (record_version.c.version == record.c.version)
_STANDING = (
    select(record.c.record_id, record.c.registry, record.c.local_id, record_version.c.attributes)
    .join(record_version, _CURRENT)
    .where(
        record.c.record_id.in_(bindparam("records", expanding=True)),
        record.c.kind == "person",
        record.c.status == "active",
    )
)
_OWN = record.alias("own")
_BESIDE = (
    select(record.c.record_id, record.c.registry, record.c.local_id, record_version.c.attributes)
    .join(_OWN, (_OWN.c.registry == record.c.registry) & (_OWN.c.household_ref == record.c.household_ref))
    .join(record_version, _CURRENT)
    .where(_OWN.c.record_id == bindparam("record"), record.c.kind == "person", record.c.status == "active")
    .order_by(record.c.record_id)
    .limit(bindparam("most"))
)
_FORMER = (
    select(renumbering.c.new, renumbering.c.old)
    .where(
        renumbering.c.attribute == "personal_id", renumbering.c.new.in_(bindparam("numbers", expanding=True))
    )
    .distinct()
    .order_by(renumbering.c.new, renumbering.c.old)
)
_MODEL = select(model.c.body, model.c.hash).where(
    model.c.name == bindparam("name"), model.c.state == "current"
)
