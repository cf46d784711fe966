"""Curve shapes: exact laws are found, other data as scipy finds them, inverses invert."""

import itertools

import numpy as np
import pytest
from scipy import optimize

from muscletransfer.study.statistics.shapes import (
    EXPONENTS,
    MonotonePieces,
    fit_power_laws,
    monotone_pieces,
)

N = np.array([5.0, 10, 25, 50, 75, 100, 125])


@pytest.mark.parametrize(
    ("a", "b", "c"),
    list(itertools.product((0.0, 0.05, 0.2), (0.2, 1.0), (0.1, 0.5, 1.0, 2.0))),
)
def test_an_exact_law_is_found(a: float, b: float, c: float) -> None:
    laws, rest = fit_power_laws(N, 1 - a - b * N[None] ** -c, refine=20)
    assert rest[0] < 1e-12
    assert laws.c[0] == pytest.approx(c, rel=2e-3)
    assert laws.a[0] == pytest.approx(a, abs=1e-3)
    np.testing.assert_allclose(laws.at(N)[0], 1 - a - b * N**-c, atol=1e-6)


@pytest.mark.parametrize("seed", range(12))
def test_noisy_data_are_fitted_as_well_as_scipy_can(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = N[: int(rng.integers(4, 8))]
    truth = 1 - rng.uniform(0, 0.2) - rng.uniform(0.1, 1) * n ** -rng.uniform(0.2, 2)
    dice = np.clip(truth + rng.normal(0, 0.02, n.size), 0, 1)
    laws, rest = fit_power_laws(n, dice[None], refine=20)

    def residual(x: np.ndarray) -> np.ndarray:
        return x[0] + x[1] * n ** -x[2] - (1 - dice)

    best = min(
        optimize.least_squares(
            residual,
            (start, 0.5, c),
            bounds=([0, 0, EXPONENTS[0]], [1, np.inf, EXPONENTS[1]]),
            xtol=1e-12,
            ftol=1e-12,
            max_nfev=4000,
        ).cost
        for start, c in itertools.product((0.01, 0.2), (0.1, 0.7, 2.0, 4.0))
    )
    assert rest[0] <= 2 * best * (1 + 1e-6) + 1e-12
    assert laws.a[0] >= 0
    assert laws.b[0] >= 0
    np.testing.assert_allclose(((laws.at(n)[0] - dice) ** 2).sum(), rest[0], atol=1e-12)


def test_many_rows_are_fitted_as_one_by_one() -> None:
    rng = np.random.default_rng(0)
    dice = 1 - 0.05 - N**-0.6 + rng.normal(0, 0.01, (50, N.size))
    together, rest = fit_power_laws(N, dice)
    for row in range(50):
        alone, own = fit_power_laws(N, dice[row : row + 1])
        assert own[0] == pytest.approx(rest[row], abs=1e-14)
        np.testing.assert_allclose(alone.at(N)[0], together.at(N)[row], atol=1e-9)


def test_the_coarse_search_of_the_samples_is_fine_enough() -> None:
    dice = 1 - 0.05 - N**-0.6 + np.random.default_rng(1).normal(0, 0.01, (200, N.size))
    coarse, fine = fit_power_laws(N, dice)[0], fit_power_laws(N, dice, 20)[0]
    assert np.abs(coarse.at(N) - fine.at(N)).max() < 5e-5


@pytest.mark.parametrize(
    "dice", [np.full(7, 0.8), np.linspace(0.9, 0.5, 7), np.zeros(7), np.ones(7)]
)
def test_what_does_not_rise_is_flat_at_the_mean(dice: np.ndarray) -> None:
    laws, rest = fit_power_laws(N, dice[None], refine=20)
    np.testing.assert_allclose(laws.at(N)[0], dice.mean(), atol=1e-9)
    assert rest[0] == pytest.approx(((dice - dice.mean()) ** 2).sum(), abs=1e-9)


def test_dice_never_falls_and_stays_in_range() -> None:
    rng = np.random.default_rng(2)
    laws, _ = fit_power_laws(N, rng.random((300, N.size)))
    values = laws.at(np.geomspace(5, 125, 60))
    assert (np.diff(values, axis=1) >= -1e-12).all()
    assert values.max() <= 1
    pieces = monotone_pieces(N, rng.random((300, N.size)))
    assert (np.diff(pieces.at(np.geomspace(5, 125, 60)), axis=1) >= -1e-12).all()


def test_inverses_invert() -> None:
    n = np.geomspace(5, 125, 30)
    laws, _ = fit_power_laws(N, 1 - 0.05 - 0.9 * N[None] ** -0.7, refine=20)
    np.testing.assert_allclose(laws.inverse(laws.at(n))[0], n, rtol=1e-6)
    np.testing.assert_array_equal(laws.bounds(laws.at(n))[0], laws.inverse(laws.at(n)))
    pieces = MonotonePieces(N, np.linspace(0.5, 0.9, 7)[None])
    np.testing.assert_allclose(pieces.inverse(pieces.at(n))[0], n, rtol=1e-9)
    low, high = pieces.bounds(pieces.at(n))
    assert (low[0] <= n * (1 + 1e-9)).all()
    assert (high[0] >= n * (1 - 1e-9)).all()
    assert set(np.unique(low)) | set(np.unique(high)) <= set(N)


def test_pieces_are_straight_in_log_n() -> None:
    pieces = MonotonePieces(np.array([5.0, 20.0]), np.array([[0.6, 0.8]]))
    assert pieces.at(np.array([10.0]))[0, 0] == pytest.approx(0.7)
    assert pieces.inverse(np.array([[0.7, 0.5, 0.9]]))[0].tolist() == pytest.approx(
        [10.0, np.nan, np.nan], nan_ok=True
    )
    flat = MonotonePieces(np.array([5.0, 10.0, 20.0]), np.array([[0.6, 0.6, 0.8]]))
    assert flat.inverse(np.array([[0.6]]))[0, 0] == pytest.approx(5.0)  # the smallest n


@pytest.mark.filterwarnings("error")
def test_a_nearly_flat_piece_warns_of_nothing() -> None:
    pieces = MonotonePieces(np.array([5.0, 10.0, 20.0]), np.array([[0.6, 0.6 + 1e-9, 0.8]]))
    found = pieces.inverse(np.array([[0.6, 0.7, 0.8, 0.9]]))[0]
    np.testing.assert_allclose(found, [5.0, 10 * np.sqrt(2), 20.0, np.nan], rtol=1e-6)


def by_quadratic_programme(dice: np.ndarray) -> np.ndarray:
    found = optimize.minimize(
        lambda x: ((x - dice) ** 2).sum(),
        np.sort(dice),
        jac=lambda x: 2 * (x - dice),
        constraints=[
            {"type": "ineq", "fun": lambda x, i=i: x[i + 1] - x[i]} for i in range(dice.size - 1)
        ],
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 500},
    )
    return found.x


@pytest.mark.parametrize("seed", range(8))
def test_monotone_pieces_are_the_isotonic_regression(seed: int) -> None:
    dice = np.random.default_rng(seed).random(3 if seed % 2 else 6)
    n = np.arange(1.0, dice.size + 1)
    found = monotone_pieces(n, dice[None]).dice[0]
    np.testing.assert_allclose(found, by_quadratic_programme(dice), atol=1e-5)
    np.testing.assert_allclose(found, optimize.isotonic_regression(dice).x, atol=1e-12)
