"""Slices with two outlines, one by one for the page and side by side as a file."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from muscletransfer.study.report.overlays import Picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["MODEL", "REFERENCE", "picture_html", "sheet"]

#: As in every overlay of this library: the reference yellow, the model blue.
REFERENCE, MODEL = "#F0E442", "#56B4E9"

_AIR, _MARGIN = -400, 6


def picture_html(picture: Picture) -> str:
    """Return a case as a figure of the page."""
    return (
        f"<figure>{_image(picture)}<figcaption><b>{escape(picture.which)}</b><br>"
        f"{escape(caption(picture))}</figcaption></figure>"
    )


def caption(picture: Picture) -> str:
    """What stands under a case: its number, Dice and distance."""
    words = f"case {picture.case}: Dice {picture.dice:.3f}"
    if math.isinf(picture.distance):
        return f"{words}, mask missed"
    if not math.isnan(picture.distance):
        words += f", distance {picture.distance:.2g} {picture.unit}"
    return words


def sheet(pictures: Sequence[Picture]) -> Figure | None:
    """Draw all cases side by side; ``None`` where no slice was found."""
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    known = [picture for picture in pictures if picture.pixels is not None]
    if not known:
        return None
    figure = Figure(figsize=(3.1 * len(known), 3.7), layout="constrained")
    for axes, picture in zip(figure.subplots(1, len(known), squeeze=False)[0], known, strict=True):
        _draw(axes, picture)
        axes.set_title(f"{picture.which}\n{caption(picture)}", fontsize=9)
    lines = [
        Line2D([], [], color="#c9bc00", label="reference"),
        Line2D([], [], color=MODEL, label="model"),
    ]
    figure.legend(handles=lines, loc="outside lower center", ncols=2, frameon=False)
    return figure


def _image(picture: Picture) -> str:
    if picture.pixels is None:
        return f'<div class="missing">No picture: {escape(picture.note)}</div>'
    from matplotlib.figure import Figure

    rows, columns = _box(picture)
    shape = rows.stop - rows.start, columns.stop - columns.start
    width = 3.4
    figure = Figure(figsize=(width, width * shape[0] / shape[1]), facecolor="black")
    axes = figure.add_axes((0, 0, 1, 1))
    _draw(axes, picture)
    file = io.BytesIO()
    figure.savefig(file, format="jpeg", dpi=150, pil_kwargs={"quality": 88, "optimize": True})
    data = base64.b64encode(file.getvalue()).decode("ascii")
    words = f"slice of {caption(picture)}, outlined by reference and model"
    return f'<img alt="{escape(words)}" src="data:image/jpeg;base64,{data}">'


def _draw(axes: Axes, picture: Picture) -> None:
    assert picture.pixels is not None  # asked for by the caller
    rows, columns = _box(picture)
    low, high = picture.window
    axes.imshow(
        _grey(picture.pixels)[rows, columns], cmap="gray", vmin=low, vmax=high, aspect="equal",
        interpolation="bilinear",
    )  # fmt: skip
    shape = rows.stop - rows.start, columns.stop - columns.start
    for mask, colour in ((picture.reference, REFERENCE), (picture.prediction, MODEL)):
        for value in () if mask is None else np.unique(mask):
            if value in (0, 255):
                continue
            # a border of zeros closes outlines that run along the edge
            inside = np.pad((np.asarray(mask)[rows, columns] == value).astype(float), 1)
            grid = np.arange(-1, shape[1] + 1), np.arange(-1, shape[0] + 1)
            if inside.any():
                axes.contour(*grid, inside, levels=[0.5], colors=[colour], linewidths=1.0)
    axes.set_xlim(-0.5, shape[1] - 0.5)
    axes.set_ylim(shape[0] - 0.5, -0.5)
    axes.set_axis_off()


def _grey(pixels: NDArray[Any]) -> NDArray[Any]:
    return pixels if pixels.ndim == 2 else pixels.mean(axis=-1)


def _box(picture: Picture) -> tuple[slice, slice]:
    """Rows and columns that hold the body (of a CT) or the whole slice."""
    pixels = _grey(np.asarray(picture.pixels))
    shown = pixels > _AIR if pixels.min() < _AIR else np.ones(pixels.shape, bool)
    for mask in (picture.reference, picture.prediction):
        if mask is not None:
            shown = shown | ((mask > 0) & (mask != 255))
    found = []
    for axis, size in zip((1, 0), shown.shape, strict=True):
        hit = np.flatnonzero(shown.any(axis=axis))
        first, last = (int(hit[0]), int(hit[-1])) if len(hit) else (0, size - 1)
        found.append(slice(max(first - _MARGIN, 0), min(last + _MARGIN + 1, size)))
    return found[0], found[1]
