"""The Merkle tree of RFC 6962 section 2.1 over a log that only grows.

A subtree (level, position) covers the 2^level leaves from position * 2^level on; it is complete when the tree has them all.
Complete subtrees at every eighth level are kept in the store, leaves are level 0. All else is derived from these: a
proof reads at most two runs of 256 hashes for every eight levels, whatever the size of the log.

Hashes are 32 bytes; a run of neighbouring hashes is one `bytes`, packed without separators.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    SubtreeHash = Callable[[int, int], bytes]
    """(level, position) of a complete subtree to its hash."""
    StoredHashes = Callable[[int, int, int], bytes]
    """(level, first position, count) at a kept level to so many packed hashes."""

HASH_BYTES = 32
TILE_LEVELS = 8
"""Levels that are a multiple of this are kept."""
EMPTY_ROOT = hashlib.sha256(b"").digest()

_TILE = 1 << TILE_LEVELS


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


class Run(NamedTuple):
    """Neighbouring complete subtrees of a kept level."""

    level: int
    first: int
    hashes: bytes


class Tiles:
    """Hashes of complete subtrees in a log of `size` leaves, from those that are kept."""

    def __init__(self, read: StoredHashes, size: int) -> None:
        self._read = read
        self._size = size
        self._tiles: dict[tuple[int, int], list[bytes]] = {}

    def __call__(self, level: int, position: int) -> bytes:
        assert (position + 1) << level <= self._size, "the subtree is not complete"
        base, height = level - level % TILE_LEVELS, level % TILE_LEVELS
        tile = position >> (TILE_LEVELS - height)
        start = (position - (tile << (TILE_LEVELS - height))) * HASH_BYTES
        return self._tile(base, tile)[height][start : start + HASH_BYTES]

    def _tile(self, base: int, tile: int) -> list[bytes]:
        """The complete subtrees of a tile, one packed row for each of its eight levels."""
        known = self._tiles.get((base, tile))
        if known is None:
            first = tile << TILE_LEVELS
            row = self._read(base, first, min(_TILE, (self._size >> base) - first))
            known = [row]
            for _ in range(TILE_LEVELS - 1):
                row = _fold(row[: len(row) - len(row) % (2 * HASH_BYTES)])
                known.append(row)
            self._tiles[base, tile] = known
        return known


class Frontier:
    """The right edge of a growing tree: for each set bit of `size`, the hash of the complete subtree of that level."""

    def __init__(self) -> None:
        self.size = 0
        self._peaks: dict[int, bytes] = {}

    @classmethod
    def at(cls, size: int, subtree: SubtreeHash) -> Frontier:
        frontier = cls()
        frontier.size = size
        frontier._peaks = {
            level: subtree(level, (size >> level) - 1)
            for level in range(size.bit_length())
            if size >> level & 1
        }
        return frontier

    def append(self, leaves: bytes) -> list[Run]:
        """Takes packed leaf hashes; returns the subtrees that they complete at kept levels above the leaves."""
        runs = []
        level, first, row = 0, self.size, leaves
        while row:
            if level and level % TILE_LEVELS == 0:
                runs.append(Run(level, first, row))
            if first & 1:
                row = self._peaks.pop(level) + row
            if len(row) % (2 * HASH_BYTES):
                self._peaks[level] = row[-HASH_BYTES:]
                row = row[:-HASH_BYTES]
            level, first, row = level + 1, first >> 1, _fold(row)
        self.size += len(leaves) // HASH_BYTES
        return runs

    def root(self) -> bytes:
        """The tree head of all leaves so far."""
        if not self._peaks:
            return EMPTY_ROOT
        smallest, *others = (self._peaks[level] for level in sorted(self._peaks))
        root = smallest
        for peak in others:
            root = node_hash(peak, root)
        return root


def tree_head(size: int, subtree: SubtreeHash) -> bytes:
    """MTH of the first `size` leaves (RFC 6962 section 2.1)."""
    return _range_hash(0, size, subtree) if size else EMPTY_ROOT


def inclusion_path(leaf: int, size: int, subtree: SubtreeHash) -> list[bytes]:
    """PATH(leaf, D[size]), from the leaf's sibling up (RFC 6962 section 2.1.1)."""
    return [_range_hash(step.begin, step.end, subtree) for step in reversed(_descent(leaf, size))]


def consistency_proof(old: int, new: int, subtree: SubtreeHash) -> list[bytes]:
    """PROOF(old, D[new]) for 0 < old <= new (RFC 6962 section 2.1.2)."""
    part = _old_part(old, new)
    path = [] if part.is_all_of_old else [_range_hash(part.begin, old, subtree)]
    return path + [_range_hash(step.begin, step.end, subtree) for step in reversed(part.steps)]


def verify_inclusion(leaf_hash: bytes, *, leaf: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    if not 0 <= leaf < size:
        return False
    steps = _descent(leaf, size)
    if len(path) != len(steps):
        return False
    found = leaf_hash
    for step, sibling in zip(reversed(steps), path, strict=True):
        found = node_hash(sibling, found) if step.is_left else node_hash(found, sibling)
    return found == root


def verify_consistency(
    old: int, new: int, *, path: Sequence[bytes], old_root: bytes, new_root: bytes
) -> bool:
    """Whether the tree of `new` leaves begins with the tree of `old` leaves; an empty old tree is refused."""
    if not 0 < old <= new:
        return False
    part = _old_part(old, new)
    given = [old_root, *path] if part.is_all_of_old else list(path)
    if len(given) != len(part.steps) + 1:
        return False
    found_old = found_new = given[0]
    for step, sibling in zip(reversed(part.steps), given[1:], strict=True):
        if step.is_left:
            found_old, found_new = node_hash(sibling, found_old), node_hash(sibling, found_new)
        else:
            found_new = node_hash(found_new, sibling)
    return found_old == old_root and found_new == new_root


class _Step(NamedTuple):
    """The half that is left aside on the way down, and whether it is the left one."""

    begin: int
    end: int
    is_left: bool


@dataclass(frozen=True)
class _OldPart:
    """The subtree from `begin` on that ends where the old tree ended, and the steps down to it."""

    begin: int
    steps: list[_Step]

    @property
    def is_all_of_old(self) -> bool:
        return self.begin == 0


def _descent(leaf: int, size: int) -> list[_Step]:
    """From the root to a leaf; a tree splits at the largest power of two below its size."""
    steps = []
    begin, end = 0, size
    while end - begin > 1:
        split = begin + (1 << (end - begin - 1).bit_length() - 1)
        if leaf < split:
            steps.append(_Step(split, end, is_left=False))
            end = split
        else:
            steps.append(_Step(begin, split, is_left=True))
            begin = split
    return steps


def _old_part(old: int, new: int) -> _OldPart:
    begin, end = 0, new
    steps: list[_Step] = []
    for step in _descent(old - 1, new):
        if end == old:
            break
        steps.append(step)
        if step.is_left:
            begin = step.end
        else:
            end = step.begin
    return _OldPart(begin, steps)


def _range_hash(begin: int, end: int, subtree: SubtreeHash) -> bytes:
    """MTH of the leaves of one half of a split: its complete subtrees from left to right, joined from the right."""
    level = (end - begin).bit_length() - 1
    if end - begin == 1 << level:
        return subtree(level, begin >> level)
    split = begin + (1 << level)
    return node_hash(subtree(level, begin >> level), _range_hash(split, end, subtree))


def _fold(row: bytes) -> bytes:
    """The next level of an even number of packed hashes."""
    sha256, pair = hashlib.sha256, 2 * HASH_BYTES
    return b"".join([sha256(b"\x01" + row[i : i + pair]).digest() for i in range(0, len(row), pair)])
