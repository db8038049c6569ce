"""Which mapped records are refused, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mdm.registries.mapping import WITHDRAW
from mdm.registries.record_mapping import ADDRESS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mdm.registries.mapping import MappedRecords, MappedRenumbering

NOTHING = pa.scalar(None, pa.string())
LONGEST_KEY = 256
"""Letters. A row of PostgreSQL's index has no more than 2,700 bytes; nor is a longer text anybody's key."""


def record_reasons(mapped: MappedRecords) -> tuple[pa.Array, pa.Array]:
    """Reason and detail of each record, null where it is accepted. A withdrawn record needs only its key."""
    kept = pc.fill_null(pc.not_equal(mapped.operation, WITHDRAW), True)
    tests: list[tuple[pa.Array, str, pa.Array]] = []
    count = len(mapped.place)
    keys = pa.repeat(pa.scalar(", ".join(mapped.mapping.key)), count)
    tests.append((pc.is_null(mapped.local_id), "key.missing", keys))
    too_long = pc.greater(pc.utf8_length(mapped.local_id), LONGEST_KEY)
    tests.append((pc.fill_null(too_long, False), "key.too_long", keys))
    if mapped.mapping.operation is not None:
        column = pa.repeat(pa.scalar(mapped.mapping.operation.column), count)
        tests.append((pc.is_null(mapped.operation), "operation.unknown", column))
    for name in mapped.mapping.required:
        value, issue = _of(mapped, name)
        absent = pc.and_(pc.is_null(value), kept)
        told = _unusable(issue)
        tests.append((pc.and_(absent, told), f"invalid:{name}", issue))
        tests.append((pc.and_(absent, pc.invert(told)), f"required.missing:{name}", issue))
    for name in mapped.mapping.valid:
        value, issue = _of(mapped, name)
        invalid = pc.and_(pc.and_(pc.is_null(value), _unusable(issue)), kept)
        tests.append((invalid, f"invalid:{name}", issue))
    return _first_reason(tests, count)


def renumbering_reasons(mapped: MappedRenumbering) -> tuple[pa.Array, pa.Array]:
    count = len(mapped.place)
    missing = pc.or_(pc.is_null(mapped.old), pc.is_null(mapped.new))
    same = pc.fill_null(pc.equal(mapped.old, mapped.new), False)
    tests = [
        (missing, "renumbering.invalid", pa.repeat(pa.scalar("old or new number missing or invalid"), count)),
        (same, "renumbering.invalid", pa.repeat(pa.scalar("old and new number are equal"), count)),
    ]
    return _first_reason(tests, count)


def _of(mapped: MappedRecords, name: str) -> tuple[pa.Array, pa.Array]:
    name = "address_unit" if name == ADDRESS else name
    return mapped.values[name], mapped.issues[name]


def _unusable(issue: pa.Array) -> pa.Array:
    """Something was written that is no value; a placeholder ("không có") counts as nothing written."""
    placeholder = pc.ends_with(issue, ".placeholder")
    return pc.and_(pc.is_valid(issue), pc.invert(pc.fill_null(placeholder, False)))


def _first_reason(tests: Sequence[tuple[pa.Array, str, pa.Array]], count: int) -> tuple[pa.Array, pa.Array]:
    reasons = pa.nulls(count, pa.string())
    details = pa.nulls(count, pa.string())
    for failed, reason, detail in tests:
        if not pc.any(failed).as_py():
            continue
        here = pc.and_(failed, pc.is_null(reasons))
        reasons = pc.if_else(here, reason, reasons)
        details = pc.if_else(here, detail, details)
    return reasons, details


class SeenKeys:
    """The local ids a file has given so far, as 64-bit hashes: 8 bytes each, however large the file.

    Two different ids of one file share a hash with probability n²/2^65 (1e-6 at 10 million ids); the second would be
    quarantined as a duplicate and so be seen by a clerk, never lost.
    """

    def __init__(self) -> None:
        self._runs: list[np.ndarray[tuple[int], np.dtype[np.int64]]] = []

    def add(self, local_ids: pa.Array) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """True for each id that was seen before or stands earlier in the same array."""
        hashes = np.fromiter(map(hash, local_ids.to_pylist()), dtype=np.int64, count=len(local_ids))
        repeated = np.ones(len(hashes), dtype=np.bool_)
        repeated[np.unique(hashes, return_index=True)[1]] = False
        for run in self._runs:
            places = np.minimum(np.searchsorted(run, hashes), len(run) - 1)
            repeated |= run[places] == hashes
        self._keep(np.sort(hashes[~repeated]))
        return repeated

    def _keep(self, run: np.ndarray[tuple[int], np.dtype[np.int64]]) -> None:
        """Runs are merged by doubling, so that few are searched and each id is sorted few times."""
        if len(run) == 0:
            return
        while self._runs and len(self._runs[-1]) <= len(run):
            run = np.sort(np.concatenate([self._runs.pop(), run]))
        self._runs.append(run)
