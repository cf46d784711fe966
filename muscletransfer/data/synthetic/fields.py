"""Smooth random fields in millimetres, the same at every pixel size."""

from __future__ import annotations

from typing import Any

import numpy as np

from muscletransfer.data.synthetic.canvas import Float32, Grid
from muscletransfer.data.synthetic.shapes import Array

__all__ = ["EXTENT_MM", "random_field"]

#: Half the width of the square on which fields are defined, larger than any field of view.
EXTENT_MM = 320.0


def _taps(positions: Array, nodes: int, length: float) -> tuple[list[Any], list[Any]]:
    """Indices and weights of the four cubic B-spline taps at each position."""
    t = (positions + EXTENT_MM) / length + 1.0
    base = np.floor(t).astype(np.int64)
    f = (t - base).astype(np.float32)
    weights = [
        (1 - f) ** 3 / 6,
        (3 * f**3 - 6 * f**2 + 4) / 6,
        (-3 * f**3 + 3 * f**2 + 3 * f + 1) / 6,
        f**3 / 6,
    ]
    return [np.clip(base + k - 1, 0, nodes - 1) for k in range(4)], weights


def random_field(
    rng: np.random.Generator, grid: Grid, length: float | tuple[float, float]
) -> Float32:
    """Gaussian random field with zero mean and about unit variance.

    Random values on a coarse lattice that is fixed in mm, interpolated by cubic B-splines: the
    field of a seed does not depend on the pixel size, and costs a few additions a pixel.

    Args:
        rng: Source of the lattice values.
        grid: Where to evaluate.
        length: Lattice spacing in mm, one for both axes or ``(y, x)``; details are about twice
            this size.

    Returns:
        ``(size, size)`` float32.

    Example:
        >>> grid = Grid(size=64, spacing=6.0, x0=-192.0, y0=-192.0)
        >>> field = random_field(np.random.default_rng(0), grid, 20.0)
        >>> bool(abs(float(field.std()) - 1.0) < 0.25)
        True
    """
    ly, lx = (length, length) if isinstance(length, (int, float)) else length
    ny, nx = (int(np.ceil(2 * EXTENT_MM / step)) + 4 for step in (ly, lx))
    nodes = rng.standard_normal((ny, nx), dtype=np.float32)
    rows, row_weights = _taps(grid.y, ny, ly)
    columns, column_weights = _taps(grid.x, nx, lx)
    # Plain multiply-adds instead of a matrix product: the bits do not depend on a BLAS or its
    # threads.
    partial = np.zeros((grid.size, nx), dtype=np.float32)
    for index, weight in zip(rows, row_weights, strict=True):
        partial += weight[:, None] * nodes[index]
    field = np.zeros((grid.size, grid.size), dtype=np.float32)
    for index, weight in zip(columns, column_weights, strict=True):
        field += weight[None, :] * partial[:, index]
    # Mean over a cell of the squared weights' sum is 0.4795 an axis, so the variance is 0.2299.
    field *= np.float32(1.0 / 0.4795)
    return field
