"""From rows a case to what the tables say: medians, spread over runs, paired differences."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from real_ct_parts.settings import LONGER, RANDOM, Settings

Row = dict[str, Any]

BOOTSTRAPS = 10_000


def case_scores(row: Row) -> dict[str, float]:
    """Return the figures of one test case, a missed mask counted and never dropped.

    Args:
        row: A row of `SegmentationFineTuner.case_table`.

    Returns:
        ``dice`` and ``distance`` (mm, or pixels where the spacing is unknown); on CT also
        ``outline_error`` and ``area_error`` (% of the reference, absolute) and ``smd_error`` (HU,
        absolute; infinite where no muscle was found).
    """
    distance = row["dta_rms_mm"] if "dta_rms_mm" in row else row["dta_rms_px"]
    scores = {"dice": float(row["dice"]), "distance": float(distance)}
    if "reference_sma_cm2" in row:
        scores["outline_error"] = _relative(row["area_cm2"], row["reference_area_cm2"])
        scores["area_error"] = _relative(row["sma_cm2"], row["reference_sma_cm2"])
        found = row.get("smd_hu")
        scores["smd_error"] = (
            math.inf if found is None or math.isnan(found) else abs(found - row["reference_smd_hu"])
        )
    return scores


def _relative(found: float, wanted: float) -> float:
    return 100 * abs(found - wanted) / wanted


def run_median(run: Row, score: str) -> float:
    """Return a run's median over its test cases, infinite where a middle one is."""
    return _median([case_scores(row)[score] for row in run["cases"]])


def _median(values: Sequence[float]) -> float:
    """Return the median, the mean of the middle two; infinite where one of them is."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    return (ordered[middle - 1] + ordered[middle]) / 2


def chosen(runs: Sequence[Row], arm: str, n: int) -> list[Row]:
    """Return the runs of an arm and a number of labels."""
    return [run for run in runs if run["arm"] == arm and run["n"] == n]


def over_runs(runs: Sequence[Row], score: str) -> tuple[float, float, float]:
    """Return median, lowest and highest of the runs' medians."""
    values = [run_median(run, score) for run in runs]
    return _median(values), min(values), max(values)


def failures(runs: Sequence[Row]) -> tuple[int, int]:
    """Return how many test cases were missed (a class without a pixel), and of how many."""
    cases = [row for run in runs for row in run["cases"]]
    return sum(bool(row["failed"]) for row in cases), len(cases)


def against_random(runs: Sequence[Row], arm: str, n: int) -> dict[str, Any]:
    """Compare an arm with random weights, each run with the one on the same slices and seed.

    Args:
        runs: All runs of a data set.
        arm: The arm.
        n: The number of labels.

    Returns:
        ``differences``: of the runs' median Dice, in order; ``better``: in how many it is higher.
    """
    partner = {_twin(run): run for run in chosen(runs, RANDOM, n)}
    differences = [
        run_median(run, "dice") - run_median(partner[_twin(run)], "dice")
        for run in chosen(runs, arm, n)
    ]
    return {"differences": differences, "better": sum(d > 0 for d in differences)}


def _twin(run: Row) -> tuple[Any, ...]:
    return run["repeat"], run.get("test")


def patients_against_random(runs: Sequence[Row], arm: str, n: int) -> dict[str, float]:
    """Compare an arm with random weights patient by patient, with an interval over patients.

    Every patient is tested by one repeat only, so patients are what is drawn anew: with the few
    repeats there are, the interval does not hold the spread over training subsets.

    Args:
        runs: All runs on cardiac MR, one case a patient.
        arm: The arm.
        n: The number of labelled patients.

    Returns:
        ``mean``, ``low`` and ``high`` (95 %, bootstrap) of the difference in Dice.
    """
    partner = {
        (_twin(run), row["case"]): row["dice"]
        for run in chosen(runs, RANDOM, n)
        for row in run["cases"]
    }
    differences = np.array(
        [
            row["dice"] - partner[_twin(run), row["case"]]
            for run in chosen(runs, arm, n)
            for row in run["cases"]
        ]
    )
    generator = np.random.default_rng(0)
    draws = generator.integers(len(differences), size=(BOOTSTRAPS, len(differences)))
    low, high = np.percentile(differences[draws].mean(axis=1), [2.5, 97.5])
    return {"mean": float(differences.mean()), "low": float(low), "high": float(high)}


def gaps(results: Row, settings: Settings) -> dict[str, list[tuple[str, float]]]:
    """Return how far the arm that is trained for longer too lies above random weights.

    Args:
        results: The run.
        settings: Sizes of the run.

    Returns:
        ``before`` and ``after``: the gap in a run's median Dice by test block.
    """
    other = next(name for name in LONGER if name != RANDOM)
    found: dict[str, list[tuple[str, float]]] = {"before": [], "after": []}
    for test in settings.ct_tests:
        after = {run["arm"]: run for run in results["longer"] if run["test"] == test}
        n = after[RANDOM]["n"]
        before = {
            name: next(r for r in chosen(results["ct"], name, n) if _twin(r) == (0, test))
            for name in LONGER
        }
        for key, runs in (("before", before), ("after", after)):
            gap = run_median(runs[other], "dice") - run_median(runs[RANDOM], "dice")
            found[key].append((test, gap))
    return found


def verdict(
    arms: Sequence[str], ns: Sequence[int], compare: Callable[[str, int], Row]
) -> dict[str, list[str]]:
    """Sort arm and n by whether the comparison with random weights is clear.

    Args:
        arms: The arms that transfer something.
        ns: The numbers of labels.
        compare: Gives ``low`` and ``high`` of the difference in Dice.

    Returns:
        ``better``, ``worse`` and ``unclear``: lists of "arm (n = ...)".
    """
    sorted_arms: dict[str, list[str]] = {"better": [], "worse": [], "unclear": []}
    for n in ns:
        for arm in arms:
            found = compare(arm, n)
            key = "better" if found["low"] > 0 else "worse" if found["high"] < 0 else "unclear"
            sorted_arms[key].append(f"{arm} (n = {n})")
    return sorted_arms
