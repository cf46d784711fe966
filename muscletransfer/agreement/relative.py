"""Relative error: how far one measurement is from another, in percent of the latter."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from muscletransfer.agreement.checks import Interval, check_confidence, check_pairs
from muscletransfer.errors import DataError

__all__ = ["RelativeError", "relative_error"]


@dataclass(frozen=True)
class RelativeError:
    """Errors in percent of the second measurement.

    .. versionadded:: 0.1

    Args:
        n: Number of cases.
        mean_percent: Mean error, with its sign.
        mean_ci_percent: Its confidence interval, by Student's t.
        sd_percent: Standard deviation of the errors.
        mean_absolute_percent: Mean size of the errors.
        median_absolute_percent: Median size of the errors.
        worst_percent: The error of the largest size, with its sign.
        confidence: Of the interval.

    Example:
        >>> from muscletransfer.agreement import relative_error
        >>> relative_error([110.0, 95.0], [100.0, 100.0]).worst_percent
        10.0
    """

    n: int
    mean_percent: float
    mean_ci_percent: Interval
    sd_percent: float
    mean_absolute_percent: float
    median_absolute_percent: float
    worst_percent: float
    confidence: float


def relative_error(first: ArrayLike, second: ArrayLike, confidence: float = 0.95) -> RelativeError:
    """Error of one measurement in percent of another, over the same cases.

    Only for what has a true zero and no sign, such as an area. Hounsfield units have neither: a
    density of 2 HU instead of 1 HU is not an error of 100 %.

    .. versionadded:: 0.1

    Args:
        first: ``(N,)``, such as the model's areas.
        second: ``(N,)``, such as the reference's, in the same unit.
        confidence: Of the interval, in (0, 1).

    Returns:
        The figures.

    Raises:
        DataError: Lengths differ, fewer than two cases, values that are not finite, or a second
            measurement that is not above 0.

    Example:
        >>> found = relative_error([110.0, 99.0, 102.0], [100.0, 100.0, 100.0])
        >>> round(found.mean_percent, 2), round(found.mean_absolute_percent, 2), found.worst_percent
        (3.67, 4.33, 10.0)
    """
    from scipy import stats

    a, b = check_pairs(first, second, 2, "a relative error with its interval wants")
    check_confidence(confidence)
    if (b <= 0).any():
        raise DataError(
            f"{int((b <= 0).sum())} of the {b.size} values of second are not above 0, so no share "
            "of them can be given; leave these cases out of both, and say how many they were."
        )
    error = 100 * (a - b) / b
    mean, sd = float(error.mean()), float(error.std(ddof=1))
    reach = float(stats.t.ppf((1 + confidence) / 2, error.size - 1)) * sd / math.sqrt(error.size)
    size = np.abs(error)
    return RelativeError(
        n=int(error.size),
        mean_percent=mean,
        mean_ci_percent=(mean - reach, mean + reach),
        sd_percent=sd,
        mean_absolute_percent=float(size.mean()),
        median_absolute_percent=float(np.median(size)),
        worst_percent=float(error[size.argmax()]),
        confidence=confidence,
    )
