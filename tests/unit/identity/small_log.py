"""A log in memory, with its proofs as the store would give them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mdm.identity.checkpoint import Checkpoint, origin_of, public_key, sign_checkpoint
from mdm.identity.merkle import Tiles, consistency_proof, inclusion_path, tree_head
from mdm.identity.verifier import CONSISTENCY, INCLUSION

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
ORIGIN = origin_of("7d9f3a52-0000-4000-8000-000000000001")
PUBLIC = str(public_key(KEY, ORIGIN))


def leaf_of(content: bytes) -> bytes:
    return sha256(b"\x00" + content).digest()


def definition(leaves: list[bytes]) -> bytes:
    """MTH, word for word as RFC 6962 section 2.1 defines it, over leaf hashes."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return sha256(b"\x01" + definition(leaves[:k]) + definition(leaves[k:])).digest()


def kept(leaves: list[bytes]):
    """The leaves as a reader of kept hashes, computing nodes from the definition."""

    def read(level: int, first: int, count: int) -> bytes:
        width = 1 << level
        assert (first + count) * width <= len(leaves), "a subtree that is not complete was asked for"
        return b"".join(definition(leaves[p * width : (p + 1) * width]) for p in range(first, first + count))

    return read


def tiles(leaves: list[bytes]) -> Tiles:
    return Tiles(kept(leaves), len(leaves))


@dataclass(frozen=True)
class SmallLog:
    size: int

    @cached_property
    def bodies(self) -> list[str]:
        return [
            json.dumps(
                {"data": {"name": "Đỗ Thị Bưởi"}, "kind": "entity.formed", "seq": n + 1}, ensure_ascii=False
            )
            for n in range(self.size)
        ]

    @cached_property
    def leaves(self) -> list[bytes]:
        return [leaf_of(body.encode()) for body in self.bodies]

    def checkpoint(self, size: int | None = None) -> str:
        size = size or self.size
        root = tree_head(size, tiles(self.leaves[:size]))
        at = f"2026-01-02T03:04:05.{size:06d}+00:00"
        return sign_checkpoint(Checkpoint(ORIGIN, size, root, at), KEY)

    def inclusion(self, leaf: int) -> dict:
        return {
            "format": INCLUSION,
            "leaf_index": leaf,
            "tree_size": self.size,
            "path": [node.hex() for node in inclusion_path(leaf, self.size, tiles(self.leaves))],
            "body": self.bodies[leaf],
            "checkpoint": self.checkpoint(),
        }

    def consistency(self, old: int) -> dict:
        return {
            "format": CONSISTENCY,
            "old_size": old,
            "new_size": self.size,
            "path": [node.hex() for node in consistency_proof(old, self.size, tiles(self.leaves))],
            "old_checkpoint": self.checkpoint(old),
            "new_checkpoint": self.checkpoint(),
        }
