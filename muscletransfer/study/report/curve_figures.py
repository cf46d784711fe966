"""Figures over the number of labelled patients: learning curves, distances, human level."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from muscletransfer.observers.band import Band
from muscletransfer.study.report.drawing import BAND, GRID, SOFT
from muscletransfer.study.report.styles import ArmStyle
from muscletransfer.study.results import Arm
from muscletransfer.study.statistics import StudyAnalysis

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["arm_figure", "dice_figure", "human_figure", "median_figure"]

Styles = Mapping[Arm, ArmStyle]


def dice_figure(analysis: StudyAnalysis, styles: Styles) -> Figure:
    """Draw the learning curves of all arms with their bands, and the range of the observers."""
    figure, axes = _panel(len(styles) + 1)
    _draw_human(axes, None if analysis.human is None else analysis.human.bands.get("dice"))
    for place, arm in enumerate(analysis.arms):
        _draw_curve(axes, analysis, arm, styles[arm], place)
    _finish(figure, axes, analysis.ns, "Dice")
    return figure


def arm_figure(analysis: StudyAnalysis, styles: Styles, arm: Arm, scratch: Arm | None) -> Figure:
    """Draw one arm beside training from scratch, on the axes that all arms share."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.6, 2.9), layout="constrained")
    axes = figure.subplots()
    _draw_human(axes, None if analysis.human is None else analysis.human.bands.get("dice"))
    for place, one in enumerate([scratch, arm]):
        if one is not None:
            _draw_curve(axes, analysis, one, styles[one], place)
    axes.set_ylim(_dice_limits(analysis))
    _axes(axes, analysis.ns, "Dice")
    return figure


def median_figure(
    analysis: StudyAnalysis, styles: Styles, metric: str, label: str, band: Band | None
) -> Figure | None:
    """Draw medians and quartiles over patients of a figure that may be infinite.

    Returns:
        The figure, or ``None`` where no median is a number.
    """
    rows = analysis.summary[analysis.summary["metric"] == metric]
    if not np.isfinite(rows["median"]).any():
        return None
    figure, axes = _panel(len(styles) + 1)
    _draw_human(axes, band)
    for place, arm in enumerate(analysis.arms):
        own = _of_arm(rows, arm)
        own = own[np.isfinite(own["median"])]
        low, high = own["median"] - own["q25"], own["q75"] - own["median"]
        bars = [low, high.where(np.isfinite(high), 0.0)]
        _points(axes, own["n"], own["median"], bars, styles[arm], place, len(styles), joined=True)
    axes.set_ylim(bottom=0)
    for place, arm in enumerate(analysis.arms):
        own = _of_arm(rows, arm)
        _arrows(axes, own.loc[np.isinf(own["q75"]), "n"], styles[arm], place, len(styles))
    _finish(figure, axes, analysis.ns, label)
    return figure


def human_figure(analysis: StudyAnalysis, styles: Styles, label: str, below: bool) -> Figure | None:
    """Draw how much better or worse models agree with observers than observers among themselves.

    Args:
        analysis: With a comparison with observers.
        styles: Of the arms.
        label: What is compared, with its unit.
        below: Whether below the margin is worse.

    Returns:
        The figure, or ``None`` where no difference is a number.
    """
    human = analysis.human
    if human is None or not any(np.isfinite(v.difference) for v in human.verdicts):
        return None
    figure, axes = _panel(len(styles) + 2)
    edge = -human.margin if below else human.margin
    axes.axhline(0, color=SOFT, lw=1, label="two observers")
    axes.axhline(edge, color=SOFT, lw=1.3, ls=(0, (6, 3)), label="margin that was chosen")
    verdicts = pd.DataFrame(
        [(*v.arm, v.n, v.difference, v.low, v.high) for v in human.verdicts],
        columns=[*Arm._fields, "n", "value", "low", "high"],
    )
    for place, arm in enumerate(analysis.arms):
        own = _of_arm(verdicts, arm)
        own = own[np.isfinite(own["value"])]
        bars = [(own["value"] - own["low"]), (own["high"] - own["value"])]
        bars = [bar.where(np.isfinite(bar), 0.0) for bar in bars]
        _points(axes, own["n"], own["value"], bars, styles[arm], place, len(styles), joined=True)
    axes.set_ylim(axes.get_ylim())  # as they are: an arrow must not move its own edge
    for place, arm in enumerate(analysis.arms):
        own = _of_arm(verdicts, arm)
        open_above = np.isposinf(own["high"]) & np.isfinite(own["low"])  # else: no interval at all
        _arrows(axes, own.loc[open_above, "n"], styles[arm], place, len(styles))
    _finish(figure, axes, analysis.ns, label)
    return figure


def _panel(names: int) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2, 3.4 + 0.21 * -(-names // 2)), layout="constrained")
    return figure, figure.subplots()


def _draw_human(axes: Axes, band: Band | None) -> None:
    if band is None or not np.isfinite([band.low, band.high]).all():
        return
    name = f"range of {len(band.per_observer)} observers"
    axes.axhspan(band.low, band.high, color=BAND, alpha=0.55, lw=0, label=name, zorder=0)
    if np.isclose(band.low, band.high):  # a band of no height would not be seen
        axes.axhline(band.low, color=BAND, lw=2, zorder=0)


def _draw_curve(axes: Axes, analysis: StudyAnalysis, arm: Arm, style: ArmStyle, place: int) -> None:
    curve = next((one for one in analysis.curves if one.arm == arm), None)
    if curve is not None and curve.kind != "point":
        band = curve.band
        axes.plot(band["n"], band["dice"], color=style.colour, lw=1.8, ls=style.line, zorder=2)
        if np.isfinite(band[["low", "high"]].to_numpy()).all():
            axes.fill_between(
                band["n"], band["low"], band["high"], color=style.colour, alpha=0.16, lw=0,
                zorder=1,
            )  # fmt: skip
    rows = analysis.summary
    own = _of_arm(rows[rows["metric"] == "dice"], arm)
    bars = [own["mean"] - own["mean_low"], own["mean_high"] - own["mean"]]
    bars = [bar.where(np.isfinite(bar), 0.0) for bar in bars]
    _points(axes, own["n"], own["mean"], bars, style, place, len(analysis.arms), joined=False)


def _points(
    axes: Axes,
    n: pd.Series,
    values: pd.Series,
    bars: Sequence[pd.Series],
    style: ArmStyle,
    place: int,
    arms: int,
    joined: bool,
) -> None:
    at = n.to_numpy(float) * _aside(place, arms)
    axes.errorbar(
        at, values, yerr=[bar.to_numpy().clip(0) for bar in bars], color=style.colour,
        marker=style.marker, ms=5, lw=1.6, elinewidth=1.1, capsize=2.5,
        ls=style.line if joined else "none", label=style.legend, zorder=3,
    )  # fmt: skip


def _arrows(axes: Axes, n: pd.Series, style: ArmStyle, place: int, arms: int) -> None:
    """Mark at the upper edge what goes on to infinity."""
    if n.empty:
        return
    axes.plot(
        n.to_numpy(float) * _aside(place, arms), [axes.get_ylim()[1]] * len(n), marker="^", ms=7,
        color=style.colour, ls="none", clip_on=False, zorder=4,
    )  # fmt: skip


def _aside(place: int, arms: int) -> float:
    """Arms share n: step them aside, so that bars do not hide each other."""
    step = min(0.02, 0.12 / max(1, arms))
    return 1 + step * (place - (arms - 1) / 2)


def _of_arm(rows: pd.DataFrame, arm: Arm) -> pd.DataFrame:
    same = (rows[list(Arm._fields)] == list(arm)).all(axis=1)
    return rows[same].sort_values("n")


def _dice_limits(analysis: StudyAnalysis) -> tuple[float, float]:
    rows = analysis.summary[analysis.summary["metric"] == "dice"]
    ends = [rows["mean"], rows["mean_low"], rows["mean_high"]]
    found = np.concatenate([end[np.isfinite(end)].to_numpy() for end in ends])
    if analysis.human is not None and (band := analysis.human.bands.get("dice")) is not None:
        found = np.append(found, [band.low, band.high])
    room = max(0.01, 0.05 * float(np.ptp(found)))
    return float(found.min()) - room, min(1.0, float(found.max()) + room)


def _axes(axes: Axes, ns: Sequence[int], label: str) -> None:
    axes.set_xscale("log")
    axes.set_xticks(ns, [str(n) for n in ns])
    axes.minorticks_off()
    axes.set_xlim(ns[0] / 1.15, ns[-1] * 1.15)
    axes.set_xlabel("labelled patients for training")
    axes.set_ylabel(textwrap.fill(label, 24))  # a longer line would stick out of the figure
    axes.grid(axis="y", color=GRID, lw=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(SOFT)
    axes.tick_params(color=SOFT)


def _finish(figure: Figure, axes: Axes, ns: Sequence[int], label: str) -> None:
    _axes(axes, ns, label)
    found: tuple[Any, Any] = axes.get_legend_handles_labels()
    longest = max(len(name) for name in found[1])
    figure.legend(
        *found, loc="outside lower left", ncols=1 if longest > 34 else 2, frameon=False, fontsize=9
    )
