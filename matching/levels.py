"""The small vocabulary of comparison levels, each declared once with two executors: SQL and Python.

`test` compiles a level to a function of two records; a record has every column of the model, None where it says nothing.
Strings compare in ASCII-only forms: DuckDB's distances work on bytes, rapidfuzz's on characters, and on ASCII they agree.
A level that cannot be decided because a value is missing does not hold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from rapidfuzz.distance import DamerauLevenshtein
from rapidfuzz.distance import JaroWinkler as Jaro

Record = Mapping[str, Any]
Test = Callable[[Record, Record], bool]


def _equal(columns: list[str]) -> Test:
    if len(columns) == 1:
        column = columns[0]
        return lambda left, right: (value := left[column]) is not None and value == right[column]

    def holds(left: Record, right: Record) -> bool:
        for column in columns:  # a loop takes a third of the time of all() here
            value = left[column]
            if value is None or value != right[column]:
                return False
        return True

    return holds


def _all(tests: list[Test]) -> Test:
    def holds(left: Record, right: Record) -> bool:
        for test in tests:  # noqa: SIM110
            if not test(left, right):
                return False
        return True

    return holds


def _any(tests: list[Test]) -> Test:
    def holds(left: Record, right: Record) -> bool:
        for test in tests:  # noqa: SIM110
            if test(left, right):
                return True
        return False

    return holds


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

    def test(self) -> Test:
        return _equal(self.equal)


class JaroWinkler(_Level):
    jaro_winkler: str
    at_least: float = Field(ge=0, le=1)

    @property
    def columns(self) -> list[str]:
        return [self.jaro_winkler]

    def sql(self) -> str:
        values = f'"{self.jaro_winkler}_l", "{self.jaro_winkler}_r"'
        return f"jaro_winkler_similarity({values}, {self.at_least}) >= {self.at_least}"

    def test(self) -> Test:
        column, at_least, similarity = self.jaro_winkler, self.at_least, Jaro.similarity

        def holds(left: Record, right: Record) -> bool:
            a, b = left[column], right[column]
            return a is not None and b is not None and similarity(a, b) >= at_least

        return holds


class Distance(_Level):
    """Damerau-Levenshtein distance: one typing error (also two letters or digits exchanged) counts one."""

    distance: str
    at_most: int = Field(ge=1)

    @property
    def columns(self) -> list[str]:
        return [self.distance]

    def sql(self) -> str:
        return f'damerau_levenshtein("{self.distance}_l", "{self.distance}_r") <= {self.at_most}'

    def test(self) -> Test:
        column, at_most, distance = self.distance, self.at_most, DamerauLevenshtein.distance

        def holds(left: Record, right: Record) -> bool:
            a, b = left[column], right[column]
            return a is not None and b is not None and distance(a, b) <= at_most

        return holds


class Within(_Level):
    """Two whole numbers differ by at most this much."""

    within: str
    at_most: int = Field(ge=1)

    @property
    def columns(self) -> list[str]:
        return [self.within]

    def sql(self) -> str:
        return f'abs("{self.within}_l" - "{self.within}_r") <= {self.at_most}'

    def test(self) -> Test:
        column, at_most = self.within, self.at_most

        def holds(left: Record, right: Record) -> bool:
            a, b = left[column], right[column]
            return a is not None and b is not None and abs(a - b) <= at_most

        return holds


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

    def test(self) -> Test:
        (one, two), same = self.swapped, _equal(self.equal)

        def holds(left: Record, right: Record) -> bool:
            a, b = left[one], left[two]
            return (
                a is not None and b is not None and a == right[two] and b == right[one] and same(left, right)
            )

        return holds


class Overlap(_Level):
    """Two lists share an element."""

    overlap: str

    @property
    def columns(self) -> list[str]:
        return [self.overlap]

    def sql(self) -> str:
        return f'list_has_any("{self.overlap}_l", "{self.overlap}_r")'

    def test(self) -> Test:
        column = self.overlap

        def holds(left: Record, right: Record) -> bool:
            a, b = left[column], right[column]
            if a is None or b is None:
                return False
            for value in a:  # noqa: SIM110
                if value in b:
                    return True
            return False

        return holds


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

    def test(self) -> Test:
        column, at_least = self.shared, self.at_least
        of_both, of_shorter = self.percent_of_both, self.percent_of_shorter

        def holds(left: Record, right: Record) -> bool:
            a, b = left[column], right[column]
            if a is None or b is None:
                return False
            one, two = set(a), set(b)
            common = len(one & two)
            return (
                common >= at_least
                and 100 * common >= of_both * len(one | two)
                and 100 * common >= of_shorter * min(len(one), len(two))
            )

        return holds


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

    def test(self) -> Test:
        missing, same = self.missing, _equal(self.equal)
        return lambda left, right: (left[missing] is None or right[missing] is None) and same(left, right)


class Present(_Level):
    """Both records have all these columns."""

    present: list[str]

    @property
    def columns(self) -> list[str]:
        return self.present

    def sql(self) -> str:
        return " AND ".join(f'"{c}_{side}" IS NOT NULL' for c in self.present for side in "lr")

    def test(self) -> Test:
        columns = self.present
        if len(columns) == 1:
            column = columns[0]
            return lambda left, right: left[column] is not None and right[column] is not None
        return lambda left, right: all(left[c] is not None and right[c] is not None for c in columns)


class AllOf(_Level):
    all_of: list[Level]

    @property
    def columns(self) -> list[str]:
        return [c for level in self.all_of for c in level.columns]

    def sql(self) -> str:
        return " AND ".join(f"({level.sql()})" for level in self.all_of)

    def test(self) -> Test:
        return _all([level.test() for level in self.all_of])


class AnyOf(_Level):
    any_of: list[Level]

    @property
    def columns(self) -> list[str]:
        return [c for level in self.any_of for c in level.columns]

    def sql(self) -> str:
        return " OR ".join(f"({level.sql()})" for level in self.any_of)

    def test(self) -> Test:
        return _any([level.test() for level in self.any_of])


class Otherwise(_Level):
    """The last level of every comparison."""

    otherwise: Literal[True]

    @property
    def columns(self) -> list[str]:
        return []

    def sql(self) -> str:
        return "ELSE"

    def test(self) -> Test:
        return lambda _left, _right: True


Level = Annotated[
    EqualOrMissing
    | Swapped
    | Equal
    | JaroWinkler
    | Distance
    | Within
    | Overlap
    | Present
    | Shared
    | AllOf
    | AnyOf
    | Otherwise,
    Field(union_mode="left_to_right"),
]
AllOf.model_rebuild()
AnyOf.model_rebuild()
