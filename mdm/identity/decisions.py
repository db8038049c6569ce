"""People's decisions on two records, and what follows from them.

Must-link is an equivalence; cannot-link holds between everything that is must-linked to its two records. Decisions are
between records, so they outlive every clustering and every model.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import networkx as nx

from mdm.identity.commands import DecisionKind

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

# beyond so many, two sides are kept apart by a star of pairs instead of all of them
_ALL_PAIRS_UP_TO = 2_000


@dataclass(frozen=True, slots=True)
class Decision:
    """`left` < `right` are record IDs."""

    kind: DecisionKind
    left: int
    right: int


class Decisions:
    """Standing decisions, closed over must-link."""

    def __init__(self, standing: Iterable[Decision]) -> None:
        standing = list(standing)
        linked: nx.Graph[int] = nx.Graph()
        linked.add_edges_from((d.left, d.right) for d in standing if d.kind is DecisionKind.MUST_LINK)
        self._same = {
            record: min(component) for component in nx.connected_components(linked) for record in component
        }
        self._apart: dict[tuple[int, int], Decision] = {}
        for d in standing:
            if d.kind is DecisionKind.CANNOT_LINK:
                pair = ordered(self.group(d.left), self.group(d.right))
                self._apart.setdefault(pair, d)

    def group(self, record: int) -> int:
        """The smallest record that is must-linked to it: the same for all of a group."""
        return self._same.get(record, record)

    def forbidding(self, left: Collection[int], right: Collection[int]) -> Decision | None:
        """The cannot-link that keeps two sets of records apart, if there is one."""
        for one, two in product({self.group(r) for r in left}, {self.group(r) for r in right}):
            if (decision := self._apart.get(ordered(one, two))) is not None:
                return decision
        return None

    def dividing(self, left: Collection[int], right: Collection[int]) -> int | None:
        """A group that is must-linked and has records on both sides, if there is one."""
        both = {self.group(r) for r in left} & {self.group(r) for r in right}
        return min(both) if both else None

    def contradiction(self) -> Decision | None:
        """A cannot-link inside a must-linked group."""
        return next((d for (one, two), d in sorted(self._apart.items()) if one == two), None)


def ordered(one: int, two: int) -> tuple[int, int]:
    return (one, two) if one <= two else (two, one)


def across(left: Collection[int], right: Collection[int]) -> list[tuple[int, int]]:
    """Pairs that keep two sides apart: all of them, or between large sides each record with the other side's first."""
    if not left or not right:
        return []
    if len(left) * len(right) <= _ALL_PAIRS_UP_TO:
        pairs = {ordered(a, b) for a, b in product(left, right)}
    else:
        pairs = {ordered(a, min(right)) for a in left} | {ordered(min(left), b) for b in right}
    return sorted(pairs)
