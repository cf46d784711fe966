"""The picture of one case: the slice with the outline of the prediction."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from muscletransfer.data.files import atomic_path
from muscletransfer.data.types import Array

__all__ = ["overlay_image", "write_overlay"]

# Okabe & Ito 2008: told apart by readers with any colour vision.
_COLOURS = ((86, 180, 233), (230, 159, 0), (0, 158, 115), (240, 228, 66), (204, 121, 167))
_SIDE = 720  # pixels of the longer side: sharp on a screen, small in a folder of thousands


def overlay_image(
    pixels: Array,
    mask: Array,
    spacing: tuple[float, float] | None = None,
    flip: tuple[bool, bool] = (False, False),
    window: tuple[float, float] | None = (-150.0, 250.0),
) -> Image.Image:
    """Draw a slice, cut to the body, with the outline of every class.

    Args:
        pixels: (H, W) HU or grey values, or (H, W, 3) colour.
        mask: (H, W) class indices.
        spacing: (sy, sx) in mm, so that proportions are the patient's.
        flip: Axes to reverse for the radiological view.
        window: HU that become black and white; ``None`` for the range of the image.

    Returns:
        An RGB image whose longer side has 720 pixels.

    Example:
        >>> overlay_image(np.zeros((50, 100)), np.zeros((50, 100))).size
        (720, 360)
    """
    steps = tuple(-1 if turned else 1 for turned in flip)
    values = np.asarray(pixels, dtype=np.float32)[:: steps[0], :: steps[1]]
    labels = np.asarray(mask)[:: steps[0], :: steps[1]]
    rows, columns = _body_box(values, labels, window)
    values, labels = values[rows, columns], labels[rows, columns]
    low, high = window if window is not None else (float(values.min()), float(values.max()))
    grey = np.clip((values - low) / max(high - low, 1e-6), 0, 1) * 255
    sy, sx = spacing or (1.0, 1.0)
    extent = labels.shape[0] * sy, labels.shape[1] * sx
    scale = _SIDE / max(extent)
    size = max(1, round(extent[1] * scale)), max(1, round(extent[0] * scale))
    image = Image.fromarray(grey.astype(np.uint8)).convert("RGB")
    canvas = np.array(image.resize(size, Image.Resampling.BICUBIC))
    for label in (int(v) for v in np.unique(labels) if v):
        inside = Image.fromarray(np.where(labels == label, 255, 0).astype(np.uint8))
        large = np.asarray(inside.resize(size, Image.Resampling.BILINEAR)) > 127
        line = large & ~ndimage.binary_erosion(large, iterations=2, border_value=1)
        canvas[line] = _COLOURS[(label - 1) % len(_COLOURS)]
    return Image.fromarray(canvas)


def write_overlay(image: Image.Image, path: Path) -> Path:
    """Write a picture as PNG, whole or not at all, and return the path."""
    with atomic_path(path) as temporary:
        image.save(temporary, compress_level=3)
    return path


def _body_box(
    values: Array, labels: Array, window: tuple[float, float] | None
) -> tuple[slice, slice]:
    """Return the rows and columns of body and outline with a margin; all of a picture without."""
    if window is None or values.ndim != 2:
        return slice(None), slice(None)
    body = ndimage.binary_opening(values > -400, iterations=2) | (labels > 0)
    if not body.any():
        return slice(None), slice(None)
    margin = max(body.shape) // 40
    boxes = []
    for axis in (1, 0):
        hit = np.flatnonzero(body.any(axis=axis))
        boxes.append(slice(max(int(hit[0]) - margin, 0), int(hit[-1]) + margin + 1))
    return boxes[0], boxes[1]
