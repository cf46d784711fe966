"""What a finding counts in the score, and what is measured in the picture, against geometry.

Bodies, arms and metal are drawn from formulas, so that their areas are known; the weights are those
that the review score is documented with.
"""

import math

import numpy as np
import pytest

from muscletransfer.finetune.profile import Spread, TrainingProfile
from muscletransfer.prediction.picture import _disc, look_at, outside_field
from muscletransfer.prediction.quality import judge

PLAIN = {"expected": 1.0, "agreement": None, "distance": None, "density": None}
# Quantile of Student's t with 19 degrees of freedom at 0.995, from printed tables: the 99 % range
# of one further patient after n = 20 is mean +- t s sqrt(1 + 1/20).
REACH = 2.8609 * math.sqrt(1 + 1 / 20)


def square(size=30):
    mask = np.zeros((size, size), np.uint8)
    mask[10:20, 10:20] = 1
    return mask


def body(spacing=(1.0, 1.0), extent=(200.0, 400.0)):
    """An ellipse of 120 x 160 mm in the middle of air; coordinates of the pixels in mm."""
    height, width = (round(length / step) for length, step in zip(extent, spacing, strict=True))
    y, x = np.mgrid[:height, :width]
    y, x = (y - (height - 1) / 2) * spacing[0], (x - (width - 1) / 2) * spacing[1]
    return y, x, np.where((y / 60) ** 2 + (x / 80) ** 2 <= 1, 40, -1000)


def with_arm(hu, y, x, middle, radius, bone):
    """A disc of muscle beside the body with a disc of bone in it."""
    away = np.hypot(x - middle, y)
    return np.where(away <= bone, 500, np.where(away <= radius, 40, hu))


@pytest.mark.parametrize(("times", "score"), [(0.99, 0.0), (1.01, 0.505), (3.0, 1.5), (9.0, 2.0)])
@pytest.mark.parametrize("side", [-1, 1])
def test_area_and_density_count_half_of_how_far_they_are_out(times, score, side):
    """From their limit on, and at most four times."""
    out = side * times * REACH
    by_area = TrainingProfile(Spread(20, math.log(100) - out * 0.1, 0.1), None, None)
    pixels = np.full((30, 30), 40)  # 100 of them of 10 x 10 mm are outlined: 100 cm2
    found = judge(pixels, square(), (10.0, 10.0), profiles=[by_area], is_ct=False, **PLAIN)
    assert found.score == pytest.approx(score, abs=1e-3)
    by_density = TrainingProfile(None, Spread(20, 45.0, 8.0), None)
    dense = PLAIN | {"density": 45 + out * 8}
    found = judge(pixels, square(), None, profiles=[by_density], **dense)
    assert found.score == pytest.approx(score, abs=1e-3)


def test_nothing_outlined_counts_five():
    assert judge(np.full((30, 30), 40), square() * 0, None, **PLAIN).score == 5.0


def test_reasons_stand_in_the_order_of_what_they_count():
    numbers = {"expected": 0.70, "agreement": 0.89, "distance": 3.0, "density": None}
    found = judge(np.full((30, 30), 40), square(), None, **numbers)
    assert found.flags == ("unfamiliar", "uncertain", "disagreement")
    assert found.score == pytest.approx(3.0 + 0.30 / 0.15 + 0.11 / 0.10)
    assert found.reasons[0].startswith("features")


@pytest.mark.parametrize(("pixels", "score"), [(9, 0.0), (10, 0.3), (60, 0.3)])
def test_metal_counts_once_from_10_mm2_on(pixels, score):
    y, x, hu = body()
    hu[100, 200 : 200 + pixels] = 3000
    found = judge(hu, (np.abs(y) < 5) & (np.abs(x) < 5), (1.0, 1.0), **PLAIN)
    assert (found.score, found.flags) == (score, ("metal",) if score else ())


def test_a_cut_body_counts_one_and_muscle_at_the_edge_a_half_more():
    y, x, hu = body()
    left = x[0] > -40
    inside, outer = (np.abs(y) < 20) & (np.abs(x) < 20), (np.abs(y) < 20) & (x < 0) & (x > -60)
    for mask, score, flags in ((inside, 1.0, {"cut"}), (outer, 1.5, {"cut", "edge"})):
        found = judge(hu[:, left], mask[:, left], (1.0, 1.0), **PLAIN)
        assert (found.score, set(found.flags)) == (score, flags)


def test_arms_count_one():
    y, x, hu = body()
    hu = with_arm(hu, y, x, 130, 35, 10)
    found = judge(hu, (np.abs(y) < 5) & (np.abs(x) < 5), (1.0, 1.0), **PLAIN)
    assert (found.score, found.flags) == (1.0, ("arms",))


def test_metal_is_that_in_the_body_above_2200_hu():
    spacing = (2.0, 0.5)
    _, _, hu = body(spacing)
    hu[50:53, 400:404] = 2300  # 12 pixels of 1 mm2
    assert look_at(hu, spacing).metal_mm2 == 12.0
    hu[50:53, 400:404] = 2200
    hu[:3, :4] = 3071  # beside the body
    assert look_at(hu, spacing).metal_mm2 == 0.0


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (1.0, 0.8), (2.0, 1.0), (0.78, 0.78)])
def test_arms_are_discs_apart_from_the_body_with_a_bone(spacing):
    y, x, hu = body(spacing)

    def area(*arms):
        drawn = hu
        for middle, radius, bone in arms:
            drawn = with_arm(drawn, y, x, middle, radius, bone)
        return look_at(drawn, spacing).arms_cm2

    assert area((130, 35, 10)) == pytest.approx(math.pi * 35**2 / 100, rel=0.03)
    both = math.pi * (35**2 + 30**2) / 100
    assert area((130, 35, 10), (-130, 30, 10)) == pytest.approx(both, rel=0.03)
    assert area((130, 35, 3.5)) == 0  # a bone of 0.4 cm2 may be a vessel with contrast
    assert area((130, 14, 8)) == 0  # 6 cm2 may be a hand or a cable


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (2.0, 1.0), (1.0, 2.0)])
def test_what_is_thinner_than_12_mm_is_no_part_of_a_trunk_or_limb(spacing):
    """A bridge of 9 mm from the body to an arm does not make it trunk; one of 15 mm does."""
    y, x, hu = body(spacing)
    hu = with_arm(hu, y, x, 130, 35, 10)
    for height, apart in ((9, True), (15, False)):
        bridged = np.where((np.abs(y) < height / 2) & (x > 70) & (x < 110), 40, hu)
        assert (look_at(bridged, spacing).arms_cm2 > 30) == apart, height


def test_a_disc_holds_the_points_of_gauss_circle_problem():
    """Lattice points at most r from the origin, r = 5 and 6: 81 and 113 (OEIS A000328)."""
    assert [_disc(radius, (1.0, 1.0)).sum() for radius in (5.0, 6.0)] == [81, 113]


def test_the_trunk_is_the_largest_part():
    """And not the first: here an arm lies nearer to the first pixel."""
    y, x, hu = body()
    hu = with_arm(hu, y + 50, x, -130, 35, 10)
    assert look_at(hu, (1.0, 1.0)).arms_cm2 == pytest.approx(math.pi * 35**2 / 100, rel=0.03)
    assert not outside_field(hu).any()
