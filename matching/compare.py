"""What another model would change: two partitions of the same records side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Labels = NDArray[np.int64]

Kind = Literal["split", "joined", "moved"]
KINDS: tuple[Kind, ...] = ("split", "joined", "moved")


@dataclass(frozen=True)
class PartitionChanges:
    """Clusters that overlap hang together in a group; a group is unchanged where it is one cluster before and after.

    `group` has for each record the place of its group in `kinds`, -1 where nothing changed. One cluster that becomes
    several is split, several that become one are joined, and several that become several others have records moved.
    """

    group: Labels
    kinds: list[Kind]

    def counts(self) -> dict[Kind, int]:
        return {kind: self.kinds.count(kind) for kind in KINDS}


def partition_changes(before: Labels, after: Labels) -> PartitionChanges:
    """Labels of the same records, in the same order."""
    one, other = (np.unique(labels, return_inverse=True)[1] for labels in (before, after))
    sizes = one.max(initial=-1) + 1, other.max(initial=-1) + 1
    graph = coo_array(
        (np.ones(len(one), dtype=np.int8), (one, sizes[0] + other)), shape=(sum(sizes), sum(sizes))
    )
    component = connected_components(graph, directed=False)[1]
    count = component.max(initial=-1) + 1
    former, latter = (
        np.bincount(part, minlength=count) for part in (component[: sizes[0]], component[sizes[0] :])
    )
    changed = np.flatnonzero((former > 1) | (latter > 1))
    place = np.full(count, -1, dtype=np.int64)
    place[changed] = np.arange(len(changed))
    kinds: list[Kind] = [
        "split" if b == 1 else "joined" if a == 1 else "moved"
        for b, a in zip(former[changed].tolist(), latter[changed].tolist(), strict=True)
    ]
    return PartitionChanges(place[component[one]], kinds)
