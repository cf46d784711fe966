"""What each output pixel of separable linear resampling takes from the input.

A row of the weight matrix is a triangle as wide as the coarser of the two grids, so enlarging is
linear interpolation and shrinking is averaged against aliasing. Pixel ``i`` covers ``i`` to
``i + 1``, which is why nothing shifts by half a pixel.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from muscletransfer.data.types import Array, SliceGeometry

__all__ = ["Taps", "axis_weights", "taps_of", "weights_back"]


@lru_cache(maxsize=256)
def axis_weights(
    size_in: int, size_out: int, scale: float, offset: float
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Return the weights of one axis and which outputs lie inside the input.

    Args:
        size_in: Pixels of the input.
        size_out: Pixels of the output.
        scale: Output pixels an input pixel.
        offset: Where the edge of input pixel 0 lies on the output, in output pixels.

    Returns:
        ``(size_out, size_in)`` float32 rows that sum to 1 inside and to 0 outside, and a
        ``(size_out,)`` boolean: the centre of the output pixel lies in the input. Both read-only.

    Example:
        >>> weights, inside = axis_weights(4, 2, 0.5, 0.0)
        >>> weights.astype(float).round(3).tolist()
        [[0.429, 0.429, 0.143, 0.0], [0.0, 0.143, 0.429, 0.429]]
        >>> axis_weights(2, 4, 1.0, 1.0)[1].tolist()
        [False, True, True, False]
    """
    centre = (np.arange(size_out) + 0.5 - offset) / scale
    inside = (centre > -1e-9) & (centre < size_in + 1e-9)
    reach = max(1.0, 1.0 / scale)
    distance = np.abs(np.arange(size_in) + 0.5 - centre[:, None]) / reach
    weights = np.maximum(0.0, 1.0 - distance)
    weights[~inside] = 0.0
    total = weights.sum(axis=1, keepdims=True)
    np.divide(weights, total, out=weights, where=total > 0)
    result = np.ascontiguousarray(weights, dtype=np.float32)
    result.setflags(write=False)
    inside.setflags(write=False)
    return result, inside


@dataclass(frozen=True, eq=False)
class Taps:
    """The weights of one axis without their zeros, for the outputs inside the input.

    Args:
        low: First output inside.
        high: One after the last.
        starts: Input pixel of each output's first weight.
        weights: ``(width, outputs)``.
        step: By how much each start exceeds the one before, where all outputs but those at the
            edges have one set of weights; starts may then lie outside the input, with weights of
            0. Otherwise 0.
        edges: How many outputs at either end have weights of their own.
    """

    low: int
    high: int
    starts: Array
    weights: Array
    step: int = 0
    edges: int = 0

    @property
    def width(self) -> int:
        """Weights an output."""
        return len(self.weights)

    @property
    def count(self) -> int:
        """Outputs inside."""
        return self.high - self.low


@lru_cache(maxsize=256)
def taps_of(size_in: int, size_out: int, scale: float, offset: float) -> Taps:
    """Return the weights of `axis_weights` without their zeros.

    Example:
        >>> taps = taps_of(40, 20, 0.5, 0.0)
        >>> taps.starts[:3].tolist(), taps.step, taps.edges, taps.weights[:, 9].tolist()
        ([-1, 1, 3], 2, 1, [0.125, 0.375, 0.375, 0.125])
    """
    weights, inside = axis_weights(size_in, size_out, scale, offset)
    found = np.flatnonzero(inside)  # one run: centres rise
    if not len(found):
        return Taps(0, 0, np.zeros(0, np.intp), np.zeros((1, 0), np.float32))
    low, high = int(found[0]), int(found[-1]) + 1
    rows = weights[low:high]
    filled = rows != 0
    first = filled.argmax(axis=1)
    last = size_in - 1 - filled[:, ::-1].argmax(axis=1)
    width = int((last - first + 1).max())
    step = max(1, round(1.0 / scale))
    even = step * np.arange(high - low)
    even += (first - even).min()  # weights cut off by an edge start later than they would
    if int((last - even).max()) < width:
        taken = _taken(rows, even, width)
        edges = _edges(taken)
        if edges is not None:
            return Taps(low, high, even, np.ascontiguousarray(taken.T), step, edges)
    starts = np.minimum(first, size_in - width)
    return Taps(low, high, starts, np.ascontiguousarray(_taken(rows, starts, width).T))


def _taken(rows: Array, starts: Array, width: int) -> Array:
    index = starts[:, None] + np.arange(width)
    there = (index >= 0) & (index < rows.shape[1])
    found: Array = np.take_along_axis(rows, index.clip(0, rows.shape[1] - 1), 1) * there
    return found


def _edges(weights: Array) -> int | None:
    """Return how many rows at either end differ from the middle one; None for more than a few."""
    alike = (weights == weights[len(weights) // 2]).all(axis=1)
    edges = max(int(alike.argmax()), int(alike[::-1].argmax()))
    few = 8 * edges <= len(weights)
    return edges if few and alike[edges : len(weights) - edges].all() else None


def weights_back(geometry: SliceGeometry, axis: int) -> tuple[Array, Array]:
    """Return the weights of one axis from the network grid to the native one.

    Args:
        geometry: The way between the grids.
        axis: 0 for rows, 1 for columns.

    Returns:
        float32 ``(native, network)``, and boolean ``(native,)``: the network saw this pixel.
    """
    scale, offset = geometry.scale[axis], geometry.offset[axis]
    weights, inside = axis_weights(
        geometry.size[axis], geometry.native_shape[axis], 1.0 / scale, -offset / scale
    )
    # The first native pixel, once flipped, is the last on the network grid.
    step = -1 if geometry.flip[axis] else 1
    return weights[::step].copy(), inside[::step].copy()
