"""Arms compared with each other at each n, patient by patient."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from muscletransfer.metrics.functional import check_option
from muscletransfer.study.results.columns import Arm
from muscletransfer.study.statistics.metrics import METRICS, metric_of
from muscletransfer.study.statistics.resampling import mean_intervals
from muscletransfer.study.statistics.signed_rank import holm, median_interval, signed_rank
from muscletransfer.study.statistics.values import PatientValues, arm_labels

__all__ = ["Family", "compare_arms"]

Family = Literal["all", "n", "reference"]

Floats = NDArray[np.float64]


def compare_arms(
    values: PatientValues,
    reference: str = "random",
    family: Family = "all",
    metrics: Sequence[str] = tuple(METRICS),
    confidence: float = 0.95,
    repeats: int = 10_000,
    seed: int = 0,
) -> pd.DataFrame:
    """Compare every two arms at each n by the differences of the patients that both tested.

    A patient's value is the mean over repeats, cases and classes; folds are not units. A distance
    that is infinite in both arms (both missed the mask) is a difference of 0.

    .. versionadded:: 0.1

    Args:
        values: Values of the patients.
        reference: Source that stands second in a pair, so that a difference is the gain over it.
        family: Which p values Holm's rule takes as one family, for each metric by itself:
            ``"all"`` (default) every pair at every n; ``"n"`` the pairs of one n; ``"reference"``
            only pairs of an arm with the reference arm of the same encoder and decoder are
            compared, over all n.
        metrics: Names of metrics; those without values are left out.
        confidence: Of the intervals.
        repeats: Bootstrap samples for the means.
        seed: Of the bootstrap.

    Returns:
        One row a metric, n and pair: ``metric, n, first, second`` (labels of
        :func:`muscletransfer.study.statistics.arm_labels`), ``n_patients`` (with a value in both),
        ``only_first, only_second`` (patients left out since the other arm lacks them),
        ``median_difference`` (first minus second; the effect) with ``median_low, median_high``,
        ``mean_difference`` with ``mean_low, mean_high``, ``rank_biserial, statistic, p, method,
        n_zero`` (of the signed-rank test), ``p_holm, family_size``, and ``better``: ``"first"``,
        ``"second"`` or ``""`` where ``p_holm`` does not settle it.

    Raises:
        UnknownNameError: No such family or metric.

    Example:
        >>> from muscletransfer.study.results import example_table
        >>> from muscletransfer.study.statistics import patient_values
        >>> values = patient_values(example_table())
        >>> row = compare_arms(values, metrics=["dice"], repeats=100).iloc[0]
        >>> row["first"], row["second"], round(float(row["mean_difference"]), 3)
        ('jigsaw', 'random', 0.1)
    """
    check_option("family", family, get_args(Family))
    labels = arm_labels(values.arms)
    frames = []
    for name in metrics:
        metric = metric_of(name)
        table = values.values[name]
        keys, differences, lost = [], [], []
        for n, first, second in _pairs(values, reference, family):
            a, b = (table[values.cells.index((arm, n))] for arm in (first, second))
            known_a, known_b = ~np.isnan(a), ~np.isnan(b)
            if (known_a & known_b).any():
                keys.append({"metric": name, "n": n, "first": labels[first]})
                keys[-1]["second"] = labels[second]
                differences.append(_difference(a, b))
                lost.append((int((known_a & ~known_b).sum()), int((known_b & ~known_a).sum())))
        if keys:
            rows = _rows(np.array(differences), confidence, repeats, seed)
            frame = pd.concat([pd.DataFrame(keys), pd.DataFrame(rows)], axis=1)
            frame.insert(5, "only_first", [only for only, _ in lost])
            frame.insert(6, "only_second", [only for _, only in lost])
            frames.append(_adjusted(frame, family, metric.higher_is_better, confidence))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def _pairs(values: PatientValues, reference: str, family: Family) -> list[tuple[int, Arm, Arm]]:
    found = []
    for n in values.ns:
        arms = [arm for arm, count in values.cells if count == n]
        # Reference arms come first in the order, and second in a pair.
        for second, first in itertools.combinations(arms, 2):
            against = second.source == reference != first.source
            same = first[1:3] == second[1:3]
            if family != "reference" or (against and same):
                found.append((n, first, second))
    return found


def _difference(a: Floats, b: Floats) -> Floats:
    with np.errstate(invalid="ignore"):
        difference: Floats = a - b
    return np.where(np.isinf(a) & np.isinf(b), 0.0, difference)


def _rows(differences: Floats, confidence: float, repeats: int, seed: int) -> list[dict[str, Any]]:
    means = mean_intervals(differences, confidence, repeats, seed)
    rows = []
    for difference, (mean, low, high) in zip(differences, means, strict=True):
        own = difference[~np.isnan(difference)]
        median_low, median_high = median_interval(own, confidence)
        test = signed_rank(own)
        rows.append(
            {
                "n_patients": own.size,
                "median_difference": _median(own),
                "median_low": median_low,
                "median_high": median_high,
                "mean_difference": mean,
                "mean_low": low,
                "mean_high": high,
                **test._asdict(),
            }
        )
    return rows


def _median(values: Floats) -> float:
    ordered = np.sort(values)
    low, high = ordered[(values.size - 1) // 2], ordered[values.size // 2]
    if np.isinf(low) and np.isinf(high) and low != high:
        return 0.0  # as many endlessly worse as better
    return float(low) if low == high else float(low / 2 + high / 2)


def _adjusted(
    frame: pd.DataFrame, family: Family, higher_is_better: bool, confidence: float
) -> pd.DataFrame:
    groups = frame.groupby("n")["p"] if family == "n" else frame.groupby("metric")["p"]
    frame["p_holm"] = groups.transform(lambda p: holm(p.to_numpy()))
    frame["family_size"] = groups.transform("size")
    # The side of the ranks, which is what the test is about; a median of 0 has none.
    gain = frame["rank_biserial"] if higher_is_better else -frame["rank_biserial"]
    settled = frame["p_holm"] <= 1 - confidence
    frame["better"] = np.select(
        [settled & (gain > 0), settled & (gain < 0)], ["first", "second"], ""
    )
    return frame
