"""A single record version in the store, as a delivery of its own: batch, version, record, and the event that tells of them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from sqlalchemy import bindparam, insert, select, update

from matching.standardise.types import STANDARDISER_VERSION
from mdm.identity.events import EventKind, canonical_json
from mdm.store.landing import BatchDigest
from mdm.store.tables import batch, record, record_version, renumbering

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from sqlalchemy import Connection

    from mdm.identity.events import Stamp
    from mdm.store.unit_of_work import UnitOfWork

ACTIVE, WITHDRAWN = "active", "withdrawn"
_FIND = select(
    record.c.record_id, record.c.version, record.c.status, record.c.content_hash, record.c.household_ref
).where(
    record.c.registry == bindparam("registry"),
    record.c.kind == bindparam("kind"),
    record.c.local_id == bindparam("local_id"),
)
_ADD_BATCH, _ADD_RECORD, _ADD_VERSION = insert(batch), insert(record), insert(record_version)
_SET_RECORD = update(record).where(record.c.record_id == bindparam("given"))
_REGISTRIES = select(record.c.record_id, record.c.registry).where(
    record.c.record_id.in_(bindparam("records", expanding=True)), record.c.status == ACTIVE
)
_LISTED = select(record.c.record_id).where(
    record.c.registry == bindparam("registry"),
    record.c.household_ref == bindparam("household_ref"),
    record.c.kind == "person",
    record.c.status == ACTIVE,
)
_FORMER = select(renumbering.c.old).where(
    renumbering.c.attribute == "personal_id", renumbering.c.new == bindparam("number")
)


@dataclass(frozen=True)
class Standing:
    """A record as it is in the store."""

    record: int
    version: int
    status: str
    content_hash: str
    household_ref: str | None


@dataclass(frozen=True)
class Arriving:
    """A record as it comes in. `raw` is the request's JSON; `attributes` and `issues` are canonical, `{}` of a withdrawal."""

    registry: str
    kind: str
    local_id: str
    status: str
    observed_on: str | None
    raw: str
    attributes: Mapping[str, Any]
    issues: Mapping[str, str]

    @property
    def content(self) -> str:
        return canonical_json(self.attributes)

    @property
    def content_hash(self) -> str:
        """As `mdm.pipeline.prepare.CONTENT_HASH`."""
        return _sha256(self.status, "" if self.status == WITHDRAWN else self.content)

    @property
    def row_hash(self) -> str:
        """As `mdm.pipeline.prepare.ROW_HASH`."""
        said = (self.kind, self.local_id, "1", self.status, self.observed_on or "", self.raw, self.content)
        return _sha256(*said, canonical_json(self.issues) if self.issues else "")


def find(work: UnitOfWork, registry: str, kind: str, local_id: str) -> Standing | None:
    row = work.connection.execute(_FIND, {"registry": registry, "kind": kind, "local_id": local_id}).first()
    return None if row is None else Standing(*row)


def land(
    work: UnitOfWork, arriving: Arriving, standing: Standing | None, *, declaration: str, stamp: Stamp
) -> int:
    """Keeps a new version of a record, or a new record; returns its number. `declaration`: hash of the registry's."""
    connection = work.connection
    number = work.following("batch")
    record_id = work.following("record") if standing is None else standing.record
    version = 1 if standing is None else standing.version + 1
    digest = BatchDigest()
    digest.add_versions(pa.array([record_id]), pa.array([version]), pa.array([arriving.row_hash]))
    gone = arriving.status == WITHDRAWN
    told = {
        "batch_id": number,
        "registry": arriving.registry,
        "file": "api",
        "sha256": _sha256(arriving.raw),
        "declaration": declaration,
        "delivered_on": arriving.observed_on,
        "landed_at": stamp.at,
        **dict.fromkeys(("quarantined", "skipped", "unchanged"), 0),
        **dict.fromkeys(("received", "accepted", "records"), 1),
        "new": int(standing is None),
        "changed": int(standing is not None and not gone),
        "withdrawn": int(gone),
        "digest": digest.value(),
    }
    work.append([(EventKind.BATCH_LANDED, None, {**told, "standardiser": STANDARDISER_VERSION})], stamp=stamp)
    connection.execute(_ADD_BATCH, told)
    content_hash = arriving.content_hash
    connection.execute(
        _ADD_VERSION,
        {
            "version_id": work.following("record_version"),
            "record_id": record_id,
            "version": version,
            "batch_id": number,
            "row_number": 1,
            "status": arriving.status,
            "observed_on": arriving.observed_on,
            "content_hash": content_hash,
            "raw": arriving.raw,
            "attributes": arriving.content,
            "issues": canonical_json(arriving.issues) if arriving.issues else None,
            "standardiser": STANDARDISER_VERSION,
        },
    )
    current = {
        "version": version,
        "status": arriving.status,
        "content_hash": content_hash,
        "household_ref": arriving.attributes.get("household_ref"),
    }
    if standing is None:
        names = {"registry": arriving.registry, "kind": arriving.kind, "local_id": arriving.local_id}
        connection.execute(_ADD_RECORD, {"record_id": record_id, **names, **current})
    else:
        connection.execute(_SET_RECORD, {"given": record_id, **current})
        work.registry.pop(record_id, None)
    return record_id


def registry_of(work: UnitOfWork, records: Collection[int]) -> dict[int, str]:
    """Of those that are active."""
    known = work.registry
    if unknown := [record for record in records if record not in known]:
        rows = work.connection.execute(_REGISTRIES, {"records": unknown}).all()
        known |= dict.fromkeys(unknown) | {row.record_id: row.registry for row in rows}
    return {record: registry for record in records if (registry := known[record]) is not None}


def listed_with(work: UnitOfWork, registry: str, household_ref: str) -> list[int]:
    """Active records of people on one list of a household."""
    return list(work.connection.scalars(_LISTED, {"registry": registry, "household_ref": household_ref}))


def former_numbers(connection: Connection, personal_id: str) -> list[str]:
    """Numbers that an office told to be re-established as this one, in order."""
    return sorted(set(connection.scalars(_FORMER, {"number": personal_id})))


def _sha256(*parts: str) -> str:
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()
