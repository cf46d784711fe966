"""Figures: learning curves with the human band, overlays of outlines on slices."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from muscletransfer.agreement.quantile import quantile
from muscletransfer.report.plain_text import plain_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "Overlay",
    "human_band_label",
    "learning_curve_figure",
    "overlay_figure",
    "save_figure",
]

# Okabe & Ito 2008: told apart by readers with any colour vision.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
# One more than colours, so that no two of the first 56 sources share both.
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")


@dataclass(frozen=True)
class Overlay:
    """One slice with its two outlines.

    Attributes:
        hu: Slice, shape (H, W), in HU.
        reference: Reference mask, shape (H, W), zero is background.
        prediction: Predicted mask, shape (H, W), zero is background.
        title: Text above the slice.
    """

    hu: NDArray[Any]
    reference: NDArray[Any]
    prediction: NDArray[Any]
    title: str


def human_band_label(observers: int) -> str:
    """Return the legend text for the band of the observers.

    .. versionadded:: 0.1

    Example:
        >>> human_band_label(10)
        'range of 10 observers'
    """
    return f"range of {observers} observers"


@plain_text()
def learning_curve_figure(
    scores: Mapping[str, Mapping[str, Mapping[int, Sequence[float]]]],
    bands: Mapping[str, tuple[float, float]] | None = None,
    band_label: str = "range of observers",
) -> Figure:
    """Draw score against the number of labelled patients, one panel a metric, one line a source.

    Points are medians over cases, bars the quartiles. Infinite distances (missed masks) stay in
    the quartiles; an arrow at the upper edge stands for a quartile that is infinite itself.

    .. versionadded:: 0.1

    Args:
        scores: ``scores[metric][source][n]`` is the list of per-case scores.
        bands: Per metric, the lowest and highest observer, drawn as a band.
        band_label: Legend text of the band.

    Returns:
        The figure, one panel a metric.

    Example:
        >>> figure = learning_curve_figure({"Dice": {"random": {5: [0.8, 0.9], 10: [0.9]}}})
        >>> figure.axes[0].get_ylabel()
        'Dice'
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.6 * len(scores) + 0.6, 3.9), layout="constrained")
    panels = figure.subplots(1, len(scores), squeeze=False)[0]
    for axes, (metric, sources) in zip(panels, scores.items(), strict=True):
        if bands and metric in bands:
            low, high = bands[metric]
            axes.axhspan(low, high, color="#bbbbbb", alpha=0.45, lw=0, label=band_label)
        _draw_sources(axes, sources)
        axes.set_xlabel("labelled patients for training")
        axes.set_ylabel(metric)
        axes.grid(axis="y", color="#e5e5e5", lw=0.8)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].legend(frameon=False, fontsize=9)
    return figure


def _draw_sources(axes: Axes, sources: Mapping[str, Mapping[int, Sequence[float]]]) -> None:
    counts = sorted({n for by_n in sources.values() for n in by_n})
    for index, (source, by_n) in enumerate(sources.items()):
        # Sources share x values: step them aside so that bars do not hide each other.
        offset = 1.0 + 0.02 * (index - (len(sources) - 1) / 2)
        at = [n for n in counts if n in by_n]
        low, middle, high = np.array([_quartiles(by_n[n]) for n in at]).T
        with np.errstate(invalid="ignore"):  # inf - inf of a source whose masks are all missed
            bars = np.array([middle - low, high - middle])
        axes.errorbar(
            np.array(at) * offset,
            middle,
            yerr=np.where(np.isfinite(bars), bars, 0.0),
            color=_COLOURS[index % len(_COLOURS)],
            marker=_MARKERS[index % len(_MARKERS)],
            capsize=3,
            lw=1.6,
            ms=5.5,
            label=source,
        )
        endless = np.isinf(high)
        if endless.any():  # masks were missed: an arrow at the upper edge
            axes.plot(
                np.array(at)[endless] * offset, [0.985] * int(endless.sum()), marker="^", ms=7,
                color=_COLOURS[index % len(_COLOURS)], ls="none", clip_on=False,
                transform=axes.get_xaxis_transform(),
            )  # fmt: skip
    axes.set_xscale("log")
    axes.set_xticks(counts, [str(n) for n in counts])
    axes.minorticks_off()


def _quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Return the quartiles; one that falls on an infinite score is infinite, with a NaN all are."""
    ordered = np.sort(np.asarray(values, dtype=float))
    if np.isnan(ordered).any():
        return np.nan, np.nan, np.nan
    return quantile(ordered, 0.25), quantile(ordered, 0.5), quantile(ordered, 0.75)


@plain_text()
def overlay_figure(
    overlays: Sequence[Overlay], window: tuple[float, float] = (-150.0, 250.0)
) -> Figure:
    """Draw slices with the reference in yellow and the prediction in blue.

    .. versionadded:: 0.1

    Args:
        overlays: The cases, drawn from left to right, at most a handful.
        window: Lower and upper HU of the display.

    Returns:
        The figure, one panel a case, cropped to the body.

    Example:
        >>> from muscletransfer.data.synthetic import phantom_slice
        >>> case = phantom_slice(0, size=64)
        >>> figure = overlay_figure([Overlay(case.hu, case.mask, case.mask, "P1")])
        >>> len(figure.axes)
        1
    """
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    figure = Figure(figsize=(4.2 * len(overlays), 3.9), layout="constrained")
    panels = figure.subplots(1, len(overlays), squeeze=False)[0]
    for axes, overlay in zip(panels, overlays, strict=True):
        rows, columns = _body_box(overlay.hu)
        axes.imshow(
            overlay.hu[rows, columns], cmap="gray", vmin=window[0], vmax=window[1], aspect="equal"
        )
        for mask, colour in ((overlay.reference, "#F0E442"), (overlay.prediction, "#56B4E9")):
            inside = np.asarray(mask[rows, columns] > 0, dtype=float)
            if inside.any() and not inside.all():
                axes.contour(inside, levels=[0.5], colors=[colour], linewidths=0.9)
        axes.set_title(overlay.title, fontsize=10)
        axes.set_axis_off()
    lines = [
        Line2D([], [], color="#c9bc00", label="reference"),
        Line2D([], [], color="#56B4E9", label="prediction"),
    ]
    figure.legend(handles=lines, loc="outside lower center", ncols=2, frameon=False)
    return figure


def _body_box(hu: NDArray[Any], margin: int = 8) -> tuple[slice, slice]:
    """Return the rows and columns that hold anything denser than air, with a margin."""
    body = np.asarray(hu) > -400
    if not body.any():
        return slice(None), slice(None)
    boxes = []
    for axis in (1, 0):
        hit = np.flatnonzero(body.any(axis=axis))
        boxes.append(slice(max(int(hit[0]) - margin, 0), int(hit[-1]) + margin + 1))
    return boxes[0], boxes[1]


def save_figure(figure: Figure, path: str | os.PathLike[str]) -> Path:
    """Save a figure in the format its suffix names and return the path.

    .. versionadded:: 0.1

    Example:
        >>> import tempfile
        >>> from matplotlib.figure import Figure
        >>> path = save_figure(Figure((1, 1)), Path(tempfile.mkdtemp()) / "new" / "empty.png")
        >>> path.stat().st_size > 0
        True
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, dpi=150)
    return target
