"""Slices in an even row whose positions were rounded, beside rows that lack a slice."""

import numpy as np
import pytest

from muscletransfer.data.dicom.stack import are_even, usual_gap

GAPS = (0.4, 0.625, 0.7, 1.25, 2.5, 3.0, 5.0)


@pytest.mark.parametrize("gap", GAPS)
@pytest.mark.parametrize("decimals", [1, 2, 6])
@pytest.mark.parametrize("slices", [3, 8, 200])
def test_rounded_positions_are_an_even_row(gap, decimals, slices):
    rng = np.random.default_rng(slices)
    for start in rng.uniform(-900, 900, 20):
        places = np.round(start + gap * np.arange(slices), decimals)
        assert are_even(np.diff(places))
        assert usual_gap(np.diff(places)) == pytest.approx(gap, abs=0.1 / (slices - 1) + 1e-9)


@pytest.mark.parametrize("gap", GAPS)
@pytest.mark.parametrize("decimals", [1, 6])
@pytest.mark.parametrize("slices", [4, 8, 200])
def test_a_missing_slice_is_seen_behind_the_rounding(gap, decimals, slices):
    rng = np.random.default_rng(slices)
    for start in rng.uniform(-900, 900, 20):
        places = np.round(start + gap * np.arange(slices), decimals)
        assert not are_even(np.diff(np.delete(places, rng.integers(1, slices - 1))))


@pytest.mark.parametrize("places", [(0.0, 5.0, 10.2), (0.0, 2.0, 5.0), (0.0, 0.5, 0.8)])
def test_gaps_that_no_rounding_explains_are_uneven(places):
    assert not are_even(np.diff(places))
