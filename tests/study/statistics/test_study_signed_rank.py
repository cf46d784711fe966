"""Signed ranks, the bootstrap of a median, and Holm's rule against brute force and scipy."""

import itertools

import numpy as np
import pytest
from scipy import stats

from muscletransfer.study.statistics.signed_rank import (
    EXACT_UP_TO,
    holm,
    median_interval,
    signed_rank,
)


def by_all_signs(differences: np.ndarray) -> float:
    """Two-sided p from all signs of the ranks that differ from 0 (Pratt's zeros)."""
    ranks = stats.rankdata(np.abs(differences))[differences != 0]
    found = ranks[differences[differences != 0] > 0].sum()
    sums = np.array(
        [np.dot(signs, ranks) for signs in itertools.product((0, 1), repeat=ranks.size)]
    )
    middle = ranks.sum() / 2
    return float((np.abs(sums - middle) >= abs(found - middle) - 1e-9).mean())


@pytest.mark.parametrize("seed", range(30))
def test_exact_p_counts_all_signs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    size = int(rng.integers(1, 13))
    # Rounding makes ties and zeros.
    differences = np.round(rng.normal(0.3, 1, size), 1 if seed % 2 else 0)
    found = signed_rank(differences)
    if (differences == 0).all():
        assert (found.p, found.method) == (1.0, "none")
    else:
        assert found.method == "exact"
        assert found.p == pytest.approx(by_all_signs(differences), abs=1e-12)
    assert found.n_zero == (differences == 0).sum()


@pytest.mark.parametrize("size", [5, 13, 30, EXACT_UP_TO])
def test_exact_p_is_scipys(size: int) -> None:
    differences = np.random.default_rng(size).normal(0.2, 1, size)
    wanted = stats.wilcoxon(differences, method="exact")
    found = signed_rank(differences)
    assert found.p == pytest.approx(wanted.pvalue, rel=1e-9)
    assert min(found.statistic, size * (size + 1) / 2 - found.statistic) == wanted.statistic


@pytest.mark.parametrize("seed", range(5))
def test_many_pairs_are_scipys_approximation(seed: int) -> None:
    rng = np.random.default_rng(seed)
    differences = np.round(rng.normal(0.1, 1, 80), 1)
    wanted = stats.wilcoxon(differences, zero_method="pratt", correction=True, method="approx")
    found = signed_rank(differences)
    assert found.method == "normal"
    assert found.p == pytest.approx(wanted.pvalue, rel=1e-9)


def test_exact_and_approximate_meet() -> None:
    rng = np.random.default_rng(0)
    for shift in (0.0, 0.2, 0.5):
        differences = rng.normal(shift, 1, EXACT_UP_TO)
        near = stats.wilcoxon(differences, correction=True, method="approx").pvalue
        assert signed_rank(differences).p == pytest.approx(near, rel=0.1, abs=5e-4)


def test_sides_effect_and_infinite_differences() -> None:
    differences = np.array([3.0, 1.0, -2.0, 4.0, 5.0, 6.0])
    one, other = signed_rank(differences), signed_rank(-differences)
    assert one.p == other.p
    assert one.rank_biserial == -other.rank_biserial == pytest.approx((19 - 2) / 21)
    endless = signed_rank(np.array([3.0, 1.0, -2.0, 4.0, 5.0, np.inf]))
    assert endless == one  # the largest rank is the largest rank
    many = np.concatenate([np.random.default_rng(1).normal(0.3, 1, 69), [9.0]])
    assert signed_rank(np.where(many == 9, np.inf, many)).p == pytest.approx(signed_rank(many).p)


def test_the_level_holds_where_nothing_differs() -> None:
    """1,000 seeded samples without a difference: at most a binomially likely share is below 5 %."""
    p = [signed_rank(np.random.default_rng(k).normal(0, 1, 20)).p for k in range(1000)]
    assert np.sum(np.array(p) <= 0.05) <= stats.binom.ppf(0.999, 1000, 0.05)
    assert np.sum(np.array(p) <= 0.05) >= stats.binom.ppf(0.001, 1000, 0.04)  # and it is not idle


@pytest.mark.parametrize("size", [5, 6, 7, 12, 25, 40, 204])
def test_median_interval_is_the_bootstraps(size: int) -> None:
    values = np.sort(np.random.default_rng(size).normal(0, 1, size))
    low, high = median_interval(values)
    rng = np.random.default_rng(1)
    drawn = np.median(values[rng.integers(0, size, (40_000, size))], axis=1)
    t = stats.t.ppf(0.025, size - 1)
    tail = stats.norm.cdf(np.sqrt(size / (size - 1)) * t)
    # Quantiles of a discrete distribution jump: compare shares below, not values.
    for end, side in ((low, tail), (high, 1 - tail)):
        below, up_to = (drawn < end - 1e-12).mean(), (drawn <= end + 1e-12).mean()
        assert below - 0.005 <= side <= up_to + 0.005


def test_median_interval_of_odd_counts_is_binomial() -> None:
    values = np.arange(1.0, 22.0)
    low, high = median_interval(values)
    t = stats.t.ppf(0.025, 20)
    tail = stats.norm.cdf(np.sqrt(21 / 20) * t)
    share = [stats.binom.sf(10, 21, j / 21) for j in range(22)]  # median at most value j
    assert low == next(j for j in range(22) if share[j] >= tail)
    assert high == next(j for j in range(22) if share[j] >= 1 - tail)


def test_median_interval_with_failures_and_few() -> None:
    assert median_interval(np.array([1.0, 2.0, 3.0, 4.0])) == (-np.inf, np.inf)
    values = np.array([*np.linspace(0, 1, 12), *[np.inf] * 8])
    low, high = median_interval(values)
    assert np.isfinite(low)
    assert high == np.inf
    both = median_interval(np.array([-np.inf] * 10 + [np.inf] * 10))
    assert both == (-np.inf, np.inf)
    assert median_interval(np.zeros(30)) == (0.0, 0.0)


def test_median_interval_is_exact_for_a_thousand() -> None:
    values = np.random.default_rng(3).normal(0, 1, 3000)  # factorials beyond a float
    low, high = median_interval(values)
    reach = 1.96 * np.sqrt(np.pi / 2 / 3000)
    assert low == pytest.approx(np.median(values) - reach, abs=0.02)
    assert high == pytest.approx(np.median(values) + reach, abs=0.02)


def by_closure(p: np.ndarray) -> np.ndarray:
    """Holm as the closed test of Bonferroni's: the largest p of any set that holds a hypothesis."""
    adjusted = np.zeros(p.size)
    for size in range(1, p.size + 1):
        for chosen in itertools.combinations(range(p.size), size):
            together = min(1.0, size * p[list(chosen)].min())
            for one in chosen:
                adjusted[one] = max(adjusted[one], together)
    return adjusted


@pytest.mark.parametrize("seed", range(20))
def test_holm_is_the_closed_bonferroni_test(seed: int) -> None:
    rng = np.random.default_rng(seed)
    p = np.round(rng.random(int(rng.integers(1, 9))) ** 3, 2)  # with ties
    np.testing.assert_allclose(holm(p), by_closure(p), atol=1e-12)


def test_holm_of_nothing_and_one() -> None:
    assert holm(np.array([])).size == 0
    assert holm(np.array([0.04])).tolist() == [0.04]
