"""Social-security numbers: form, check digit, and the keyed permutation that gives the n-th number.

A number is twelve digits: eleven from a keyed permutation of a sequence and a Verhoeff check digit. The first digit tells
what it is: 2 to 9 a social-security number, 1 a temporary beneficiary number. A personal ID begins with 0, so the two
never collide.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from stdnum import verhoeff

from mdm.errors import IdentityError
from mdm.identity.numbers import NumberKind

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers import CipherContext
    from numpy.typing import NDArray

_ROUNDS = 10


@dataclass(frozen=True)
class _Range:
    first: int
    """The smallest eleven-digit value of this kind."""
    size: int
    side: int
    """Feistel halves run over 0..side-1; side squared is the smallest square that covers `size`."""


_RANGES = {
    NumberKind.SSN: _Range(first=2 * 10**10, size=8 * 10**10, side=282_843),
    NumberKind.TEMPORARY: _Range(first=10**10, size=10**10, side=10**5),
}


class NumberPlan:
    """Gives the n-th number of a kind. The key is 32 secret bytes; another key gives other numbers.

    The permutation is a balanced Feistel network over Z_side x Z_side with AES as round function and cycle walking
    into the range (Black and Rogaway, Ciphers with Arbitrary Finite Domains, CT-RSA 2002).
    """

    def __init__(self, key: bytes) -> None:
        if len(key) != 32:
            raise IdentityError("The SSN key must be 32 bytes.", hint="Create one with `mdm init`.")
        self._key = key
        self._cipher = Cipher(algorithms.AES(key), modes.ECB())  # noqa: S305

    @property
    def fingerprint(self) -> str:
        """Tells whether two plans use one key without telling the key."""
        return hashlib.sha256(b"ssn-key-fingerprint\x00" + self._key).hexdigest()[:16]

    def numbers(self, kind: NumberKind, *, start: int, count: int) -> list[str]:
        """Numbers `start` to `start + count - 1` of the sequence, as twelve-digit strings."""
        span = _RANGES[kind]
        if start < 0 or start + count > span.size:
            raise IdentityError(f"The sequence of {kind} numbers is exhausted at {span.size:,}.")
        values = self._permute(np.arange(start, start + count, dtype=np.uint64), span, kind) + np.uint64(
            span.first
        )
        return [text + verhoeff.calc_check_digit(text) for text in values.astype("U11").tolist()]

    def _permute(self, values: NDArray[np.uint64], span: _Range, kind: NumberKind) -> NDArray[np.uint64]:
        out = self._feistel(values, span.side, kind)
        while (outside := out >= span.size).any():
            out[outside] = self._feistel(out[outside], span.side, kind)
        return out

    def _feistel(self, values: NDArray[np.uint64], side: int, kind: NumberKind) -> NDArray[np.uint64]:
        left, right = np.divmod(values, np.uint64(side))
        encryptor = self._cipher.encryptor()
        for number in range(_ROUNDS):
            left, right = right, (left + _round(encryptor, right, number, kind)) % np.uint64(side)
        return left * np.uint64(side) + right


def _round(
    encryptor: CipherContext, half: NDArray[np.uint64], number: int, kind: NumberKind
) -> NDArray[np.uint64]:
    """AES of (kind, round, half) as one block each: ECB over distinct single blocks is the PRF that is wanted."""
    blocks = np.zeros((len(half), 2), dtype=">u8")
    blocks[:, 0] = (list(NumberKind).index(kind) << 8) | number
    blocks[:, 1] = half
    sealed = np.frombuffer(encryptor.update(blocks.tobytes()), dtype=">u8")
    # the low 44 bits keep the sum below 2**45; the bias modulo `side` is below 2**-25
    return (sealed[::2] & np.uint64((1 << 44) - 1)).astype(np.uint64)


def kind_of(number: str) -> NumberKind | None:
    """The kind of a well-formed number with a right check digit, else None."""
    if (
        len(number) != 12
        or not number.isascii()
        or not number.isdecimal()
        or number[0] == "0"
        or not verhoeff.is_valid(number)
    ):
        return None
    return NumberKind.TEMPORARY if number[0] == "1" else NumberKind.SSN
