"""The small vocabulary of comparison levels, each declared once with two executors: SQL and Python.

Strings compare in ASCII-only forms: DuckDB's distances work on bytes, jellyfish's on characters, and on ASCII they agree.
A level that cannot be decided because a value is missing does not hold.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import jellyfish
from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from collections.abc import Mapping


class _Level(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    term_frequency: str | None = None
    """Column whose value frequencies adjust the weight of this level: a rare shared value is stronger evidence."""
    m: float | None = Field(None, gt=0, le=1)
    """Fixes the m probability where training without labels cannot learn it."""
    u: float | None = Field(None, gt=0, le=1)


class Equal(_Level):
    """All columns equal and present on both sides."""

    equal: list[str]

    @property
    def columns(self) -> list[str]:
        return self.equal

    def sql(self) -> str:
        return " AND ".join(f'"{c}_l" = "{c}_r"' for c in self.equal)

    def holds(self, left: Mapping[str, Any], right: Mapping[str, Any]) -> bool:
        return all(left.get(c) is not None and left.get(c) == right.get(c) for c in self.equal)


class JaroWinkler(_Level):
    jaro_winkler: str
    at_least: float = Field(ge=0, le=1)

    @property
    def columns(self) -> list[str]:
        return [self.jaro_winkler]

    def sql(self) -> str:
        return f'jaro_winkler_similarity("{self.jaro_winkler}_l", "{self.jaro_winkler}_r") >= {self.at_least}'

    def holds(self, left: Mapping[str, Any], right: Mapping[str, Any]) -> bool:
        a, b = left.get(self.jaro_winkler), right.get(self.jaro_winkler)
        return a is not None and b is not None and jellyfish.jaro_winkler_similarity(a, b) >= self.at_least


class Distance(_Level):
    """Damerau-Levenshtein distance: one typing error (also two letters or digits exchanged) counts one."""

    distance: str
    at_most: int = Field(ge=1)

    @property
    def columns(self) -> list[str]:
        return [self.distance]

    def sql(self) -> str:
        return f'damerau_levenshtein("{self.distance}_l", "{self.distance}_r") <= {self.at_most}'

    def holds(self, left: Mapping[str, Any], right: Mapping[str, Any]) -> bool:
        a, b = left.get(self.distance), right.get(self.distance)
        return (
            a is not None and b is not None and jellyfish.damerau_levenshtein_distance(a, b) <= self.at_most
        )


class Within(_Level):
    """Two whole numbers differ by at most this much."""

    within: str
    at_most: int = Field(ge=1)

    @property
    def columns(self) -> list[str]:
        return [self.within]

    def sql(self) -> str:
        return f'abs("{self.within}_l" - "{self.within}_r") <= {self.at_most}'

    def holds(self, left: Mapping[str, Any], right: Mapping[str, Any]) -> bool:
        a, b = left.get(self.within), right.get(self.within)
        return a is not None and b is not None and abs(a - b) <= self.at_most


class Swapped(_Level):
    """Two columns exchanged between the sides (day and month), other columns equal."""

    swapped: tuple[str, str]
    equal: list[str] = []

    @property
    def columns(self) -> list[str]:
        return [*self.swapped, *self.equal]

    def sql(self) -> str:
        one, two = self.swapped
        parts = [
            f'"{one}_l" = "{two}_r"',
            f'"{two}_l" = "{one}_r"',
            *(f'"{c}_l" = "{c}_r"' for c in self.equal),
        ]
        return " AND ".join(parts)

    def holds(self, left: Mapping[str, Any], right: Mapping[str, Any]) -> bool:
        one, two = self.swapped
        values = (left.get(one), left.get(two), right.get(one), right.get(two))
        if any(v is None for v in values):
            return False
        crossed = values[0] == values[3] and values[1] == values[2]
        return crossed and all(left.get(c) is not None and left.get(c) == right.get(c) for c in self.equal)


class Overlap(_Level):
    """Two lists share an element."""

    overlap: str

    @property
    def columns(self) -> list[str]:
        return [self.overlap]

    def sql(self) -> str:
        return f'list_has_any("{self.overlap}_l", "{self.overlap}_r")'

    def holds(self, left: Mapping[str, Any], right: Mapping[str, Any]) -> bool:
        a, b = left.get(self.overlap), right.get(self.overlap)
        return a is not None and b is not None and not set(a).isdisjoint(b)


class Shared(_Level):
    """Two lists have this many elements in common, and these are so much of both lists together or of the shorter one.

    Shares are whole percents, so that no rounding parts the executors.
    """

    shared: str
    at_least: int = Field(1, ge=1)
    percent_of_both: int = Field(0, ge=0, le=100)
    """Of the elements that either list has (Jaccard)."""
    percent_of_shorter: int = Field(0, ge=0, le=100)

    @property
    def columns(self) -> list[str]:
        return [self.shared]

    def sql(self) -> str:
        one, two = (f'len(list_distinct("{self.shared}_{side}"))' for side in "lr")
        common = f'len(list_intersect("{self.shared}_l", "{self.shared}_r"))'
        parts = [f"{common} >= {self.at_least}"]
        if self.percent_of_both:
            parts.append(f"100 * {common} >= {self.percent_of_both} * ({one} + {two} - {common})")
        if self.percent_of_shorter:
            parts.append(f"100 * {common} >= {self.percent_of_shorter} * least({one}, {two})")
        return " AND ".join(parts)

    def holds(self, left: Mapping[str, Any], right: Mapping[str, Any]) -> bool:
        a, b = left.get(self.shared), right.get(self.shared)
        if a is None or b is None:
            return False
        one, two = set(a), set(b)
        common = len(one & two)
        return (
            common >= self.at_least
            and 100 * common >= self.percent_of_both * len(one | two)
            and 100 * common >= self.percent_of_shorter * min(len(one), len(two))
        )


class EqualOrMissing(_Level):
    """Columns equal, while `missing` is absent on at least one side (a date of which one office knows the year only)."""

    equal: list[str]
    missing: str

    @property
    def columns(self) -> list[str]:
        return [*self.equal, self.missing]

    def sql(self) -> str:
        same = " AND ".join(f'"{c}_l" = "{c}_r"' for c in self.equal)
        return f'{same} AND ("{self.missing}_l" IS NULL OR "{self.missing}_r" IS NULL)'

    def holds(self, left: Mapping[str, Any], right: Mapping[str, Any]) -> bool:
        if left.get(self.missing) is not None and right.get(self.missing) is not None:
            return False
        return all(left.get(c) is not None and left.get(c) == right.get(c) for c in self.equal)


class AllOf(_Level):
    all_of: list[Level]

    @property
    def columns(self) -> list[str]:
        return [c for level in self.all_of for c in level.columns]

    def sql(self) -> str:
        return " AND ".join(f"({level.sql()})" for level in self.all_of)

    def holds(self, left: Mapping[str, Any], right: Mapping[str, Any]) -> bool:
        return all(level.holds(left, right) for level in self.all_of)


class AnyOf(_Level):
    any_of: list[Level]

    @property
    def columns(self) -> list[str]:
        return [c for level in self.any_of for c in level.columns]

    def sql(self) -> str:
        return " OR ".join(f"({level.sql()})" for level in self.any_of)

    def holds(self, left: Mapping[str, Any], right: Mapping[str, Any]) -> bool:
        return any(level.holds(left, right) for level in self.any_of)


class Otherwise(_Level):
    """The last level of every comparison."""

    otherwise: Literal[True]

    @property
    def columns(self) -> list[str]:
        return []

    def sql(self) -> str:
        return "ELSE"

    def holds(self, left: Mapping[str, Any], right: Mapping[str, Any]) -> bool:  # noqa: ARG002
        return True


Level = Annotated[
    EqualOrMissing
    | Swapped
    | Equal
    | JaroWinkler
    | Distance
    | Within
    | Overlap
    | Shared
    | AllOf
    | AnyOf
    | Otherwise,
    Field(union_mode="left_to_right"),
]
AllOf.model_rebuild()
AnyOf.model_rebuild()
