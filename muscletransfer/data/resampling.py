"""Separable linear resampling between two grids, exact to a fraction of a pixel.

A row of the weight matrix holds what one output pixel takes from the input: a triangle as wide as
the coarser of the two grids, so enlarging is linear interpolation and shrinking is averaged against
aliasing. Pixel ``i`` covers ``i`` to ``i + 1``, which is why nothing shifts by half a pixel.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from muscletransfer.data.types import Array, SliceGeometry

__all__ = ["axis_weights", "resample", "resample_classes", "weights_back"]


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


def resample(planes: Array, geometry: SliceGeometry, pad_value: float) -> Array:
    """Bring native planes to the network grid.

    Args:
        planes: float32 ``(C, H, W)``.
        geometry: The way between the grids.
        pad_value: What lies outside the planes.

    Returns:
        float32 ``(C, h, w)``.
    """
    rows, inside_y = _along(planes, geometry, 0)
    out, inside_x = _along(rows, geometry, 1)
    out[:, ~inside_y, :] = pad_value
    out[:, :, ~inside_x] = pad_value
    return out


def _along(planes: Array, geometry: SliceGeometry, axis: int) -> tuple[Array, Array]:
    """Resample rows (0) or columns (1), a weight at a time: all but a few of an output are 0."""
    starts, weights, inside = _bands(
        geometry.native_shape[axis],
        geometry.size[axis],
        geometry.scale[axis],
        geometry.offset[axis],
        geometry.flip[axis],
    )
    shape = list(planes.shape)
    shape[axis + 1] = len(starts)
    out, part = np.zeros(shape, np.float32), np.empty(shape, np.float32)
    for k in range(weights.shape[1]):
        np.take(planes, starts + k, axis=axis + 1, out=part, mode="clip")
        part *= weights[:, k, None] if axis == 0 else weights[:, k]
        out += part
    return out, inside


@lru_cache(maxsize=256)
def _bands(
    size_in: int, size_out: int, scale: float, offset: float, flip: bool
) -> tuple[Array, Array, Array]:
    """Return where the weights of each output start, and the weights from there on."""
    weights, inside = axis_weights(size_in, size_out, scale, offset, flip)
    filled = weights != 0
    first = filled.argmax(axis=1)
    last = size_in - 1 - filled[:, ::-1].argmax(axis=1)
    width = int((last - first + 1)[filled.any(axis=1)].max(initial=1))
    starts = np.minimum(first, size_in - width)
    return starts, np.take_along_axis(weights, starts[:, None] + np.arange(width), 1), inside


def resample_classes(mask: Array, geometry: SliceGeometry, pad_label: int) -> Array:
    """Bring class indices to the network grid: each is resampled and the largest share wins.

    Args:
        mask: ``(H, W)`` integers 0..255.
        geometry: The way between the grids.
        pad_label: Class outside the mask.

    Returns:
        uint8 ``(h, w)``. Half shares, frequent when 512 becomes 256, go to either class in a
        checkerboard: were they always background, every outline would shrink.
    """
    rows, columns = np.indices(geometry.size)
    tie = np.where((rows + columns) % 2, 1e-4, -1e-4).astype(np.float32)
    best = np.full(geometry.size, -1.0, np.float32)
    out = np.full(geometry.size, pad_label, np.uint8)
    for value in np.unique(mask):
        share = resample((mask == value).astype(np.float32)[None], geometry, -1.0)[0]
        wins = (share >= 0.0) & (share > best + tie)
        out[wins] = value
        best[wins] = share[wins]
    return out


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
