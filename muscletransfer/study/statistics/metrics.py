"""Figures of a study that are compared, each with its unit and its better side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from muscletransfer.metrics.functional import check_option

__all__ = ["METRICS", "StudyMetric", "metric_of", "row_values"]


@dataclass(frozen=True)
class StudyMetric:
    """A figure of a test case.

    Args:
        name: Its column in tables.
        label: What figures and sentences call it, with its unit.
        higher_is_better: True for Dice; distances and errors are better when lower.
    """

    name: str
    label: str
    higher_is_better: bool


METRICS = {
    metric.name: metric
    for metric in (
        StudyMetric("dice", "Dice", True),
        StudyMetric("dta_rms", "RMS distance-to-agreement", False),
        StudyMetric("sma_error_percent", "error of muscle area (%)", False),
        StudyMetric("smd_error_hu", "error of muscle density (HU)", False),
    )
}


def metric_of(name: str) -> StudyMetric:
    """Return what is known of a figure.

    Args:
        name: Its name.

    Raises:
        UnknownNameError: No such figure.

    Example:
        >>> metric_of("dice").higher_is_better
        True
    """
    check_option("metric", name, list(METRICS))
    return METRICS[name]


def row_values(table: pd.DataFrame, name: str) -> NDArray[np.float64]:
    """Return a figure of every row of the tidy table, ``(N,)``; NaN where it does not exist.

    Errors are sizes, without a sign. A missed mask (an empty prediction) has an infinite distance,
    an area of 0 and so an error of 100 %, and no density, so an infinite error of it.

    Args:
        table: The tidy table.
        name: One of :data:`METRICS`.

    Raises:
        UnknownNameError: No such figure.
    """
    metric_of(name)
    if name in ("dice", "dta_rms"):
        return table[name].to_numpy(dtype=np.float64, copy=True)
    figure, unit = ("sma", "cm2") if name == "sma_error_percent" else ("smd", "hu")
    found = table[f"{figure}_{unit}"].to_numpy(dtype=np.float64)
    wanted = table[f"{figure}_reference_{unit}"].to_numpy(dtype=np.float64)
    missed = np.isnan(found) & np.isfinite(wanted)
    if figure == "smd":
        return np.where(missed, np.inf, np.abs(found - wanted))
    missed &= table["failed"].to_numpy(dtype=bool)
    with np.errstate(divide="ignore", invalid="ignore"):
        percent = 100 * np.abs(np.where(missed, 0.0, found) - wanted) / wanted
    return np.where(wanted > 0, percent, np.nan)
