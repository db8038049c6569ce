"""One record against an index of all others, by the keys and weights of the batch: the same pairs, the same weights to 1e-6.

The index holds, for every active record, its blocking keys and its features. Who keeps it is not said here.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Protocol

from matching.blocking import divided_keys
from matching.scorer import Scorer

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from matching.artefact import TrainedModel
    from matching.blocking import Divided
    from matching.levels import Record
    from matching.scorer import ScoredPair

Pair = tuple[int, int]


class Index(Protocol):
    def blocks(self, keys: Collection[int], *, most: int) -> Mapping[int, Sequence[int]]:
        """Key to the records that have it; of a key that more than `most` records have, `most` + 1 of them."""
        ...

    def features(self, records: Collection[int]) -> Mapping[int, Record]:
        """Of those that are in the index, with every column that the model reads."""
        ...


class OnlineMatcher:
    """Compiled once for a trained model; safe to share between threads."""

    def __init__(self, trained: TrainedModel) -> None:
        self.trained, self.model = trained, trained.declaration
        self.hash = trained.hash
        self.scorer = Scorer(trained)

    def keys(self, features: Record) -> Divided:
        return divided_keys(self.model, features)

    def candidates(self, arriving: Mapping[int, Divided], index: Index) -> set[Pair]:
        """Pairs (smaller number first) of which an arriving record is one and that share a block which is not too large.

        Args:
            arriving: number to keys, of records that the index holds as they are now, or (0 or less) does not hold.
            index: of all records.
        """
        coarse: dict[int, set[int]] = defaultdict(set)
        fine: dict[int, dict[int, set[int]]] = defaultdict(lambda: defaultdict(set))
        for record, of in arriving.items():
            for key, parts in of.items():
                coarse[key].add(record)
                for part in parts:
                    fine[key][part].add(record)
        pairs, large = self._pairs(coarse, index)
        again: dict[int, set[int]] = defaultdict(set)
        for key in large:
            for part, records in fine[key].items():
                again[part] |= records
        return pairs | self._pairs(again, index)[0]

    def _pairs(self, having: Mapping[int, set[int]], index: Index) -> tuple[set[Pair], list[int]]:
        """Pairs within the blocks of these keys, and the keys of blocks that are too large."""
        if not having:
            return set(), []
        most = self.model.largest_block
        pairs: set[Pair] = set()
        large: list[int] = []
        blocks = index.blocks(having.keys(), most=most)
        for key, records in having.items():
            block = records.union(blocks.get(key, ()))
            if len(block) > most:
                large.append(key)
                continue
            pairs.update(
                (min(one, other), max(one, other)) for one in records for other in block if one != other
            )
        return pairs, large

    def score(self, pairs: Iterable[Pair], features: Mapping[int, Record]) -> dict[Pair, ScoredPair]:
        """Those at or above the keep threshold, and all conflicts; `features` of both sides of every pair."""
        keep = self.model.thresholds.keep
        found = {}
        for one, other in pairs:
            pair = self.scorer.score(features[one], features[other])
            if pair.weight >= keep or pair.conflict is not None:
                found[one, other] = pair
        return found
