"""Subcutaneous and visceral fat, where the body and its cavity have an outline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike

from muscletransfer.errors import DataError, GeometryError
from muscletransfer.measures.windows import Window, check_hu, hu_windows
from muscletransfer.metrics.checks import BoolMask, check_spacing, to_array, to_mask

__all__ = ["adipose_measures"]


def adipose_measures(
    hu: ArrayLike | torch.Tensor,
    body: ArrayLike | torch.Tensor,
    cavity: ArrayLike | torch.Tensor,
    spacing: Sequence[float],
    muscle: ArrayLike | torch.Tensor | None = None,
    windows: Mapping[str, Window] | None = None,
) -> dict[str, float]:
    """Measure subcutaneous and visceral fat in one CT slice.

    - ``sat_cm2``: area of the fat window inside the body, outside the cavity and the muscle.
    - ``vat_cm2``: area of the visceral window inside the cavity and outside the muscle.
    - ``<window>_window_low_hu``, ``<window>_window_high_hu``: the windows used, inclusive.

    .. versionadded:: 0.1

    Args:
        hu: ``(H, W)``, original Hounsfield units.
        body: Outline of the body, bool or 0/1, the same shape.
        cavity: Outline of the abdominal cavity, inside the body.
        spacing: ``(y, x)`` in mm.
        muscle: Outline of the muscle; its fat is IMAT and belongs to neither area.
        windows: Changes to :data:`muscletransfer.measures.HU_WINDOWS`, inclusive.

    Returns:
        Measure to value; areas are 0 where nothing was outlined.

    Raises:
        GeometryError: Shapes differ, or the spacing is missing or wrong.
        DataError: No HU, an outline that is no mask, or a cavity that reaches out of the body.
        UnknownNameError: An unknown window.

    Example:
        >>> hu = np.full((6, 6), -100)
        >>> hu[0] = -1000
        >>> body, cavity = hu > -500, np.zeros((6, 6), bool)
        >>> cavity[2:4, 2:4] = True
        >>> found = adipose_measures(hu, body, cavity, spacing=(10, 10))
        >>> found["sat_cm2"], found["vat_cm2"]
        (26.0, 4.0)
    """
    image = to_array(hu)
    if image.ndim != 2:
        raise DataError(f"The image has shape {image.shape}; wanted one slice (H, W).")
    chosen = hu_windows(windows)
    used = {name: chosen[name] for name in ("fat", "vat")}
    check_hu(image, used)
    step = check_spacing(spacing, 2)
    inside, hollow = to_mask(body, "body"), to_mask(cavity, "cavity")
    flesh = np.zeros(image.shape, bool) if muscle is None else to_mask(muscle, "muscle")
    for name, mask in (("body", inside), ("cavity", hollow), ("muscle", flesh)):
        if mask.shape != image.shape:
            raise GeometryError(
                f"{name} has shape {mask.shape}, the image {image.shape}; wanted one grid."
            )
    if outside := int(np.count_nonzero(hollow & ~inside)):
        raise DataError(
            f"{outside} pixels of the cavity lie outside the body; wanted a cavity inside it. Were "
            "the two outlines exchanged?"
        )

    def area(where: BoolMask, window: str) -> float:
        low, high = used[window]
        found = np.count_nonzero(where & (image >= low) & (image <= high))
        return float(found) * step[0] * step[1] / 100

    result = {
        "sat_cm2": area(inside & ~hollow & ~flesh, "fat"),
        "vat_cm2": area(hollow & ~flesh, "vat"),
    }
    for name, (low, high) in used.items():
        result[f"{name}_window_low_hu"], result[f"{name}_window_high_hu"] = low, high
    return result
