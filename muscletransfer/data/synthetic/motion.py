"""Breathing during the rotation of the tube."""

from __future__ import annotations

import numpy as np
from scipy import fft
from scipy.ndimage import map_coordinates

from muscletransfer.data.synthetic.canvas import Float32, Grid
from muscletransfer.data.synthetic.frame import Frame
from muscletransfer.data.synthetic.shapes import smoothstep

__all__ = ["move_during_scan"]

_PHASES = 5


def _moved(hu: Float32, grid: Grid, frame: Frame, forwards: float, sideways: float) -> Float32:
    """The body with its front wall moved (mm); spine and back muscles lie still on the table."""
    x, y = grid.x, grid.y
    reach = smoothstep((14.0 - y) / (14.0 - frame.front))[:, None]
    narrow = np.exp(-((x / (1.6 * frame.half_width)) ** 2))[None, :]
    rows = np.arange(grid.size)[:, None] + forwards / grid.spacing * reach * narrow
    columns = np.arange(grid.size)[None, :] + sideways / grid.spacing * reach
    points = np.broadcast_arrays(rows, columns)
    moved = map_coordinates(hu, points, order=1, mode="nearest")
    return np.asarray(moved, dtype=np.float32)


def move_during_scan(hu: Float32, grid: Grid, frame: Frame, rng: np.random.Generator) -> Float32:
    """Reconstruct a body that breathes while the tube turns.

    By the projection-slice theorem each direction of the image's spectrum is measured at one
    moment of the half turn. So the spectrum is put together from those of the body in five phases
    of a breath, each in its own wedge of directions: contours double, and streaks leave them.

    Args:
        hu: The body at the middle of the breath in HU.
        grid: Its pixel grid.
        frame: Outlines of the patient.
        rng: Source of the depth and phase of the breath.

    Returns:
        The inconsistent image in HU.
    """
    depth, turn = rng.uniform(4.0, 8.0), rng.uniform(0.0, np.pi)
    start, aside = rng.uniform(0.0, 2.0 * np.pi), rng.normal(0.0, 0.12)
    f = fft.fftfreq(grid.size)[:, None], fft.rfftfreq(grid.size)[None, :]
    moment = np.mod(np.arctan2(f[0], f[1]) - turn, np.pi) / np.pi * _PHASES
    spectrum = np.zeros((grid.size, grid.size // 2 + 1), dtype=np.complex64)
    for phase in range(_PHASES):
        # Wedges blend over a fifth of their width; together they weigh 1 in every direction.
        away = np.abs(np.mod(moment - phase - 0.5 + 0.5 * _PHASES, _PHASES) - 0.5 * _PHASES)
        weight = smoothstep((0.6 - away) / 0.2).astype(np.float32)
        wave = depth * np.sin(start + 1.3 * np.pi * (phase - 0.5 * (_PHASES - 1)) / _PHASES)
        body = _moved(hu, grid, frame, float(wave), float(aside * wave))
        spectrum += weight * fft.rfft2(body + np.float32(1000.0))
    image = fft.irfft2(spectrum, s=hu.shape) - np.float32(1000.0)
    return np.asarray(image, dtype=np.float32)
