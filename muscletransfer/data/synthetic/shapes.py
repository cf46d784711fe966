"""Closed curves in millimetres: splines, wobbly blobs, bands along a curve, strips.

Every curve is an array ``(N, 2)`` of ``(x, y)`` in mm; x grows to the patient's left (right on the
screen) and y to the back (down on the screen), as in LPS.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.interpolate import CubicSpline

__all__ = [
    "Array",
    "arc_length",
    "area",
    "band",
    "blob",
    "closed_spline",
    "disc",
    "inset",
    "mirrored",
    "normals",
    "smoothstep",
    "strip",
    "superellipse",
    "wobble",
]

Array: TypeAlias = npt.NDArray[np.floating[Any]]


def smoothstep(x: npt.ArrayLike) -> Array:
    """Rise smoothly from 0 at ``x <= 0`` to 1 at ``x >= 1`` (Hermite polynomial ``3x^2 - 2x^3``).

    Example:
        >>> smoothstep([-1.0, 0.5, 2.0]).tolist()
        [0.0, 0.5, 1.0]
    """
    t = np.clip(np.asarray(x, dtype=np.float64), 0.0, 1.0)
    return np.asarray(t * t * (3.0 - 2.0 * t))


def area(curve: Array) -> float:
    """Signed area of a closed polygon in mm2 (shoelace formula).

    Example:
        >>> area(np.array([[0.0, 0.0], [2.0, 0.0], [2.0, 3.0], [0.0, 3.0]]))
        6.0
    """
    x, y = curve[:, 0], curve[:, 1]
    return float(0.5 * np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))


def arc_length(curve: Array) -> Array:
    """Length along an open curve at each of its points, in mm, starting with 0."""
    steps = np.hypot(*np.diff(curve, axis=0).T)
    return np.concatenate([[0.0], np.cumsum(steps)])


def closed_spline(points: npt.ArrayLike, samples: int = 160) -> Array:
    """Smooth closed curve through points (periodic cubic spline over chord length).

    Args:
        points: ``(K, 2)`` control points in order, the first not repeated.
        samples: Number of points of the result.

    Returns:
        ``(samples, 2)`` curve.

    Example:
        >>> closed_spline([[1, 0], [0, 1], [-1, 0], [0, -1]], samples=8).shape
        (8, 2)
    """
    knots = np.asarray(points, dtype=np.float64)
    knots = np.vstack([knots, knots[:1]])
    length = arc_length(knots)
    spline = CubicSpline(length, knots, bc_type="periodic")
    return np.asarray(spline(np.linspace(0.0, length[-1], samples, endpoint=False)))


def normals(curve: Array, *, closed: bool = True) -> Array:
    """Unit normals, to the right of the direction of travel on the screen (y down).

    A curve that runs clockwise on the screen has normals that point inwards.
    """
    tangent: Array
    if closed:
        tangent = np.roll(curve, -1, axis=0) - np.roll(curve, 1, axis=0)
    else:
        tangent = np.asarray(np.gradient(curve, axis=0))
    tangent = tangent / np.maximum(np.hypot(tangent[:, :1], tangent[:, 1:]), 1e-9)
    return np.stack([-tangent[:, 1], tangent[:, 0]], axis=1)


def inset(curve: Array, depth: float | Array) -> Array:
    """Move a closed curve inwards by ``depth`` mm (outwards when negative).

    Example:
        >>> ring = disc(0.0, 0.0, 10.0)
        >>> round(float(np.hypot(*inset(ring, 2.0).T).mean()), 2)
        8.0
    """
    direction = 1.0 if area(curve) > 0 else -1.0
    amount = np.broadcast_to(np.asarray(depth, dtype=np.float64), curve.shape[:1])
    return curve + direction * amount[:, None] * normals(curve)


def disc(x: float, y: float, radius: float, other: float | None = None, turn: float = 0.0) -> Array:
    """Ellipse with semi-axes ``radius`` and ``other`` (a circle without it), turned by radians."""
    angle = np.linspace(0.0, 2.0 * np.pi, 72, endpoint=False)
    u, v = radius * np.cos(angle), (radius if other is None else other) * np.sin(angle)
    c, s = np.cos(turn), np.sin(turn)
    return np.stack([x + c * u - s * v, y + s * u + c * v], axis=1)


def wobble(
    curve: Array, rng: np.random.Generator, amount: float, harmonics: tuple[int, int] = (2, 8)
) -> Array:
    """Perturb a closed curve along its normals by a random Fourier series.

    Args:
        curve: Closed curve.
        rng: Source of the phases and amplitudes.
        amount: Root mean square displacement in mm.
        harmonics: First and last order; amplitudes fall with the order, so outlines stay smooth.

    Returns:
        The displaced curve.
    """
    orders = np.arange(harmonics[0], harmonics[1] + 1)
    weights = rng.normal(size=(2, orders.size)) / orders
    phase = 2.0 * np.pi * np.arange(len(curve)) / len(curve)
    wave = weights[0] @ np.cos(np.outer(orders, phase)) + weights[1] @ np.sin(
        np.outer(orders, phase)
    )
    expected = np.sqrt(np.sum(1.0 / orders**2))
    return inset(curve, wave * (amount / expected))


def blob(
    x: float,
    y: float,
    radius: float,
    rng: np.random.Generator,
    *,
    other: float | None = None,
    turn: float = 0.0,
    rough: float = 0.06,
) -> Array:
    """Organic ellipse: :func:`disc` with a wobble of ``rough`` times its mean radius."""
    second = radius if other is None else other
    return wobble(disc(x, y, radius, second, turn), rng, rough * 0.5 * (radius + second))


def superellipse(
    centre: tuple[float, float],
    axes: tuple[float, float],
    exponent: float,
    angles: Array,
) -> Array:
    """Points of a superellipse; angle 0 is to the front (up), a quarter turn to the left (right).

    ``|x/a|^n + |y/b|^n = 1`` for exponent n; 2 is an ellipse and larger is boxier.
    """
    sin, cos = np.sin(angles), np.cos(angles)
    power = 2.0 / exponent
    x = centre[0] + axes[0] * np.sign(sin) * np.abs(sin) ** power
    y = centre[1] - axes[1] * np.sign(cos) * np.abs(cos) ** power
    return np.stack([x, y], axis=1)


def band(curve: Array, outer: Array, inner: Array) -> Array:
    """Closed polygon between two depths under an open curve that runs clockwise on the screen.

    Args:
        curve: ``(N, 2)`` open curve.
        outer: ``(N,)`` depth of the outer edge in mm.
        inner: ``(N,)`` depth of the inner edge in mm.
    """
    direction = normals(curve, closed=False)
    return np.vstack(
        [curve + outer[:, None] * direction, (curve + inner[:, None] * direction)[::-1]]
    )


def strip(centreline: Array, width: npt.ArrayLike) -> Array:
    """Closed polygon about an open line; width in mm, one a point or one for all."""
    half = np.broadcast_to(np.asarray(width, dtype=np.float64) / 2.0, centreline.shape[:1])
    return band(centreline, -half, half)


def mirrored(points: Sequence[tuple[float, float]] | Array, side: int) -> Array:
    """Points given for the patient's left (``side=1``), or their mirror image (``side=-1``)."""
    flipped = np.array(points, dtype=np.float64)
    flipped[:, 0] *= side
    return flipped
