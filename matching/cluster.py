"""From scored pairs to clusters: evidence between whole clusters, under constraints.

1. Records that links connect are a component; no join reaches beyond it, since a join needs a link.
2. A component in which no pair is below `merge` or kept apart is a cluster as it is; pairs that were not scored are scored to see it.
3. In the others clusters are joined as wholes (`matching.clustering.agglomeration`).

The result depends on records and pairs alone, not on their order: ties break on record ids, sums are of whole numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from matching.clustering.agglomeration import NO_LINK, Between, agglomerate
from matching.clustering.components import components, cut, pairs_within
from matching.clustering.constraints import FREE, Apart
from matching.clustering.inputs import Decided, Edges, Evidence, Rules, bits, millibits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from matching.clustering.agglomeration import Joined
    from matching.clustering.constraints import Constraint
    from matching.clustering.inputs import Flags, Ids

AMBIGUOUS = "ambiguous"
"""One side goes as well with a third, and the other side and the third are apart: nobody can tell, so nobody guesses."""
CONTRADICTED = "contradicted"
"""As wholes they are more likely two people than one."""
WEAK = "weak_evidence"
"""As wholes they are more likely one, not likely enough."""
TOO_LARGE = "too_large"
"""The link was among the weakest of a component too large to be looked at as one."""


_PAIRS_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class Refused:
    """A link between two clusters that were not joined: the strongest of them, and why it was not enough.

    `evidence`: bits between the clusters as wholes. `reason`: a constraint's name or one of the four above.
    """

    left: int
    right: int
    weight: float
    evidence: float
    reason: str


@dataclass(frozen=True)
class Clusters:
    """`cluster[i]` is the cluster of `record[i]`, named by the smallest record id in it.

    `examined`: records of components of which not all pairs were scored well; `refined`: those joined as wholes.
    """

    record: Ids
    cluster: Ids
    refused: list[Refused]
    examined: int
    refined: int


def cluster(
    record: Ids,
    edges: Edges,
    *,
    rules: Rules,
    constraints: Sequence[Constraint] = (),
    decided: Decided | None = None,
    score: Callable[[Ids, Ids], Evidence] | None = None,
) -> Clusters:
    """Clusters of all `record` ids (sorted, unique).

    Args:
        record: the records.
        edges: scored pairs of them, left < right; those below `rules.merge` are not needed where there is `score`.
        rules: thresholds.
        constraints: what may never be in one cluster; the first that holds is named.
        decided: people's decisions; those on records that are not there are left aside.
        score: evidence for any pairs of records. Without it a pair that is not among the edges counts `rules.unscored`.
    """
    known = (decided or Decided.none()).among(record)
    apart = Apart(constraints, known.cannot, rules.conflicts)
    placed = Edges(
        np.searchsorted(record, edges.left),
        np.searchsorted(record, edges.right),
        edges.weight,
        edges.conflict,
    )
    links = placed.of((placed.weight >= rules.link) & (placed.conflict < 0))
    left, right = (
        np.concatenate([links.left, known.must[:, 0]]),
        np.concatenate([links.right, known.must[:, 1]]),
    )
    weight = np.concatenate([links.weight, np.full(len(known.must), np.inf)])
    component = components(len(record), left, right)
    looked_at = _needing_a_closer_look(component, placed, apart, rules)
    pieces = cut(component, left, right, weight, of=looked_at, largest=rules.largest)
    start = components(len(record), known.must[:, 0], known.must[:, 1])
    found, refused, refined = pieces, _cut_away(record, pieces, links), 0
    for batch in _batches(pieces, looked_at):
        one, two = pairs_within(pieces, batch)
        evidence = (
            score(record[one], record[two])
            if score is not None
            else Evidence.of_edges(one, two, placed, unscored=rules.unscored)
        )
        code = apart.codes(one, two, evidence.conflict)
        link, merge = millibits(np.array([rules.link, rules.merge])).tolist()
        doubtful = np.isin(pieces, pieces[one[(evidence.weight < merge) | (code != FREE)]])
        inside = doubtful[one]
        joined = agglomerate(
            start,
            Between.of_pairs(
                one[inside],
                two[inside],
                evidence.of(inside),
                apart=code[inside],
                link=link,
                odds=rules.odds_of_alternative,
            ),
            component=pieces,
            merge=merge,
            margin=link,
            sure=apart.sure,
            odds=rules.odds_of_alternative,
        )
        found = np.where(doubtful, joined.cluster, found)
        refused += _refused(record, joined, apart, odds=rules.odds_of_alternative)
        refined += int(doubtful.sum())
    return Clusters(
        record=record,
        cluster=record[found],
        refused=sorted(refused, key=lambda r: (r.left, r.right)),
        examined=int(looked_at.sum()),
        refined=refined,
    )


def _batches(pieces: Ids, looked_at: Flags) -> Iterator[Flags]:
    """Whole pieces, so many that memory holds their pairs."""
    names, sizes = np.unique(pieces[looked_at], return_counts=True)
    number = np.cumsum(sizes * (sizes - 1) // 2) // _PAIRS_AT_ONCE
    for batch in np.unique(number):
        yield looked_at & np.isin(pieces, names[number == batch])


def _needing_a_closer_look(component: Ids, edges: Edges, apart: Apart, rules: Rules) -> Flags:
    """Records of components in which some pair is not scored, speaks against, or is kept apart."""
    size = np.bincount(component, minlength=len(component))
    edges = edges.of((component[edges.left] == component[edges.right]) & (edges.weight >= rules.merge))
    good = apart.codes(edges.left, edges.right, edges.conflict) == FREE
    agreeing = np.bincount(component[edges.left[good]], minlength=len(component))
    looked_at: Flags = (agreeing < size * (size - 1) // 2)[component]
    return looked_at


def _refused(record: Ids, joined: Joined, apart: Apart, *, odds: float) -> list[Refused]:
    left_apart, weight = joined.left_apart, joined.left_apart.weight(odds)
    names = apart.names
    found = []
    for row in np.flatnonzero(left_apart.best > NO_LINK).tolist():
        if left_apart.apart[row] != FREE:
            reason = names[left_apart.apart[row]]
        elif joined.ambiguous[row]:
            reason = AMBIGUOUS
        else:
            reason = CONTRADICTED if weight[row] < 0 else WEAK
        found.append(
            Refused(
                left=int(record[left_apart.left[row]]),
                right=int(record[left_apart.right[row]]),
                weight=bits(int(left_apart.best[row])),
                evidence=bits(round(float(weight[row]))),
                reason=reason,
            )
        )
    return found


def _cut_away(record: Ids, pieces: Ids, links: Edges) -> list[Refused]:
    """The strongest link between every two pieces of a component that was cut."""
    across = pieces[links.left] != pieces[links.right]
    if not across.any():
        return []
    links = links.of(across)
    ends = np.sort(np.stack([pieces[links.left], pieces[links.right]], axis=1), axis=1)
    order = np.lexsort((links.right, links.left, -links.weight, ends[:, 1], ends[:, 0]))
    first = order[np.unique(ends[order], axis=0, return_index=True)[1]]
    return [
        Refused(
            int(record[links.left[row]]),
            int(record[links.right[row]]),
            float(links.weight[row]),
            float(links.weight[row]),
            TOO_LARGE,
        )
        for row in first.tolist()
    ]
