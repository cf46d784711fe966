"""Observers with a known bias and spread: 95 % intervals hold them in 93 to 97 % of studies.

A thousand studies of seeds 0 to 999. An interval that holds the truth in 95 % of studies does so in
fewer than 930, or more than 970, of a thousand with a probability of 0.003 (binomial): a share
beyond says that the interval is wrong. The figures of a study are taken from the functions that
give them to the tables; that the tables hold the very same figures is a test of its own.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from drawn_masks import overlap, simulate, study_of

from muscletransfer.agreement import bland_altman, icc2_1, patient_bootstrap
from muscletransfer.observers import agreement_table, human_level, icc_table, within_case_sd
from muscletransfer.observers.spread import spread_interval

SEEDS = range(1000)
CASES = 25
BIAS, SPREAD, MODEL_BIAS, MODEL_SPREAD = (0, 10, -10), 12, 6, 10
# Of the study of the ICC, where cases and observers are drawn anew each time (normal, as it wants).
BETWEEN, HABIT, RATERS = 58.0, 10.0, 10
PAIRS = list(combinations(range(len(BIAS)), 2))


def dice(a, b):
    return 2 * np.minimum(a, b) / (a + b)


def disagreement(drawn, model):
    """Model with observers minus observers among themselves; drawn (observers, cases)."""
    with_model = np.mean([dice(model, one) for one in drawn], axis=0)
    return with_model - np.mean([dice(drawn[i], drawn[j]) for i, j in PAIRS], axis=0)


@pytest.fixture(scope="module")
def truth():
    """What the simulation stands for; Dice from a cohort far larger than any study."""
    rng = np.random.default_rng(99)
    size = rng.integers(400, 600, 2_000_000).astype(float)
    drawn = [np.round(size + bias + rng.normal(0, SPREAD, size.size)) for bias in BIAS]
    model = np.round(size + MODEL_BIAS + rng.normal(0, MODEL_SPREAD, size.size))
    hand = SPREAD**2 + 1 / 12  # a twelfth from rounding to pixels
    return {
        "O1 bias": BIAS[1] / 100,
        "model bias": MODEL_BIAS / 100,
        "O1 lower": (BIAS[1] - 1.96 * SPREAD) / 100,
        "O1 upper": (BIAS[1] + 1.96 * SPREAD) / 100,
        "within": np.sqrt(np.var(BIAS, ddof=1) + hand) / 100,
        "difference": disagreement(drawn, model).mean(),
        "icc": BETWEEN**2 / (BETWEEN**2 + HABIT**2 + hand),
    }


def drawn_study(seed):
    return simulate(np.random.default_rng(seed), CASES, BIAS, SPREAD, MODEL_BIAS, MODEL_SPREAD)


def intervals(counts, model, reference):
    """Interval of each estimate of a study, in cm2."""
    names = list(counts)
    drawn = np.array([[counts[case][f"O{k}"] for case in names] for k in range(len(BIAS))])
    machine = np.array([model[case] for case in names])
    truth = np.array([reference[case] for case in names]) / 100
    of_observer = bland_altman(drawn[1] / 100, truth)
    return {
        "O1 bias": of_observer.bias_ci,
        "model bias": bland_altman(machine / 100, truth).bias_ci,
        "O1 lower": of_observer.lower_ci,
        "O1 upper": of_observer.upper_ci,
        "within": spread_interval((drawn / 100).var(axis=0, ddof=1), names, 0.95),
        "difference": patient_bootstrap(disagreement(drawn, machine), names).ci,
    }


def test_the_tables_of_a_study_hold_these_intervals():
    assert overlap(90, 110) == 0.9
    for seed in SEEDS[:2]:
        counts, model, reference = drawn_study(seed)
        study = study_of(counts, model, reference)
        rows = agreement_table(study).set_index(["first", "second"])
        observer, machine = rows.loc[("O1", "reference")], rows.loc[("model", "reference")]
        spread = within_case_sd(study).iloc[0]
        found = {
            "O1 bias": (observer.bias_low, observer.bias_high),
            "model bias": (machine.bias_low, machine.bias_high),
            "O1 lower": (observer.lower_low, observer.lower_high),
            "O1 upper": (observer.upper_low, observer.upper_high),
            "within": (spread.sd_low, spread.sd_high),
            "difference": human_level(study, 0.01).difference.ci,
        }
        wanted = intervals(counts, model, reference)
        assert found.keys() == wanted.keys()
        for name in found:
            assert found[name] == pytest.approx(wanted[name]), name


def ratings(rng):
    """Areas by raters who are drawn as the patients are: (cases, raters)."""
    patients, habits = rng.normal(500, BETWEEN, (CASES, 1)), rng.normal(0, HABIT, (1, RATERS))
    return np.round(patients + habits + rng.normal(0, SPREAD, (CASES, RATERS)))


@pytest.mark.slow
def test_intervals_hold_the_truth(truth):
    holds = dict.fromkeys(truth, 0)
    for seed in SEEDS:
        found = intervals(*drawn_study(seed))
        found["icc"] = icc2_1(ratings(np.random.default_rng([seed, 1]))).ci
        for name, (low, high) in found.items():
            holds[name] += low <= truth[name] <= high
    shares = {name: count / len(SEEDS) for name, count in holds.items()}
    assert {name: share for name, share in shares.items() if not 0.93 <= share <= 0.97} == {}


def test_the_icc_is_near_that_of_the_simulation():
    between, within = (200**2 - 1) / 12, np.var(BIAS, ddof=1) + SPREAD**2 + 1 / 12
    found = []
    for seed in range(8):
        counts, _, _ = simulate(np.random.default_rng(seed), CASES, BIAS, SPREAD)
        row = icc_table(study_of(counts)).iloc[0]
        assert row.icc_low < row.icc < row.icc_high
        found.append(row.icc)
    assert np.mean(found) == pytest.approx(between / (between + within), abs=0.02)
