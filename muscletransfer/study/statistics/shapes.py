"""Shapes of learning curves, many at a time: a power law, or straight pieces on log n."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["CurveShape", "MonotonePieces", "PowerLaws", "fit_power_laws", "monotone_pieces"]

Floats = NDArray[np.float64]

#: Exponents that are tried: below, a power law cannot be told from a logarithm over the n of a
#: study; above, it has arrived at its asymptote by the second n.
EXPONENTS = (0.02, 5.0)

_GRID, _ZOOM = 96, 9
_SAME = 1e-9  # Dice closer than this are one
_CHUNK = 4_000_000  # numbers in memory at a time


class CurveShape(Protocol):
    """Curves of ``B`` samples, each rising with n."""

    def at(self, n: Floats) -> Floats:
        """Dice at ``n``, ``(M,)`` or ``(B, M)``, of each curve: ``(B, M)``."""

    def inverse(self, dice: Floats) -> Floats:
        """The n at which each curve has a Dice, ``(B, M)``; NaN where a curve has none."""

    def bounds(self, dice: Floats) -> tuple[Floats, Floats]:
        """Lower and upper bound of that n, where the shape alone leaves it open."""


@dataclass(frozen=True, eq=False)
class PowerLaws:
    """Dice = 1 - a - b (n / unit)^-c.

    Args:
        a: Error that no number of labels removes, ``(B,)``, 0 to 1.
        b: Error at ``unit`` labels that labels remove, ``(B,)``, at least 0.
        c: Exponent, ``(B,)``, within :data:`EXPONENTS`.
        unit: Number of labels that n is counted in, so that ``b`` is of the size of an error.
    """

    a: Floats
    b: Floats
    c: Floats
    unit: float

    def at(self, n: Floats) -> Floats:
        """Dice at ``n``, ``(M,)`` or ``(B, M)``, of each curve: ``(B, M)``."""
        log = np.log(np.atleast_2d(n) / self.unit)
        value: Floats = 1 - self.a[:, None] - self.b[:, None] * np.exp(-self.c[:, None] * log)
        return value

    def inverse(self, dice: Floats) -> Floats:
        """The n at which each curve has a Dice, ``(B, M)``; NaN where a curve has none."""
        with np.errstate(divide="ignore", invalid="ignore"):
            share = (1 - dice - self.a[:, None]) / self.b[:, None]
            return self.unit * np.exp(-np.log(share) / self.c[:, None])

    def bounds(self, dice: Floats) -> tuple[Floats, Floats]:
        """Lower and upper bound of that n: the law leaves nothing open, so both are it."""
        found = self.inverse(dice)
        return found, found


@dataclass(frozen=True, eq=False)
class MonotonePieces:
    """Dice straight in log n between the measured n.

    Args:
        n: Measured n, ``(K,)``, rising.
        dice: Never falling, ``(B, K)``.
    """

    n: Floats
    dice: Floats

    def at(self, n: Floats) -> Floats:
        """Dice at ``n``, ``(M,)`` or ``(B, M)``, of each curve: ``(B, M)``."""
        places = np.broadcast_to(np.atleast_2d(n), (len(self.dice), np.shape(n)[-1]))
        known, log = np.log(self.n), np.log(places)
        right = np.clip(np.searchsorted(known, log, side="right"), 1, len(known) - 1)
        left = right - 1
        share = np.clip((log - known[left]) / (known[right] - known[left]), 0, 1)
        low = np.take_along_axis(self.dice, left, axis=1)
        high = np.take_along_axis(self.dice, right, axis=1)
        value: Floats = low + share * (high - low)
        return value

    def inverse(self, dice: Floats) -> Floats:
        """The smallest n at which each curve has a Dice, ``(B, M)``; NaN where it has none."""
        wanted = np.asarray(dice, dtype=np.float64)
        known = np.log(self.n)
        found = np.full(wanted.shape, np.nan)
        for place in range(len(known) - 2, -1, -1):  # the leftmost piece is written last
            low, high = self.dice[:, place, None], self.dice[:, place + 1, None]
            inside = (wanted >= low) & (wanted <= high)
            with np.errstate(divide="ignore", invalid="ignore"):
                share = np.where(high > low, (wanted - low) / (high - low), 0.0)
            # Beyond the piece, which is not used, a nearly flat one would lead to any n.
            share = np.clip(share, 0, 1)
            value = np.exp(known[place] + share * (known[place + 1] - known[place]))
            found = np.where(inside, value, found)
        return found

    def bounds(self, dice: Floats) -> tuple[Floats, Floats]:
        """Lower and upper bound of that n: a curve may rise anywhere between two measured n."""
        wanted = np.asarray(dice, dtype=np.float64)
        low, high = np.full(wanted.shape, np.nan), np.full(wanted.shape, np.nan)
        for place in range(len(self.n) - 2, -1, -1):
            inside = (wanted >= self.dice[:, place, None]) & (
                wanted <= self.dice[:, place + 1, None]
            )
            low = np.where(inside, self.n[place], low)
            high = np.where(inside, self.n[place + 1], high)
        return low, high


def monotone_pieces(n: Floats, dice: Floats) -> MonotonePieces:
    """The closest curve that never falls (isotonic regression, each n with the same weight).

    Args:
        n: Measured n, ``(K,)``, rising, at least two.
        dice: ``(B, K)``.

    Returns:
        The curves.

    Example:
        >>> monotone_pieces(np.array([5.0, 10.0]), np.array([[0.8, 0.6]])).dice
        array([[0.7, 0.7]])
    """
    count = dice.shape[1]
    sums = np.concatenate([np.zeros((len(dice), 1)), np.cumsum(dice, axis=1)], axis=1)
    found = np.empty_like(dice)
    for place in range(count):  # max over starts of the min over ends of block means
        best = np.full(len(dice), -np.inf)
        for start in range(place + 1):
            ends = np.arange(place + 1, count + 1)
            means = (sums[:, ends] - sums[:, start, None]) / (ends - start)
            best = np.maximum(best, means.min(axis=1))
        found[:, place] = best
    return MonotonePieces(n, found)


def fit_power_laws(n: Floats, dice: Floats, refine: int = 4) -> tuple[PowerLaws, Floats]:
    """Fit Dice = 1 - a - b (n / unit)^-c to each row by least squares, each n with equal weight.

    For a given exponent the best ``a >= 0`` and ``b >= 0`` have a closed form, so only the exponent
    is searched: over a grid, then over finer ones around the best (variable projection). The
    search is the same for all rows at once and cannot stop in a second minimum between grid points.

    Args:
        n: Measured n, ``(K,)``, at least three different ones.
        dice: ``(B, K)``, mean Dice at each n.
        refine: How often the grid of exponents is made finer, 4 times each.

    Returns:
        The curves, and the sum of squared residuals of each, ``(B,)``.

    Example:
        >>> n = np.array([5.0, 10, 25, 50, 100])
        >>> laws, rest = fit_power_laws(n, 1 - 0.05 - 0.9 * n[None] ** -0.7, refine=16)
        >>> [round(float(v[0]), 4) for v in (laws.a, laws.b * laws.unit**laws.c, laws.c)]
        [0.05, 0.9, 0.7]
    """
    unit = float(np.exp(np.log(n).mean()))
    log = np.log(n / unit)
    parts = []
    for start in range(0, len(dice), step := max(1, _CHUNK // (_GRID + _ZOOM * len(n)))):
        parts.append(_fit(log, 1 - dice[start : start + step], refine))
    a, b, c, rest = (np.concatenate(values) for values in zip(*parts, strict=True))
    return PowerLaws(a, b, c, unit), rest


def _fit(log: Floats, error: Floats, refine: int) -> tuple[Floats, Floats, Floats, Floats]:
    low, high = np.log(EXPONENTS[0]), np.log(EXPONENTS[1])
    grid = np.linspace(low, high, _GRID)
    rest = _solve(np.exp(-np.exp(grid)[None, :, None] * log), error)[2]
    best, width = grid[rest.argmin(axis=1)], (high - low) / (_GRID - 1)
    around = np.linspace(-1, 1, _ZOOM)
    for _ in range(refine):
        tried = np.clip(best[:, None] + width * around, low, high)
        rest = _solve(np.exp(-np.exp(tried)[:, :, None] * log), error)[2]
        best = np.take_along_axis(tried, rest.argmin(axis=1)[:, None], axis=1)[:, 0]
        width *= 2 / (_ZOOM - 1)
    c = np.exp(best)
    a, b, rest = _solve(np.exp(-c[:, None, None] * log), error)
    return a[:, 0], b[:, 0], c, rest[:, 0]


def _solve(x: Floats, error: Floats) -> tuple[Floats, Floats, Floats]:
    """Best a >= 0 and b >= 0 of error = a + b x for each exponent, and the squares that are left.

    Args:
        x: ``(B or 1, C, K)``.
        error: ``(B, K)``, at least 0.
    """
    count = error.shape[1]
    sum_x, sum_xx = x.sum(axis=2), (x * x).sum(axis=2)
    sum_y, sum_yy = error.sum(axis=1)[:, None], (error * error).sum(axis=1)[:, None]
    sum_xy = error @ x[0].T if len(x) == 1 else np.einsum("bck,bk->bc", x, error)
    spread = sum_xx - sum_x * sum_x / count
    with np.errstate(divide="ignore", invalid="ignore"):
        b = np.where(spread > 0, (sum_xy - sum_x * sum_y / count) / spread, 0.0)
    a = (sum_y - b * sum_x) / count
    through = a < 0  # then the best lies on a = 0
    b = np.where(through, sum_xy / sum_xx, np.maximum(b, 0.0))
    a = np.where(through, 0.0, (sum_y - b * sum_x) / count)
    rest = sum_yy - 2 * (a * sum_y + b * sum_xy) + count * a * a + 2 * a * b * sum_x
    rest = rest + b * b * sum_xx
    return a, b, np.maximum(rest, 0.0)
