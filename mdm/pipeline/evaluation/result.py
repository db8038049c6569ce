"""What an evaluation against the truth finds."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matching.evaluate import BCubed, Calibration, ClusterCounts, ConfusedPairs, Measures, PairCounts
    from mdm.pipeline.evaluation.households import HouseholdEvaluation

LEAST_PAIRS = 100
"""A group with fewer pairs (by their ends) is shown and not counted as the worst: chance alone would make it so."""


@dataclass(frozen=True)
class RegistryRecall:
    """Records of people who are also in the anchor registry, and how many of them are in one entity with that record."""

    registry: str
    records: int
    found: int

    @property
    def recall(self) -> float:
        return self.found / self.records if self.records else 1.0


@dataclass(frozen=True)
class Group:
    name: str
    measures: Measures


@dataclass(frozen=True)
class Worst:
    group: str
    gap: float
    """By how much the group is below the whole; negative where even the worst is above it."""


@dataclass(frozen=True)
class Dimension:
    """The same measures by registry, age, sex, ... Pairs are counted by their ends (see `matching.evaluate.measure_groups`)."""

    name: str
    groups: list[Group]
    worst_recall: Worst | None
    worst_precision: Worst | None
    """None where no group is large enough."""

    @classmethod
    def of(cls, name: str, groups: list[Group], whole: PairCounts) -> Dimension:
        measured = [(group.name, group.measures.pairs) for group in groups]
        recall = [Worst(n, whole.recall - p.recall) for n, p in measured if p.true >= LEAST_PAIRS]
        precision = [
            Worst(n, whole.precision - p.precision) for n, p in measured if p.predicted >= LEAST_PAIRS
        ]
        return cls(name, groups, _largest_gap(recall), _largest_gap(precision))


@dataclass(frozen=True)
class RuleRecall:
    """`found`: true pairs of records that the rule brings together; `alone`: of these, those that no other rule does."""

    rule: str
    found: int
    alone: int


@dataclass(frozen=True)
class Blocking:
    """`capped`: true pairs that only blocks above the largest size would bring together; `lost`: those that nothing would."""

    true: int
    lost: int
    capped: int
    rules: list[RuleRecall]

    @property
    def recall(self) -> float:
        return 1 - (self.lost + self.capped) / self.true if self.true else 1.0


@dataclass(frozen=True)
class Evaluation:
    records: int
    without_truth: int
    pairs: PairCounts
    b_cubed: BCubed
    clusters: ClusterCounts
    registries: list[RegistryRecall]
    dimensions: list[Dimension] = field(default_factory=list)
    circumstances: list[Group] = field(default_factory=list)
    """By what is special about a record, as its truth tells; a record may be in several of these groups or in none."""
    confused: dict[str, ConfusedPairs] = field(default_factory=dict)
    """Pairs of twins, and of strangers of one name and birthday."""
    calibration: Calibration | None = None
    joined: Calibration | None = None
    """Of the pairs within one entity: for a pair that was left apart another home of its records counts too, which the weight
    of the pair does not know.
    """
    conflicts: tuple[int, int] = (0, 0)
    """Scored pairs that a declared conflict forbids, and how many of them are one person."""
    missed: dict[str, int] = field(default_factory=dict)
    """True pairs that are apart, by why."""
    wrong: dict[str, int] = field(default_factory=dict)
    """Pairs of two people that are together, by what joined them."""
    rules: list[dict[str, Any]] = field(default_factory=list)
    """What each blocking rule cost in the last run, as the run told."""
    blocking: Blocking | None = None
    """None where it was not asked for."""
    rejects_expected: int = 0
    rejects_found: int = 0
    rejects_unexpected: int = 0
    households: HouseholdEvaluation | None = None
    """None where the store has no records of households."""

    def as_dict(self) -> dict[str, Any]:
        return {
            "records": self.records,
            "without_truth": self.without_truth,
            "pairs": _pairs(self.pairs),
            "b_cubed": _b_cubed(self.b_cubed),
            "clusters": _clusters(self.clusters),
            "registries": [{**asdict(r), "recall": r.recall} for r in self.registries],
            "groups": {
                d.name: {
                    "groups": [_group(g) for g in d.groups],
                    "worst_recall": d.worst_recall and asdict(d.worst_recall),
                    "worst_precision": d.worst_precision and asdict(d.worst_precision),
                }
                for d in self.dimensions
            },
            "circumstances": [_group(g) for g in self.circumstances],
            "confused": {name: {**asdict(c), "share": c.share} for name, c in self.confused.items()},
            "calibration": _calibration(self.calibration),
            "calibration_of_joined": _calibration(self.joined),
            "conflicts": {"pairs": self.conflicts[0], "one_person": self.conflicts[1]},
            "missed": self.missed,
            "wrong": self.wrong,
            "rules": self.rules,
            "blocking": self.blocking and {**asdict(self.blocking), "recall": self.blocking.recall},
            "rejects": {
                "expected": self.rejects_expected,
                "found": self.rejects_found,
                "unexpected": self.rejects_unexpected,
            },
            "households": self.households and self.households.as_dict(),
        }


def _largest_gap(found: list[Worst]) -> Worst | None:
    return max(found, key=lambda worst: worst.gap, default=None)


def _pairs(pairs: PairCounts) -> dict[str, Any]:
    return {"precision": pairs.precision, "recall": pairs.recall, "f1": pairs.f1, **asdict(pairs)}


def _b_cubed(measured: BCubed) -> dict[str, float]:
    return {**asdict(measured), "f1": measured.f1}


def _clusters(counts: ClusterCounts) -> dict[str, Any]:
    return {
        **asdict(counts),
        "exact_share": counts.exact_share,
        "false_merges_per_million": counts.false_merges_per_million,
        "split_rate": counts.split_rate,
    }


def _group(group: Group) -> dict[str, Any]:
    measured = group.measures
    return {
        "group": group.name,
        "records": measured.records,
        "pairs": _pairs(measured.pairs),
        "b_cubed": _b_cubed(measured.b_cubed),
        "clusters": _clusters(measured.clusters),
    }


def _calibration(measured: Calibration | None) -> dict[str, Any] | None:
    if measured is None:
        return None
    return {
        "bins": [asdict(b) for b in measured.bins],
        "expected_error": measured.expected_error,
        "balanced_error": measured.balanced_error,
    }
