"""What may never be in one cluster. A constraint judges pairs of records; clusters are apart if any pair across them is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matching.clustering.inputs import Flags, Ids

DECISION = "decision"
"""The constraint that a person's cannot-link is."""
FREE = np.iinfo(np.int64).max
"""The code of a pair that nothing keeps apart."""


class Constraint(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def sure(self) -> bool:
        """Somebody vouches for it. Otherwise an error in one of the two records may be behind it."""
        ...

    def apart(self, left: Ids, right: Ids) -> Flags:
        """Of pairs of places in the list of records."""
        ...


@dataclass(frozen=True)
class Exclusion:
    """Records that carry one label are never in one cluster (two records of a registry that is free of duplicates).

    `label` has one number for each record, -1 where the rule says nothing.
    """

    name: str
    label: Ids
    sure: ClassVar[bool] = True

    def apart(self, left: Ids, right: Ids) -> Flags:
        found: Flags = (self.label[left] == self.label[right]) & (self.label[left] >= 0)
        return found


@dataclass(frozen=True)
class Verified:
    """Records that carry two labels are never in one cluster (two numbers that an office of trust confirmed)."""

    name: str
    label: Ids
    sure: ClassVar[bool] = True

    def apart(self, left: Ids, right: Ids) -> Flags:
        one, two = self.label[left], self.label[right]
        found: Flags = (one != two) & (one >= 0) & (two >= 0)
        return found


@dataclass(frozen=True)
class Impossible:
    """Two records that differ in all these facts by more than `beyond` are two people (another sex and another year of birth).

    `facts` has a row for each record and a column for each fact, -1 where it is missing.
    """

    name: str
    facts: Ids
    beyond: Ids
    sure: ClassVar[bool] = False

    def apart(self, left: Ids, right: Ids) -> Flags:
        one, two = self.facts[left], self.facts[right]
        found: Flags = ((np.abs(one - two) > self.beyond) & (one >= 0) & (two >= 0)).all(axis=1)
        return found


@dataclass(frozen=True)
class Apart:
    """All constraints, decisions first. `names[code]` is the constraint of a code."""

    constraints: Sequence[Constraint]
    cannot: Ids
    conflicts: tuple[str, ...]

    @property
    def names(self) -> list[str]:
        return [DECISION, *(c.name for c in self.constraints), *(f"conflict.{c}" for c in self.conflicts)]

    @property
    def sure(self) -> list[int]:
        """Codes of what somebody vouches for: people's decisions and some constraints."""
        return [0, *(number for number, c in enumerate(self.constraints, start=1) if c.sure)]

    def codes(self, left: Ids, right: Ids, conflict: Ids) -> Ids:
        """Of each pair (left < right): the first constraint that keeps it apart, or FREE."""
        code = np.full(len(left), FREE, dtype=np.int64)
        code = np.where(conflict >= 0, 1 + len(self.constraints) + conflict, code)
        for number in reversed(range(len(self.constraints))):
            code[self.constraints[number].apart(left, right)] = 1 + number
        if len(self.cannot):
            size = 1 + max(int(right.max(initial=0)), int(self.cannot.max()))
            code[np.isin(left * size + right, self.cannot[:, 0] * size + self.cannot[:, 1])] = 0
        return code
