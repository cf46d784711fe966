"""Pick the best, the median and the worst case of a model and read their slices."""

from __future__ import annotations

import numpy as np

from muscletransfer.data import Manifest, read_ct, read_mask
from muscletransfer.data.synthetic import Cohort
from muscletransfer.demo.training import FineTuned
from muscletransfer.report.figures import Overlay

__all__ = ["percentile_overlays"]


def percentile_overlays(target: Cohort, result: FineTuned) -> list[Overlay]:
    """Return the best, median and worst test case by Dice, ready to draw.

    Args:
        target: The cohort of the test cases.
        result: The model's scores and masks.

    Returns:
        Three overlays, best first.
    """
    rows = Manifest.read(target.manifest).rows
    ranked = sorted(result.cases, key=lambda row: float(row["dice"]))
    chosen = {"best": ranked[-1], "median": ranked[len(ranked) // 2], "worst": ranked[0]}
    overlays = []
    for name, scores in chosen.items():
        case = int(scores["case"])
        row = rows[case]
        if row.mask is None:
            raise RuntimeError(f"row {case} of {target.manifest} has no mask")
        overlays.append(
            Overlay(
                hu=read_ct(row.image, slice_index=row.slice_index).hu[0],
                reference=read_mask(row.mask).labels[0],
                prediction=np.asarray(result.masks[case]),
                title=f"{name}: Dice {float(scores['dice']):.3f}",
            )
        )
    return overlays
