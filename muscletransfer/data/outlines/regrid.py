"""A mask brought onto the grid of its image: by exact re-indexing, or by resampling when asked."""

from __future__ import annotations

import math

import numpy as np

from muscletransfer.data.io.grids import ImageGrid
from muscletransfer.data.types import Array, MaskImage
from muscletransfer.errors import GeometryError

__all__ = ["onto_grid"]

_NEAR = 0.1  # of a pixel or slice gap, as in check_same_grid


def onto_grid(
    mask: MaskImage, grid: ImageGrid, *, resample: bool = False, outside: int = 0
) -> MaskImage:
    """Bring a mask onto the grid of its image.

    A mask that is stored flipped, with other axis order, or cut to a box has the image's own voxels
    and is re-indexed: nothing is interpolated. Any other mask is refused, unless asked for.

    Args:
        mask: Class indices with their grid.
        grid: The image's.
        resample: Take the nearest voxel of a mask on another grid (its outline moves by up to half
            a voxel of either grid).
        outside: Value where the mask does not reach: 0, or 255 for not annotated.

    Returns:
        Labels of the image's shape; slices that the mask lacks hold ``outside``.

    Raises:
        GeometryError: Another grid and ``resample`` is not set, foreground that lies off the image,
            or no common region at all.

    Example:
        >>> from muscletransfer.data.io.grids import grid_of
        >>> from muscletransfer.data.types import Volume
        >>> grid = grid_of(Volume(np.zeros((2, 2, 3)), spacing=(5.0, 1.0, 1.0)))
        >>> flipped = MaskImage(
        ...     np.array([[[0, 0, 1], [0, 0, 0]]], np.uint8), (5.0, 1.0, 1.0),
        ...     (-1, 0, 0, 0, 1, 0, 0, 0, 1), (2.0, 0.0, 5.0),
        ... )
        >>> onto_grid(flipped, grid).labels.tolist()
        [[[0, 0, 0], [0, 0, 0]], [[1, 0, 0], [0, 0, 0]]]
    """
    found = _reindexed(mask, grid, outside)
    if isinstance(found, str):
        if not resample:
            raise GeometryError(
                f"{mask.path or 'the mask'} does not lie on the grid of {grid.path}: {found}. "
                "Export the mask on the image's grid, or ask for resampling (resample=True, "
                "--resample; find_level: other_grid=True), which moves outlines by up to half a "
                "voxel."
            )
        found = _nearest(mask, grid, outside)
    volume = grid.volume
    return MaskImage(found, volume.spacing, volume.direction, volume.origin, mask.path)


def _reindexed(mask: MaskImage, grid: ImageGrid, outside: int) -> Array | str:
    """Return the labels on the grid, or why they do not lie on it."""
    axes = grid.axes
    theirs = np.array(mask.direction, dtype=float).reshape(3, 3)
    turn = axes @ theirs  # (image axis, mask axis), both ordered columns, rows, slices
    signed = np.rint(turn)
    if np.abs(turn - signed).max() > 1e-3 or not _is_permutation(signed):
        angle = math.degrees(math.acos(min(1.0, float(np.abs(turn).max(axis=1).min()))))
        return f"its axes are turned by {angle:.2f} degrees"
    own = (*grid.spacing[::-1], grid.gap_mm)  # columns, rows, slices
    given = mask.spacing[::-1]
    order = [int(np.flatnonzero(signed[axis])[0]) for axis in range(3)]
    for axis, name in enumerate(("columns", "rows", "slices")):
        a, b = own[axis], given[order[axis]]
        comparable = axis < 2 or (mask.array.shape[2 - order[2]] > 1 and grid.is_even)
        if comparable and abs(a - b) > 1e-3 * a:
            return f"its {name} are {b:.4g} mm apart, those of the image {a:.4g} mm"
    labels, first = _turned(mask, signed, order)
    gap = given[order[2]]
    planes = first + np.arange(len(labels))[:, None] * (gap if len(labels) > 1 else 0.0) * axes[2]
    return _placed(labels, planes, grid, outside)


def _placed(labels: Array, planes: Array, grid: ImageGrid, outside: int) -> Array | str:
    columns, rows, normal = grid.axes
    result = np.full(grid.shape, outside, labels.dtype)
    places, pixel = grid.places_mm, min(grid.spacing)
    if not np.isfinite(places).all() or math.isnan(pixel):
        same = labels.shape == grid.shape
        return labels.copy() if same else "the place of the image's slices is unknown"
    near = _NEAR * (grid.gap_mm if grid.shape[0] > 1 else pixel)
    hit = False
    for k, plane in enumerate(labels):
        away = np.abs(places - float(planes[k] @ normal))
        index = int(np.argmin(away))
        drawn = _count(plane) > 0
        if away[index] > near:
            if drawn:
                return (
                    f"a slice of it with an outline lies {away[index]:.3g} mm from the nearest "
                    "slice of the image"
                )
            continue
        offset = planes[k] - grid.origins[index]
        shift = (float(offset @ rows) / grid.spacing[0], float(offset @ columns) / grid.spacing[1])
        if max(abs(s - round(s)) for s in shift) > _NEAR:
            return f"its pixels are shifted by {shift[0]:.2f} rows and {shift[1]:.2f} columns"
        y, x = round(shift[0]), round(shift[1])
        inside = _common(plane.shape, (y, x), grid.shape[1:])
        if inside is None or (drawn and _count(plane[inside[0]]) < _count(plane)):
            if drawn:
                return "part of its outline lies beside the image"
            continue
        result[index][inside[1]] = plane[inside[0]]
        hit = True
    if not hit:
        return "they have no region in common"
    return result


def _turned(mask: MaskImage, signed: Array, order: list[int]) -> tuple[Array, Array]:
    """Return the labels with axes and directions of the image, and the place of the first voxel."""
    labels = mask.labels.transpose([2 - order[2], 2 - order[1], 2 - order[0]])
    first = np.array(mask.origin, dtype=float)
    theirs = np.array(mask.direction, dtype=float).reshape(3, 3)
    spacing = mask.spacing[::-1]
    for axis in range(3):
        source = order[axis]
        if signed[axis, source] < 0:
            labels = np.flip(labels, 2 - axis)
            last = mask.array.shape[2 - source] - 1
            if last:
                first = first + theirs[:, source] * spacing[source] * last
    return labels, first


def _common(
    shape: tuple[int, ...], shift: tuple[int, int], target: tuple[int, int]
) -> tuple[tuple[slice, ...], tuple[slice, ...]] | None:
    source, goal = [], []
    for size, start, limit in zip(shape, shift, target, strict=True):
        low, high = max(0, start), min(limit, start + size)
        if high <= low:
            return None
        source.append(slice(low - start, high - start))
        goal.append(slice(low, high))
    return tuple(source), tuple(goal)


def _nearest(mask: MaskImage, grid: ImageGrid, outside: int) -> Array:
    theirs = np.array(mask.direction, dtype=float).reshape(3, 3)
    spacing = np.array(mask.spacing[::-1], dtype=float)
    if not np.isfinite(spacing).all() or not np.isfinite(grid.origins).all():
        raise GeometryError(
            f"{mask.path or 'the mask'} cannot be resampled onto {grid.path}: the place of some "
            "slices is unknown; wanted both grids in mm."
        )
    back = np.linalg.inv(theirs * spacing)  # mm to (column, row, slice) of the mask
    columns, rows, _ = grid.axes
    sy, sx = grid.spacing
    y = np.arange(grid.shape[1])[:, None, None] * sy * rows
    x = np.arange(grid.shape[2])[None, :, None] * sx * columns
    result = np.full(grid.shape, outside, mask.labels.dtype)
    limits = np.array(mask.labels.shape[::-1])
    hit = False
    for k, origin in enumerate(grid.origins):
        at = (y + x + (origin - np.array(mask.origin))) @ back.T
        index = np.floor(at + 0.5).astype(int)
        inside = ((index >= 0) & (index < limits)).all(axis=-1)
        column, row, plane = np.moveaxis(index[inside], -1, 0)
        result[k][inside] = mask.labels[plane, row, column]
        hit = hit or bool(inside.any())
    if not hit:
        raise GeometryError(
            f"{mask.path or 'the mask'} and {grid.path} have no region in common; wanted a mask of "
            "this image."
        )
    return result


def _is_permutation(signed: Array) -> bool:
    counts = np.abs(signed)
    return bool((counts.sum(0) == 1).all() and (counts.sum(1) == 1).all())


def _count(plane: Array) -> int:
    return int(((plane != 0) & (plane != 255)).sum())
