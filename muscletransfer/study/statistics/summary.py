"""Each metric at each arm and n: median, quartiles, worst, failures, mean with its interval."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from muscletransfer.agreement.quantile import quantile
from muscletransfer.study.statistics.metrics import METRICS
from muscletransfer.study.statistics.resampling import mean_intervals
from muscletransfer.study.statistics.values import PatientValues

__all__ = ["summarise"]


def summarise(
    values: PatientValues, confidence: float = 0.95, repeats: int = 10_000, seed: int = 0
) -> pd.DataFrame:
    """Describe the patients' values of every metric at every arm and n.

    A patient's value is the mean over repeats, cases and classes. Missed masks stay in: their
    distance is infinite, and so are the mean and, where they are many, the median.

    .. versionadded:: 0.1

    Args:
        values: Values of the patients.
        confidence: Of the intervals of the mean.
        repeats: Bootstrap samples.
        seed: Of the bootstrap.

    Returns:
        One row a metric, arm and n: ``metric, source, encoder, decoder, transfer, n, n_patients,
        n_rows`` (results that the values are means of), ``n_failed`` (missed masks among them),
        ``patients_failed`` (patients with any), ``median, q25, q75, worst, mean, mean_low,
        mean_high, sd`` (over patients) and ``sd_between_repeats`` (of the mean Dice over repeats,
        of the patients whom they share: how much the draw of the training patients and the
        seed matter; NaN with one repeat, and for other metrics). Metrics without any value are left
        out.

    Example:
        >>> from muscletransfer.study.results import example_table
        >>> from muscletransfer.study.statistics import patient_values
        >>> values = patient_values(example_table(ns=[5]))
        >>> summarise(values, repeats=100)[["source", "n", "n_patients"]].values.tolist()
        [['random', 5, 8], ['jigsaw', 5, 8]]
    """
    rows: list[dict[str, Any]] = []
    for name, table in values.values.items():
        present = ~np.isnan(table)
        known = np.flatnonzero(present.any(axis=1))
        intervals = mean_intervals(table[known], confidence, repeats, seed)
        for index, (mean, low, high) in zip(known, intervals, strict=True):
            arm, n = values.cells[index]
            who = present[index]
            found = np.sort(table[index, who])
            failed = values.failed[index, who]
            rows.append(
                {
                    **{"metric": name, **arm._asdict(), "n": n},
                    "n_patients": found.size,
                    "n_rows": int(values.rows[index, who].sum()),
                    "n_failed": int(failed.sum()),
                    "patients_failed": int((failed > 0).sum()),
                    "median": quantile(found, 0.5),
                    "q25": quantile(found, 0.25),
                    "q75": quantile(found, 0.75),
                    "worst": float(found[0] if METRICS[name].higher_is_better else found[-1]),
                    "mean": mean,
                    "mean_low": low,
                    "mean_high": high,
                    "sd": _sd(found),
                    "sd_between_repeats": (
                        _sd(values.repeat_means[index]) if name == "dice" else np.nan
                    ),
                }
            )
    return pd.DataFrame(rows)


def _sd(values: NDArray[np.float64]) -> float:
    """Standard deviation over what is known; NaN with fewer than two or with infinite ones."""
    known = values[~np.isnan(values)]
    if known.size < 2 or not np.isfinite(known).all():
        return float("nan")
    return float(known.std(ddof=1))
