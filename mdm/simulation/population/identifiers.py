"""Numbers by the true rules: each function gives text columns for people told by arrays of one length."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]

MST_WEIGHTS = np.array([31, 29, 23, 19, 17, 13, 7, 5, 3])
SERIALS = 10_000_000
SHARED_CMND_RANGE = (1_450_001, 1_500_000)
"""Numbers 271450001 to 271500000 were issued by both Đồng Nai and Bà Rịa - Vũng Tàu."""
SHARED_CMND_PROVINCES = ("L75", "L77")


def unique_within(
    rng: np.random.Generator, *, group: Ints, digits: int, valid: Callable[[Ints], Bools] | None = None
) -> Ints:
    """Random numbers below 10^digits, no two the same within a group and all of them valid.

    `valid` is asked about group * 10^digits + number. Endless where a group has more members than valid numbers.
    """
    size = 10**digits
    keys = group * size
    open_places = np.arange(len(group))
    while len(open_places):
        keys[open_places] = group[open_places] * size + rng.integers(0, size, len(open_places))
        refused = np.zeros(len(keys), bool)
        if valid is not None:
            refused[open_places] = ~valid(keys[open_places])
        order = np.argsort(keys, kind="stable")
        refused[order[1:][keys[order[1:]] == keys[order[:-1]]]] = True  # the first holder keeps the number
        open_places = np.flatnonzero(refused)
    return np.asarray(keys - group * size)


def digits_text(numbers: Ints, width: int, *, present: Bools | None = None) -> pa.Array:
    texts = pc.utf8_lpad(pa.array(numbers).cast(pa.string()), width, "0")
    return texts if present is None else only(texts, present)


def only(texts: pa.Array, present: Bools) -> pa.Array:
    return pc.if_else(pa.array(present), texts, pa.scalar(None, pa.string()))


def personal_ids(rng: np.random.Generator, *, place: Ints, female: Ints, birth_year: Ints) -> Ints:
    """Province of birth registration (3), sex and century (1), year (2), six digits of no meaning.

    The fourth digit is 0 and 1 for men and women of the 1900s, 2 and 3 of the 2000s; the few born before 1900 take the
    1900s. No two people ever share a number, so both numbers of a re-established one come from one call.
    """
    century = np.maximum(birth_year // 100 - 19, 0)
    head = (place * 10 + century * 2 + female) * 100 + birth_year % 100
    return np.asarray(head * 1_000_000 + unique_within(rng, group=head, digits=6))


def cmnds(rng: np.random.Generator, *, prefix: Ints, province: Sequence[str], shared: Bools) -> Ints:
    """Nine digits: province prefix (2) and a serial. One province never issues a number twice, but two did.

    `shared` marks the people whose number lies in the range that both provinces issued: as far as there are as many in
    the other province, each number has two holders.
    """
    low, high = SHARED_CMND_RANGE
    numbers = prefix * SERIALS + unique_within(
        rng, group=prefix, digits=7, valid=lambda keys: (keys % SERIALS < low) | (keys % SERIALS > high)
    )
    holders = [np.flatnonzero(shared & (np.asarray(province) == code)) for code in SHARED_CMND_PROVINCES]
    most = max(len(side) for side in holders)
    serials = low + rng.permutation(high - low + 1)[:most]
    for side in holders:
        number = min(len(side), len(serials))  # beyond the range's size people keep their ordinary numbers
        numbers[side[:number]] = prefix[side[:number]] * SERIALS + serials[:number]
    return np.asarray(numbers)


def tax_codes(rng: np.random.Generator, *, office: Ints) -> Ints:
    """Ten digits, the last of which checks the others: 10 - (sum of weighted digits mod 11).

    Numbers whose check would need two digits are never issued.
    """
    body = office * SERIALS + unique_within(
        rng, group=office, digits=7, valid=lambda b: weighted_digits(b) % 11 > 0
    )
    return np.asarray(body * 10 + 10 - weighted_digits(body) % 11)


def weighted_digits(body: Ints) -> Ints:
    places = 10 ** np.arange(8, -1, -1)
    return np.asarray((body[:, None] // places % 10) @ MST_WEIGHTS)


def phones(rng: np.random.Generator, *, prefixes: Ints) -> Ints:
    """Ten-digit mobile numbers without the leading zero: prefix (2) and seven digits."""
    return np.asarray(prefixes * SERIALS + unique_within(rng, group=prefixes, digits=7))
