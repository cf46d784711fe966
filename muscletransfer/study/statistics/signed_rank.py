"""Tests and intervals of paired differences: Wilcoxon's signed ranks, the median, Holm."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from muscletransfer.agreement.bootstrap import FEWEST_PATIENTS

__all__ = ["EXACT_UP_TO", "SignedRank", "holm", "median_interval", "signed_rank"]

#: Up to this many pairs the null distribution is enumerated; beyond, the normal one is as good.
EXACT_UP_TO = 50

Floats = NDArray[np.float64]


class SignedRank(NamedTuple):
    """Wilcoxon's signed-rank test, two-sided.

    Args:
        statistic: Sum of the ranks of positive differences.
        p: Two-sided p value; 1 where no difference is off 0.
        method: ``"exact"``, ``"normal"``, or ``"none"`` where no difference is off 0.
        n_zero: Differences of 0.
        rank_biserial: Effect size from -1 to 1: share of the ranks that are positive minus share
            that are negative.
    """

    statistic: float
    p: float
    method: Literal["exact", "normal", "none"]
    n_zero: int
    rank_biserial: float


def signed_rank(differences: Floats) -> SignedRank:
    """Wilcoxon's signed-rank test that differences are symmetric around 0.

    Differences of 0 take part in the ranking and are then dropped (Pratt, J Am Stat Assoc
    1959;54:655-667): dropping them first could make a smaller effect more significant. Ties have
    their mean rank. Up to :data:`EXACT_UP_TO` pairs p is exact, given the ranks as they are, zeros
    and ties included; with more it is scipy's normal approximation with its correction for ties
    and continuity.

    Args:
        differences: ``(N,)``, not NaN; infinite ones rank last.

    Returns:
        The test.

    Example:
        >>> signed_rank(np.array([1.0, 2.0, 3.0, 4.0, 5.0])).p
        0.0625
    """
    from scipy import stats

    n_zero = int((differences == 0).sum())
    if n_zero == differences.size:
        return SignedRank(0.0, 1.0, "none", n_zero, 0.0)
    ranks = stats.rankdata(np.abs(differences))
    above, below = float(ranks[differences > 0].sum()), float(ranks[differences < 0].sum())
    effect = (above - below) / (above + below)
    if differences.size <= EXACT_UP_TO:
        p = _exact(ranks[differences != 0], min(above, below))
        return SignedRank(above, p, "exact", n_zero, effect)
    # Only ranks and signs count, so infinite differences may be put as their ranks.
    signs = np.sign(differences) * ranks
    found = stats.wilcoxon(signs, zero_method="pratt", correction=True, method="approx")
    return SignedRank(above, float(found.pvalue), "normal", n_zero, effect)


def _exact(ranks: Floats, smaller: float) -> float:
    """Two-sided p by counting, over all signs of the ranks, sums as small as the one found."""
    steps = np.rint(2 * ranks).astype(np.int64)  # mean ranks of ties are halves
    counts = np.zeros(int(steps.sum()) + 1)
    counts[0] = 1.0
    for step in steps:
        counts[step:] += counts[:-step].copy()
        counts /= 2  # shares, so that 50 signs do not overflow
    return min(1.0, 2 * float(counts[: round(2 * smaller) + 1].sum()))


def median_interval(values: Floats, confidence: float = 0.95) -> tuple[float, float]:
    """Bootstrap interval of a median without drawing: the limit of endlessly many samples.

    The distribution of a bootstrap sample's median has a closed form (Efron, Ann Stat
    1979;7(1):1-26). Its quantiles are taken at the tails of the expanded percentile interval (see
    :func:`muscletransfer.agreement.patient_bootstrap`).

    Args:
        values: ``(N,)``, not NaN.
        confidence: Of the interval.

    Returns:
        Lower and upper end; infinite with fewer than five values.

    Example:
        >>> median_interval(np.arange(1.0, 22.0))
        (6.0, 16.0)
    """
    from scipy import stats

    n = values.size
    if n < FEWEST_PATIENTS:
        return -math.inf, math.inf
    medians, shares = _median_distribution(np.sort(values))
    quantile = stats.t.ppf((1 - confidence) / 2, n - 1)
    tail = float(stats.norm.cdf(math.sqrt(n / (n - 1)) * quantile))
    below = np.cumsum(shares)
    low = medians[int(np.searchsorted(below, tail))]
    high = medians[min(int(np.searchsorted(below, 1 - tail)), medians.size - 1)]
    return float(low), float(high)


def _median_distribution(ordered: Floats) -> tuple[Floats, Floats]:
    """Values that a bootstrap median can take, rising, and the probability of each."""
    from scipy import special, stats

    n = ordered.size
    edges = np.arange(n + 1) / n
    if n % 2:
        at_most = stats.binom.sf(n // 2, n, edges)  # more than half of the draws are that low
        return ordered, np.diff(at_most)
    # The two middle draws: half of all draws up to value i, the highest being i, and half from
    # value j, the lowest being j. Where both are one value, whatever probability is left.
    half = n // 2
    reach = math.ceil(3.5 * math.sqrt(n))  # seven standard deviations of the median's place
    start, end = max(0, half - reach), min(n, half + reach)
    with np.errstate(divide="ignore"):
        up_to = half * np.log(edges[1:]) + np.log1p(-((edges[:-1] / edges[1:]) ** half))
    choices = special.gammaln(n + 1) - 2 * special.gammaln(half + 1)
    pairs = np.exp(choices + up_to[start:end, None] + up_to[::-1][None, start:end])
    first, second = np.triu_indices(end - start, 1)
    either = stats.binom.sf(half - 1, n, edges[start : end + 1])  # the lower of both is that low
    alone = np.diff(either) - np.triu(pairs, 1).sum(axis=1)
    kept = ordered[start:end]
    with np.errstate(invalid="ignore"):
        middles = (kept[first] + kept[second]) / 2
    middles = np.concatenate([np.where(np.isnan(middles), 0.0, middles), kept])
    shares = np.concatenate([pairs[first, second], np.maximum(alone, 0.0)])
    order = np.argsort(middles, kind="stable")
    return middles[order], shares[order]


def holm(p: Floats) -> Floats:
    """Adjust p values of one family by Holm's step-down rule (Scand J Stat 1979;6(2):65-70).

    The chance of any false rejection in the family stays below the level, whatever the dependence
    of the tests.

    Args:
        p: ``(N,)``, 0 to 1.

    Returns:
        Adjusted p values in the same order, at most 1.

    Example:
        >>> holm(np.array([0.01, 0.04, 0.03])).round(3).tolist()
        [0.03, 0.06, 0.06]
    """
    order = np.argsort(p, kind="stable")
    raised = np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1))
    adjusted = np.empty(p.size)
    adjusted[order] = np.minimum(raised, 1.0)
    return adjusted
