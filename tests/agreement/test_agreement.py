from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from muscletransfer.agreement import bland_altman, icc2_1
from muscletransfer.errors import DataError

# Shrout & Fleiss 1979, table 2: six targets, four judges.
SHROUT_FLEISS = np.array(
    [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
)
# Bland & Altman 1986, table 1: peak flow in l/min, large and mini Wright meter, first readings.
LARGE = [494, 395, 516, 434, 476, 557, 413, 442, 650, 433, 417, 656, 267, 478, 178, 423, 427]
MINI = [512, 430, 520, 428, 500, 600, 364, 380, 658, 445, 432, 626, 260, 477, 259, 350, 451]


def test_bland_altman_of_the_published_example():
    found = bland_altman(LARGE, MINI)
    assert found.n == 17
    assert found.bias == pytest.approx(-2.1, abs=0.05)
    assert found.sd == pytest.approx(38.8, abs=0.05)
    assert found.bias_ci == pytest.approx((-22.1, 17.8), abs=0.1)
    # The paper has bias +- 2 sd; for the intervals of the limits see test_published.py.
    assert (found.lower, found.upper) == pytest.approx((-79.7, 75.5), abs=2)


def test_slope_is_scipys():
    found = bland_altman(LARGE, MINI)
    mean, difference = (np.add(LARGE, MINI)) / 2, np.subtract(LARGE, MINI)
    line = stats.linregress(mean, difference)
    reach = stats.t.ppf(0.975, 15) * line.stderr
    assert found.slope == pytest.approx(line.slope)
    assert found.slope_ci == pytest.approx((line.slope - reach, line.slope + reach))
    size = np.abs(difference - line.intercept - line.slope * mean)
    assert found.spread_slope == pytest.approx(stats.linregress(mean, size).slope)


def test_a_spread_that_grows_shows():
    rng = np.random.default_rng(0)
    truth = rng.uniform(50, 200, 200)
    steady = bland_altman(truth + rng.normal(0, 5, 200), truth)
    growing = bland_altman(truth + rng.normal(0, 0.05 * truth), truth)
    assert steady.spread_slope_ci[0] < 0 < steady.spread_slope_ci[1]
    assert growing.spread_slope_ci[0] > 0


def test_icc_of_the_published_example():
    found = icc2_1(SHROUT_FLEISS)
    assert found.icc == pytest.approx(0.29, abs=0.005)
    # The interval that R's psych::ICC prints for these ratings.
    assert found.ci == pytest.approx((0.019, 0.761), abs=0.001)
    assert (found.n_cases, found.n_raters) == (6, 4)


def test_icc_is_that_of_the_analysis_of_variance():
    rng = np.random.default_rng(1)
    table = rng.normal(0, 3, (12, 1)) + rng.normal(0, 1, (1, 5)) + rng.normal(0, 1, (12, 5))
    msr = 5 * table.mean(1).var(ddof=1)
    msc = 12 * table.mean(0).var(ddof=1)
    total = table.size * table.var()
    mse = (total - msr * 11 - msc * 4) / 44
    assert icc2_1(table).icc == pytest.approx((msr - mse) / (msr + 4 * mse + 5 * (msc - mse) / 12))
    assert icc2_1(table * 7 + 3).icc == pytest.approx(icc2_1(table).icc)


def test_intervals_hold_what_was_simulated():
    rng = np.random.default_rng(7)
    repeats, bias, spread, holds = 400, 3.0, 5.0, {"bias": 0, "lower": 0, "upper": 0, "icc": 0}
    icc = 10**2 / (10**2 + 2**2 + 3**2)
    for _ in range(repeats):
        truth = rng.uniform(80, 200, 40)
        found = bland_altman(truth + rng.normal(bias, spread, 40), truth)
        holds["bias"] += found.bias_ci[0] <= bias <= found.bias_ci[1]
        holds["lower"] += found.lower_ci[0] <= bias - 1.96 * spread <= found.lower_ci[1]
        holds["upper"] += found.upper_ci[0] <= bias + 1.96 * spread <= found.upper_ci[1]
        table = rng.normal(0, 10, (25, 1)) + rng.normal(0, 2, (1, 10)) + rng.normal(0, 3, (25, 10))
        low, high = icc2_1(table).ci
        holds["icc"] += low <= icc <= high
    assert {name: count / repeats for name, count in holds.items() if count < 0.93 * repeats} == {}
    assert all(count < 0.98 * repeats for count in holds.values())


def test_raters_who_agree_to_the_digit():
    table = np.repeat(np.random.default_rng(0).normal(150, 30, (9, 1)), 3, axis=1)
    assert (icc2_1(table).icc, icc2_1(table).ci) == (1.0, (1.0, 1.0))
    shifted = icc2_1(np.add(table, [0.0, 10.0, 20.0]))  # they differ by constants only
    assert 0 < shifted.ci[0] < shifted.icc < shifted.ci[1] <= 1
    same = bland_altman(table[:, 0], table[:, 1])
    assert (same.bias, same.sd, same.lower, same.upper, same.slope) == (0, 0, 0, 0, 0)


@pytest.mark.parametrize(
    ("ratings", "message"),
    [
        ([1.0, 2.0], "shape"),
        ([[1.0, 2.0]], "two of each"),
        ([[1.0, np.nan], [2.0, 3.0]], "complete table"),
        ([[4.0, 4.0], [4.0, 4.0]], "0/0"),
    ],
)
def test_ratings_without_an_icc_are_refused(ratings, message):
    with pytest.raises(DataError, match=message):
        icc2_1(ratings)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ([1, 2, 3], [1, 2], "pairs"),
        ([1, 2], [1, 2], "at least 3"),
        ([1, 2, np.inf], [1, 2, 3], "first holds 1"),
        ([[1, 2, 3]], [1, 2, 3], "one number a case"),
    ],
)
def test_pairs_without_limits_are_refused(first, second, message):
    with pytest.raises(DataError, match=message):
        bland_altman(first, second)


def test_confidence_is_a_share():
    with pytest.raises(DataError, match="confidence"):
        bland_altman([1, 2, 3], [1, 2, 4], confidence=95)


@pytest.mark.parametrize("ratings", [[[4, 5], [5, 4]], [[1, 1, 1], [1, 0, 2], [2, 1, 0]]])
def test_cases_with_one_mean_have_no_icc(ratings):
    with pytest.raises(DataError, match="have the same mean over the raters"):
        icc2_1(ratings)
