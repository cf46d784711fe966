"""Statistics of a study where two ways to compute them would differ."""

import math

import numpy as np
import pytest
from synthetic_table import make_table

from muscletransfer.agreement import relative_error
from muscletransfer.study.statistics.fits import Fits
from muscletransfer.study.statistics.label_saving import _factor, _Shared, _with_selection
from muscletransfer.study.statistics.metrics import row_values
from muscletransfer.study.statistics.paired import _median, compare_arms
from muscletransfer.study.statistics.saving import Factor
from muscletransfer.study.statistics.shapes import MonotonePieces
from muscletransfer.study.statistics.values import LEAST_SHARE, patient_values

ENDS = np.array([5.0, 0.2])


def test_the_headline_is_the_geometric_mean_over_the_shared_dice() -> None:
    """Factors of 9 and of 1 at the two halves of the shared range: 3 on average, and not 5."""
    n = np.array([5.0, 45.0])
    curve = MonotonePieces(n, np.array([[0.5, 0.7]]))
    shared = _Shared(curve, curve, n, n)
    half = np.arange(shared.dice.shape[1]) < shared.dice.shape[1] / 2
    found = shared.factor(np.where(half, 45.0, 10.0)[None], np.where(half, 5.0, 10.0)[None])
    share = half.mean()
    assert found[0] == pytest.approx(9**share)
    places = (shared.dice[0] - 0.5) / 0.2
    assert np.diff(places) == pytest.approx(1 / len(places))  # evenly, no end counts double
    assert places[0] == pytest.approx(0.5 / len(places))


@pytest.mark.parametrize("side", ["low", "high"])
def test_samples_that_tell_nothing_widen_the_interval(side: str) -> None:
    known = np.full(1000, 2.0)
    half = np.where(np.arange(1000) % 2, np.nan, 2.0)
    found = _factor(2.0, (half, known) if side == "low" else (known, half), ENDS, 40, 0.95)
    assert (found.low, found.high) == ((0.0, 2.0) if side == "low" else (2.0, math.inf))


def test_what_was_not_reached_is_not_reached_with_the_labels_of_selection() -> None:
    found = _with_selection(Factor(0.5, "at_most", 0.0, math.inf, 0.95), 10, 5)
    assert (found.value, found.low, found.high) == (pytest.approx(10 / 15), 0.0, math.inf)


def test_an_n_with_just_enough_patients_is_in_the_curves() -> None:
    table = make_table(patients=10, ns=(5, 10), repeats=1)
    few = sorted(table["patient"].unique())[: 10 - round(10 * LEAST_SHARE)]
    table = table[~((table["n"] == 10) & table["patient"].isin(few))]
    values = patient_values(table)
    assert {n for arm in values.arms for _, n in Fits(values, 100).cells_of(arm)} == {5, 10}


def test_better_needs_the_adjusted_p() -> None:
    """Of six tests one is found by itself; among six it is not."""
    table = make_table(patients=14, ns=(5, 10), repeats=1)
    rng = np.random.default_rng(0)
    base = dict(zip(sorted(table["patient"].unique()), rng.uniform(0.6, 0.8, 14), strict=True))
    noise = rng.normal(0, 0.02, len(table))
    lifted = (table["source"] == "jigsaw") & (table["n"] == 5)
    table["dice"] = table["patient"].map(base) + noise + np.where(lifted, 0.014, 0)
    found = compare_arms(patient_values(table), metrics=["dice"], repeats=200)
    between = found[(found["p"] <= 0.05) & (found["p_holm"] > 0.05)]
    assert len(between)  # otherwise the next line says nothing
    assert (between["better"] == "").all()


def test_as_many_endless_losses_as_gains_have_no_median_difference() -> None:
    assert _median(np.array([-np.inf, np.inf])) == 0.0
    assert _median(np.array([-np.inf, -np.inf, 1.0, np.inf])) == -np.inf
    assert _median(np.array([-np.inf, np.inf, np.inf])) == np.inf


def test_an_area_nobody_knows_is_no_missed_mask() -> None:
    table = make_table(patients=4, ns=(5,)).assign(sma_cm2=np.nan)
    assert not table["failed"].any()
    assert np.isnan(row_values(table, "sma_error_percent")).all()


def test_the_worst_relative_error_may_be_below() -> None:
    assert relative_error([110, 60, 100], [100, 100, 100]).worst_percent == -40
