"""The simulated observers' band on the demo's test cases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from muscletransfer.data import Manifest, read_ct, read_mask
from muscletransfer.data.synthetic import Cohort
from muscletransfer.observers import observer_study

__all__ = ["ObserverBand", "observer_band"]


@dataclass(frozen=True)
class ObserverBand:
    """Lowest and highest observer: each figure is the observer's median over the cases.

    Attributes:
        observers: How many observers.
        cases: How many cases.
        dice: Dice.
        distance_mm: RMS distance-to-agreement in mm.
        area_error: Absolute error of the muscle area in percent of the reference.
    """

    observers: int
    cases: int
    dice: tuple[float, float]
    distance_mm: tuple[float, float]
    area_error: tuple[float, float]


def observer_band(target: Cohort, cases: Sequence[int]) -> ObserverBand:
    """Score every observer against the reference on the given cases.

    Args:
        target: A cohort made with observers.
        cases: Row numbers in the cohort's manifest.

    Returns:
        The band of the observers.
    """
    if target.observers_manifest is None:
        raise RuntimeError("the target cohort was made without observers")
    rows = Manifest.read(target.manifest).rows
    chosen = {rows[case].patient_id: rows[case] for case in cases}
    images = {name: read_ct(row.image, slice_index=row.slice_index) for name, row in chosen.items()}
    masks: dict[str, dict[str, NDArray[np.uint8]]] = {name: {} for name in chosen}
    for row in Manifest.read(target.observers_manifest, allow_repeats=True).rows:
        if row.patient_id in masks and row.mask is not None:
            masks[row.patient_id][row.extra["observer"]] = read_mask(row.mask).labels[0]
    study = observer_study(
        masks,
        spacing={name: image.spacing[1:] for name, image in images.items()},
        reference={name: read_mask(row.mask).labels[0] for name, row in chosen.items() if row.mask},
        hu={name: image.hu[0] for name, image in images.items()},
        empty="failure",
    )
    table = study.against_reference
    area_error = table["sma_difference_percent"].abs()
    medians = table.assign(area_error=area_error).groupby("observer").median(numeric_only=True)

    def reach(column: str) -> tuple[float, float]:
        return float(medians[column].min()), float(medians[column].max())

    return ObserverBand(
        observers=len(study.observers),
        cases=len(chosen),
        dice=reach("dice"),
        distance_mm=reach("dta_rms_mm"),
        area_error=reach("area_error"),
    )
