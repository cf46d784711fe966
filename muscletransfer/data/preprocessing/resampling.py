"""Separable linear resampling from a native grid to the network grid.

Where the grids are a whole number apart, as 512 and 256 pixels, nearly all outputs have the same
weights: the input is dealt into as many interleaved parts, and each weight multiplies one whole
part. Buffers are used again: memory that is new to a process costs more than the sums do.
"""

from __future__ import annotations

import threading

import numpy as np
import numpy.typing as npt

from muscletransfer.data.preprocessing.resampling_weights import Taps, taps_of
from muscletransfer.data.types import Array, SliceGeometry

__all__ = ["resample", "resample_classes"]

_BLOCK = 256  # rows of the output, so that a block stays in the processor's cache
_buffers = threading.local()


def resample(
    planes: Array,
    geometry: SliceGeometry,
    pad_value: float,
    *,
    least: float | None = None,
    kind: npt.DTypeLike = np.float32,
) -> Array:
    """Bring native planes to the network grid.

    Args:
        planes: Numbers or booleans ``(C, H, W)``.
        geometry: The way between the grids.
        pad_value: What lies outside the planes.
        least: Values under it are taken for it.
        kind: Of the result; whole numbers are rounded.

    Returns:
        ``(C, h, w)``, worked out in float32.
    """
    if geometry.flip[0]:
        planes = planes[:, ::-1]
    if geometry.flip[1]:
        planes = planes[:, :, ::-1]
    if least is not None and planes.size and planes.min() < least:
        planes = np.maximum(planes, np.asarray(least, planes.dtype))
    y, x = (_taps(geometry, axis) for axis in (0, 1))
    out = np.empty((len(planes), *geometry.size), kind)
    if (y.count, x.count) != geometry.size:
        out.fill(pad_value)
    whole = out.dtype.kind in "iu"
    along_rows = _even_rows if y.step else _any_rows
    along_columns = _even_columns if x.step else _any_columns
    for plane, target in zip(planes, out[:, y.low : y.high, x.low : x.high], strict=True):
        for top in range(0, y.count if x.count else 0, _BLOCK):
            block = slice(top, min(top + _BLOCK, y.count))
            sums = along_columns(along_rows(plane, y, block), x)
            target[block] = np.rint(sums, out=sums) if whole else sums
    return out


def _taps(geometry: SliceGeometry, axis: int) -> Taps:
    return taps_of(
        geometry.native_shape[axis],
        geometry.size[axis],
        geometry.scale[axis],
        geometry.offset[axis],
    )


def _any_rows(plane: Array, y: Taps, block: slice) -> Array:
    starts = y.starts[block]
    top, bottom = int(starts[0]), int(starts[-1]) + y.width
    source = _buffer("source", bottom - top, plane.shape[1])
    source[...] = plane[top:bottom]
    sums = _buffer("rows", len(starts), plane.shape[1])
    part = _buffer("part", *sums.shape)
    for k, weights in enumerate(y.weights[:, block, None]):
        into = part if k else sums
        np.take(source, starts - top + k, axis=0, out=into, mode="clip")
        np.multiply(into, weights, out=into)
        if k:
            np.add(sums, part, out=sums)
    return sums


def _any_columns(rows: Array, x: Taps) -> Array:
    sums, part = _buffer("sums", len(rows), x.count), _buffer("part", len(rows), x.count)
    for k, weights in enumerate(x.weights):
        into = part if k else sums
        np.take(rows, x.starts + k, axis=1, out=into, mode="clip")
        np.multiply(into, weights, out=into)
        if k:
            np.add(sums, part, out=sums)
    return sums


def _even_rows(plane: Array, y: Taps, block: slice) -> Array:
    count, width = block.stop - block.start, plane.shape[1]
    parts = []
    for p in range(min(y.step, y.width)):
        rows = count + (y.width - 1 - p) // y.step
        part = _buffer(f"rows {p}", rows, width)
        _deal(plane, int(y.starts[block.start]) + p, y.step, part)
        parts.append(part)
    sums, product = _buffer("rows", count, width), _buffer("part", count, width)
    for k, weight in enumerate(y.weights[:, y.count // 2]):
        taken = parts[k % y.step][k // y.step :][:count]
        np.multiply(taken, weight, out=product if k else sums)
        if k:
            np.add(sums, product, out=sums)
    for i in _at_edges(y):
        if block.start <= i < block.stop:
            _weighted(plane, y, i, sums[i - block.start])
    return sums


def _even_columns(rows: Array, x: Taps) -> Array:
    """Sum along columns; each weight multiplies a part in one run, from its rows' first column on.

    Rows of the parts are longer than those of the result by as much as weights reach, and what is
    summed there, across the ends of rows, is not looked at.
    """
    count, reach = len(rows), (x.width - 1) // x.step
    length = x.count + reach
    parts = []
    for p in range(min(x.step, x.width)):
        part = _buffer(f"columns {p}", count, length)
        _deal(rows.T, int(x.starts[0]) + p, x.step, part.T)
        parts.append(part.reshape(-1))
    sums, product = _buffer("sums", count, length), _buffer("part", count, length)
    run = sums.size - reach
    flat, flat_product = sums.reshape(-1)[:run], product.reshape(-1)[:run]
    for k, weight in enumerate(x.weights[:, x.count // 2]):
        shift = k // x.step
        taken = parts[k % x.step][shift : shift + run]
        np.multiply(taken, weight, out=flat_product if k else flat)
        if k:
            np.add(flat, flat_product, out=flat)
    result = sums[:, : x.count]
    for i in _at_edges(x):
        _weighted(rows.T, x, i, result[:, i])
    return result


def _deal(source: Array, first: int, step: int, part: Array) -> None:
    """Take every ``step``-th row from ``first`` on; rows that are not there become 0."""
    above = max(0, -(first // step))
    below = min(len(part), (len(source) - 1 - first) // step + 1)
    part[:above] = 0
    part[below:] = 0
    start = first + step * above
    part[above:below] = source[start : start + step * (below - above - 1) + 1 : step]


def _at_edges(taps: Taps) -> list[int]:
    return [*range(taps.edges), *range(max(taps.edges, taps.count - taps.edges), taps.count)]


def _weighted(source: Array, taps: Taps, output: int, into: Array) -> None:
    """Sum one output with its own weights."""
    start, total = int(taps.starts[output]), None
    for k, weight in enumerate(taps.weights[:, output]):
        if weight:
            part = source[start + k] * weight
            total = part if total is None else total + part
    into[...] = total


def _buffer(name: str, rows: int, columns: int) -> Array:
    """Return memory of this thread that was used before under the same name."""
    size = rows * columns
    flat: Array | None = getattr(_buffers, name, None)
    if flat is None or flat.size < size:
        flat = np.zeros(size, np.float32)
        setattr(_buffers, name, flat)
    return flat[:size].reshape(rows, columns)


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
        share = resample((mask == value)[None], geometry, -1.0)[0]
        wins = (share >= 0.0) & (share > best + tie)
        out[wins] = value
        best[wins] = share[wins]
    return out
