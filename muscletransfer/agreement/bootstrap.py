"""Confidence interval of a mean over cases, by drawing patients again and again."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from muscletransfer.agreement.checks import Interval, check_confidence
from muscletransfer.errors import DataError, SettingError

__all__ = ["FEWEST_PATIENTS", "Estimate", "bootstrap_interval", "patient_bootstrap"]

#: With fewer patients the bootstrap has too few samples to draw from, and no interval is given.
FEWEST_PATIENTS = 5

_CHUNK = 2_000_000  # patients drawn at a time, so that many patients do not fill the memory


@dataclass(frozen=True)
class Estimate:
    """A mean over cases with its interval over patients.

    .. versionadded:: 0.1

    Args:
        mean: Mean over all cases.
        ci: Its confidence interval; ``(-inf, inf)`` with fewer than :data:`FEWEST_PATIENTS`.
        n_cases: Number of cases.
        n_patients: Number of patients.
        confidence: Of the interval.
        repeats: How many bootstrap samples were drawn.
        seed: Of the draws.

    Example:
        >>> from muscletransfer.agreement import patient_bootstrap
        >>> found = patient_bootstrap([0.9, 0.8, 0.7, 0.9, 0.8, 0.7], list("AABCDE"))
        >>> found.n_cases, found.n_patients, found.ci[0] < found.mean < found.ci[1]
        (6, 5, True)
    """

    mean: float
    ci: Interval
    n_cases: int
    n_patients: int
    confidence: float
    repeats: int
    seed: int


def patient_bootstrap(
    values: ArrayLike,
    patients: Sequence[str],
    confidence: float = 0.95,
    repeats: int = 10_000,
    seed: int = 0,
) -> Estimate:
    """Mean over cases, with an interval from drawing whole patients with replacement.

    The interval is the percentile interval expanded for few patients: its tail is
    ``Phi(sqrt(n / (n - 1)) t)`` with ``t`` the quantile of Student's t with n - 1 degrees of
    freedom (Hesterberg, Am Stat 2015;69(4):371-386). The plain percentile interval is too narrow
    for the few patients of an observer study.

    .. versionadded:: 0.1

    Args:
        values: ``(N,)``, one number a case. An infinite one (a failure) is kept: the mean is then
            infinite, and so is the end of the interval on its side as soon as enough samples hold
            the case.
        patients: Whose each case is.
        confidence: Of the interval, in (0, 1).
        repeats: Bootstrap samples, at least 100.
        seed: Of the draws.

    Returns:
        The estimate.

    Raises:
        DataError: No values, one patient id too many or too few, a value that is NaN, or
            infinite ones of both signs.
        SettingError: Too few repeats.

    Example:
        >>> found = patient_bootstrap([0.9, 0.8, 0.95, 0.85, 0.9, 0.7], list("ABCDEF"))
        >>> round(found.mean, 3), [round(end, 2) for end in found.ci]
        (0.85, [0.75, 0.93])
    """
    found = np.asarray(values, dtype=np.float64)
    if found.ndim != 1 or not found.size or found.size != len(patients):
        raise DataError(
            f"{len(patients)} patient ids were given for values of shape {found.shape}; wanted one "
            "number and one id a case."
        )
    if np.isnan(found).any():
        raise DataError(
            f"{int(np.isnan(found).sum())} value(s) are NaN; leave these cases out, and say how "
            "many they were."
        )
    if {-math.inf, math.inf} <= set(found.tolist()):
        raise DataError("The values hold inf and -inf, which have no mean; wanted one of them.")
    check_confidence(confidence)
    if repeats < 100:
        raise SettingError(f"repeats is {repeats}; a bootstrap interval wants at least 100.")
    _, whose = np.unique(np.asarray(patients, dtype=str), return_inverse=True)
    n = int(whose.max()) + 1
    sums = np.bincount(whose, weights=found, minlength=n)
    counts = np.bincount(whose, minlength=n)
    mean = float(found.mean())
    if n < FEWEST_PATIENTS:
        nowhere = (-math.inf, math.inf)
        return Estimate(mean, nowhere, found.size, n, confidence, repeats, seed)
    rng = np.random.default_rng(seed)
    means = []
    for start in range(0, repeats, step := max(1, _CHUNK // n)):
        drawn = rng.integers(0, n, (min(step, repeats - start), n))
        means.append(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1))
    low, high = bootstrap_interval(np.concatenate(means), n, confidence)
    return Estimate(mean, (float(low), float(high)), found.size, n, confidence, repeats, seed)


def bootstrap_interval(
    samples: NDArray[np.float64], n_patients: int, confidence: float = 0.95
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Expanded percentile interval of bootstrap samples; see :func:`patient_bootstrap`.

    Args:
        samples: ``(repeats, ...)``, a figure of each bootstrap sample; may be infinite, not NaN.
        n_patients: How many patients were drawn from.
        confidence: Of the interval, in (0, 1).

    Returns:
        Lower and upper end, each of the shape of a sample. With fewer than
        :data:`FEWEST_PATIENTS` patients they are infinite.

    Raises:
        DataError: A confidence that is no share.

    Example:
        >>> low, high = bootstrap_interval(np.arange(1001.0), 100)
        >>> float(low), float(high)
        (23.0, 977.0)
    """
    from scipy import stats

    check_confidence(confidence)
    if n_patients < FEWEST_PATIENTS:
        return np.full(samples.shape[1:], -math.inf), np.full(samples.shape[1:], math.inf)
    quantile = stats.t.ppf((1 - confidence) / 2, n_patients - 1)
    tail = float(stats.norm.cdf(math.sqrt(n_patients / (n_patients - 1)) * quantile))
    # "lower" and "higher" take a sample as it is: between two infinite ones there is no number.
    low = np.quantile(samples, tail, axis=0, method="lower")
    high = np.quantile(samples, 1 - tail, axis=0, method="higher")
    return low, high
