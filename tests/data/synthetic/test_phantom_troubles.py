"""Troubles are drawn where they belong, and change nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from muscletransfer.data.synthetic import TISSUES, TROUBLES, phantom_slice
from muscletransfer.data.synthetic.canvas import Grid
from muscletransfer.data.synthetic.streaks import back_project, project
from muscletransfer.data.synthetic.truncation import EDGE_MM

SEEDS = (0, 1, 2)
SIZE = 256


@pytest.fixture(scope="module")
def pairs():
    """By trouble, the same patients without and with it."""
    plain = [phantom_slice(seed, size=SIZE) for seed in SEEDS]
    return {
        trouble: [
            (before, phantom_slice(seed, size=SIZE, troubles=[trouble]))
            for seed, before in zip(SEEDS, plain, strict=True)
        ]
        for trouble in TROUBLES
    }


def places(phantom):
    """Coordinates of all pixels in mm, ``(x, y)``."""
    y, x = np.mgrid[:SIZE, :SIZE].astype(float)
    return (
        phantom.origin[0] + phantom.spacing[1] * x,
        phantom.origin[1] + phantom.spacing[0] * y,
    )


def trunk(phantom):
    """Everything within the subcutaneous fat."""
    fat = phantom.tissues == TISSUES["subcutaneous_fat"]
    return ndimage.binary_fill_holes(ndimage.binary_closing(fat, iterations=2))


@pytest.mark.parametrize("trouble", TROUBLES)
def test_each_trouble_is_recorded_and_changes_the_image(pairs, trouble):
    for before, after in pairs[trouble]:
        assert after.troubles == (trouble,)
        assert before.troubles == ()
        assert (before.hu != after.hu).mean() > 0.01
        assert after.patient == before.patient


def test_arms_lie_beside_the_trunk(pairs):
    for before, after in pairs["arms"]:
        outside = ~ndimage.binary_dilation(trunk(after), iterations=6)
        x, y = places(after)
        height = (y > -40) & (y < 80)  # the table is further back
        for side in (x < -60, x > 60):
            region = outside & side & height
            soft = (after.hu > 0) & (after.hu < 120) & region
            bone = (after.hu > 500) & region
            pixel = np.prod(after.spacing) / 100
            assert 2 < soft.sum() * pixel < 70
            assert 0.3 < bone.sum() * pixel < 12
            assert not after.tissues[region].any()
        # The same trunk: its muscle has the area it had.
        area = [p.mask.sum() * np.prod(p.spacing) for p in (before, after)]
        assert area[1] == pytest.approx(area[0], rel=0.02)
        assert after.scanner.field_of_view >= before.scanner.field_of_view


def test_arms_leave_dark_bands_between_them(pairs):
    for _, after in pairs["arms"]:
        x, y = places(after)
        fat = ndimage.binary_erosion(after.tissues == TISSUES["subcutaneous_fat"], iterations=2)
        flank = fat & (np.abs(x) > 100)

        def rows(region, hu=after.hu, flank=flank):
            """Mean HU of the fat at the flanks, row by row."""
            found = [hu[row][flank[row] & region[row]] for row in range(SIZE)]
            return np.array([values.mean() for values in found if len(values) > 15])

        # Fat beside the spine lies between it and an arm, fat further to the front does not.
        between, beyond = rows((y > 0) & (y < 55)), rows(y < -35)
        assert between.mean() < beyond.mean() - 2
        assert between.std() > 1.5 * beyond.std()


def test_metal_saturates_and_streaks(pairs):
    assert any((after.hu == 3071).sum() > 60 for _, after in pairs["metal"])
    for before, after in pairs["metal"]:
        metal = after.hu == 3071
        assert metal.any()
        x, y = places(after)
        spread = np.hypot(x - x[metal].mean(), y - y[metal].mean())
        assert spread[metal].max() < 70  # all of it is at the spine
        assert np.hypot(x[metal].mean(), y[metal].mean() - 30) < 25
        # A pixel that metal covers by a third saturates too, and belongs to its neighbour.
        solid = ndimage.binary_erosion(metal)
        assert solid.any()
        assert not after.mask[solid].any()
        assert not after.tissues[solid].any()
        change = np.abs(after.hu.astype(float) - before.hu)
        near, far = change[(spread < 60) & (spread > 20)], change[spread > 130]
        assert near.mean() > 3 * far.mean()
        assert np.median(far) < 6
        # Labels differ by the metal alone.
        gone = (before.mask > 0) & (after.mask == 0)
        assert not ((before.mask == 0) & (after.mask > 0)).any()
        assert not (gone & ~ndimage.binary_dilation(after.hu > 1200, iterations=3)).any()


def test_motion_doubles_contours_in_front_and_leaves_the_back(pairs):
    for before, after in pairs["motion"]:
        assert np.array_equal(before.mask, after.mask)  # outlined at the middle of the breath
        assert np.array_equal(before.tissues, after.tissues)
        _, y = places(after)
        change = np.abs(after.hu.astype(float) - before.hu)
        inside = trunk(before)
        front, back = change[inside & (y < -20)], change[inside & (y > 45)]
        assert front.mean() > 25
        assert front.mean() > 2 * back.mean()
        bone = before.tissues == TISSUES["bone"]
        assert np.corrcoef(before.hu[bone & (y > 30)], after.hu[bone & (y > 30)])[0, 1] > 0.98
        # Energy is moved about, not made: the mean stays.
        assert after.hu.mean() == pytest.approx(before.hu.mean(), abs=12)


def test_a_truncated_field_ends_image_and_outline(pairs):
    for before, after in pairs["truncated"]:
        padding = after.hu == -1024
        x, y = places(after)
        # The field is a circle: fit it to the border of the padding.
        field = ndimage.binary_closing(~padding, iterations=4)
        field = ndimage.binary_opening(field, iterations=4)
        edge = field & ~ndimage.binary_erosion(field)
        system = np.stack([x[edge], y[edge], np.ones(edge.sum())], axis=1)
        a, b, c = np.linalg.lstsq(system, (x**2 + y**2)[edge], rcond=None)[0]
        radius = np.sqrt(c + (a / 2) ** 2 + (b / 2) ** 2)
        distance = radius - np.hypot(x - a / 2, y - b / 2)
        assert np.abs(distance[edge]).max() < 3 * after.spacing[0]
        assert padding[distance < -3].all()
        assert not after.mask[distance < -3].any()
        assert not after.tissues[distance < -3].any()
        assert trunk(before)[distance < 0].sum() * np.prod(before.spacing) > 300  # mm2 are cut off
        # Inside, the outline is what it was, and far from the edge the HU are too.
        deep = distance > 3
        assert np.array_equal(before.mask[deep], after.mask[deep])
        deeper = distance > 4 * EDGE_MM
        assert np.abs(after.hu[deeper].astype(int) - before.hu[deeper]).max() <= 1
        rim = (distance > 1) & (distance < 4) & ndimage.binary_erosion(trunk(before), iterations=3)
        assert np.mean(after.hu[rim].astype(float) - before.hu[rim]) > 50


def test_troubles_combine_and_are_repeatable():
    first, again = (phantom_slice(4, size=96, troubles=TROUBLES) for _ in range(2))
    assert first.troubles == tuple(sorted(TROUBLES))
    assert np.array_equal(first.hu, again.hu)


@pytest.mark.parametrize("level", ["T12", "L1", "L2", "L4", "S1"])
def test_other_levels_can_have_troubles_too(level):
    phantom = phantom_slice(1, size=96, level=level, troubles=["metal", "truncated"])
    assert (phantom.hu == 3071).any()
    assert not phantom.mask.any()


def test_projecting_and_reconstructing_gives_the_object_back():
    """Filtered back projection of a disc against the disc."""
    grid = Grid(size=128, spacing=3.0, x0=-190.5, y0=-190.5)
    x, y = np.meshgrid(grid.x, grid.y)
    disc = (np.hypot(x - 30.0, y + 20.0) < 60.0).astype(np.float32) * 100.0
    sinogram = project(disc, grid)
    # A view through the middle of a disc is twice its radius long.
    assert sinogram.max(axis=1) == pytest.approx(np.full(len(sinogram), 12000.0), rel=0.05)
    image = back_project(sinogram, grid)
    distance = np.hypot(x - 30.0, y + 20.0)
    assert image[distance < 48].mean() == pytest.approx(100.0, rel=0.03)
    assert np.abs(image[(distance > 75) & (np.hypot(x, y) < 180)]).mean() < 3.0
