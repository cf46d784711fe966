"""The printed figures of Bland & Altman 1986, and an independent ICC."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pingouin
import pytest
from scipy import stats

from muscletransfer.agreement import bland_altman, icc2_1
from muscletransfer.agreement.bland_altman import limit_factors

# Bland & Altman 1986, table 1: peak flow in l/min, large and mini Wright meter, first readings.
LARGE = [494, 395, 516, 434, 476, 557, 413, 442, 650, 433, 417, 656, 267, 478, 178, 423, 427]
MINI = [512, 430, 520, 428, 500, 600, 364, 380, 658, 445, 432, 626, 260, 477, 259, 350, 451]


def test_peak_flow_as_printed_in_1986():
    """They took 2 for 1.96, sqrt(3 / n) for the error of a limit, and rounded on the way."""
    found = bland_altman(LARGE, MINI)
    assert (found.bias, found.sd) == pytest.approx((-2.1, 38.8), abs=0.05)
    assert found.bias_ci == pytest.approx((-22.0, 17.8), abs=0.1)
    limits = found.bias - 2 * found.sd, found.bias + 2 * found.sd
    assert limits == pytest.approx((-79.7, 75.5), abs=0.1)
    reach = stats.t.ppf(0.975, 16) * math.sqrt(3 * found.sd**2 / 17)
    assert limits[0] - reach == pytest.approx(-114.3, abs=0.3)
    assert limits[0] + reach == pytest.approx(-45.1, abs=0.3)
    assert limits[1] - reach == pytest.approx(40.9, abs=0.3)
    assert limits[1] + reach == pytest.approx(110.1, abs=0.3)
    assert (found.lower, found.upper) == pytest.approx(limits, abs=0.05 * found.sd)
    # Theirs is an approximation: as wide as the exact interval to a twentieth, but too near.
    exact = found.upper_ci
    assert exact[1] - exact[0] == pytest.approx(2 * reach, rel=0.05)
    assert exact[0] > limits[1] - reach
    assert exact[1] > limits[1] + reach


@pytest.mark.parametrize(("n", "factor"), [(10, 2.911), (20, 2.396), (30, 2.220), (50, 2.065)])
def test_factors_are_those_of_tolerance_tables(n, factor):
    """One-sided normal tolerance factors, coverage 0.95 at confidence 0.95, as in every table."""
    reach = stats.norm.ppf(0.95)
    assert limit_factors(n, 0.90, reach)[1] == pytest.approx(factor, abs=0.0006)


@pytest.mark.parametrize("n", [3, 8, 25, 400])
def test_factors_are_quantiles_of_what_normal_samples_do(n):
    """Of 40,000 samples as many hold the limit below the near end as above the far one: 2.5 %."""
    rng = np.random.default_rng(n)
    mean = rng.normal(0, 1 / math.sqrt(n), 40_000)
    deviation = np.sqrt(rng.chisquare(n - 1, 40_000) / (n - 1))
    near, far = limit_factors(n, 0.95)
    below, above = mean + near * deviation > 1.96, mean + far * deviation < 1.96
    assert (below.mean(), above.mean()) == pytest.approx((0.025, 0.025), abs=0.003)


def test_the_interval_nears_the_approximate_one_in_large_samples():
    for n in (10_000, 1_000_000):
        error = stats.norm.ppf(0.975) * math.sqrt(1 / n + 1.96**2 / (2 * (n - 1)))
        assert limit_factors(n, 0.95) == pytest.approx(
            (1.96 - error, 1.96 + error), abs=0.06 * error
        )


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:The inplace keyword")
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("cases", "raters"), [(6, 4), (25, 10), (9, 2)])
def test_icc_equals_another_implementation(seed, cases, raters):
    rng = np.random.default_rng(seed)
    table = (
        rng.normal(150, 30, (cases, 1))
        + rng.normal(0, 2, (1, raters))
        + rng.normal(0, 6, (cases, raters))
    )
    long = {
        "case": np.repeat(np.arange(cases), raters),
        "rater": np.tile(np.arange(raters), cases),
        "value": table.ravel(),
    }

    both = pingouin.intraclass_corr(pd.DataFrame(long), "case", "rater", "value")
    wanted = both.set_index("Type").loc["ICC(A,1)"]  # McGraw and Wong's name of ICC(2,1)
    found = icc2_1(table)
    assert found.icc == pytest.approx(wanted["ICC"], rel=1e-6)
    assert found.ci == pytest.approx(tuple(wanted["CI95"]), abs=0.0051)  # it rounds to two digits
