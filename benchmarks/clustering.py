"""Clustering beside plain components: `python -m benchmarks.clustering --records 1000000`.

Two sets of scored pairs, each with its truth:

- *registries*: people with one to nine records; records of one person score high, strangers of one name score low, a few records
  hold too little and link two strangers.
- *dense*: records with few and spoilt fields, as in FEBRL: every record is scored with some twenty others, and the weights
  of right and wrong pairs overlap.

Weights are drawn from the logarithm of a likelihood ratio of two normal distributions, so they mean what they say. The
best threshold of the components is searched with the truth in hand; `wholes_at_that` takes over the threshold, nothing else.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from matching.cluster import cluster
from matching.clustering.components import components
from matching.clustering.inputs import NO_CONFLICT, Edges, Rules
from matching.evaluate import cluster_counts, pair_counts

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

    Ids = NDArray[np.int64]

_KEEP = -20.0
_RULES = Rules(link=14, merge=4, unscored=-1, largest=300)


@dataclass(frozen=True)
class Drawn:
    truth: Ids
    edges: Edges


def draw(records: int, *, separation: float, strangers: float, spoilt: float, seed: int) -> Drawn:
    """Scored pairs of people with one to nine records.

    Args:
        records: about so many.
        separation: bits between the means of right pairs and of strangers.
        strangers: pairs of strangers for each record, drawn within villages of some fifty records.
        spoilt: share of records of which little is known; their weights are halved and shifted towards a match.
        seed: of the generator.
    """
    generator = np.random.default_rng(seed)
    sizes = generator.integers(1, 10, size=max(1, records // 5))
    truth = np.repeat(np.arange(len(sizes)), sizes)
    start = np.repeat(np.cumsum(sizes) - sizes, sizes)
    end = start + np.repeat(sizes, sizes)
    place = np.arange(len(truth))
    later = end - place - 1
    left = np.repeat(place, later)
    right = left + 1 + np.arange(len(left)) - np.repeat(np.cumsum(later) - later, later)
    other = generator.integers(0, len(truth), size=int(strangers * len(truth)))
    near = np.clip(other + generator.integers(1, 50, size=len(other)), 0, len(truth) - 1)
    apart = truth[other] != truth[near]
    pairs = np.concatenate([np.stack([left, right]), np.stack([other[apart], near[apart]])], axis=1)
    pairs = np.unique(pairs, axis=1)
    right_pair = truth[pairs[0]] == truth[pairs[1]]
    # log-likelihood ratio of N(+s/2, s) against N(-s/2, s) in bits, less the prior that splits the range
    deviation = np.sqrt(separation / np.log(2))
    weight = np.where(right_pair, separation / 2, -separation / 2) + deviation * generator.normal(
        size=pairs.shape[1]
    )
    thin = generator.random(len(truth)) < spoilt
    weight = np.where(thin[pairs].any(axis=0), weight / 2 + 4, weight)
    kept = weight >= _KEEP
    return Drawn(
        truth, Edges(pairs[0, kept], pairs[1, kept], weight[kept], np.full(int(kept.sum()), NO_CONFLICT))
    )


def quality(truth: Ids, found: Ids) -> dict[str, float]:
    pairs = pair_counts(truth, found)
    return {
        "f1": round(pairs.f1, 5),
        "precision": round(pairs.precision, 5),
        "recall": round(pairs.recall, 5),
        "false_merges": cluster_counts(truth, found).false_merges,
    }


def compare(drawn: Drawn) -> dict[str, Any]:
    record = np.arange(len(drawn.truth))
    edges = drawn.edges

    def plain(threshold: float) -> Ids:
        strong = edges.weight >= threshold
        return components(len(record), edges.left[strong], edges.right[strong])

    started = time.perf_counter()
    at_link = plain(_RULES.link)
    plain_seconds = time.perf_counter() - started
    started = time.perf_counter()
    ours = cluster(record, edges, rules=_RULES)
    seconds = time.perf_counter() - started
    thresholds = np.arange(4.0, 41.0, 2.0).tolist()
    best = max(thresholds, key=lambda threshold: pair_counts(drawn.truth, plain(threshold)).f1)
    return {
        "records": len(record),
        "edges": len(edges),
        "components": {"seconds": round(plain_seconds, 2), **quality(drawn.truth, at_link)},
        "components_at_best": {"threshold": best, **quality(drawn.truth, plain(best))},
        "wholes": {
            "seconds": round(seconds, 2),
            "examined": ours.examined,
            "refined": ours.refined,
            **quality(drawn.truth, ours.cluster),
        },
        "wholes_at_that": quality(
            drawn.truth, cluster(record, edges, rules=replace(_RULES, link=best)).cluster
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    sets = {
        "registries": {"separation": 60.0, "strangers": 0.5, "spoilt": 0.02},
        "dense": {"separation": 30.0, "strangers": 10.0, "spoilt": 0.1},
    }
    for name, shape in sets.items():
        print(json.dumps({"set": name, **compare(draw(given.records, seed=given.seed, **shape))}))


if __name__ == "__main__":
    main()
