from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from muscletransfer.agreement import bland_altman, patient_bootstrap, relative_error
from muscletransfer.errors import DataError, SettingError


def test_relative_error_by_hand():
    found = relative_error([110, 95, 100, 98], [100, 100, 80, 100])
    errors = [10, -5, 25, -2]
    assert found.mean_percent == pytest.approx(7)
    assert found.mean_absolute_percent == pytest.approx(10.5)
    assert found.median_absolute_percent == pytest.approx(7.5)
    assert found.worst_percent == pytest.approx(25)
    low, high = stats.ttest_1samp(errors, 0).confidence_interval(0.95)
    assert found.mean_ci_percent == pytest.approx((low, high))
    assert found.sd_percent == pytest.approx(np.std(errors, ddof=1))


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ([1, 2], [1, 0], "1 of the 2 values of second are not above 0"),
        ([1, 2], [1, -3], "not above 0"),
        ([1], [1], "at least 2"),
        ([1, math.nan], [1, 2], "not finite"),
    ],
)
def test_shares_of_nothing_are_refused(first, second, message):
    with pytest.raises(DataError, match=message):
        relative_error(first, second)


def test_limits_follow_a_spread_that_grows():
    rng = np.random.default_rng(3)
    truth = rng.uniform(50, 200, 4000)
    error = rng.normal(0.02, 0.05, truth.size)
    found = bland_altman(truth * (1 + error / 2), truth * (1 - error / 2))
    assert found.spread_grows
    for size in (60.0, 180.0):
        low, high = found.limits_at(size)
        assert low == pytest.approx((0.02 - 1.96 * 0.05) * size, rel=0.1)
        assert high == pytest.approx((0.02 + 1.96 * 0.05) * size, rel=0.1)
    flat = bland_altman([2, 1, 3], [0, 1, -1])  # all means are 1
    assert flat.limits_at([1, 2])[0].tolist() == [flat.lower] * 2
    assert not flat.spread_grows


def test_bootstrap_draws_patients_and_not_cases():
    rng = np.random.default_rng(0)
    by_patient = rng.normal(0, 1, 12)
    slices = np.repeat(by_patient, 20) + rng.normal(0, 0.01, 240)
    found = patient_bootstrap(slices, np.repeat(np.arange(12), 20).astype(str).tolist())
    single = patient_bootstrap(by_patient, list("abcdefghijkl"))
    assert (found.n_cases, found.n_patients) == (240, 12)
    width, wanted = np.diff(found.ci)[0], np.diff(single.ci)[0]
    assert width == pytest.approx(wanted, rel=0.1)  # twenty slices of one patient teach nothing new
    assert patient_bootstrap(by_patient, list("abcdefghijkl")) == single
    assert patient_bootstrap(by_patient, list("abcdefghijkl"), seed=1).ci != single.ci


def test_bootstrap_of_patients_with_unequal_counts_is_the_ratio_estimate():
    values, patients = [1.0, 1.0, 1.0, 5.0, 2.0, 3.0, 0.0], list("aaabcde")
    found = patient_bootstrap(values, patients, repeats=400, seed=3)
    assert found.mean == pytest.approx(np.mean(values))
    drawn = np.random.default_rng(3).integers(0, 5, (400, 5))
    own = {
        i: [v for v, p in zip(values, patients, strict=True) if p == "abcde"[i]] for i in range(5)
    }
    means = sorted(np.mean(np.concatenate([own[i] for i in row])) for row in drawn.tolist())
    tail = stats.norm.cdf(np.sqrt(5 / 4) * stats.t.ppf(0.025, 4))
    assert found.ci[0] == pytest.approx(np.quantile(means, tail, method="lower"))
    assert found.ci[1] == pytest.approx(np.quantile(means, 1 - tail, method="higher"))


@pytest.mark.parametrize("patients", [10, 25])
def test_bootstrap_interval_holds_the_truth(patients):
    rng = np.random.default_rng(11)
    names = [str(i) for i in range(patients)]
    holds = 0
    for _ in range(1000):
        low, high = patient_bootstrap(rng.normal(1, 2, patients), names, repeats=1000).ci
        holds += low <= 1 <= high
    assert 930 <= holds < 970


def test_few_patients_have_no_interval():
    found = patient_bootstrap([0.9, 0.8, 0.7, 0.9], list("abca"))
    assert found.mean == pytest.approx(0.825)
    assert found.ci == (-math.inf, math.inf)


def test_a_failure_reaches_the_interval():
    found = patient_bootstrap([0.1] * 9 + [math.inf], [str(i) for i in range(10)])
    assert found.mean == math.inf
    assert found.ci == (0.1, math.inf)


@pytest.mark.parametrize(
    ("values", "patients", "error", "message"),
    [
        ([], [], DataError, "one number"),
        ([1.0, 2.0], ["a"], DataError, "1 patient ids"),
        ([1.0, math.nan], ["a", "b"], DataError, "1 value"),
        ([math.inf, -math.inf], ["a", "b"], DataError, "no mean"),
    ],
)
def test_bad_bootstrap_input_is_named(values, patients, error, message):
    with pytest.raises(error, match=message):
        patient_bootstrap(values, patients)
    with pytest.raises(SettingError, match="at least 100"):
        patient_bootstrap([1.0], ["a"], repeats=10)
