"""Closed contours on pixels: a pixel belongs to an outline when its centre lies inside."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from muscletransfer.data.types import Array

__all__ = ["combine", "fill"]


def fill(points: Array, shape: tuple[int, int]) -> Array:
    """Return the pixels whose centres lie inside one closed polygon.

    Where the polygon crosses itself the even-odd rule counts, so that a keyhole contour (outer rim,
    a channel, inner rim the other way round) leaves its hole open.

    Args:
        points: ``(N, 2)`` columns and rows; the centre of the first pixel is ``(0, 0)``.
        shape: ``(H, W)``.

    Returns:
        Boolean ``(H, W)``. A pixel whose centre lies on the contour to the last bit may go to
        either side.

    Example:
        >>> fill(np.array([[0.5, 0.5], [2.5, 0.5], [2.5, 1.5], [0.5, 1.5]]), (3, 4)).astype(int)
        array([[0, 0, 0, 0],
               [0, 1, 1, 0],
               [0, 0, 0, 0]])
    """
    from matplotlib.path import Path as Polygon

    inside = np.zeros(shape, bool)
    low = np.clip(np.ceil(points.min(0)).astype(int), 0, None)
    high = np.minimum(np.floor(points.max(0)).astype(int) + 1, (shape[1], shape[0]))
    if (high <= low).any():
        return inside
    y, x = np.mgrid[low[1] : high[1], low[0] : high[0]]
    centres = np.column_stack([x.ravel(), y.ravel()]).astype(float)
    hit = Polygon(np.vstack([points, points[:1]])).contains_points(centres)
    inside[low[1] : high[1], low[0] : high[0]] = hit.reshape(y.shape)
    return inside


def combine(
    contours: Sequence[Array], shape: tuple[int, int], exclusive: bool = False
) -> tuple[Array, list[str]]:
    """Return the region that several contours of one slice enclose together.

    Args:
        contours: ``(N, 2)`` columns and rows each.
        shape: ``(H, W)``.
        exclusive: The contours are of DICOM's kind CLOSEDPLANAR_XOR: what an odd number of them
            enclose. Otherwise a contour wholly inside the region so far is a hole (as planning
            systems write them), one beside it is a second part, and one that crosses it is added,
            with a note.

    Returns:
        Boolean ``(H, W)``, and notes on what was odd.

    Example:
        >>> def square(a, b):
        ...     return np.array([[a, a], [b, a], [b, b], [a, b]])
        >>> region, notes = combine([square(-0.5, 6.5), square(1.5, 4.5)], (7, 7))
        >>> int(region.sum()), notes
        (40, [])
    """
    notes: list[str] = []
    kept: list[Array] = []
    for points in contours:
        if len(points) < 3:
            notes.append("a contour of fewer than 3 points was left out")
        elif any(_same(points, other) for other in kept):
            # Drawn twice it would be a hole in itself.
            notes.append("a contour occurs twice and was taken once")
        else:
            kept.append(points)
    kept.sort(key=lambda points: -_area(points))
    region = np.zeros(shape, bool)
    filled: list[tuple[Array, Array]] = []
    for points in kept:
        part = fill(points, shape)
        if not exclusive and any(_covers_the_same(points, part, *other) for other in filled):
            notes.append("a contour occurs twice and was taken once")
            continue
        filled.append((points, part))
        overlap = part & region
        if exclusive or (overlap.any() and overlap.sum() == part.sum()):
            region ^= part
        else:
            if overlap.any():
                notes.append(
                    f"two contours cross each other ({int(overlap.sum())} pixels in both); both "
                    "were filled"
                )
            region |= part
    return region, notes


def _same(a: Array, b: Array) -> bool:
    return a.shape == b.shape and bool(np.allclose(a, b, atol=1e-6))


def _covers_the_same(a: Array, part: Array, b: Array, other: Array) -> bool:
    """Whether one contour is the other, begun elsewhere, run backwards or closed once more."""
    one, two = _area(a), _area(b)
    same_area = abs(one - two) <= 1e-6 * max(one, two)
    return same_area and bool(part.any()) and np.array_equal(part, other)


def _area(points: Array) -> float:
    x, y = points.T
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2
