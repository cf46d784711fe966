"""Cases by percentile of Dice: the slice with the outlines of reference and model."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from muscletransfer.data.cache.cases import Case, read_group
from muscletransfer.errors import DataError
from muscletransfer.study.report.material import Material
from muscletransfer.study.results import Arm, read_masks

__all__ = ["PERCENTILES", "Picture", "by_percentile", "pictures"]

#: Which cases are shown: share of the cases with a lower Dice, and what it is called.
PERCENTILES = ((0.0, "worst"), (0.1, "10th percentile"), (0.5, "median"),
               (0.9, "90th percentile"), (1.0, "best"))  # fmt: skip


@dataclass(frozen=True, eq=False)
class Picture:
    """One case of a model.

    Args:
        which: Such as ``"worst"``.
        case: Number of its row in the study's manifest, from 0.
        dice: Mean over its classes.
        distance: Largest RMS distance-to-agreement of its classes; NaN without one.
        unit: Of the distance.
        pixels: ``(H, W)`` native slice; ``None`` where it is not to be found.
        reference: ``(H, W)`` labels.
        prediction: ``(H, W)`` labels.
        window: Lower and upper value of the display.
        note: Why there is no slice.
    """

    which: str
    case: str
    dice: float
    distance: float
    unit: str
    pixels: NDArray[Any] | None
    reference: NDArray[Any] | None
    prediction: NDArray[Any] | None
    window: tuple[float, float]
    note: str = ""


def by_percentile(rows: pd.DataFrame) -> list[tuple[str, pd.Series]]:
    """Choose the cases to show.

    Args:
        rows: Of the tidy table: one model (arm, n and repeat).

    Returns:
        Name of the percentile and the case: ``case, run_id, dice, dta_rms, dta_unit``; each case
        once, the worst first; nothing for no rows.
    """
    if rows.empty:
        return []
    cases = rows.groupby("case", sort=False).agg(
        run_id=("run_id", "first"), dice=("dice", "mean"),
        dta_rms=("dta_rms", "max"), dta_unit=("dta_unit", "first"),
    )  # fmt: skip
    ordered = cases.reset_index().sort_values(["dice", "case"], kind="stable", ignore_index=True)
    found: dict[int, str] = {}
    # Of few cases several are one: it is the worst, the median or the best before a percentile.
    for share, name in sorted(PERCENTILES, key=lambda one: one[0] not in (0.0, 0.5, 1.0)):
        found.setdefault(round(share * (len(ordered) - 1)), name)
    return [(name, ordered.iloc[at]) for at, name in sorted(found.items())]


def pictures(material: Material, arm: Arm, n: int, repeat: int) -> Iterator[Picture]:
    """Read the slices and masks of the cases to show.

    Args:
        material: The study.
        arm: The arm.
        n: Labelled patients.
        repeat: Which draw of the training patients.

    Yields:
        One picture a percentile.
    """
    table = material.results.table
    same = (table[list(Arm._fields)] == list(arm)).all(axis=1)
    for name, row in by_percentile(table[same & (table["n"] == n) & (table["repeat"] == repeat)]):
        case = str(row["case"])
        image: Case | None = None
        mask, note = None, ""
        try:
            image = _image(material, case)
            mask = _prediction(material, str(row["run_id"]), case)
            if mask.shape != image.native.shape:
                raise DataError(
                    f"the model's mask has shape {mask.shape}, the slice {image.native.shape}"
                )
        except DataError as error:
            image, note = None, str(error)
        distance = float(row["dta_rms"])
        yield Picture(
            which=name,
            case=case,
            dice=float(row["dice"]),
            distance=distance if not math.isnan(distance) else math.nan,
            unit=str(row["dta_unit"]),
            pixels=None if image is None else image.native,
            reference=None if image is None else image.native_mask,
            prediction=mask,
            window=_window(material, image),
            note=note,
        )


def _image(material: Material, case: str) -> Case:
    if material.cases is None:
        raise DataError("the study's images are not to be found")
    row = material.cases.of(case)
    spec = material.config.data.preprocessing
    found = next(iter(read_group([(0, row)], spec, True, allow_empty=True, pad_label=0)))
    if not isinstance(found, Case):
        raise DataError(found.message)
    return found


def _prediction(material: Material, run: str, case: str) -> NDArray[Any]:
    try:
        data = material.store.read(f"runs/{run}/masks.npz")
    except OSError as error:
        raise DataError(f"runs/{run}/masks.npz cannot be read ({error})") from error
    masks = read_masks(BytesIO(data))
    if case not in masks:
        raise DataError(f"runs/{run}/masks.npz holds no mask of case {case}")
    return masks[case].astype(np.uint8)


def _window(material: Material, image: Case | None) -> tuple[float, float]:
    window = material.config.data.preprocessing.hu_window
    if window is not None:
        return float(window[0]), float(window[1])
    if image is None:
        return 0.0, 1.0
    low, high = np.percentile(image.native, (1, 99))
    return float(low), float(max(high, low + 1))
