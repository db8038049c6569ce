"""A checkpoint of the event log: what is signed, and by whom. `verifier.py` opens it again.

The text is a transparency-log checkpoint (c2sp.org/tlog-checkpoint) with the moment of signing as its extension line,
sealed as a signed note (c2sp.org/signed-note) with Ed25519 (RFC 8032).
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from mdm.identity.verifier import Checkpoint, PublicKey

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def origin_of(store_id: str) -> str:
    """The log's name, which is also the name of its key."""
    return f"mdm-log/{store_id}"


def public_key(key: Ed25519PrivateKey, origin: str) -> PublicKey:
    return PublicKey(origin, key.public_key().public_bytes_raw())


def checkpoint_text(checkpoint: Checkpoint) -> str:
    root = base64.b64encode(checkpoint.root).decode()
    return f"{checkpoint.origin}\n{checkpoint.size}\n{root}\ntime {checkpoint.at}\n"


def signed_note(text: str, key: Ed25519PrivateKey, name: str) -> str:
    """The text, which must end in a newline, with its signature line."""
    signature = public_key(key, name).key_id + key.sign(text.encode())
    return f"{text}\n— {name} {base64.b64encode(signature).decode()}\n"


def sign_checkpoint(checkpoint: Checkpoint, key: Ed25519PrivateKey) -> str:
    return signed_note(checkpoint_text(checkpoint), key, checkpoint.origin)


__all__ = [
    "Checkpoint",
    "PublicKey",
    "checkpoint_text",
    "origin_of",
    "public_key",
    "sign_checkpoint",
    "signed_note",
]
