"""Quarantined rows: repaired and replayed through the same mapping as a delivery, or dismissed. None is deleted."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from dataclasses import replace as replaced
from datetime import date
from itertools import groupby
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa

from matching.standardise.units import default_units
from mdm.duck import open_duckdb
from mdm.errors import InputError
from mdm.identity.clock import utc_now
from mdm.identity.events import EventKind, Events, Stamp
from mdm.pipeline.prepare import prepare
from mdm.registries.declaration import declaration_hash, load_registries
from mdm.registries.replay import RepairedRow, remap
from mdm.store.engine import bulk
from mdm.store.landing import LandedFile, land_file
from mdm.store.log import append_events

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from mdm.registries.declaration import RegistryDeclaration
    from mdm.settings import Settings
    from mdm.store.engine import Bulk

_OPEN = pa.schema(
    [
        ("quarantine_id", pa.int64()),
        ("registry", pa.string()),
        ("source", pa.string()),
        ("file", pa.string()),
        ("row_number", pa.int64()),
        ("reason", pa.string()),
        ("detail", pa.string()),
    ]
)
_WAITING = pa.schema([*_OPEN, ("delivered_on", pa.string())])


@dataclass(frozen=True)
class ReplayCounts:
    repaired: int
    refused: int


def open_rows(settings: Settings, *, registry: str | None, limit: int) -> list[dict[str, Any]]:
    """Open rows without their raw text, oldest first."""
    codes = load_registries(settings.registries_folder)
    if registry is not None and registry not in codes:
        raise InputError(f"no registry `{registry}` is declared", hint=f"Declared: {', '.join(codes)}.")
    only = f" AND registry = '{registry}'" if registry else ""
    with bulk(settings) as store:
        rows = store.read(
            f"SELECT {', '.join(_OPEN.names)} FROM quarantine WHERE status = 'open'{only} ORDER BY quarantine_id LIMIT {limit}",
            _OPEN,
        )
    found: list[dict[str, Any]] = rows.to_pylist()
    return found


def replay(settings: Settings, file: Path, *, actor: str = "operator") -> ReplayCounts:
    """Rows of `file` (columns quarantine_id and raw) that are accepted now become records; the others stay as they are."""
    repaired = _read(file)
    registries = load_registries(settings.registries_folder)
    accepted = 0
    with bulk(settings, writes=True) as store:
        store.stage("repaired_row", pa.table({"quarantine_id": pa.array(list(repaired), pa.int64())}))
        waiting = store.read(
            "SELECT q.quarantine_id, q.registry, q.source, q.file, q.row_number, q.reason, q.detail, b.delivered_on FROM quarantine AS q"
            " JOIN repaired_row AS r ON r.quarantine_id = q.quarantine_id JOIN batch AS b ON b.batch_id = q.batch_id WHERE q.status = 'open'"
            " ORDER BY q.registry, q.source, q.file, b.delivered_on, q.quarantine_id",
            _WAITING,
        ).to_pylist()
        unknown = sorted(set(repaired) - {row["quarantine_id"] for row in waiting})
        if unknown:
            raise InputError(
                f"row {unknown[0]} is not open in the quarantine",
                where=str(file),
                hint="mdm quarantine list shows the open rows.",
            )
        for (registry, *_), rows in groupby(waiting, key=_file_of):
            accepted += _replay_file(store, registries[registry], list(rows), repaired=repaired, actor=actor)
    return ReplayCounts(repaired=accepted, refused=len(repaired) - accepted)


def _file_of(row: dict[str, Any]) -> tuple[str, ...]:
    return row["registry"], row["source"], row["file"], row["delivered_on"]


def dismiss(settings: Settings, quarantine_id: int, *, actor: str = "operator") -> None:
    with bulk(settings, writes=True) as store:
        if store.scalar(f"SELECT status FROM quarantine WHERE quarantine_id = {quarantine_id}") != "open":
            raise InputError(
                f"row {quarantine_id} is not open in the quarantine",
                hint="mdm quarantine list shows the open rows.",
            )
        _resolve(store, [quarantine_id], status="dismissed", batch_id=None, actor=actor)


def _replay_file(
    store: Bulk,
    declaration: RegistryDeclaration,
    rows: list[dict[str, Any]],
    *,
    repaired: dict[int, str],
    actor: str,
) -> int:
    """A batch of its own, of accepted rows only: rows that are refused again are in the quarantine already."""
    first = rows[0]
    file, delivered_on = first["file"], first["delivered_on"]
    day = date.fromisoformat(delivered_on) if delivered_on else None
    numbered = [RepairedRow(row["row_number"] or 0, repaired[row["quarantine_id"]]) for row in rows]
    chunks = remap(
        declaration, numbered, source=first["source"], file=file, delivered_on=day, units=default_units()
    )
    refused = {number for chunk in chunks for number in chunk.quarantine["row_number"].to_pylist()}
    resolved = [row["quarantine_id"] for row in rows if (row["row_number"] or 0) not in refused]
    if not resolved:
        return 0
    kept = [
        replaced(chunk, quarantine=chunk.quarantine.slice(0, 0), received=chunk.accepted_rows)
        for chunk in chunks
    ]
    digest = hashlib.sha256(
        "\n".join(repaired[quarantine_id] for quarantine_id in resolved).encode()
    ).hexdigest()
    landed = LandedFile(declaration.code, f"{file} (repaired)", digest, declaration_hash(declaration), day)
    batch_id = store.next_id("batch", "batch_id")
    land_file(store, landed, prepare(kept, delivered_on=day), actor=actor)
    _resolve(store, resolved, status="repaired", batch_id=batch_id, actor=actor)
    return len(resolved)


def _resolve(store: Bulk, ids: list[int], *, status: str, batch_id: int | None, actor: str) -> None:
    store.stage("resolved_row", pa.table({"quarantine_id": pa.array(ids, pa.int64())}))
    batch = "NULL" if batch_id is None else str(batch_id)
    store.execute(
        f"UPDATE quarantine SET status = '{status}', resolved_by_batch = {batch} FROM resolved_row AS r WHERE quarantine.quarantine_id = r.quarantine_id"
    )
    event = (EventKind.QUARANTINE_RESOLVED, None, {"rows": ids, "status": status, "batch_id": batch_id})
    append_events(store, Events.of([event]), stamp=Stamp(at=utc_now(), actor=actor))


def _read(file: Path) -> dict[int, str]:
    if not file.is_file():
        raise InputError("there is no such file", where=str(file))
    reader = "read_parquet" if file.suffix == ".parquet" else "read_csv"
    connection = open_duckdb()
    try:
        rows: Iterable[tuple[int, str]] = connection.execute(
            f"SELECT CAST(quarantine_id AS BIGINT), CAST(raw AS VARCHAR) FROM {reader}(?) WHERE raw IS NOT NULL",
            [str(file)],
        ).fetchall()
    except duckdb.Error as error:
        raise InputError(
            "cannot be read as repaired rows",
            where=str(file),
            hint="It needs columns quarantine_id and raw, as `mdm export quarantine` writes them.",
        ) from error
    return dict(rows)
