"""What can be seen in a slice without a network: a cut body, arms, metal, a touched edge."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from muscletransfer.data.types import Array

__all__ = ["Picture", "look_at", "outside_field", "touched_mm"]

BODY_HU = -300.0
"""Between fat and air, and above the foam of a table."""
BONE_HU = 200.0
METAL_HU = 2200.0
"""Above cortical bone, which seldom passes 2000 HU."""
_COARSE_MM = 2.5


@dataclass(frozen=True)
class Picture:
    """Findings in one CT slice, each a length or an area.

    Args:
        cut_mm: Length of the body's outline that lies on the edge of the field of view.
        arms_cm2: Area of limbs beside the trunk: tissue apart from it, with a bone inside.
        metal_mm2: Area of what is denser than bone, inside the body.
    """

    cut_mm: float
    arms_cm2: float
    metal_mm2: float


def look_at(hu: Array, spacing: tuple[float, float], outside: Array | None = None) -> Picture:
    """Look for what spoils a measurement of muscle.

    Args:
        hu: (H, W) HU.
        spacing: (sy, sx) in mm.
        outside: `outside_field` of the slice, where it is known already.

    Returns:
        The findings; all 0 in a slice as it should be.

    Example:
        >>> y, x = np.mgrid[:64, :64]
        >>> whole = np.where(np.hypot(1.3 * (y - 32), x - 32) < 24, 40, -1000)
        >>> look_at(whole, (6.0, 6.0))
        Picture(cut_mm=0.0, arms_cm2=0.0, metal_mm2=0.0)
        >>> look_at(whole[:, 20:], (6.0, 6.0)).cut_mm
        186.0
    """
    # What is large enough to be a trunk or an arm shows on a coarse grid, in a tenth of the time.
    step = max(1, int(_COARSE_MM / max(spacing)))
    coarse, coarse_spacing = hu[::step, ::step], (spacing[0] * step, spacing[1] * step)
    body = coarse > BODY_HU
    trunk = _largest(ndimage.binary_opening(body, _disc(6.0, coarse_spacing)))
    if not trunk.any():
        return Picture(0.0, 0.0, 0.0)
    beyond = outside_field(hu, spacing) if outside is None else outside
    near = _refined(ndimage.binary_fill_holes(trunk), step, hu.shape)
    return Picture(
        touched_mm(near & (hu > BODY_HU), beyond, spacing),
        _arms(coarse, body, trunk, coarse_spacing),
        float(np.count_nonzero(near & (hu > METAL_HU))) * spacing[0] * spacing[1],
    )


def outside_field(hu: Array, spacing: tuple[float, float] = (1.0, 1.0)) -> Array:
    """Return the pixels that the scanner did not see: one value, in large areas from the corners.

    A scanner reconstructs a circle and fills the rest with one number. Air inside the circle is
    noisy, so an area is taken only where all its pixels are equal, and only if it ends at a circle:
    where air was set to one number afterwards, it ends at the skin.

    Args:
        hu: (H, W).
        spacing: (sy, sx) in mm, since the circle is one in the patient.

    Returns:
        Boolean (H, W).

    Example:
        >>> y, x = np.mgrid[-32:32, -32:32]
        >>> hu = np.where(np.hypot(y, x) < 30, (7 * x + 3 * y) % 50 - 1020, -1024)
        >>> bool((outside_field(hu) == (np.hypot(y, x) >= 30)).all())
        True
    """
    found = np.zeros(hu.shape, bool)
    corners = [(y, x) for y in (0, -1) for x in (0, -1) if hu[y, x] <= BODY_HU]
    for value in {float(hu[corner]) for corner in corners}:
        labels, _ = ndimage.label(_opened(hu == value))
        there = {int(labels[corner]) for corner in corners} - {0}
        if there:
            found |= np.isin(labels, list(there))
    return found if _ends_at_a_circle(found, spacing) else np.zeros(hu.shape, bool)


def touched_mm(mask: Array, outside: Array, spacing: tuple[float, float]) -> float:
    """Return how much of a mask's outline lies on the edge of the field of view.

    That edge is the border of the array, and the border to pixels that the scanner did not see.
    At skin a scanner always shows a pixel or two between tissue and air, so a body that is whole
    does not touch pixels that were filled in.

    Args:
        mask: Boolean (H, W).
        outside: Boolean (H, W), from `outside_field`.
        spacing: (sy, sx) in mm.

    Returns:
        mm.

    Example:
        >>> mask = np.zeros((4, 5), bool)
        >>> mask[1:3, :2] = True
        >>> touched_mm(mask, np.zeros_like(mask), (2.0, 1.0))
        4.0
    """
    beyond = np.pad(outside, 1, constant_values=True)
    across = (beyond[1:-1, :-2] | beyond[1:-1, 2:]) & mask
    along = (beyond[:-2, 1:-1] | beyond[2:, 1:-1]) & mask
    return float(across.sum() * spacing[0] + along.sum() * spacing[1])


def _opened(mask: Array) -> Array:
    """Keep what a square of 3 x 3 pixels fits into; beyond the array all counts as set."""
    return _grown(~_grown(~mask))


def _grown(mask: Array) -> Array:
    """Add the eight neighbours; a few shifts are ten times as fast as a general dilation."""
    wide = mask.copy()
    wide[:, 1:] |= mask[:, :-1]
    wide[:, :-1] |= mask[:, 1:]
    grown = wide.copy()
    grown[1:] |= wide[:-1]
    grown[:-1] |= wide[1:]
    return grown


def _refined(mask: Array, step: int, shape: tuple[int, ...]) -> Array:
    """Bring a coarse mask back to the full grid."""
    fine = mask.repeat(step, axis=0).repeat(step, axis=1) if step > 1 else mask
    return np.asarray(fine[: shape[0], : shape[1]])


def _ends_at_a_circle(outside: Array, spacing: tuple[float, float]) -> bool:
    """Whether the border of an area follows one circle, most of it to a pixel and a half."""
    border = _grown(outside) & ~outside
    y, x = (places * step for places, step in zip(np.nonzero(border), spacing, strict=True))
    if len(y) < 8:
        return bool(outside.any())
    # Least squares for x^2 + y^2 = a x + b y + c, which is a circle about (a / 2, b / 2).
    system = np.stack([x, y, np.ones_like(x)], axis=1)
    a, b, c = np.linalg.lstsq(system, x**2 + y**2, rcond=None)[0]
    radius = np.sqrt(max(0.0, c + (a**2 + b**2) / 4))
    away = np.abs(np.hypot(x - a / 2, y - b / 2) - radius)
    return bool(np.quantile(away, 0.9) <= 1.5 * max(spacing))


def _arms(hu: Array, body: Array, trunk: Array, spacing: tuple[float, float]) -> float:
    """Area in cm2 of the parts beside the trunk that hold a bone."""
    pixel = spacing[0] * spacing[1] / 100
    apart = ndimage.binary_opening(body & ~trunk, _disc(6.0, spacing))
    labels, count = ndimage.label(apart)
    area = 0.0
    for part in range(1, count + 1):
        limb = labels == part
        bone = np.count_nonzero(hu[limb] > BONE_HU) * pixel
        size = np.count_nonzero(limb) * pixel
        if size > 8.0 and bone > 0.7:
            area += size
    return area


def _largest(mask: Array) -> Array:
    labels, count = ndimage.label(mask)
    if count < 2:
        return mask
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.asarray(labels == sizes.argmax())


def _disc(radius_mm: float, spacing: tuple[float, float]) -> Array:
    reach = [max(1, round(radius_mm / step)) for step in spacing]
    y, x = np.mgrid[-reach[0] : reach[0] + 1, -reach[1] : reach[1] + 1]
    return np.asarray((y / reach[0]) ** 2 + (x / reach[1]) ** 2 <= 1.0)
