"""Separable linear resampling between two grids, exact to a fraction of a pixel.

A row of the weight matrix holds what one output pixel takes from the input: a triangle as wide as
the coarser of the two grids, so enlarging is linear interpolation and shrinking is averaged against
aliasing. Pixel ``i`` covers ``i`` to ``i + 1``, which is why nothing shifts by half a pixel.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

__all__ = ["axis_weights"]


@lru_cache(maxsize=256)
def axis_weights(
    size_in: int, size_out: int, scale: float, offset: float, flip: bool = False
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Return the weights of one axis and which outputs lie inside the input.

    Args:
        size_in: Pixels of the input.
        size_out: Pixels of the output.
        scale: Output pixels an input pixel.
        offset: Where the edge of input pixel 0 lies on the output, in output pixels.
        flip: Reverse the input first.

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
    if flip:
        weights = weights[:, ::-1]
    result = np.ascontiguousarray(weights, dtype=np.float32)
    result.setflags(write=False)
    inside.setflags(write=False)
    return result, inside
