"""Named streams of random numbers: each part of the simulation draws from its own, so that a change in one leaves the
others as they were. Independent of PYTHONHASHSEED.
"""

from __future__ import annotations

import hashlib

import numpy as np


def stream(seed: int, *names: str | int) -> np.random.Generator:
    name = "/".join(str(part) for part in names).encode()
    word = int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "little")
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, word])))
