"""How far the observers' areas and densities of one case lie apart."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from muscletransfer.agreement.bootstrap import FEWEST_PATIENTS
from muscletransfer.agreement.checks import Interval, check_confidence
from muscletransfer.observers.inputs import MODEL
from muscletransfer.observers.result import ObserverStudy

__all__ = ["measure_spread", "spread_interval", "within_case_sd"]


def measure_spread(study: ObserverStudy) -> pd.DataFrame:
    """Spread of area and density over the observers, case by case.

    An empty mask has an area of 0, which counts, and no density, which is left out.

    .. versionadded:: 0.1

    Args:
        study: What :func:`muscletransfer.observers.observer_study` returned.

    Returns:
        One row a case: ``case, patient, n_observers`` and for each measure, such as ``sma_cm2``,
        ``sma_mean_cm2``, ``sma_sd_cm2`` (over the observers; empty for one), ``sma_lowest_cm2``,
        ``sma_highest_cm2``; areas also ``sma_cv_percent``, their SD in percent of the mean; with
        a model ``sma_model_minus_mean_cm2``.

    Example:
        >>> import numpy as np
        >>> from muscletransfer.observers import observer_study
        >>> masks = {"c": {"A": np.ones((10, 10)), "B": np.eye(10)}}
        >>> table = measure_spread(observer_study(masks, {"c": (10, 10)}))
        >>> table[["sma_outline_mean_cm2", "sma_outline_highest_cm2"]].values.tolist()
        [[55.0, 100.0]]
    """
    table = study.measures
    human = table[~table["observer"].isin([MODEL, "reference"])]
    model = table[table["observer"] == MODEL].set_index("case")
    found = pd.DataFrame({"n_observers": human.groupby("case", sort=False)["observer"].nunique()})
    for measure in _measures(study):
        name, _, unit = measure.rpartition("_")
        by_case = human.groupby("case", sort=False)[measure]
        found[f"{name}_mean_{unit}"] = by_case.mean()
        found[f"{name}_sd_{unit}"] = by_case.std(ddof=1)
        found[f"{name}_lowest_{unit}"] = by_case.min()
        found[f"{name}_highest_{unit}"] = by_case.max()
        if unit == "cm2":
            mean = found[f"{name}_mean_{unit}"]
            share = found[f"{name}_sd_{unit}"] / mean.where(mean > 0)
            found[f"{name}_cv_percent"] = 100 * share
        if study.model_cases:
            difference = model[measure] - found[f"{name}_mean_{unit}"]
            found[f"{name}_model_minus_mean_{unit}"] = difference
    found.insert(0, "patient", [study.patients[str(case)] for case in found.index])
    return found.reset_index(names="case")


def within_case_sd(study: ObserverStudy, confidence: float = 0.95) -> pd.DataFrame:
    """Standard deviation of one observer around the others, over all cases.

    It is the root of the mean variance within a case, so it holds the observers' habits (a
    constant difference) as well as their hand. Two observers differ by less than ``1.96 sqrt(2)``
    times it in about 95 of 100 cases. Cases with one observer have no variance and are left out.

    The interval is over patients: Student's t on the inverse of the standard deviation. The
    variance of few observers is far from symmetrical, and its error grows with it; of the
    transformations that level this (logarithm, cube root), the inverse root keeps its promise best
    from 8 to 50 patients and from 2 to 10 observers.

    .. versionadded:: 0.1

    Args:
        study: What :func:`muscletransfer.observers.observer_study` returned.
        confidence: Of the interval, in (0, 1).

    Returns:
        One row a measure: ``measure`` (with its unit), ``n_cases``, ``sd``, ``sd_low``,
        ``sd_high`` (0 and ``inf`` with too few patients for an interval) and ``differ_by``, all in
        the unit of the measure. Empty when no case has two observers.

    Raises:
        DataError: A confidence that is no share.

    Example:
        >>> import numpy as np
        >>> from muscletransfer.observers import observer_study
        >>> masks = {"c": {"A": np.ones((10, 10)), "B": np.eye(10)}}
        >>> within_case_sd(observer_study(masks, {"c": (10, 10)}))["sd"].round(1).tolist()
        [63.6]
    """
    check_confidence(confidence)
    table = measure_spread(study)
    rows = []
    for measure in _measures(study):
        name, _, unit = measure.rpartition("_")
        known = table.dropna(subset=[f"{name}_sd_{unit}"])
        if known.empty:
            continue
        variance = known[f"{name}_sd_{unit}"] ** 2
        sd = math.sqrt(variance.mean())
        low, high = spread_interval(variance.to_numpy(), list(known["patient"]), confidence)
        rows.append(
            {
                "measure": measure,
                "n_cases": len(known),
                "sd": sd,
                "sd_low": low,
                "sd_high": high,
                "differ_by": 1.96 * math.sqrt(2) * sd,
            }
        )
    columns = ["measure", "n_cases", "sd", "sd_low", "sd_high", "differ_by"]
    return pd.DataFrame(rows, columns=columns)


def spread_interval(
    variances: NDArray[np.float64], patients: Sequence[str], confidence: float
) -> Interval:
    """Interval of the root of a mean variance over cases, patient by patient.

    Args:
        variances: ``(N,)``, one a case.
        patients: ``(N,)``, whose case each is.
        confidence: Of the interval.

    Returns:
        ``(0, inf)`` with fewer than :data:`FEWEST_PATIENTS` patients.

    Example:
        >>> low, high = spread_interval(np.array([3.0, 4.0, 5.0, 4.0, 4.0]), list("abcde"), 0.95)
        >>> round(low, 2), round(high, 2)
        (1.8, 2.25)
    """
    from scipy import stats

    _, which = np.unique(np.asarray(patients), return_inverse=True)
    sums, counts = np.bincount(which, variances), np.bincount(which)
    n, mean = len(sums), float(variances.mean())
    if n < FEWEST_PATIENTS:
        return 0.0, math.inf
    if mean == 0:
        return 0.0, 0.0
    # The mean over cases is a ratio of sums over patients; its error is that of a ratio.
    spread = float(((sums - mean * counts) ** 2).sum()) * n / (n - 1)
    error = math.sqrt(spread) / float(counts.sum())
    sd, reach = math.sqrt(mean), float(stats.t.ppf((1 + confidence) / 2, n - 1)) * error / mean / 2
    return sd / (1 + reach), sd / (1 - reach) if reach < 1 else math.inf


def _measures(study: ObserverStudy) -> list[str]:
    known = ("sma_cm2", "smd_hu", "sma_outline_cm2")
    return [name for name in known if name in study.measures]
