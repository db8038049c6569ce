"""Plots as SVG: one look for all, text stays text, the same figure gives the same bytes."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, SOFT, WARM = "#1f3a5f", "#7d9ec0", "#c8553d"


def figure_of(*, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(7.6, height), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8, length=3)
    axes.xaxis.label.set_fontsize(9)
    axes.yaxis.label.set_fontsize(9)
    return figure, axes


def svg(figure: Figure, title: str) -> Markup:
    """The drawing as an SVG element."""
    drawn = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": title, "font.family": "sans-serif"}):
        figure.savefig(drawn, format="svg", metadata={"Date": None, "Creator": None, "Title": title})
    return Markup(re.sub(r"^.*?(?=<svg)", "", drawn.getvalue(), count=1, flags=re.DOTALL))  # noqa: S704  made here
