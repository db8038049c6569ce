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
                hint="A withdrawn record is compared with nothing.",
            )
    return [
        StandingRecord(
            RecordRef(number, rows[number].registry, rows[number].local_id),
            orjson.loads(rows[number].attributes),
        )
        for number in records
    ]


def former_numbers(connection: Connection, personal_id: str) -> list[str]:
    """Numbers that an office told to be re-established as this one, in order."""
    return sorted(set(connection.scalars(_FORMER, {"number": personal_id})))


def standing_model(connection: Connection, name: str) -> TrainedModel:
    """The one that runs use. Raises StoreError where there is none, or this version cannot read it."""
    found = connection.execute(_MODEL, {"name": name}).first()
    if found is None:
        raise StoreError(f"No model of a {name} is trained yet.", hint="Link the records first: mdm run.")
    return parse_model(found.body, found.hash)


_STANDING = (
    select(record.c.record_id, record.c.registry, record.c.local_id, record_version.c.attributes)
    .join(
        record_version,
        (record_version.c.record_id == record.c.record_id) & (record_version.c.version == record.c.version),
    )
    .where(
        record.c.record_id.in_(bindparam("records", expanding=True)),
        record.c.kind == "person",
        record.c.status == "active",
    )
)
_FORMER = select(renumbering.c.old).where(
    renumbering.c.attribute == "personal_id", renumbering.c.new == bindparam("number")
)
_MODEL = select(model.c.body, model.c.hash).where(
    model.c.name == bindparam("name"), model.c.state == "current"
)
