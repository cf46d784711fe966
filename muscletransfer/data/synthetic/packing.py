"""Pack soft loops into a cavity: discs that push each other aside and flatten where they touch."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from muscletransfer.data.synthetic.shapes import Array, area, normals

__all__ = ["inside", "loop_outlines", "relax"]


def inside(points: Array, polygon: Array) -> npt.NDArray[np.bool_]:
    """Even-odd test of points ``(P, 2)`` against a closed polygon ``(N, 2)``.

    Example:
        >>> square = np.array([[0.0, 0.0], [2.0, 0.0], [2.0, 2.0], [0.0, 2.0]])
        >>> inside(np.array([[1.0, 1.0], [3.0, 1.0]]), square).tolist()
        [True, False]
    """
    x, y = points[:, :1], points[:, 1:]
    x0, y0 = polygon.T
    x1, y1 = np.roll(polygon, -1, axis=0).T
    crosses = (y0 > y) != (y1 > y)
    at = (x1 - x0) * (y - y0) / np.where(y1 == y0, 1e-9, y1 - y0) + x0
    return np.asarray((crosses & (x < at)).sum(axis=1) % 2 == 1)


def relax(
    centres: Array, radii: Array, fixed: Array, region: Array, rng: np.random.Generator
) -> Array:
    """Move discs until they hardly overlap each other, fixed discs and the edge of the region.

    Args:
        centres: ``(N, 2)`` start positions in mm.
        radii: ``(N,)`` in mm.
        fixed: ``(M, 3)`` discs ``(x, y, radius)`` that stay.
        region: Closed polygon that the discs stay in.
        rng: Source of small shakes that free stuck discs.

    Returns:
        ``(N, 2)`` end positions.
    """
    edge = region[:: max(len(region) // 120, 1)]
    inward = normals(edge) * (1.0 if area(edge) > 0 else -1.0)
    places = centres.copy()
    for step in range(45):
        apart = places[:, None] - places[None]
        distance = np.hypot(apart[..., 0], apart[..., 1]) + 1e-6
        overlap = np.maximum(radii[:, None] + radii[None] - distance, 0.0)
        np.fill_diagonal(overlap, 0.0)
        push = 0.35 * (apart / distance[..., None] * overlap[..., None]).sum(axis=1)
        away = places[:, None] - fixed[None, :, :2]
        distance = np.hypot(away[..., 0], away[..., 1]) + 1e-6
        overlap = np.maximum(radii[:, None] + fixed[None, :, 2] - distance, 0.0)
        push += 0.7 * (away / distance[..., None] * overlap[..., None]).sum(axis=1)
        # Signed distance to the nearest piece of the edge, positive inside.
        offset = places[:, None] - edge[None]
        nearest = np.argmin(np.hypot(offset[..., 0], offset[..., 1]), axis=1)
        depth = (offset[np.arange(len(places)), nearest] * inward[nearest]).sum(axis=1)
        push += 0.8 * inward[nearest] * np.maximum(0.92 * radii - depth, 0.0)[:, None]
        shake = rng.normal(0.0, 0.6, size=places.shape) * (1.0 - step / 45.0)
        places += np.clip(push, -8.0, 8.0) + shake
    return places


def loop_outlines(
    places: Array, reach: Array, radii: Array, fixed: Array, region: Array, gap: float
) -> Array:
    """Outlines that fill the room between neighbours without crossing into them.

    Along each ray a loop ends at its own ``reach``, at the bisector with each neighbour (of the
    power diagram, so that larger loops win more room) or at the edge of the region, joined by a
    soft minimum that leaves rounded corners.

    Args:
        places: ``(N, 2)`` centres in mm.
        reach: ``(N, A)`` greatest radius at each of A equidistant angles.
        radii: ``(N,)`` nominal radii.
        fixed: ``(M, 3)`` discs to keep clear of.
        region: Closed polygon to stay in.
        gap: Fat between neighbours in mm.

    Returns:
        ``(N, A, 2)`` closed curves.
    """
    count, angles = reach.shape
    turn = np.linspace(0.0, 2.0 * np.pi, angles, endpoint=False)
    rays = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    others = np.vstack([np.column_stack([places, radii]), fixed])
    away = others[None, :, :2] - places[:, None]
    distance = np.hypot(away[..., 0], away[..., 1])
    np.fill_diagonal(distance[:, :count], np.inf)
    plane = 0.5 * distance + (radii[:, None] ** 2 - others[None, :, 2] ** 2) / (2.0 * distance)
    plane = np.where(np.isfinite(distance), plane, 1e6)
    plane = np.maximum(plane - 0.5 * gap, 1.0)
    toward = np.where(np.isfinite(distance)[..., None], away, 0.0) / distance[..., None]
    cosine = np.maximum(toward @ rays.T, 1e-3)
    inverse = (cosine / plane[..., None]) ** 7
    inverse = inverse.sum(axis=1) + reach**-7.0
    inverse += (1.0 / np.maximum(_ray_room(places, rays, region) - 0.4, 1.0)) ** 7
    length = inverse ** (-1.0 / 7.0)
    return np.asarray(places[:, None] + length[..., None] * rays[None])


def _ray_room(places: Array, rays: Array, region: Array) -> Array:
    """Distance ``(N, A)`` from each place along each ray to the edge of the region."""
    start = region[:: max(len(region) // 140, 1)]
    edge = np.roll(start, -1, axis=0) - start
    to_start = start[None] - places[:, None]
    cross = rays[:, None, 0] * edge[None, :, 1] - rays[:, None, 1] * edge[None, :, 0]
    cross = np.where(np.abs(cross) < 1e-9, 1e-9, cross)
    along = to_start[..., 0] * edge[None, :, 1] - to_start[..., 1] * edge[None, :, 0]
    t = along[:, None, :] / cross[None]
    u = (
        to_start[:, None, :, 0] * rays[None, :, None, 1]
        - to_start[:, None, :, 1] * rays[None, :, None, 0]
    ) / cross[None]
    hit = (t > 0.0) & (u >= 0.0) & (u <= 1.0)
    return np.asarray(np.where(hit, t, 1e3).min(axis=2))
