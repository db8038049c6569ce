"""What `mdm evaluate` shows to a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mdm.cli.terminal import number, out, table

if TYPE_CHECKING:
    from matching.estimate import Interval
    from mdm.pipeline.evaluation import Evaluation
    from mdm.pipeline.evaluation.by_sample import SampleEvaluation
    from mdm.pipeline.evaluation.households import HouseholdEvaluation
    from mdm.pipeline.evaluation.result import Group, Worst

_MANY = 12
"""Of more groups than this the lowest recalls are shown."""


def evaluation(result: Evaluation) -> None:
    _whole(result)
    recall = table("Found with the population record", "Registry", "Records", "Recall", right=(1, 2))
    for registry in result.registries:
        recall.add_row(registry.registry, number(registry.records), f"{registry.recall:.4f}")
    out.print(recall)
    for dimension in result.dimensions:
        groups = dimension.groups
        if len(groups) > _MANY:
            groups = sorted(groups, key=lambda g: (g.measures.pairs.recall, g.name))[:_MANY]
        few = (
            f" ({len(groups)} lowest recalls of {len(dimension.groups)})"
            if len(groups) < len(dimension.groups)
            else ""
        )
        _groups(f"By {dimension.name}{few}", groups)
        out.print(
            f"Worst recall: {_worst(dimension.worst_recall)}. Worst precision: {_worst(dimension.worst_precision)}.\n"
        )
    _groups("By what is special about a record", result.circumstances)
    _calibration(result)
    _blocking(result)
    if result.households is not None:
        _households(result.households)


def _whole(result: Evaluation) -> None:
    shown = table("Against the truth", "Measure", "Value", right=(1,))
    for name, measured in (("pairs", result.pairs), ("B-cubed", result.b_cubed)):
        shown.add_row(f"precision ({name})", f"{measured.precision:.5f}")
        shown.add_row(f"recall ({name})", f"{measured.recall:.5f}")
        shown.add_row(f"F1 ({name})", f"{measured.f1:.5f}")
    clusters = result.clusters
    shown.add_row(
        "people found exactly", f"{clusters.exact:,} of {clusters.people:,} ({clusters.exact_share:.2%})"
    )
    shown.add_row("entities that hold two people", number(clusters.false_merges))
    shown.add_row("… per million people", f"{clusters.false_merges_per_million:,.1f}")
    shown.add_row("people in more than one entity", f"{clusters.split_people:,} ({clusters.split_rate:.2%})")
    for name, pairs in result.confused.items():
        shown.add_row(
            f"merged, {name.replace('_', ' ')}",
            f"{pairs.merged:,} of {pairs.pairs:,} pairs ({pairs.share:.2%})",
        )
    shown.add_row("rows that had to be rejected", f"{result.rejects_found:,} of {result.rejects_expected:,}")
    shown.add_row("rows rejected without need", number(result.rejects_unexpected))
    for title, counts in (
        ("true pairs apart", result.missed),
        ("pairs of two people together", result.wrong),
    ):
        for why, count in counts.items():
            shown.add_row(f"{title}: {why.replace('_', ' ')}", number(count))
    out.print(shown)


def _groups(title: str, groups: list[Group]) -> None:
    columns = (
        "Group",
        "Records",
        "Precision",
        "Recall",
        "F1",
        "B³ F1",
        "Exact",
        "Split",
        "False merges per million",
    )
    shown = table(title, *columns, right=tuple(range(1, len(columns))))
    for group in groups:
        m = group.measures
        shown.add_row(
            group.name,
            number(m.records),
            f"{m.pairs.precision:.4f}",
            f"{m.pairs.recall:.4f}",
            f"{m.pairs.f1:.4f}",
            f"{m.b_cubed.f1:.4f}",
            f"{m.clusters.exact_share:.2%}",
            f"{m.clusters.split_rate:.2%}",
            f"{m.clusters.false_merges_per_million:,.0f}",
        )
    out.print(shown)


def _worst(worst: Worst | None) -> str:
    return "no group is large enough" if worst is None else f"{worst.group}, {worst.gap:.2%} below the whole"


def _calibration(result: Evaluation) -> None:
    if result.calibration is None:
        return
    shown = table(
        "Scored pairs: predicted and true", "Weight (bits)", "Pairs", "Predicted", "True", "Joined", "True", right=(1, 2, 3, 4, 5)
    )  # fmt: skip
    joined = {b.low: b for b in result.joined.bins} if result.joined else {}
    for b in result.calibration.bins:
        of_joined = joined.get(b.low)
        shown.add_row(
            f"{b.low:g} to {b.high:g}",
            number(b.pairs),
            f"{b.predicted:.4f}",
            f"{b.observed:.4f}",
            number(of_joined.pairs) if of_joined else "",
            f"{of_joined.observed:.4f}" if of_joined else "",
        )
    out.print(shown)
    pairs, same = result.conflicts
    out.print(
        f"Expected calibration error {result.calibration.expected_error:.4f} over pairs, {result.calibration.balanced_error:.4f} over bins. "
        f"Pairs that a conflict forbids: {pairs:,}, of which {same:,} are one person.\n"
    )


def _blocking(result: Evaluation) -> None:
    if not result.rules and result.blocking is None:
        return
    measured = {} if result.blocking is None else {rule.rule: rule for rule in result.blocking.rules}
    shown = table(
        "Blocking", "Rule", "Pairs", "Largest block", "Skipped pairs", "True pairs found", "By it alone", right=(1, 2, 3, 4, 5)
    )  # fmt: skip
    costs = {str(rule["rule"]): rule for rule in result.rules}
    for name in dict.fromkeys([*costs, *measured]):
        cost, rule = costs.get(name, {}), measured.get(name)
        shown.add_row(
            name,
            number(cost.get("pairs")),
            number(cost.get("largest_block")),
            number(cost.get("skipped_pairs")),
            number(rule.found if rule else None),
            number(rule.alone if rule else None),
        )
    out.print(shown)
    if (blocking := result.blocking) is not None:
        out.print(
            f"Of {blocking.true:,} true pairs {blocking.lost:,} meet in no rule, {blocking.capped:,} only in blocks that are too large: "
            f"recall of blocking {blocking.recall:.5f}."
        )
    else:
        out.print("What each rule finds of the true pairs: --blocking.")


def _households(found: HouseholdEvaluation) -> None:
    """Pairs of records of households: of all, and by the kinds of list that the two are of."""
    shown = table(
        "Households against the truth", "Pairs of records", "True", "Precision", "Recall", "F1", right=(1, 2, 3, 4)
    )  # fmt: skip
    kinds = {f"{one} and {other}".replace("_", " "): pairs for (one, other), pairs in found.lists.items()}
    for name, pairs in {"all": found.pairs, **kinds}.items():
        shown.add_row(
            name,
            number(pairs.true),
            f"{pairs.precision:.5f}",
            f"{pairs.recall:.5f}",
            f"{pairs.f1:.5f}",
        )
    out.print(shown)
    clusters = found.clusters
    out.print(
        f"Households found exactly: {clusters.exact:,} of {clusters.people:,} ({clusters.exact_share:.2%}). "
        f"Entities that hold two households: {clusters.false_merges:,}. "
        f"Households in more than one entity: {clusters.split_people:,} ({clusters.split_rate:.2%}). "
        f"Of {found.records:,} records; {found.without_truth:,} more have no truth."
    )


def estimates(result: SampleEvaluation) -> None:
    shown = table(
        "Estimated from clerical reviews", "Measure", "Estimate", "95% interval", "Unsure are one person", "Unsure are two", right=(1, 2, 3, 4)
    )  # fmt: skip
    for name in ("precision", "recall", "f1"):
        found, same, different = (
            getattr(estimated, name)
            for estimated in (result.estimates, result.if_unsure_are_same, result.if_unsure_are_different)
        )
        shown.add_row(
            name,
            f"{found.estimate:.4f}",
            _interval(found),
            f"{same.estimate:.4f}",
            f"{different.estimate:.4f}",
        )
    missed = result.estimates.missed
    shown.add_row(
        "pairs not linked that are one person",
        f"{missed.estimate:,.0f}",
        f"{missed.low:,.0f} to {missed.high:,.0f}",
    )
    out.print(shown)
    strata = table(
        "Strata", "Linked", "Pairs", "Drawn", "One person", "Two", "Unsure", "Share of one person", right=(1, 2, 3, 4, 5, 6)
    )  # fmt: skip
    for s in result.strata:
        strata.add_row(
            "yes" if s.linked else "no",
            *(number(n) for n in (s.pairs, s.drawn, s.same, s.different, s.unsure)),
            _interval(s.share),
        )
    out.print(strata)
    out.print(
        f"Of run {result.run}, finished {result.finished_at}{'' if result.sealed else '; without sealed registries'}. "
        "Recall is of the true pairs among those linked or scored: pairs that were never compared are not in it."
    )
    if result.unanswered:
        rows = ", ".join(map(str, result.unanswered[:20]))
        out.print(
            f"{len(result.unanswered):,} rows have no answer yet: {rows}{' …' if len(result.unanswered) > 20 else ''}"
        )


def _interval(of: Interval) -> str:
    return f"{of.low:.4f} to {of.high:.4f}"
