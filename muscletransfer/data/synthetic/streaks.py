"""Streaks of dense objects, by projecting them, spoiling the projections and reconstructing that.

Parallel beams over half a turn. A detector of many energies under-estimates long paths through
bone or metal (beam hardening), by about the square of the path: this leaves a single round object
almost unchanged and puts dark bands between two. Where little light arrives the noise is large
(photon starvation), which leaves fine streaks along these rays.
"""

from __future__ import annotations

import numpy as np
from scipy import fft
from scipy.ndimage import map_coordinates

from muscletransfer.data.synthetic.canvas import Float32, Grid
from muscletransfer.data.synthetic.shapes import Array

__all__ = ["arm_streaks", "back_project", "metal_streaks", "project"]

_VIEWS = 180
_MOST_BINS = 384
# Attenuation of water at the mean energy of the beam, 1/mm.
_WATER = 0.02


def _bins(grid: Grid) -> int:
    """Detector elements: about two pixels wide, or the grid of pixels would show in the views."""
    return min(_MOST_BINS, 3 * grid.size // 4)


def _centres(grid: Grid) -> Array:
    """Centres of the detector elements in mm."""
    count = _bins(grid)
    return np.asarray((2.0 * np.arange(count) + 1.0 - count) / count * _half_length(grid))


def _half_length(grid: Grid) -> float:
    return 0.5 * float(np.sqrt(2.0)) * grid.size * grid.spacing


def _middle(grid: Grid) -> tuple[float, float]:
    half = 0.5 * (grid.size - 1) * grid.spacing
    return grid.x0 + half, grid.y0 + half


def project(density: Float32, grid: Grid) -> Array:
    """Line integrals of an image over half a turn.

    Args:
        density: ``(size, size)``, mostly 0.
        grid: Its pixel grid.

    Returns:
        ``(views, bins)``, density times mm.

    Example:
        >>> grid = Grid(size=64, spacing=2.0, x0=-63.0, y0=-63.0)
        >>> sinogram = project(np.full((64, 64), 3.0, dtype=np.float32), grid)
        >>> step = 2.0 * np.sqrt(2.0) * 64.0 / sinogram.shape[1]
        >>> np.allclose(sinogram.sum(axis=1) * step, 3.0 * 128.0**2)  # each view sees it all
        True
    """
    rows, columns = np.nonzero(density)
    middle = _middle(grid)
    x, y = grid.x[columns] - middle[0], grid.y[rows] - middle[1]
    mass = density[rows, columns].astype(np.float64) * grid.spacing**2
    half, bins = _half_length(grid), _bins(grid)
    step = 2.0 * half / bins
    sinogram = np.empty((_VIEWS, bins))
    for view, angle in enumerate(np.pi * np.arange(_VIEWS) / _VIEWS):
        t = (x * np.cos(angle) + y * np.sin(angle) + half) / step - 0.5
        low = np.clip(np.floor(t), 0, bins - 2)
        share = np.clip(t - low, 0.0, 1.0)
        index = low.astype(np.int64)
        sinogram[view] = np.bincount(index, mass * (1.0 - share), bins)
        sinogram[view] += np.bincount(index + 1, mass * share, bins)
    return sinogram / step


def back_project(sinogram: Array, grid: Grid) -> Float32:
    """Filtered back projection (ramp with a Hann window).

    Args:
        sinogram: ``(views, bins)`` as from :func:`project`.
        grid: Where to reconstruct.

    Returns:
        ``(size, size)`` float32.
    """
    half, bins = _half_length(grid), _bins(grid)
    step = 2.0 * half / bins
    f = fft.rfftfreq(2 * bins, step)
    ramp = f * (0.5 + 0.5 * np.cos(np.pi * f / f[-1]))
    filtered = fft.irfft(fft.rfft(sinogram, 2 * bins, axis=1) * ramp, axis=1)[:, :bins]
    # Streaks are coarser than pixels: half as many pixels as the image is enough.
    count = min(grid.size, 256)
    line = (np.arange(count) + 0.5) * (grid.size * grid.spacing / count)
    line = (line - 0.5 * grid.size * grid.spacing).astype(np.float32)
    image = np.zeros((count, count), dtype=np.float32)
    # One more element at each end, for the pixels in the corners.
    rows = np.pad(filtered, ((0, 0), (1, 1)), mode="edge").astype(np.float32)
    for view, angle in enumerate(np.pi * np.arange(_VIEWS) / _VIEWS):
        along = line[None, :] * np.float32(np.cos(angle)) + line[:, None] * np.float32(
            np.sin(angle)
        )
        along += np.float32(half)
        along *= np.float32(1.0 / step)
        along += np.float32(0.5)
        index = along.astype(np.int32)
        along -= index
        near = rows[view][index]
        image += near + along * (rows[view][index + 1] - near)
    image *= np.float32(np.pi / _VIEWS)
    if count == grid.size:
        return image
    at = (np.arange(grid.size) + 0.5) * (count / grid.size) - 0.5
    points = np.meshgrid(at, at, indexing="ij")
    return np.asarray(map_coordinates(image, points, order=1, mode="nearest"), dtype=np.float32)


def _starvation(water: Array, rng: np.random.Generator, strength: float, usual: float) -> Array:
    """Noise in excess of that of rays with a usual path (mm of water), in HU mm."""
    light = np.exp(_WATER * np.minimum(water, 900.0)) - np.exp(_WATER * usual)
    return np.asarray(strength * np.sqrt(np.maximum(light, 0.0)) * rng.normal(size=water.shape))


def _coarse(hu: Float32, grid: Grid) -> tuple[Float32, Grid]:
    """Every second or fourth pixel: the paths through soft parts are smooth."""
    stride = max(grid.size // 128, 1)
    part = hu[: grid.size // stride * stride : stride, : grid.size // stride * stride : stride]
    half = 0.5 * (stride - 1) * grid.spacing
    coarse = Grid(part.shape[0], stride * grid.spacing, grid.x0 + half, grid.y0 + half)
    return np.ascontiguousarray(part), coarse


def _water_path(hu: Float32, grid: Grid) -> Array:
    """Path of each ray in mm of water, on the detector of ``grid``."""
    part, coarse = _coarse(hu, grid)
    density = np.maximum(part + np.float32(1000.0), 0.0) / np.float32(1000.0)
    density[density < 0.1] = 0.0
    wanted, found = _centres(grid), _centres(coarse)
    return np.stack([np.interp(wanted, found, row) for row in project(density, coarse)])


def arm_streaks(hu: Float32, grid: Grid, rng: np.random.Generator) -> Float32:
    """Streaks between two arms and the spine.

    Args:
        hu: The body with its arms in HU.
        grid: Its pixel grid.
        rng: Source of the noise.

    Returns:
        ``(size, size)`` HU to add to the image.
    """
    bone = project(np.where(hu > 300.0, hu, np.float32(0.0)), grid)
    spoiled = -4.5e-5 * bone**2
    spoiled += _starvation(_water_path(hu, grid), rng, 3.2, 280.0)
    return back_project(spoiled, grid)


def metal_streaks(hu: Float32, grid: Grid, rng: np.random.Generator) -> Float32:
    """Dark bands and bright streaks of metal.

    Args:
        hu: The body with its metal in HU.
        grid: Its pixel grid.
        rng: Source of the noise.

    Returns:
        ``(size, size)`` HU to add to the image.
    """
    metal = project(np.where(hu > 2500.0, hu, np.float32(0.0)), grid)
    # Only hard photons pass metal, so the error grows more slowly than the square.
    spoiled = -7.5e-4 * metal**1.5
    spoiled += _starvation(_water_path(hu, grid), rng, 2.5, 380.0)
    return back_project(spoiled, grid)
