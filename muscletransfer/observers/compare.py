"""What one mask is worth beside another of the same case."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from muscletransfer.errors import MuscleTransferError
from muscletransfer.measures import muscle_measures
from muscletransfer.metrics import dice, distance_to_agreement
from muscletransfer.metrics.checks import BoolMask
from muscletransfer.observers.inputs import StudyCase

__all__ = ["compare", "measure"]


def measure(case: StudyCase, mask: BoolMask) -> dict[str, float]:
    """Area of a mask and, where the image is known, windowed area and density.

    Args:
        case: The case the mask belongs to.
        mask: Bool mask.

    Returns:
        ``sma_outline_cm2`` and, with an image, ``sma_cm2`` and ``smd_hu``.

    Raises:
        MuscleTransferError: The image cannot be measured; the message names the case.
    """
    if case.hu is None:
        sy, sx = case.spacing[-2:]
        pixels = int(np.count_nonzero(mask))
        slices = int(mask.any(axis=(1, 2)).sum()) if mask.ndim == 3 else 1
        return {"sma_outline_cm2": pixels * sy * sx / 100 / max(1, slices)}
    try:
        found = muscle_measures(case.hu, mask, case.spacing)
    except MuscleTransferError as error:
        raise type(error)(f"Case {case.name!r}: {error}") from error
    return {key: found[key] for key in ("sma_outline_cm2", "sma_cm2", "smd_hu")}


def compare(
    case: StudyCase,
    first: BoolMask,
    second: BoolMask,
    first_measures: Mapping[str, float],
    second_measures: Mapping[str, float],
) -> dict[str, float]:
    """Overlap, distance and difference of the measures of two masks.

    Either mask may be the empty one here: both empty agree (Dice 1, distance 0), one empty fails
    (Dice 0, distance inf).

    Args:
        case: The case both belong to.
        first: Bool mask.
        second: Bool mask.
        first_measures: Of ``first``, from :func:`measure`.
        second_measures: Of ``second``.

    Returns:
        ``dice``, ``dta_rms_mm``, and for each measure its difference, first minus second; areas
        also in percent of the second (NaN where that is 0).
    """
    if not second.any():  # Dice and the pooled distance are the same either way round
        overlap, distance = dice(second, first), distance_to_agreement(second, first, case.spacing)
    else:
        overlap, distance = dice(first, second), distance_to_agreement(first, second, case.spacing)
    row = {"dice": overlap, "dta_rms_mm": distance}
    for key, value in first_measures.items():
        name, _, unit = key.rpartition("_")
        other = second_measures[key]
        row[f"{name}_difference_{unit}"] = value - other
        if unit == "cm2":
            percent = 100 * (value - other) / other if other else math.nan
            row[f"{name}_difference_percent"] = percent
    return row
