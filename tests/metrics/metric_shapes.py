"""Shapes and slow references that the metric tests share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]


def blob(seed: int, shape: tuple[int, ...] = (40, 50), level: float = 0.3) -> Mask:
    """A random smooth shape with islands and holes."""
    noise = np.random.default_rng(seed).standard_normal(shape)
    smooth = ndimage.gaussian_filter(noise, 2.0 if len(shape) == 2 else 1.5)
    return smooth > level * smooth.std()


def disc(radius: float, centre: tuple[float, float] = (50, 50), size: int = 101) -> Mask:
    y, x = np.mgrid[:size, :size]
    return (y - centre[0]) ** 2 + (x - centre[1]) ** 2 <= radius**2


def slow_boundary(mask: Mask) -> Mask:
    """Foreground pixels with a face neighbour outside, one pixel at a time."""
    padded = np.pad(mask, 1)
    edge = np.zeros_like(mask)
    for index in np.argwhere(mask):
        for axis in range(mask.ndim):
            for step in (-1, 1):
                neighbour = index + 1
                neighbour[axis] += step
                if not padded[tuple(neighbour)]:
                    edge[tuple(index)] = True
    return edge


def slow_distances(
    pred: Mask, target: Mask, spacing: tuple[float, ...]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """All pairs of boundary pixels, no tree, no transform."""
    a = np.argwhere(slow_boundary(pred)) * np.asarray(spacing)
    b = np.argwhere(slow_boundary(target)) * np.asarray(spacing)
    pairs = np.sqrt(((a[:, None] - b[None]) ** 2).sum(axis=-1))
    return pairs.min(axis=1), pairs.min(axis=0)
