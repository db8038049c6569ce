"""Verifies a proof from the event log, standing alone: this one file, Python 3.11 and the `cryptography` package.

    python verifier.py PROOF.json PUBLIC.key [KEPT-CHECKPOINT.txt]

says in plain words what was proved and exits 0, or says the first thing that is wrong and exits 1. The third file is a
checkpoint that the reader kept from an earlier day: it must then be one of those of the proof. That also binds whoever
holds the log's key and could sign a rewritten log.

Nothing is taken from the proof that is not derived again: leaf hash from the event, root from the path (RFC 9162 sections
2.1.3.2 and 2.1.4.2, over the hashes of RFC 6962 section 2.1), signature over the note, ID of the key. `merkle.py` verifies
paths too; the duplication is intended, so that this file can be handed to an auditor and read in one sitting.

A checkpoint is a signed note (c2sp.org/signed-note, c2sp.org/tlog-checkpoint): origin, size, base64 root, time. Spellings
that decode to the same bytes (base64 with stray bits, capital hexadecimal) are refused.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

INCLUSION = "mdm-log-inclusion/1"
CONSISTENCY = "mdm-log-consistency/1"
ED25519 = b"\x01"
"""The signature type of signed notes."""

_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")
_SIGNATURE = re.compile(r"— ([^\s+]+) (\S+)")
_MOST_SIGNATURES = 100


class ProofError(Exception):
    """The first thing that is wrong with a proof, a note or a key."""


@dataclass(frozen=True)
class Checkpoint:
    """What a signed note states: the root hash of the first `size` events."""

    origin: str
    size: int
    root: bytes
    at: str
    """When it was signed, RFC 3339 in UTC; the word of the signer."""


@dataclass(frozen=True)
class PublicKey:
    """An Ed25519 key under the name by which notes are signed; as text NAME+KEY_ID+BASE64."""

    name: str
    public: bytes

    @property
    def key_id(self) -> bytes:
        """The first four bytes of SHA-256(name || newline || signature type || public key)."""
        return hashlib.sha256(self.name.encode() + b"\n" + ED25519 + self.public).digest()[:4]

    @classmethod
    def parse(cls, text: str) -> PublicKey:
        parts = text.removesuffix("\n").removesuffix("\r").split("+", 2)
        if len(parts) != 3 or not parts[0]:
            raise ProofError("the public key is not of the form NAME+KEY_ID+BASE64")
        name, key_id, encoded = parts
        decoded = _decoded(encoded, "the public key")
        if decoded[:1] != ED25519 or len(decoded) != 33:
            raise ProofError("the public key is not an Ed25519 key")
        _utf8(name, "the public key")
        key = cls(name, decoded[1:])
        if key_id != key.key_id.hex():
            raise ProofError("the public key's ID is not that of the key")
        return key

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(ED25519 + self.public).decode()}"


def verify(proof: object, public_key: str, *, kept: str | None = None) -> str:
    """Says in plain words what the proof proves.

    Args:
        proof: what the JSON text of the proof holds.
        public_key: the log's key as text.
        kept: a checkpoint of an earlier day, as the signed note.

    Raises:
        ProofError: with the first thing that is wrong.
    """
    key = PublicKey.parse(public_key)
    if not isinstance(proof, dict) or proof.get("format") not in (INCLUSION, CONSISTENCY):
        raise ProofError(f"the proof is neither {INCLUSION} nor {CONSISTENCY}")
    told, checkpoints = (_inclusion if proof["format"] == INCLUSION else _consistency)(proof, key)
    if kept is None:
        return told
    return f"{told} {_agrees(open_checkpoint(kept, key), checkpoints)}"


def open_checkpoint(note: str, key: PublicKey) -> Checkpoint:
    lines = open_note(note, key).split("\n")
    if len(lines) != 5 or not _NUMBER.fullmatch(lines[1]) or not lines[3].startswith("time "):
        raise ProofError("the checkpoint does not state origin, size, root and time")
    if lines[0] != key.name:
        raise ProofError("the checkpoint is of another log than the public key")
    root = _decoded(lines[2], "the checkpoint's root")
    if len(root) != 32:
        raise ProofError("the checkpoint's root is not a hash")
    return Checkpoint(lines[0], int(lines[1]), root, lines[3].removeprefix("time "))


def open_note(note: str, key: PublicKey) -> str:
    """The text that the key signed, with its last newline. Signatures by other keys are passed over."""
    text, blank, signatures = note.rpartition("\n\n")
    text += "\n"
    lines = signatures.removesuffix("\n").split("\n")
    if not blank or not signatures.endswith("\n") or len(lines) > _MOST_SIGNATURES:
        raise ProofError("the checkpoint is not a signed note")
    if any(ord(letter) < 32 and letter != "\n" for letter in note):
        raise ProofError("the checkpoint holds control characters")
    signed = False
    for line in lines:
        match = _SIGNATURE.fullmatch(line)
        if match is None:
            raise ProofError("the checkpoint has a line that is not a signature")
        decoded = _decoded(match[2], "a signature")
        if match[1] == key.name and decoded[:4] == key.key_id:
            _check_signature(decoded[4:], text, key)
            signed = True
    if not signed:
        raise ProofError("the checkpoint is not signed by this key")
    return text


def _check_signature(signature: bytes, text: str, key: PublicKey) -> None:
    try:
        Ed25519PublicKey.from_public_bytes(key.public).verify(signature, _utf8(text, "the checkpoint"))
    except InvalidSignature:
        raise ProofError("the checkpoint's signature is wrong") from None


def _inclusion(proof: dict[str, Any], key: PublicKey) -> tuple[str, list[Checkpoint]]:
    _fields(proof, {"format", "leaf_index", "tree_size", "path", "body", "checkpoint"})
    index, size = _number(proof, "leaf_index"), _number(proof, "tree_size")
    checkpoint = open_checkpoint(_text(proof, "checkpoint"), key)
    if size != checkpoint.size:
        raise ProofError("the proof's tree_size is not that of its checkpoint")
    body = _text(proof, "body")
    leaf = hashlib.sha256(b"\x00" + _utf8(body, "the event")).digest()
    if _root_of_inclusion(leaf, index, size, _path(proof)) != checkpoint.root:
        raise ProofError(f"event {index + 1:,} as given here is not in the log that was signed")
    event = _json(body, "the event")
    if not isinstance(event, dict) or event.get("seq") != index + 1:
        raise ProofError("the event's own number is not its place in the log")
    told = f"Event {index + 1:,} of kind {event.get('kind')} is in the log of {size:,} events signed at {checkpoint.at} by {key.name}."
    return told, [checkpoint]


def _consistency(proof: dict[str, Any], key: PublicKey) -> tuple[str, list[Checkpoint]]:
    _fields(proof, {"format", "old_size", "new_size", "path", "old_checkpoint", "new_checkpoint"})
    old = open_checkpoint(_text(proof, "old_checkpoint"), key)
    new = open_checkpoint(_text(proof, "new_checkpoint"), key)
    if (_number(proof, "old_size"), _number(proof, "new_size")) != (old.size, new.size):
        raise ProofError("the proof's sizes are not those of its checkpoints")
    _check_consistency(old, new, _path(proof))
    told = (
        f"The log of {new.size:,} events signed at {new.at} by {key.name} begins with the {old.size:,} events "
        f"signed at {old.at}: none of them was changed, taken out or put in between."
    )
    return told, [old, new]


def _agrees(kept: Checkpoint, checkpoints: list[Checkpoint]) -> str:
    same = [found for found in checkpoints if found.size == kept.size]
    if not same:
        raise ProofError(f"the kept checkpoint is of {kept.size:,} events; the proof has none of that size")
    if any(found.root != kept.root for found in same):
        raise ProofError(f"the first {kept.size:,} events are not those of the kept checkpoint")
    return f"The kept checkpoint of {kept.size:,} events agrees."


def _root_of_inclusion(leaf: bytes, index: int, size: int, path: list[bytes]) -> bytes | None:
    """RFC 9162 section 2.1.3.2; None where the path has the wrong length."""
    if index >= size:
        raise ProofError("the proof's leaf_index lies outside the log")
    place, last, root = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            return None
        if place & 1 or place == last:
            root = _node(sibling, root)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            root = _node(root, sibling)
        place, last = place >> 1, last >> 1
    return root if last == 0 else None


def _check_consistency(old: Checkpoint, new: Checkpoint, path: list[bytes]) -> None:
    if not 0 < old.size <= new.size:
        raise ProofError("the sizes of the checkpoints are not in order")
    # the root of a complete old tree is itself the first hash of the path, and left out of it
    hashes = path if old.size & (old.size - 1) and old.size < new.size else [old.root, *path]
    if _roots_of_consistency(old.size, new.size, hashes) != (old.root, new.root):
        raise ProofError(f"the first {old.size:,} events are not those that were signed then")


def _roots_of_consistency(old: int, new: int, hashes: list[bytes]) -> tuple[bytes, bytes] | None:
    """Old and new root by RFC 9162 section 2.1.4.2; None where the path has the wrong length."""
    if not hashes or old == new:
        return (hashes[0], hashes[0]) if len(hashes) == 1 else None
    place, last = old - 1, new - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    old_root = new_root = hashes[0]
    for sibling in hashes[1:]:
        if last == 0:
            return None
        if place & 1 or place == last:
            old_root, new_root = _node(sibling, old_root), _node(sibling, new_root)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            new_root = _node(new_root, sibling)
        place, last = place >> 1, last >> 1
    return (old_root, new_root) if last == 0 else None


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def _fields(proof: dict[str, Any], names: set[str]) -> None:
    if proof.keys() != names:
        raise ProofError(f"the proof must have the fields {', '.join(sorted(names))} and no other")


def _number(proof: dict[str, Any], name: str) -> int:
    value = proof[name]
    if type(value) is not int or value < 0:
        raise ProofError(f"the proof's {name} is not a number")
    return value


def _text(proof: dict[str, Any], name: str) -> str:
    value = proof[name]
    if not isinstance(value, str):
        raise ProofError(f"the proof's {name} is not a text")
    return value


def _path(proof: dict[str, Any]) -> list[bytes]:
    path = proof["path"]
    if not isinstance(path, list) or not all(
        isinstance(text, str) and re.fullmatch("[0-9a-f]{64}", text) for text in path
    ):
        raise ProofError("the proof's path is not a list of hashes")
    return [bytes.fromhex(text) for text in path]


def _decoded(text: str, what: str) -> bytes:
    try:
        decoded = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        decoded = b""
    if not decoded or base64.b64encode(decoded).decode() != text:
        raise ProofError(f"{what} is not base64")
    return decoded


def _utf8(text: str, what: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise ProofError(f"{what} holds letters that are none") from None


def _json(text: str, what: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_without_repetition)
    except (ValueError, RecursionError):
        raise ProofError(f"{what} is not JSON") from None


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Of a repeated name one program would read the first value and another the last."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError
    return found


def read_text(path: str | Path) -> str:
    try:
        return Path(path).read_bytes().decode()
    except (OSError, ValueError):
        raise ProofError(f"{path} cannot be read as text") from None


def read_json(path: str | Path) -> Any:
    return _json(read_text(path), "the proof")


def main(arguments: list[str]) -> int:
    if len(arguments) not in (2, 3):
        sys.stderr.write("usage: python verifier.py PROOF.json PUBLIC.key [KEPT-CHECKPOINT.txt]\n")
        return 2
    try:
        proof, public_key, *kept = arguments
        told = verify(read_json(proof), read_text(public_key), kept=read_text(kept[0]) if kept else None)
    except ProofError as error:
        sys.stdout.write(f"NOT PROVED: {error}.\n")
        return 1
    sys.stdout.write(f"{told}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
