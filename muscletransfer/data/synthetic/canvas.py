"""Raster canvas in millimetres: exact-area polygon coverage, painted HU and labels.

Coverage is the exact area of a pixel inside a polygon, so edges show the partial volume effect at
any pixel size, and an outline drawn at 128 x 128 is the one drawn at 512 x 512.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from muscletransfer.data.synthetic.shapes import Array, area

__all__ = ["Canvas", "Float32", "Grid", "coverage"]

Float32 = npt.NDArray[np.float32]
Window = tuple[slice, slice]


@dataclass(frozen=True)
class Grid:
    """A square pixel grid.

    Attributes:
        size: Number of rows and of columns.
        spacing: Pixel size in mm.
        x0: x of the centre of the first column in mm.
        y0: y of the centre of the first row in mm.
    """

    size: int
    spacing: float
    x0: float
    y0: float

    @property
    def x(self) -> Array:
        """Centres of the columns in mm, shape ``(size,)``."""
        return self.x0 + self.spacing * np.arange(self.size)

    @property
    def y(self) -> Array:
        """Centres of the rows in mm, shape ``(size,)``."""
        return self.y0 + self.spacing * np.arange(self.size)


def _edges(curve: Array, grid: Grid) -> Array:
    """Edges ``(M, 4)`` in pixels, oriented and none longer than about a pixel."""
    points = curve if area(curve) >= 0 else curve[::-1]
    points = (points - (grid.x0, grid.y0)) / grid.spacing + 0.5
    # Clamping keeps the coverage inside the image right where a shape runs out of it.
    points = np.clip(points, 0.0, float(grid.size))
    steps = np.roll(points, -1, axis=0) - points
    pieces = np.maximum(np.ceil(np.abs(steps).max(axis=1)), 1.0).astype(np.int64)
    first = np.repeat(np.cumsum(pieces) - pieces, pieces)
    part = np.arange(pieces.sum()) - first
    fraction = (part / np.repeat(pieces, pieces))[:, None]
    start = np.repeat(points, pieces, axis=0) + fraction * np.repeat(steps, pieces, axis=0)
    end = np.roll(start, -1, axis=0)
    return np.hstack([start, end])


def coverage(curves: Iterable[Array], grid: Grid) -> tuple[Window, Float32] | None:
    """Fraction of each pixel that lies inside any of the closed curves.

    Signed areas of edge pieces are accumulated by row and summed from left to right, the method of
    analytic font rasterisers; it is exact for edges that stay within one pixel.

    Args:
        curves: Closed polygons in mm.
        grid: Where to draw.

    Returns:
        The rows and columns that the shapes touch and the coverage there in [0, 1], or ``None``
        when nothing falls into the grid.

    Example:
        >>> grid = Grid(size=8, spacing=1.0, x0=0.0, y0=0.0)
        >>> box = np.array([[1.0, 1.0], [3.0, 1.0], [3.0, 4.0], [1.0, 4.0]])
        >>> window, cover = coverage([box], grid)
        >>> float(cover.sum())
        6.0
    """
    parts = [_edges(curve, grid) for curve in curves if len(curve) > 2]
    if not parts:
        return None
    x0, y0, x1, y1 = np.concatenate(parts).T
    low, high = np.minimum(y0, y1), np.maximum(y0, y1)
    top, bottom = int(low.min()), int(np.ceil(high.max()))
    left, right = int(min(x0.min(), x1.min())), int(np.ceil(max(x0.max(), x1.max())))
    if bottom <= top or right <= left:
        return None
    rows = np.floor(low)
    # No edge is longer than a pixel, so it crosses at most one row boundary.
    cut = np.minimum(high, rows + 1.0)
    slope = np.where(high > low, (x1 - x0) / np.where(y1 != y0, y1 - y0, 1.0), 0.0)
    sign = np.where(y1 > y0, 1.0, -1.0)
    x_low = np.where(y1 > y0, x0, x1)
    x_mid_a = x_low + 0.5 * slope * (cut - low)
    x_mid_b = x_low + slope * (0.5 * (cut + high) - low)
    width, height = right - left + 2, bottom - top + 2  # room for the empty pieces past the end
    row = np.concatenate([rows, rows + 1.0]) - top
    weight = np.concatenate([sign * (cut - low), sign * (high - cut)])
    x = np.concatenate([x_mid_a, x_mid_b]) - left
    column = np.floor(x)
    share = x - column
    index = (row * width + column).astype(np.int64)
    total = height * width + 2
    sums = np.bincount(index, weight * (1.0 - share), total)
    sums += np.bincount(index + 1, weight * share, total)
    cover = np.cumsum(sums[: height * width].reshape(height, width), axis=1)
    cover = np.clip(np.abs(cover[: bottom - top, : right - left]), 0.0, 1.0)
    return (slice(top, bottom), slice(left, right)), cover.astype(np.float32)


class Canvas:
    """HU and labels of a slice that is painted from the back to the front.

    Args:
        grid: Where to draw.
        warp: Maps points ``(N, 2)`` from the patient's own frame to the scanner's, in mm: pose and
            individual shape, applied to every outline so that neighbours stay neighbours.

    Attributes:
        hu: ``(size, size)`` float32.
        groups: ``(size, size)`` uint8, codes of :data:`GROUPS`.
        tissues: ``(size, size)`` uint8, codes of :data:`TISSUES`.
    """

    def __init__(self, grid: Grid, warp: Callable[[Array], Array]) -> None:
        self.grid = grid
        self.warp = warp
        shape = (grid.size, grid.size)
        self.hu: Float32 = np.full(shape, -1000.0, dtype=np.float32)
        self.groups: npt.NDArray[np.uint8] = np.zeros(shape, dtype=np.uint8)
        self.tissues: npt.NDArray[np.uint8] = np.zeros(shape, dtype=np.uint8)

    def cover(self, curves: Sequence[Array] | Array) -> tuple[Window, Float32] | None:
        """Coverage of outlines that are given in the patient's frame."""
        several = [curves] if isinstance(curves, np.ndarray) else curves
        return coverage([self.warp(curve) for curve in several], self.grid)

    def paint(
        self,
        curves: Sequence[Array] | Array,
        hu: float | Float32,
        *,
        tissue: int = 0,
        group: int = 0,
        keep_labels: bool = False,
        opacity: float | Float32 = 1.0,
    ) -> None:
        """Lay a material over what is there.

        Args:
            curves: One closed curve or several, in mm in the patient's frame.
            hu: One value, or a ``(size, size)`` texture.
            tissue: Tissue code where the shape covers at least half a pixel.
            group: Muscle group code there.
            keep_labels: Leave the labels as they are (for streaks inside a muscle).
            opacity: 0 is invisible, 1 hides; one value or a ``(size, size)`` map.
        """
        covered = self.cover(curves)
        if covered is None:
            return
        window, cover = covered
        self.lay(window, cover, hu, opacity=opacity)
        if not keep_labels:
            inside = cover >= 0.5
            self.groups[window][inside] = group
            self.tissues[window][inside] = tissue

    def lay(
        self,
        window: Window,
        cover: Float32,
        hu: float | Float32,
        opacity: float | Float32 = 1.0,
    ) -> None:
        """Blend a material into the HU with a coverage of one's own; labels stay."""
        value = hu[window] if isinstance(hu, np.ndarray) else np.float32(hu)
        alpha = opacity[window] if isinstance(opacity, np.ndarray) else np.float32(opacity)
        view = self.hu[window]
        view += (value - view) * (cover * alpha)
