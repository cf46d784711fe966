"""Area, and on CT the muscle measures, of a prediction and its reference on the native grid."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from torch import Tensor

from muscletransfer.data.types import Array
from muscletransfer.measures import muscle_measures
from muscletransfer.metrics.checks import to_array

__all__ = ["area_columns", "area_values"]

_MEASURES = ("sma_cm2", "smd_hu")
_SIDES = ("", "reference_")
_IGNORED = 255


def area_columns(suffixes: Sequence[str]) -> list[str]:
    """Return the names of what `area_values` gives.

    ``area_cm2`` is the area of the mask alone. ``sma_cm2`` and ``smd_hu`` are the area and the mean
    HU within the mask AND the muscle window (-29 to 150 HU); only CT has them.

    Args:
        suffixes: One a foreground class, ``""`` when there is only one.

    Example:
        >>> area_columns([""])[:3]
        ['area_cm2', 'sma_cm2', 'smd_hu']
        >>> area_columns([""])[3:]
        ['reference_area_cm2', 'reference_sma_cm2', 'reference_smd_hu']
    """
    names = ("area_cm2", *_MEASURES)
    return [f"{side}{name}{suffix}" for suffix in suffixes for side in _SIDES for name in names]


def area_values(
    prediction: Tensor,
    reference: Tensor,
    spacing: tuple[float, float] | None,
    hu: Tensor | None,
    labels: Sequence[int],
) -> list[float]:
    """Measure each class in a prediction and in its reference, over the same pixels.

    Args:
        prediction: Class indices (H, W).
        reference: Class indices (H, W); where it is 255 nobody looked, so the prediction does not
            count there either.
        spacing: (sy, sx) in mm; without it no area is known.
        hu: Original HU (H, W), or ``None`` for an image that is not CT.
        labels: The foreground classes.

    Returns:
        Numbers in the order of `area_columns`, ``nan`` where a measure is not defined.

    Raises:
        DataError: ``hu`` holds no Hounsfield units.

    Example:
        >>> import torch
        >>> mask = torch.ones(4, 5, dtype=torch.uint8)
        >>> hu = torch.full((4, 5), 50)
        >>> hu[0, 0] = -1000
        >>> area_values(mask, mask, (10.0, 10.0), hu, labels=[1])
        [20.0, 19.0, 50.0, 20.0, 19.0, 50.0]
    """
    if spacing is None:
        return [math.nan] * (len(_SIDES) * (1 + len(_MEASURES)) * len(labels))
    drawn = to_array(reference)
    looked = drawn != _IGNORED
    sides = [np.where(looked, to_array(mask), 0) for mask in (prediction, drawn)]
    image = None if hu is None else to_array(hu)
    measured = [_measure(mask, spacing, image, labels) for mask in sides]
    return [number for label in labels for side in measured for number in side[label]]


def _measure(
    mask: Array, spacing: tuple[float, float], hu: Array | None, labels: Sequence[int]
) -> dict[int, list[float]]:
    """Area and measures by label."""
    pixels = np.bincount(mask.ravel(), minlength=max(labels) + 1)
    areas = {label: float(pixels[label]) * spacing[0] * spacing[1] / 100 for label in labels}
    if hu is None:
        return {label: [areas[label], *[math.nan] * len(_MEASURES)] for label in labels}
    groups = {f"group{label}": label for label in labels}
    found = muscle_measures(hu, mask, spacing, groups=groups)
    return {
        label: [areas[label], *(found[f"group{label}_{name}"] for name in _MEASURES)]
        for label in labels
    }
