"""Many small slices on one sheet, with their outlines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from muscletransfer.report.plain_text import plain_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Thumbnail", "contact_sheet"]

# Yellow first, as the reference in every other figure; then Okabe & Ito's others.
_COLOURS = ("#F0E442", "#56B4E9", "#D55E00", "#009E73", "#CC79A7", "#E69F00")
_WIDTH, _SIDE = 11.0, 1.72


@dataclass(frozen=True)
class Thumbnail:
    """One slice of a sheet.

    Attributes:
        pixels: ``(H, W)``, radiological view.
        mask: ``(H, W)`` classes, 255 not annotated; None without one.
        title: Text above it.
        marked: Whether its title is set off, for slices with a problem.
    """

    pixels: NDArray[Any]
    mask: NDArray[Any] | None
    title: str
    marked: bool = False


@plain_text()
def contact_sheet(
    thumbnails: Sequence[Thumbnail],
    window: tuple[float, float] | None = (-150.0, 250.0),
    columns: int = 6,
) -> Figure:
    """Draw a sheet of slices with outlines in a colour for each class.

    Args:
        thumbnails: The slices, from left to right and top to bottom.
        window: Lower and upper value of the display; None for the percentiles of each slice.
        columns: How many side by side.

    Returns:
        The figure.

    Example:
        >>> slices = [Thumbnail(np.full((8, 8), 40.0), np.eye(8, dtype=int), "P0001")]
        >>> len(contact_sheet(slices).axes)
        6
    """
    from matplotlib.figure import Figure

    rows = -(-len(thumbnails) // columns)
    figure = Figure(figsize=(_WIDTH, (_SIDE + 0.28) * rows), layout="constrained")
    engine = figure.get_layout_engine()
    assert engine is not None  # the constrained one that was asked for
    engine.set(h_pad=0.09, w_pad=0.02)  # type: ignore[call-arg]
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in panels:
        axes.set_axis_off()
    for axes, item in zip(panels, thumbnails, strict=False):
        low, high = window or np.percentile(item.pixels, (1, 99))
        pixels, mask = _cropped(item, window is not None)
        axes.imshow(pixels, cmap="gray", vmin=low, vmax=high, aspect="equal")
        if mask is not None:
            _outline(axes, mask)
        axes.set_title(
            item.title,
            fontsize=7.5,
            color="#B3261E" if item.marked else "#1b1f24",
            fontweight="bold" if item.marked else "normal",
            pad=2,
        )
    return figure


def _outline(axes: Any, mask: NDArray[Any]) -> None:
    ignored = mask == 255
    if ignored.any():
        shade = np.zeros((*mask.shape, 4))
        shade[ignored] = (0.84, 0.37, 0.0, 0.25)
        axes.imshow(shade)
    for value in (int(v) for v in np.unique(mask) if v not in (0, 255)):
        inside = np.pad((mask == value).astype(float), 1)
        colour = _COLOURS[(value - 1) % len(_COLOURS)]
        grid = np.arange(-1, mask.shape[1] + 1), np.arange(-1, mask.shape[0] + 1)
        axes.contour(*grid, inside, levels=[0.5], colors=[colour], linewidths=0.7)
    axes.set_xlim(-0.5, mask.shape[1] - 0.5)
    axes.set_ylim(mask.shape[0] - 0.5, -0.5)


def _cropped(item: Thumbnail, to_body: bool) -> tuple[NDArray[Any], NDArray[Any] | None]:
    shown = item.pixels > -300 if to_body else np.ones(item.pixels.shape, bool)
    if item.mask is not None:
        shown = shown | ((item.mask != 0) & (item.mask != 255))
    if not shown.any():
        return item.pixels, item.mask
    rows, columns = np.flatnonzero(shown.any(axis=1)), np.flatnonzero(shown.any(axis=0))
    margin = 4
    y = slice(max(0, rows[0] - margin), rows[-1] + margin + 1)
    x = slice(max(0, columns[0] - margin), columns[-1] + margin + 1)
    return item.pixels[y, x], None if item.mask is None else item.mask[y, x]
