"""Bootstrap samples of patients, the same for every arm, n and metric."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from muscletransfer.agreement.bootstrap import bootstrap_interval
from muscletransfer.errors import DataError, SettingError

__all__ = ["mean_intervals", "resampled_means"]

_CHUNK = 2_000_000  # as in agreement.bootstrap, so that both draw the same samples
_COLUMNS = 512  # of samples in memory at a time


def resampled_means(
    values: NDArray[np.float64], repeats: int = 10_000, seed: int = 0
) -> NDArray[np.float64]:
    """Means over patients drawn with replacement, of many columns at once.

    Every column sees the same draws, so a difference of two columns is one of the same patients.
    The draws are those of :func:`muscletransfer.agreement.patient_bootstrap` with the same seed,
    made by one product of matrices.

    Args:
        values: ``(patients, columns)``; infinite values of one sign in a column are kept.
        repeats: Bootstrap samples, at least 100.
        seed: Of the draws.

    Returns:
        ``(repeats, columns)``.

    Raises:
        DataError: No patients, or a value that is NaN.
        SettingError: Too few repeats.

    Example:
        >>> resampled_means(np.array([[0.5, 1.0], [0.5, 2.0]]), repeats=100)[:3, 0]
        array([0.5, 0.5, 0.5])
    """
    if values.ndim != 2 or not len(values):
        raise DataError(f"values have shape {values.shape}; wanted (patients, columns).")
    if np.isnan(values).any():
        raise DataError("A value is NaN; wanted patients with a value in every column.")
    if repeats < 100:
        raise SettingError(f"repeats is {repeats}; a bootstrap interval wants at least 100.")
    n = len(values)
    endless = np.isinf(values)
    finite = np.where(endless, 0.0, values)
    marks = np.where(endless, np.sign(values), 0.0)
    rng = np.random.default_rng(seed)
    parts = []
    for start in range(0, repeats, step := max(1, _CHUNK // n)):
        size = min(step, repeats - start)
        drawn = rng.integers(0, n, (size, n))
        drawn += np.arange(size)[:, None] * n
        counts = np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n) / n
        means = counts @ finite
        if endless.any():
            hit = counts @ marks
            means = np.where(hit != 0, np.copysign(math.inf, hit), means)
        parts.append(means)
    return np.concatenate(parts)


def mean_intervals(
    table: NDArray[np.float64], confidence: float = 0.95, repeats: int = 10_000, seed: int = 0
) -> list[tuple[float, float, float]]:
    """Mean of each row with its interval over patients, as ``patient_bootstrap`` has it.

    Args:
        table: ``(rows, patients)``; NaN where a patient has no value.
        confidence: Of the intervals.
        repeats: Bootstrap samples, at least 100.
        seed: Of the draws.

    Returns:
        Mean, lower and upper end for each row. A row without values, and one with infinite values
        of both signs, has no mean (NaN) and an infinite interval.

    Example:
        >>> mean_intervals(np.array([[0.5, 0.5, 0.5, 0.5, 0.5, np.nan]]))
        [(0.5, 0.5, 0.5)]
    """
    found = [(math.nan, -math.inf, math.inf)] * len(table)
    mixed = (table == math.inf).any(axis=1) & (table == -math.inf).any(axis=1)
    present = ~np.isnan(table)
    patterns, whose = np.unique(present, axis=0, return_inverse=True)
    for number, pattern in enumerate(patterns):
        rows = np.flatnonzero((whose.ravel() == number) & ~mixed)
        for part in range(0, len(rows) if pattern.any() else 0, _COLUMNS):
            own = table[rows[part : part + _COLUMNS]][:, pattern]
            samples = resampled_means(own.T, repeats, seed)
            low, high = bootstrap_interval(samples, int(pattern.sum()), confidence)
            for at, row in enumerate(rows[part : part + _COLUMNS]):
                found[row] = float(own[at].mean()), float(low[at]), float(high[at])
    return found
