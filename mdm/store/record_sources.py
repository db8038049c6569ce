"""Record versions with where they came from: the delivery, the row, the cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import bindparam, select

from mdm.registries.declaration import declaration_hash
from mdm.registries.origin import ReceivedRow, received_row
from mdm.store.tables import batch, record, record_version

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from sqlalchemy import Connection

    from mdm.registries.declaration import RegistryDeclaration

VersionRef = tuple[int, int]
"""Record number and version."""


@dataclass(frozen=True)
class Delivery:
    """A landed file; `delivered_on` is the day that its name or the operator told."""

    batch: int
    registry: str
    file: str
    sha256: str
    delivered_on: str | None
    landed_at: str


@dataclass(frozen=True)
class RecordSource:
    """A record version: what the office sent, and what became of it."""

    record: int
    version: int
    registry: str
    kind: str
    local_id: str
    status: str
    observed_on: str | None
    delivery: Delivery
    row_number: int
    raw: Mapping[str, Any]
    """The row as received, by the office's column names."""
    attributes: Mapping[str, Any]
    """Canonical values."""
    issues: Mapping[str, str]
    standardiser: str
    declaration: str
    """Hash of the declaration by which the row was read."""


@dataclass(frozen=True)
class ValueSource:
    """A value as one record version has it."""

    record: RecordSource
    cells: Mapping[str, str | None] | None
    """Of the raw row those that the declaration maps to the attribute; None where that cannot be told."""
    declaration_changed: bool
    """The registry is declared otherwise now than when the row was read: `cells` go by the present declaration."""
    value: Any
    """Canonical; of a group the members that the record fills."""
    issue: str | None
    """The standardiser's doubt about the value."""


def load_sources(connection: Connection, refs: Iterable[VersionRef]) -> dict[VersionRef, RecordSource]:
    """By record and version; those that are not in the store are left out."""
    wanted = set(refs)
    given = {"records": sorted({r for r, _ in wanted}), "versions": sorted({v for _, v in wanted})}
    rows = connection.execute(_SOURCES, given)
    return {ref: _source(row) for row in rows if (ref := (row.record_id, row.version)) in wanted}


class ValueSources:
    """Values of record versions, each row and declaration looked at once."""

    def __init__(
        self, sources: Mapping[VersionRef, RecordSource], registries: Mapping[str, RegistryDeclaration]
    ) -> None:
        self._sources, self._registries = sources, registries
        self._rows: dict[VersionRef, ReceivedRow | None] = {}
        self._hashes: dict[str, str] = {}

    def of(self, ref: VersionRef, attribute: str, *, members: Collection[str] = ()) -> ValueSource | None:
        """None for a record that is not among the sources. `members` are the attributes of a group, where `attribute` names one."""
        if (record := self._sources.get(ref)) is None:
            return None
        row = self._row(ref)
        said = record.attributes
        return ValueSource(
            record=record,
            cells=None if row is None else row.cells_of(attribute),
            declaration_changed=row is not None and record.declaration != self._hash(record.registry),
            value={n: said[n] for n in sorted(members) if n in said} if members else said.get(attribute),
            issue=next((record.issues[n] for n in (attribute, *sorted(members)) if n in record.issues), None),
        )

    def _row(self, ref: VersionRef) -> ReceivedRow | None:
        if ref not in self._rows:
            source = self._sources[ref]
            declared = self._registries.get(source.registry)
            row = None
            if declared is not None:
                row = received_row(
                    declared,
                    source.raw,
                    file=source.delivery.file,
                    kind=source.kind,
                    local_id=source.local_id,
                )
            self._rows[ref] = row
        return self._rows[ref]

    def _hash(self, registry: str) -> str:
        if registry not in self._hashes:
            self._hashes[registry] = declaration_hash(self._registries[registry])
        return self._hashes[registry]


def _source(row: Any) -> RecordSource:
    return RecordSource(
        record=row.record_id,
        version=row.version,
        registry=row.registry,
        kind=row.kind,
        local_id=row.local_id,
        status=row.status,
        observed_on=row.observed_on,
        delivery=Delivery(row.batch_id, row.registry, row.file, row.sha256, row.delivered_on, row.landed_at),
        row_number=row.row_number,
        raw=orjson.loads(row.raw),
        attributes=orjson.loads(row.attributes),
        issues=orjson.loads(row.issues) if row.issues else {},
        standardiser=row.standardiser,
        declaration=row.declaration,
    )


_SOURCES = (
    select(
        record_version.c.record_id,
        record_version.c.version,
        record_version.c.status,
        record_version.c.observed_on,
        record_version.c.row_number,
        record_version.c.raw,
        record_version.c.attributes,
        record_version.c.issues,
        record_version.c.standardiser,
        record.c.registry,
        record.c.kind,
        record.c.local_id,
        batch.c.batch_id,
        batch.c.file,
        batch.c.sha256,
        batch.c.declaration,
        batch.c.delivered_on,
        batch.c.landed_at,
    )
    .join(record, record.c.record_id == record_version.c.record_id)
    .join(batch, batch.c.batch_id == record_version.c.batch_id)
    # SQLite looks two lists up by the index, a list of pairs it does not
    .where(
        record_version.c.record_id.in_(bindparam("records", expanding=True)),
        record_version.c.version.in_(bindparam("versions", expanding=True)),
    )
)
