"""Intraclass correlation ICC(2,1) with its confidence interval."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from muscletransfer.agreement.checks import Interval, check_confidence
from muscletransfer.errors import DataError

__all__ = ["IntraclassCorrelation", "icc2_1"]


@dataclass(frozen=True)
class IntraclassCorrelation:
    """ICC(2,1): two-way random effects, absolute agreement, one rater.

    .. versionadded:: 0.1

    Args:
        icc: The estimate.
        ci: Its confidence interval.
        n_cases: Number of cases.
        n_raters: Number of raters.
        confidence: Of the interval.

    Example:
        >>> from muscletransfer.agreement import icc2_1
        >>> found = icc2_1([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8]])
        >>> found.n_cases, found.n_raters, found.ci[0] < found.icc < found.ci[1]
        (3, 4, True)
    """

    icc: float
    ci: Interval
    n_cases: int
    n_raters: int
    confidence: float


def icc2_1(ratings: ArrayLike, confidence: float = 0.95) -> IntraclassCorrelation:
    """Intraclass correlation ICC(2,1) with its confidence interval.

    Two-way random effects, absolute agreement, single rater: Shrout & Fleiss, Psychol Bull
    1979;86(2):420-428; the interval is theirs, with Satterthwaite's degrees of freedom.

    .. versionadded:: 0.1

    Args:
        ratings: ``(cases, raters)``, complete: every rater rated every case.
        confidence: Of the interval, in (0, 1).

    Returns:
        The estimate, which may be negative, and its interval. Raters who agree to the digit on
        cases that differ have ICC 1 with the interval (1, 1).

    Raises:
        DataError: Not a table of two cases and two raters at least, a missing rating, or cases
            whose means are all the same, where the interval (and with equal ratings the ICC) is
            0/0.

    Example:
        >>> found = icc2_1([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6],
        ...                 [10, 5, 6, 9], [6, 2, 4, 7]])
        >>> round(found.icc, 2)
        0.29
    """
    from scipy import stats

    table = np.asarray(ratings, dtype=np.float64)
    if table.ndim != 2 or min(table.shape) < 2:
        raise DataError(
            f"The ratings have shape {table.shape}; wanted (cases, raters), two of each at least."
        )
    if not np.isfinite(table).all():
        raise DataError(
            f"{int((~np.isfinite(table)).sum())} ratings are missing or not finite; ICC(2,1) wants "
            "a complete table. Keep the cases that every rater rated, or fewer raters."
        )
    check_confidence(confidence)
    n, k = table.shape
    if np.ptp(table) == 0:
        raise DataError(
            f"All {table.size} ratings are {table.flat[0]:g}, so the ICC is 0/0; wanted cases that "
            "differ."
        )
    overall = table.mean()
    cases, raters = table.mean(axis=1), table.mean(axis=0)
    rest = table - cases[:, None] - raters[None] + overall
    msr = k * float(((cases - overall) ** 2).sum()) / (n - 1)
    msc = n * float(((raters - overall) ** 2).sum()) / (k - 1)
    mse = float((rest**2).sum()) / ((n - 1) * (k - 1))
    # Rounding leaves a trace of a residual where there is none; F ratios of it mean nothing.
    noise = (np.finfo(float).eps * np.abs(table).max()) ** 2 * table.size
    mse = 0.0 if mse <= noise else mse
    if msr <= noise:
        raise DataError(
            f"All {n} cases have the same mean over the raters, {overall:g}, so nothing tells how "
            "well raters tell cases apart; wanted cases that differ."
        )
    icc = (msr - mse) / (msr + (k - 1) * mse + k * (msc - mse) / n)
    if mse == 0 and msc <= noise:
        return IntraclassCorrelation(1.0, (1.0, 1.0), n, k, confidence)
    # Satterthwaite: degrees of freedom of a * MSC + b * MSE.
    of_raters, of_rest = k * icc * msc, (n * (1 + (k - 1) * icc) - k * icc) * mse
    pooled = of_raters**2 / (k - 1) + of_rest**2 / ((n - 1) * (k - 1))
    freedom = (of_raters + of_rest) ** 2 / pooled if pooled else k - 1
    tail = (1 + confidence) / 2
    above = float(stats.f.ppf(tail, n - 1, freedom))
    below = float(stats.f.ppf(tail, freedom, n - 1))
    others = k * msc + (k * n - k - n) * mse
    low = n * (msr - above * mse) / (above * others + n * msr)
    high = n * (below * msr - mse) / (others + n * below * msr)
    return IntraclassCorrelation(icc, (low, high), n, k, confidence)
