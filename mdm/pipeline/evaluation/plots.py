"""Plots of an evaluation against the truth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup
from scipy.stats import binomtest

from matching.evaluate import probability
from mdm.pipeline.drawing import INK, SOFT, WARM, figure_of, svg
from mdm.pipeline.evaluation.result import LEAST_PAIRS

if TYPE_CHECKING:
    from mdm.pipeline.evaluation.result import Evaluation


def evaluation_plots(result: Evaluation) -> dict[str, Markup]:
    return {"groups": _groups(result), "calibration": _calibration(result), "blocking": _blocking(result)}


def _groups(result: Evaluation) -> Markup:
    """Recall of each group that is large enough, beside the whole."""
    shown = [
        (f"{dimension.name}: {group.name}", group.measures.pairs.recall)
        for dimension in result.dimensions
        for group in dimension.groups
        if group.measures.pairs.true >= LEAST_PAIRS
    ]
    if not shown:
        return Markup("")
    labels, recall = zip(*reversed(shown), strict=True)
    places = np.arange(len(labels))
    figure, axes = figure_of(height=0.2 * len(labels) + 0.8)
    whole = result.pairs.recall
    axes.axvspan(whole - 0.03, whole, color=SOFT, alpha=0.2, linewidth=0)
    axes.axvline(whole, color=INK, linewidth=1)
    axes.scatter(recall, places, color=[WARM if r < whole - 0.03 else INK for r in recall], s=16, zorder=3)
    axes.set_yticks(places, labels)
    axes.set_ylim(-1, len(labels))
    axes.set_xlabel("recall of record pairs; the band is 3 points below the whole")
    return svg(figure, "Recall by group")


def _calibration(result: Evaluation) -> Markup:
    """Share of true matches by match weight, beside the probability that the weight means."""
    if result.calibration is None or not result.calibration.bins:
        return Markup("")
    bins = result.calibration.bins
    figure, axes = figure_of(height=2.8)
    low, high = bins[0].low, min(bins[-1].high, bins[-1].low + 2)
    weight = np.linspace(low, high, 200)
    axes.plot(weight, probability(weight), color=SOFT, label="predicted")
    series = [("true, all pairs", bins, INK)]
    if result.joined:
        series.append(("true, joined pairs", [b for b in result.joined.bins if b.low >= low], WARM))
    for label, points, color in series:
        middle = [(b.low + min(b.high, high)) / 2 for b in points]
        chance = [
            binomtest(round(b.observed * b.pairs), b.pairs).proportion_ci(method="wilson") for b in points
        ]
        spread = [
            [b.observed - c.low for b, c in zip(points, chance, strict=True)],
            [c.high - b.observed for b, c in zip(points, chance, strict=True)],
        ]
        axes.errorbar(
            middle, [b.observed for b in points], yerr=np.clip(spread, 0, None), fmt="o", color=color, markersize=4, linewidth=1, label=label
        )  # fmt: skip
    axes.set_ylim(-0.03, 1.03)
    axes.set_xlabel("match weight (bits; the last point holds all above)")
    axes.set_ylabel("share that is one person")
    axes.legend(frameon=False, loc="lower right")
    return svg(figure, "Predicted and true")


def _blocking(result: Evaluation) -> Markup:
    if result.blocking is None:
        return Markup("")
    rules = list(reversed(result.blocking.rules))
    names = [rule.rule for rule in rules]
    figure, axes = figure_of(height=0.28 * len(rules) + 0.8)
    axes.barh(names, [rule.found for rule in rules], color=SOFT, label="found")
    axes.barh(names, [rule.alone for rule in rules], color=WARM, label="by this rule alone")
    axes.set_xlabel("true pairs")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.legend(frameon=False, loc="lower right")
    return svg(figure, "True pairs by blocking rule")
