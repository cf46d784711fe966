"""Label-saving factors with their intervals, on a logarithmic axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from muscletransfer.study.report.drawing import GRID, SOFT
from muscletransfer.study.report.styles import ArmStyle
from muscletransfer.study.statistics import Factor

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["saving_figure"]


def saving_figure(rows: Sequence[tuple[ArmStyle, Factor]]) -> Figure:
    """Draw factors, one a row; an end beyond what was measured is an arrow.

    Args:
        rows: Style and factor of each arm; at least one.

    Returns:
        The figure.
    """
    from matplotlib.figure import Figure

    ends = [
        end
        for _, factor in rows
        for end in (factor.low, factor.high, factor.value)
        if math.isfinite(end) and end > 0
    ]
    left, right = min([0.8, *ends]) / 1.25, max([1.25, *ends]) * 1.25
    figure = Figure(figsize=(6.2, 1.0 + 0.55 * len(rows)), layout="constrained")
    axes = figure.subplots()
    axes.axvline(1, color=SOFT, lw=1.2, ls="--")
    for y, (style, factor) in enumerate(rows):
        low = factor.low if factor.low > left else left
        high = factor.high if factor.high < right else right
        if factor.bound != "unknown":
            if not factor.few_patients:
                axes.plot([low, high], [y, y], color=style.colour, lw=2, solid_capstyle="butt")
                if factor.low <= left:
                    axes.plot(left, y, "<", color=style.colour, ms=6, clip_on=False)
                if factor.high >= right:
                    axes.plot(right, y, ">", color=style.colour, ms=6, clip_on=False)
            axes.plot(factor.value, y, style.marker, color=style.colour, ms=7)
    axes.set_xscale("log")
    ticks = [t for t in (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50) if left <= t <= right]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_xlim(left, right)
    axes.set_yticks(range(len(rows)), [f"{style.label}\n{_words(f)}" for style, f in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel("label-saving factor")
    axes.grid(axis="x", color=GRID, lw=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(SOFT)
    axes.tick_params(color=SOFT)
    axes.tick_params(axis="y", length=0)
    return figure


def _words(factor: Factor) -> str:
    if factor.bound == "unknown":
        return "not known"
    sign = {"exact": "", "at_least": "\u2265 ", "at_most": "\u2264 "}[factor.bound]
    if factor.low <= 0 or math.isinf(factor.high):
        return f"{sign}{factor.value:.3g}"
    return f"{sign}{factor.value:.3g} ({factor.low:.3g} to {factor.high:.3g})"
