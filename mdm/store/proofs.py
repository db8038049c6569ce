"""Tamper evidence over the event log: signed checkpoints, proofs that stand alone, and the check of the whole log.

Event `seq` is leaf `seq - 1` of an RFC 6962 tree. Complete subtrees of 2^8, 2^16, ... leaves are rows of `log_node`, written with
the checkpoint that first covers them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from mdm.errors import ConfigurationError, InputError, StoreError, VerificationError
from mdm.identity.checkpoint import Checkpoint, public_key, sign_checkpoint
from mdm.identity.clock import Source
from mdm.identity.events import leaf_hash
from mdm.identity.merkle import (
    HASH_BYTES,
    TILE_LEVELS,
    Frontier,
    Run,
    Tiles,
    consistency_proof,
    inclusion_path,
    verify_consistency,
    verify_inclusion,
)
from mdm.identity.verifier import CONSISTENCY, INCLUSION, ProofError, PublicKey, open_checkpoint
from mdm.store.engine import bulk
from mdm.store.keys import log_key, log_origin, log_public_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mdm.identity.merkle import StoredHashes
    from mdm.settings import Settings
    from mdm.store.rows import Readable, Writable

_AT_ONCE = 1 << 18
"""Leaves that are held in memory together."""

_HASHES = pa.schema([("hash", pa.string())])
_CHECKPOINTS = pa.schema(
    [("size", pa.int64()), ("at", pa.string()), ("root", pa.string()), ("note", pa.string())]
)


class SignedCheckpoint(NamedTuple):
    """A row of the checkpoint table: hexadecimal root, note as signed."""

    size: int
    at: str
    root: str
    note: str


def checkpoint(settings: Settings, *, source: Source | None = None) -> SignedCheckpoint | None:
    """Signs the log as it is now, in one transaction; the present checkpoint if it covers all events, None if there are none.

    Raises:
        ConfigurationError: no log key, or another than the store's.
        VerificationError: a gap, a damaged leaf or node, or a past that is not the one signed before: a log never signs two
            checkpoints that contradict each other.
    """
    with bulk(settings, writes=True) as store:  # of two that sign at once the second finds nothing to do
        return sign(settings, store, source=source)


def sign(settings: Settings, store: Writable, *, source: Source | None = None) -> SignedCheckpoint | None:
    """As `checkpoint`, in a transaction that has its turn to write."""
    last = latest_checkpoint(store)
    old, new = last.size if last else 0, int(store.scalar("SELECT COALESCE(MAX(seq), 0) FROM event"))
    if new == old:
        return last
    if new < old:
        raise VerificationError(f"events {new + 1:,} to {old:,} were signed and are missing", hint=_HINT)
    key, origin = log_key(settings, store), log_origin(store)
    frontier = Frontier.at(old, Tiles(_stored(store), old))
    if last:
        _check_signed(last, frontier.root(), public_key(key, origin))
    for leaves in _leaves(store, old, new):
        for run in frontier.append(leaves):
            store.append("log_node", _rows(run))
    signed = Checkpoint(origin, new, frontier.root(), (source or Source()).now())
    row = SignedCheckpoint(new, signed.at, signed.root.hex(), sign_checkpoint(signed, key))
    store.append("checkpoint", pa.Table.from_pylist([row._asdict()], _CHECKPOINTS))
    return row


def latest_checkpoint(store: Readable) -> SignedCheckpoint | None:
    found = _checkpoints(store, "ORDER BY size DESC LIMIT 1")
    return found[0] if found else None


def inclusion(store: Readable, seq: int, *, checkpoint: int | None = None) -> dict[str, Any]:
    """A proof that event `seq` is in the log of the checkpoint of that size, by default the latest; for `verifier.py`.

    Raises:
        InputError: no such event or checkpoint, or the event is younger than the checkpoint.
        VerificationError: the event is no longer the one that was signed.
    """
    signed = _checkpoint_of(store, checkpoint)
    if not 0 < seq <= signed.size:
        raise InputError(
            f"there is no event {seq:,} among the {signed.size:,} of the checkpoint",
            hint="Younger events are signed by the next one: mdm log checkpoint.",
        )
    path = inclusion_path(seq - 1, signed.size, Tiles(_stored(store), signed.size))
    body = store.scalar(f"SELECT body FROM event WHERE seq = {seq}")
    leaf = bytes.fromhex(leaf_hash(body or ""))
    if not verify_inclusion(leaf, leaf=seq - 1, size=signed.size, path=path, root=_root(signed)):
        raise VerificationError(f"event {seq:,} or its log is not as it was signed", hint=_HINT)
    return {
        "format": INCLUSION,
        "leaf_index": seq - 1,
        "tree_size": signed.size,
        "path": [node.hex() for node in path],
        "body": body,
        "checkpoint": signed.note,
    }


def consistency(store: Readable, old: int, new: int | None = None) -> dict[str, Any]:
    """A proof that the log of checkpoint `new`, by default the latest, begins with the log of checkpoint `old`.

    Raises:
        InputError: no checkpoint of such a size, or `old` is the larger one.
        VerificationError: the log is not as it was signed.
    """
    before, after = _checkpoint_of(store, old), _checkpoint_of(store, new)
    if before.size > after.size:
        raise InputError("the older checkpoint comes first", hint="Give the smaller size first.")
    path = consistency_proof(before.size, after.size, Tiles(_stored(store), after.size))
    if not verify_consistency(
        before.size, after.size, path=path, old_root=_root(before), new_root=_root(after)
    ):
        raise VerificationError("the log is not as it was signed", hint=_HINT)
    return {
        "format": CONSISTENCY,
        "old_size": before.size,
        "new_size": after.size,
        "path": [node.hex() for node in path],
        "old_checkpoint": before.note,
        "new_checkpoint": after.note,
    }


def check_log(settings: Settings, store: Readable) -> tuple[int, str | None]:
    """Every checkpoint against the leaves, in one pass: root, signature and nodes. How many events, the first thing wrong.

    That a leaf is the hash of its event's body is not looked at here. Events after the last checkpoint are not covered, and
    checkpoints that were deleted with all their events are not missed: a checkpoint kept elsewhere is.
    """
    signed = _checkpoints(store, "ORDER BY size")
    if not signed:
        return 0, "nodes without a checkpoint" if store.scalar("SELECT COUNT(*) FROM log_node") else None
    size, frontier = signed[-1].size, Frontier()
    try:
        key = PublicKey.parse(log_public_key(settings, store))
        for row in signed:
            for leaves in _leaves(store, frontier.size, row.size):
                _check_nodes(store, frontier.append(leaves))
            _check_signed(row, frontier.root(), key)
        expected = sum(size >> level for level in range(TILE_LEVELS, size.bit_length(), TILE_LEVELS))
        if store.scalar("SELECT COUNT(*) FROM log_node") != expected:
            return size, "there are more nodes than the signed events have"
    except (VerificationError, StoreError, ConfigurationError) as error:
        return size, error.message
    return size, None


_HINT = "Name the first thing that is wrong: mdm verify."


def _checkpoints(store: Readable, which: str) -> list[SignedCheckpoint]:
    rows = store.read(f"SELECT size, at, root, note FROM checkpoint {which}", _CHECKPOINTS)
    return [SignedCheckpoint(**row) for row in rows.to_pylist()]


def _checkpoint_of(store: Readable, size: int | None) -> SignedCheckpoint:
    found = _checkpoints(store, "ORDER BY size DESC LIMIT 1" if size is None else f"WHERE size = {size}")
    if found:
        return found[0]
    last = ", ".join(f"{row.size:,}" for row in _checkpoints(store, "ORDER BY size DESC LIMIT 5"))
    raise InputError(
        "there is no checkpoint yet" if not last else f"there is no checkpoint of {size:,} events",
        hint=f"The last ones are of {last} events." if last else "Sign one: mdm log checkpoint.",
    )


def _stored(store: Readable) -> StoredHashes:
    """Leaves and nodes as the store has them; VerificationError where one is missing or no hash."""

    def read(level: int, first: int, count: int) -> bytes:
        if level == 0:
            table, order, column, low = "event", "seq", "leaf", first + 1
            where, name = "", f"events {low:,} to {first + count:,}"
        else:
            table, order, column, low = "log_node", "position", "hash", first
            where, name = (
                f"level = {level} AND ",
                f"nodes {first:,} to {first + count - 1:,} of level {level}",
            )
        rows = store.read(
            f"SELECT {column} FROM {table} WHERE {where}{order} >= {low} AND {order} < {low + count} ORDER BY {order}",
            _HASHES,
        )
        try:
            packed = bytes.fromhex("".join(rows["hash"].to_pylist()))
        except ValueError:
            packed = b""
        every = pc.all(pc.equal(pc.binary_length(rows["hash"]), 2 * HASH_BYTES)).as_py()
        if rows.num_rows != count or len(packed) != count * HASH_BYTES or not every:
            raise VerificationError(f"{name}: one is missing or has no hash", hint=_HINT)
        return packed

    return read


def _leaves(store: Readable, old: int, new: int) -> Iterator[bytes]:
    """Packed hashes of leaves `old` to `new - 1`."""
    read = _stored(store)
    for first in range(old, new, _AT_ONCE):
        yield read(0, first, min(_AT_ONCE, new - first))


def _rows(run: Run) -> pa.Table:
    hashes = run.hashes.hex()
    count, width = len(run.hashes) // HASH_BYTES, 2 * HASH_BYTES
    return pa.table(
        {
            "level": pa.repeat(run.level, count),
            "position": pa.array(range(run.first, run.first + count), pa.int64()),
            "hash": [hashes[i : i + width] for i in range(0, len(hashes), width)],
        }
    )


def _check_nodes(store: Readable, runs: Sequence[Run]) -> None:
    read = _stored(store)
    for level, first, hashes in runs:
        count = len(hashes) // HASH_BYTES
        stored = read(level, first, count)
        for i in range(0, 0 if stored == hashes else len(hashes), HASH_BYTES):
            if stored[i : i + HASH_BYTES] != hashes[i : i + HASH_BYTES]:
                begin = first + i // HASH_BYTES << level
                raise VerificationError(
                    f"events {begin + 1:,} to {begin + (1 << level):,} are not those of their node"
                )


def _check_signed(row: SignedCheckpoint, root: bytes, key: PublicKey) -> None:
    name = f"checkpoint of {row.size:,} events"
    try:
        opened = open_checkpoint(row.note, key)
    except ProofError as error:
        raise VerificationError(f"{name}: {error}") from error
    if (opened.size, opened.at, opened.root.hex()) != (row.size, row.at, row.root):
        raise VerificationError(f"{name}: its row is not what was signed")
    if opened.root != root:
        raise VerificationError(f"{name}: the events are not those that were signed")


def _root(row: SignedCheckpoint) -> bytes:
    try:
        return bytes.fromhex(row.root)
    except ValueError as error:
        raise VerificationError(f"checkpoint of {row.size:,} events: no root", hint=_HINT) from error
