"""How well two sets of measurements agree: Bland-Altman limits and ICC(2,1)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from muscletransfer.errors import DataError

__all__ = ["BlandAltman", "IntraclassCorrelation", "bland_altman", "icc2_1"]

Interval = tuple[float, float]


@dataclass(frozen=True)
class BlandAltman:
    """Limits of agreement, in the unit of the measurements.

    Args:
        n: Number of cases.
        bias: Mean of first minus second.
        bias_ci: Its confidence interval.
        sd: Standard deviation of the differences.
        lower: Lower limit of agreement.
        lower_ci: Its confidence interval.
        upper: Upper limit of agreement.
        upper_ci: Its confidence interval.
        slope: Slope of the differences over the means: a bias that changes with size.
        slope_ci: Its confidence interval; where it is off 0 one bias does not fit all sizes.
        spread_slope: Slope of the absolute residuals of that line over the means: a spread that
            changes with size. Where its interval lies above 0 the limits are too wide for small
            measurements and too narrow for large ones.
        spread_slope_ci: Its confidence interval.
        confidence: Of the intervals.
    """

    n: int
    bias: float
    bias_ci: Interval
    sd: float
    lower: float
    lower_ci: Interval
    upper: float
    upper_ci: Interval
    slope: float
    slope_ci: Interval
    spread_slope: float
    spread_slope_ci: Interval
    confidence: float


@dataclass(frozen=True)
class IntraclassCorrelation:
    """ICC(2,1): two-way random effects, absolute agreement, one rater.

    Args:
        icc: The estimate.
        ci: Its confidence interval.
        n_cases: Number of cases.
        n_raters: Number of raters.
        confidence: Of the interval.
    """

    icc: float
    ci: Interval
    n_cases: int
    n_raters: int
    confidence: float


def bland_altman(first: ArrayLike, second: ArrayLike, confidence: float = 0.95) -> BlandAltman:
    """Bias and limits of agreement of two measurements of the same cases.

    The limits are ``bias +- 1.96 sd``. The interval of a limit is by its approximate standard error
    ``sd sqrt(1/n + 1.96^2 / (2 (n - 1)))`` and Student's t with n - 1 degrees of freedom (Bland &
    Altman, Stat Methods Med Res 1999;8(2):135-160). It takes independent cases: several slices of
    one patient make the intervals too narrow.

    Args:
        first: ``(N,)``, such as the model's areas.
        second: ``(N,)``, such as the reference's, in the same unit.
        confidence: Of the intervals, in (0, 1).

    Returns:
        The figures; slopes are NaN where all means are equal.

    Raises:
        DataError: Lengths differ, fewer than three cases, or values that are not finite.

    Example:
        >>> found = bland_altman([10.0, 12.0, 14.0, 16.0], [11.0, 12.0, 15.0, 15.0])
        >>> round(found.bias, 3), round(found.lower, 3), round(found.upper, 3)
        (-0.25, -2.127, 1.627)
    """
    from scipy import stats

    a, b = _vector(first, "first"), _vector(second, "second")
    if a.size != b.size:
        raise DataError(f"first has {a.size} cases, second {b.size}; wanted pairs.")
    if a.size < 3:
        raise DataError(f"{a.size} case(s) were given; limits of agreement want at least 3.")
    _check_confidence(confidence)
    n, difference, mean = a.size, a - b, (a + b) / 2
    bias, sd = float(difference.mean()), float(difference.std(ddof=1))
    t = float(stats.t.ppf((1 + confidence) / 2, n - 1))
    bias_error = t * sd / math.sqrt(n)
    limit_error = t * sd * math.sqrt(1 / n + 1.96**2 / (2 * (n - 1)))
    lower, upper = bias - 1.96 * sd, bias + 1.96 * sd
    slope, slope_ci, residual = _line(mean, difference, confidence)
    spread, spread_ci, _ = _line(mean, np.abs(residual), confidence)
    return BlandAltman(
        n=n,
        bias=bias,
        bias_ci=(bias - bias_error, bias + bias_error),
        sd=sd,
        lower=lower,
        lower_ci=(lower - limit_error, lower + limit_error),
        upper=upper,
        upper_ci=(upper - limit_error, upper + limit_error),
        slope=slope,
        slope_ci=slope_ci,
        spread_slope=spread,
        spread_slope_ci=spread_ci,
        confidence=confidence,
    )


def icc2_1(ratings: ArrayLike, confidence: float = 0.95) -> IntraclassCorrelation:
    """Intraclass correlation ICC(2,1) with its confidence interval.

    Two-way random effects, absolute agreement, single rater: Shrout & Fleiss, Psychol Bull
    1979;86(2):420-428; the interval is theirs, with Satterthwaite's degrees of freedom.

    Args:
        ratings: ``(cases, raters)``, complete: every rater rated every case.
        confidence: Of the interval, in (0, 1).

    Returns:
        The estimate, which may be negative, and its interval. Raters who agree to the digit on
        cases that differ have ICC 1 with the interval (1, 1).

    Raises:
        DataError: Not a table of two cases and two raters at least, a missing rating, or ratings
            that are all the same, where the ICC is 0/0.

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
    _check_confidence(confidence)
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


def _line(
    x: NDArray[np.float64], y: NDArray[np.float64], confidence: float
) -> tuple[float, Interval, NDArray[np.float64]]:
    """Least-squares slope of y over x, its interval, and the residuals."""
    from scipy import stats

    centred = x - x.mean()
    size = float((centred**2).sum())
    if size <= x.size * (np.finfo(float).eps * np.abs(x).max()) ** 2:
        return math.nan, (math.nan, math.nan), y - y.mean()
    slope = float((centred * y).sum()) / size
    residual = y - y.mean() - slope * centred
    error = math.sqrt(float((residual**2).sum()) / (x.size - 2) / size)
    t = float(stats.t.ppf((1 + confidence) / 2, x.size - 2))
    return slope, (slope - t * error, slope + t * error), residual


def _vector(values: ArrayLike, name: str) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise DataError(f"{name} has shape {array.shape}; wanted one number a case, (N,).")
    if not np.isfinite(array).all():
        raise DataError(
            f"{name} holds {int((~np.isfinite(array)).sum())} value(s) that are not finite; leave "
            "these cases out of both, and say how many they were."
        )
    return array


def _check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise DataError(f"confidence is {confidence!r}; wanted a share between 0 and 1, as 0.95.")
