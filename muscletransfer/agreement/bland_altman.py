"""Bland-Altman: bias and limits of agreement, constant or following the size."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from muscletransfer.agreement.checks import Interval, check_confidence, check_pairs

__all__ = ["BlandAltman", "bland_altman"]


@dataclass(frozen=True)
class BlandAltman:
    """Limits of agreement, in the unit of the measurements.

    .. versionadded:: 0.1

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
        intercept: Of the line of ``slope``.
        spread_intercept: Of the line of ``spread_slope``.

    Example:
        >>> from muscletransfer.agreement import bland_altman
        >>> found = bland_altman([10.0, 12.0, 14.0, 16.0], [11.0, 12.0, 15.0, 15.0])
        >>> found.n, found.bias, found.spread_grows
        (4, -0.25, False)
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
    intercept: float
    spread_intercept: float

    @property
    def spread_grows(self) -> bool:
        """Whether the interval of ``spread_slope`` lies above 0: then see :meth:`limits_at`."""
        return self.spread_slope_ci[0] > 0

    def limits_at(self, mean: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Limits of agreement that follow the size of the measurement.

        The line of the differences, and around it ``1.96 sqrt(pi / 2)`` times the line of the
        absolute residuals (Bland & Altman 1999, section 3.2), for a spread that is normal at every
        size. Where a slope is not known (all means equal) the limits are the constant ones.

        Args:
            mean: Mean of the two measurements, any shape.

        Returns:
            Lower and upper limit at each mean.

        Example:
            >>> found = bland_altman([11, 18, 33, 36, 55], [10, 20, 30, 40, 50])
            >>> [limit.round(1).tolist() for limit in found.limits_at([10, 50])]
            [[-5.9, -6.5], [3.8, 10.9]]
        """
        at = np.asarray(mean, dtype=np.float64)
        if math.isnan(self.slope):
            return np.full(at.shape, self.lower), np.full(at.shape, self.upper)
        middle = self.intercept + self.slope * at
        reach = np.maximum(self.spread_intercept + self.spread_slope * at, 0)
        reach = 1.96 * math.sqrt(math.pi / 2) * reach
        return middle - reach, middle + reach


def bland_altman(first: ArrayLike, second: ArrayLike, confidence: float = 0.95) -> BlandAltman:
    """Bias and limits of agreement of two measurements of the same cases.

    The limits are ``bias +- 1.96 sd`` (Bland & Altman, Stat Methods Med Res 1999;8(2):135-160).
    The interval of a limit is the exact one for normal differences, from the noncentral t
    distribution, each limit taken by itself (Carkeet, Optom Vis Sci 2015;92(3):e71-e80). The usual
    ``sd sqrt(1/n + 1.96^2 / (2 (n - 1)))`` to either side ends too early away from the bias, and
    too near to it: of 25 cases at 2.68 sd where it should be 2.86. Cases have to be independent:
    several slices of one patient make the intervals too narrow.

    .. versionadded:: 0.1

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

    a, b = check_pairs(first, second, 3, "limits of agreement want")
    check_confidence(confidence)
    n, difference, mean = a.size, a - b, (a + b) / 2
    bias, sd = float(difference.mean()), float(difference.std(ddof=1))
    bias_error = float(stats.t.ppf((1 + confidence) / 2, n - 1)) * sd / math.sqrt(n)
    near, far = limit_factors(n, confidence)
    lower, upper = bias - 1.96 * sd, bias + 1.96 * sd
    slope, slope_ci, residual = _line(mean, difference, confidence)
    size = np.abs(residual)
    spread, spread_ci, _ = _line(mean, size, confidence)
    return BlandAltman(
        n=n,
        bias=bias,
        bias_ci=(bias - bias_error, bias + bias_error),
        sd=sd,
        lower=lower,
        lower_ci=(bias - far * sd, bias - near * sd),
        upper=upper,
        upper_ci=(bias + near * sd, bias + far * sd),
        slope=slope,
        slope_ci=slope_ci,
        spread_slope=spread,
        spread_slope_ci=spread_ci,
        confidence=confidence,
        intercept=bias - slope * float(mean.mean()),
        spread_intercept=float(size.mean()) - spread * float(mean.mean()),
    )


@lru_cache(maxsize=256)
def limit_factors(n: int, confidence: float, reach: float = 1.96) -> tuple[float, float]:
    """Interval of ``mean + reach * deviation`` of a normal sample, in deviations from its mean.

    ``sqrt(n) (mean + reach sigma - m) / s`` of a sample with mean m and deviation s follows the
    noncentral t distribution with n - 1 degrees of freedom and noncentrality ``reach sqrt(n)``.

    Args:
        n: Size of the sample.
        confidence: Of the interval, two-sided.
        reach: Which quantile, in deviations.

    Returns:
        Factors of the near and of the far end.

    Example:
        >>> [round(factor, 3) for factor in limit_factors(25, 0.95)]
        [1.41, 2.861]
    """
    from scipy import stats

    tail, root = (1 - confidence) / 2, math.sqrt(n)
    near, far = (float(stats.nct.ppf(q, n - 1, reach * root)) for q in (tail, 1 - tail))
    return near / root, far / root


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
