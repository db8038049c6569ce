"""The report of a demonstration: one HTML file that needs nothing else, with plots as SVG inside."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from mdm.pipeline.drawing import INK, SOFT, WARM, figure_of, svg
from mdm.pipeline.evaluation.plots import evaluation_plots

if TYPE_CHECKING:
    from markupsafe import Markup

    from mdm.pipeline.demo import DemoResult


def write_report(result: DemoResult) -> None:
    assert result.evaluation is not None
    environment = Environment(
        loader=PackageLoader("mdm.pipeline"),
        autoescape=select_autoescape(),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = lambda value: f"{value:,}" if isinstance(value, int) else f"{value:.5f}"
    page = environment.get_template("report.html").render(
        result=result,
        evaluation=result.evaluation,
        made_at=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        plots={
            "registries": _registries(result),
            "recall": _recall(result),
            "sizes": _sizes(result),
            "steps": _steps(result),
            **evaluation_plots(result.evaluation),
        },
    )
    result.report.write_text(page, encoding="utf-8")


def _registries(result: DemoResult) -> Markup:
    rows = sorted(result.registries, key=lambda row: row.received)
    figure, axes = figure_of(height=0.28 * len(rows) + 0.8)
    names = [row.name for row in rows]
    axes.barh(names, [row.accepted for row in rows], color=SOFT, label="accepted")
    axes.barh(
        names,
        [row.quarantined for row in rows],
        left=[row.accepted for row in rows],
        color=WARM,
        label="quarantined",
    )
    axes.set_xlabel("rows")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.legend(frameon=False, loc="lower right")
    return svg(figure, "Rows received by registry, accepted and quarantined")


def _recall(result: DemoResult) -> Markup:
    assert result.evaluation is not None
    rows = sorted(result.evaluation.registries, key=lambda row: row.recall)
    names = {row.code: row.name for row in result.registries}
    figure, axes = figure_of(height=0.28 * len(rows) + 0.8)
    labels = [names.get(row.registry, row.registry) for row in rows]
    axes.hlines(labels, [0.0] * len(rows), [row.recall for row in rows], color=SOFT, linewidth=1)
    axes.plot([row.recall for row in rows], labels, "o", color=INK, markersize=5)
    axes.set_xlim(min([0.9, *(row.recall for row in rows)]) - 0.01, 1.002)
    axes.set_xlabel("share of records found with their person's population record")
    return svg(figure, "Recall by registry")


def _sizes(result: DemoResult) -> Markup:
    sizes = {int(size): count for size, count in result.runs[-1].detail("cluster").get("sizes", {}).items()}
    figure, axes = figure_of(height=2.6)
    axes.bar(list(sizes), list(sizes.values()), color=SOFT)
    axes.set_xlabel("records in a person's cluster")
    axes.set_ylabel("people")
    axes.yaxis.set_major_formatter("{x:,.0f}")
    return svg(figure, "How many records a person has")


def _steps(result: DemoResult) -> Markup:
    steps = list(reversed(result.steps))
    figure, axes = figure_of(height=0.26 * len(steps) + 0.8)
    bars = axes.barh([step.name for step in steps], [step.seconds for step in steps], color=SOFT)
    axes.bar_label(bars, fmt="%.1f s", padding=3, fontsize=8)
    axes.set_xlabel("seconds")
    axes.margins(x=0.12)
    return svg(figure, "Seconds by step")
