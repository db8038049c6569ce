"""What is special about a record, kept as bits while it is made and as words in the truth."""

from __future__ import annotations

from enum import IntFlag, auto
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Tag(IntFlag):
    TWIN = auto()
    SAME_NAME_STRANGER = auto()
    BORROWED_IDENTITY = auto()
    SECOND_PAPERS = auto()
    COPIED = auto()
    DUPLICATE = auto()
    DEAD = auto()
    FOREIGN = auto()
    MINORITY = auto()
    RENUMBERED = auto()
    NUMBER_OF_RELATIVE = auto()
    PAYEE_NOT_BENEFICIARY = auto()
    NAME_ERROR = auto()
    BIRTH_ERROR = auto()
    NUMBER_ERROR = auto()
    UNNAMED = auto()


def words(bits: NDArray[np.int64]) -> pa.Array:
    """A list of tag words for each row."""
    distinct, places = np.unique(bits, return_inverse=True)
    lists = [[tag.name.lower() for tag in Tag if int(value) & tag and tag.name] for value in distinct]
    return pa.array(lists, pa.list_(pa.string())).take(pa.array(places.reshape(-1)))
