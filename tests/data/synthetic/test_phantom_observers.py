"""Ten simulated observers, each with the bias and spread it is documented with."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from muscletransfer.data.synthetic import GROUPS, OBSERVERS, phantom_slice, simulate_observer
from muscletransfer.errors import DataError, EmptyMaskError

RADIUS = 45.0
STEP = 0.75


@pytest.fixture(scope="module")
def case():
    """One phantom at about the pixel size of life."""
    return phantom_slice(6, size=448)


@pytest.fixture(scope="module")
def outlines(case):
    """The outlines of all observers of the case."""
    return {
        observer.name: simulate_observer(
            case.mask, case.spacing, observer, seed=6, groups=case.groups
        )
        for observer in OBSERVERS
    }


def dice(a, b):
    """Overlap of two masks."""
    return 2.0 * np.sum((a > 0) & (b > 0)) / (np.sum(a > 0) + np.sum(b > 0))


def disc():
    """A disc as a muscle of known outline."""
    y, x = np.mgrid[:176, :176] * STEP - 87.5 * STEP
    return (np.hypot(x, y) <= RADIUS).astype(np.uint8)


@pytest.mark.parametrize("observer", OBSERVERS, ids=lambda observer: observer.name)
def test_bias_and_spread_are_those_documented(observer):
    """On a disc the radius along each direction tells how far the outline was moved."""
    reference = disc()
    steady = replace(observer, omission=0.0, habit="none")
    turn = np.linspace(0.0, 2.0 * np.pi, 90, endpoint=False)
    rays = np.arange(30.0, 60.0, 0.05)
    rows = np.rint((rays[None] * np.sin(turn)[:, None]) / STEP + 87.5).astype(int)
    columns = np.rint((rays[None] * np.cos(turn)[:, None]) / STEP + 87.5).astype(int)
    start = 30.0 + 0.05 * reference[rows, columns].sum(axis=1)
    moved = []
    for seed in range(100):
        drawn = simulate_observer(reference, (STEP, STEP), steady, seed)
        moved.append(30.0 + 0.05 * drawn[rows, columns].sum(axis=1) - start)
    shift = np.array(moved)
    assert shift.mean() == pytest.approx(observer.bias_mm, abs=0.1)
    # What the pixels add to the spread is that of rounding two radii.
    rounding = STEP / np.sqrt(6.0)
    spread = np.sqrt(observer.spread_mm**2 + observer.case_spread_mm**2)
    assert shift.std() > 0.9 * spread
    assert shift.std() < 1.1 * np.hypot(spread, rounding)


def test_there_are_ten_and_they_differ(outlines):
    assert len(OBSERVERS) == len({observer.name for observer in OBSERVERS}) == 10
    assert len({(o.bias_mm, o.spread_mm, o.habit) for o in OBSERVERS}) == 10
    for one, other in combinations(outlines.values(), 2):
        assert not np.array_equal(one, other)


def test_they_agree_about_as_well_as_people_do(case, outlines):
    to_reference = [dice(drawn, case.mask) for drawn in outlines.values()]
    assert 0.88 < min(to_reference) <= max(to_reference) < 0.995
    pairs = [dice(a, b) for a, b in combinations(outlines.values(), 2)]
    assert 0.88 < np.mean(pairs) < 0.97
    # The careful one is the best of them.
    assert to_reference[0] == max(to_reference)


def test_generous_observers_outline_more(case, outlines):
    areas = [outlines[observer.name].sum() / case.mask.sum() for observer in OBSERVERS]
    biases = [observer.bias_mm for observer in OBSERVERS]
    assert np.corrcoef(biases, areas)[0, 1] > 0.8


def test_habits_concern_the_muscle_they_name(case):
    habits = {o.habit: replace(o, bias_mm=0.0, spread_mm=0.01, case_spread_mm=0.0, omission=0.0)
              for o in OBSERVERS}  # fmt: skip
    kept = {}
    for habit, observer in habits.items():
        drawn = simulate_observer(case.mask, case.spacing, observer, 1, groups=case.groups)
        kept[habit] = {name: drawn[case.groups == code].mean() for name, code in GROUPS.items()} | {
            "outside": drawn[case.mask == 0].sum() / case.mask.sum()
        }
    plain = kept["none"]
    assert min(plain[name] for name in GROUPS) > 0.9
    assert kept["short_quadratus"]["quadratus_lumborum_left"] < 0.85
    assert kept["short_quadratus"]["psoas_left"] == pytest.approx(plain["psoas_left"], abs=0.03)
    assert kept["skips_rectus_edge"]["rectus_abdominis_left"] < 0.95
    assert kept["skips_rectus_edge"]["quadratus_lumborum_left"] > 0.9
    assert kept["bridges_gaps"]["outside"] > plain["outside"] + 0.02
    assert kept["skips_thin"]["lateral_wall_left"] < plain["lateral_wall_left"] - 0.02


def test_a_case_is_drawn_alike_twice_and_another_differently(case):
    hasty = OBSERVERS[-1]
    first, again, other = (
        simulate_observer(case.mask, case.spacing, hasty, seed) for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_wrong_input_is_named(case):
    with pytest.raises(EmptyMaskError, match="0 foreground"):
        simulate_observer(np.zeros((8, 8)), (1.0, 1.0), OBSERVERS[0], 0)
    with pytest.raises(DataError, match="groups has shape"):
        simulate_observer(case.mask, case.spacing, OBSERVERS[0], 0, groups=case.groups[1:])
    odd = replace(OBSERVERS[0], habit="sleeps")
    with pytest.raises(DataError, match="'sleeps'"):
        simulate_observer(case.mask, case.spacing, odd, 0)
