"""Figures of agreement: Bland-Altman plots, and estimates with their intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from muscletransfer.agreement import bland_altman
from muscletransfer.errors import DataError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from muscletransfer.agreement import BlandAltman

__all__ = ["AgreementPanel", "IntervalRow", "bland_altman_figure", "interval_figure"]

# Okabe & Ito 2008, with a marker each, so that ten observers can be told apart.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_MODEL = "model"


@dataclass(frozen=True)
class AgreementPanel:
    """One Bland-Altman plot.

    Attributes:
        title: Text above it.
        unit: Of the measurements.
        series: Name to (first, second), each ``(N,)`` and finite; a series called ``"model"`` is
            drawn in black.
        second: What the second measurement is, for the axes.
    """

    title: str
    unit: str
    series: Mapping[str, tuple[ArrayLike, ArrayLike]]
    second: str = "reference"


@dataclass(frozen=True)
class IntervalRow:
    """One estimate of an interval figure.

    Attributes:
        label: Text beside it.
        value: The estimate.
        low: Lower end of its interval; an infinite end is drawn as an arrow.
        high: Upper end.
        points: Single values behind it, drawn lightly.
        marked: Drawn in another colour, for the model.
    """

    label: str
    value: float
    low: float
    high: float
    points: Sequence[float] = field(default=())
    marked: bool = False


def bland_altman_figure(panels: Sequence[AgreementPanel]) -> Figure:
    r"""Draw differences over means, with bias and limits of agreement.

    A panel of one series has the confidence bands of bias and limits, and limits that follow the
    size where the spread grows with it. A panel of several has the bias and limits of all points
    without bands: points of one case are not independent.

    Args:
        panels: The plots, from left to right.

    Returns:
        The figure.

    Raises:
        DataError: No panels, or fewer than three points in one.

    Example:
        >>> panel = AgreementPanel("area", "cm2", {"model": ([10, 12, 15], [11, 12, 14])})
        >>> bland_altman_figure([panel]).axes[0].get_ylabel()
        'difference from the\nreference (cm2)'
    """
    from matplotlib.figure import Figure

    if not panels:
        raise DataError("No panels were given; wanted at least one.")
    figure = Figure(figsize=(5.2 * len(panels) + 0.4, 4.2), layout="constrained")
    for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        _draw_panel(axes, panel)
    if any(len(panel.series) > 1 for panel in panels):
        handles, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(
            handles, labels, loc="outside lower center", ncols=min(6, len(labels)), frameon=False
        )
    return figure


def _draw_panel(axes: Axes, panel: AgreementPanel) -> None:
    first = np.concatenate([np.asarray(a, float) for a, _ in panel.series.values()])
    second = np.concatenate([np.asarray(b, float) for _, b in panel.series.values()])
    found = bland_altman(first, second)
    single = len(panel.series) == 1
    for index, (name, (a, b)) in enumerate(panel.series.items()):
        a, b = np.asarray(a, float), np.asarray(b, float)
        axes.scatter(
            (a + b) / 2,
            a - b,
            s=34 if name == _MODEL else 20,
            marker="*" if name == _MODEL else _MARKERS[index % len(_MARKERS)],
            color="black" if name == _MODEL else _COLOURS[index % len(_COLOURS)],
            alpha=0.85,
            lw=0,
            label=name,
            zorder=3 if name == _MODEL else 2,
        )
    _draw_lines(axes, found, single)
    axes.axhline(0, color="#999999", lw=0.8, zorder=0)
    axes.set_title(panel.title, fontsize=11)
    axes.set_xlabel(f"mean of both ({panel.unit})")
    axes.set_ylabel(f"difference from the\n{panel.second} ({panel.unit})")
    axes.spines[["top", "right"]].set_visible(False)


def _draw_lines(axes: Axes, found: BlandAltman, single: bool) -> None:
    lines = (
        ("bias", found.bias, found.bias_ci, "-", "#0072B2"),
        ("lower limit", found.lower, found.lower_ci, "--", "#E69F00"),
        ("upper limit", found.upper, found.upper_ci, "--", "#E69F00"),
    )
    for name, value, (low, high), style, colour in lines:
        axes.axhline(value, color="#444444", lw=1.1, ls=style, zorder=1)
        if single:
            axes.axhspan(low, high, color=colour, alpha=0.14, lw=0, zorder=0)
        axes.annotate(
            f"{name} {value:.3g}",
            (1.0, value),
            xycoords=("axes fraction", "data"),
            xytext=(-2, 3),
            textcoords="offset points",
            ha="right",
            fontsize=8,
            color="#444444",
        )
    if single and found.spread_grows:
        at = np.array(axes.get_xlim())
        for index, limit in enumerate(found.limits_at(at)):
            name = "" if index else "limits that follow the size"
            axes.plot(at, limit, color="#D55E00", lw=1.2, ls=":", zorder=1, label=name)
        axes.set_xlim(*at)
        axes.legend(handles=axes.lines[-2:-1], loc="upper left", fontsize=8, frameon=False)


def interval_figure(
    rows: Sequence[IntervalRow],
    xlabel: str,
    lines: Mapping[str, float] | None = None,
    span: tuple[float, float] | None = None,
    span_label: str = "",
) -> Figure:
    """Draw estimates with their intervals, one a row.

    Args:
        rows: From top to bottom; the values are finite.
        xlabel: What is estimated, with its unit.
        lines: Label to place of vertical lines, such as a margin.
        span: A band of the axis to shade.
        span_label: What the band is.

    Returns:
        The figure.

    Raises:
        DataError: No rows.

    Example:
        >>> figure = interval_figure([IntervalRow("all", 0.9, 0.8, 0.95)], "ICC(2,1)")
        >>> [text.get_text() for text in figure.axes[0].get_yticklabels()]
        ['all']
    """
    from matplotlib.figure import Figure

    if not rows:
        raise DataError("No rows were given; wanted at least one estimate to draw.")
    figure = Figure(figsize=(7.2, 1.2 + 0.3 * len(rows)), layout="constrained")
    axes = figure.subplots()
    if span is not None:
        axes.axvspan(*span, color="#bbbbbb", alpha=0.45, lw=0, label=span_label or None)
    for index, (label, place) in enumerate((lines or {}).items()):
        axes.axvline(place, color="#444444", lw=1.1, ls=("--", ":", "-.")[index % 3], label=label)
    for y, row in enumerate(rows):
        colour = "#D55E00" if row.marked else "#0072B2"
        if len(row.points):
            axes.plot(row.points, [y] * len(row.points), "|", color=colour, alpha=0.35, ms=9)
        axes.plot(row.value, y, "D" if row.marked else "o", color=colour, ms=5.5, zorder=3)
    _draw_intervals(axes, rows)
    axes.set_yticks(range(len(rows)), [row.label for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlabel(xlabel)
    axes.grid(axis="x", color="#e5e5e5", lw=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if axes.get_legend_handles_labels()[1]:
        figure.legend(loc="outside upper right", ncols=3, frameon=False, fontsize=9)
    return figure


def _draw_intervals(axes: Axes, rows: Sequence[IntervalRow]) -> None:
    """Bars; an end that is infinite becomes an arrow at the edge of the picture."""
    ends = [end for row in rows for end in (row.low, row.high) if np.isfinite(end)]
    left, right = axes.get_xlim()
    span = max([right, *ends]) - min([left, *ends])
    left, right = min([left, *ends]) - 0.03 * span, max([right, *ends]) + 0.03 * span
    for y, row in enumerate(rows):
        colour = "#D55E00" if row.marked else "#0072B2"
        low, high = max(row.low, left), min(row.high, right)
        axes.plot([low, high], [y, y], color=colour, lw=1.8, solid_capstyle="butt")
        for end, marker in ((row.low, "<"), (row.high, ">")):
            if not np.isfinite(end):
                axes.plot(left if end < 0 else right, y, marker, color=colour, ms=6, clip_on=False)
    axes.set_xlim(left, right)
