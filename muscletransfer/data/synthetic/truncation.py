"""A body that is wider than the scan field."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d

from muscletransfer.data.synthetic.canvas import Canvas, Float32
from muscletransfer.data.synthetic.frame import Frame

__all__ = ["EDGE_MM", "truncate"]

#: Distance from the edge of the field over which the HU of a cut body rise, in mm.
EDGE_MM = 14.0


def truncate(image: Float32, canvas: Canvas, frame: Frame, rng: np.random.Generator) -> Float32:
    """Cut the image to a circle that is narrower than the body; labels end with it.

    The attenuation of what lies outside the field is put to the nearest pixels inside by the
    reconstruction: where the body is cut, HU rise towards the edge.

    Args:
        image: In HU.
        canvas: Painted body; its labels are cleared outside the field.
        frame: Outlines of the patient, for the width.
        rng: Source of the width and place of the field.

    Returns:
        The image, -1024 HU outside the field.
    """
    grid = canvas.grid
    radius = 0.5 * float(np.ptp(frame.skin[:, 0])) * rng.uniform(0.8, 0.9)
    middle = 0.5 * (frame.skin.min(axis=0) + frame.skin.max(axis=0))
    middle = middle + rng.normal(0.0, (0.05 * radius, 2.0))
    x, y = grid.x[None, :] - middle[0], grid.y[:, None] - middle[1]
    inward = (radius - np.hypot(x, y)).astype(np.float32)
    turn = np.linspace(-np.pi, np.pi, 361)
    column = np.rint((middle[0] + radius * np.cos(turn) - grid.x0) / grid.spacing).astype(np.int64)
    row = np.rint((middle[1] + radius * np.sin(turn) - grid.y0) / grid.spacing).astype(np.int64)
    seen = canvas.hu[np.clip(row, 0, grid.size - 1), np.clip(column, 0, grid.size - 1)]
    cut = gaussian_filter1d((seen > -400.0).astype(np.float64), 4.0, mode="wrap")
    height = rng.uniform(120.0, 260.0)
    rise = height * np.interp(np.arctan2(y, x), turn, cut) * np.exp(-inward / (0.4 * EDGE_MM))
    field = inward >= 0.0
    canvas.groups[~field] = 0
    canvas.tissues[~field] = 0
    return np.where(field, image + rise.astype(np.float32), np.float32(-1024.0))
