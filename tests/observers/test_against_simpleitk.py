"""A study's figures against SimpleITK's filters and brute-force distances."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.spatial.distance import cdist

from muscletransfer.errors import DataError
from muscletransfer.observers import consensus_mask, observer_study
from muscletransfer.observers.staple import staple

SPACING = (0.9, 0.7)


@pytest.fixture(scope="module")
def outlined():
    """Three observers' ragged outlines of a ring of muscle, with the image under them."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:48, :56]
    radius = np.hypot(y - 24, (x - 28) * 0.9)
    hu = np.where(radius < 22, rng.normal(45, 40, radius.shape), -1000).round().astype(np.int16)
    masks = {
        name: (radius + rng.normal(0, 0.7, radius.shape) < 18 + k) & (radius > 10)
        for k, name in enumerate("ABC")
    }
    return hu, masks


def as_image(array):
    image = sitk.GetImageFromArray(array.astype(np.uint8 if array.dtype == bool else array.dtype))
    image.SetSpacing(SPACING[::-1])
    return image


def edge_points(mask):
    inside = np.pad(mask, 1)
    core = inside[:-2, 1:-1] & inside[2:, 1:-1] & inside[1:-1, :-2] & inside[1:-1, 2:]
    return np.argwhere(mask & ~core) * np.array(SPACING)


def test_overlap_distance_area_and_density(outlined):
    hu, masks = outlined
    study = observer_study({"c": masks}, {"c": SPACING}, {"c": masks["B"]}, hu={"c": hu})
    for row in study.pairwise.itertuples():
        first, second = masks[row.observer], masks[row.other]
        overlap = sitk.LabelOverlapMeasuresImageFilter()
        overlap.Execute(as_image(first), as_image(second))
        assert row.dice == pytest.approx(overlap.GetDiceCoefficient(), rel=1e-12)
        apart = cdist(edge_points(first), edge_points(second))
        both = np.concatenate([apart.min(axis=0), apart.min(axis=1)])
        assert row.dta_rms_mm == pytest.approx(np.sqrt(np.mean(both**2)), rel=1e-9)
    window = sitk.BinaryThreshold(as_image(hu), -29, 150, 1, 0)
    shape, statistics = sitk.LabelShapeStatisticsImageFilter(), sitk.LabelStatisticsImageFilter()
    for row in study.measures.query("observer != 'reference'").itertuples():
        label = as_image(masks[row.observer])
        shape.Execute(label)
        assert row.sma_outline_cm2 == pytest.approx(shape.GetPhysicalSize(1) / 100, rel=1e-9)
        muscle = label & window
        shape.Execute(muscle)
        statistics.Execute(as_image(hu), muscle)
        assert row.sma_cm2 == pytest.approx(shape.GetPhysicalSize(1) / 100, rel=1e-9)
        assert row.smd_hu == pytest.approx(statistics.GetMean(1), rel=1e-9)


@pytest.mark.parametrize("names", ["ABC", "AB"])
def test_the_majority_is_simpleitks_vote(outlined, names):
    _, masks = outlined
    chosen = [masks[name] for name in names]
    tie = 0  # a tie is outside
    voted = sitk.LabelVoting([as_image(mask) for mask in chosen], 7)
    wanted = sitk.GetArrayFromImage(voted)
    wanted[wanted == 7] = tie
    assert np.array_equal(consensus_mask(chosen), wanted == 1)


def test_an_image_windowed_to_8_bits_is_refused_with_its_case(outlined):
    hu, masks = outlined
    windowed = np.clip((hu + 150.0) / 400 * 255, 0, 255).astype(np.uint8)
    with pytest.raises(DataError, match=r"Case 'c'.*8 bits"):
        observer_study({"c": masks}, {"c": SPACING}, hu={"c": windowed})


def simpleitk_staple(masks):
    estimate = sitk.STAPLEImageFilter()
    estimate.SetForegroundValue(1.0)
    estimate.SetMaximumIterations(100)
    images = [sitk.GetImageFromArray(mask.astype(np.uint8)) for mask in masks]
    probability = sitk.GetArrayFromImage(estimate.Execute(images))
    return probability, estimate.GetSensitivity(), estimate.GetSpecificity()


@pytest.mark.parametrize("count", [2, 5, 10, 70])
@pytest.mark.parametrize("seed", range(3))
def test_staple_is_simpleitks(count, seed):
    rng = np.random.default_rng(seed)
    target = np.zeros((40, 44), bool)
    target[8:32, 6:36] = True
    masks = [target ^ (rng.random(target.shape) < rate) for rate in rng.uniform(0.02, 0.5, count)]
    found = staple(masks)
    probability, sensitivity, specificity = simpleitk_staple(masks)
    assert found.probability == pytest.approx(probability, abs=1e-6)
    assert found.sensitivity == pytest.approx(sensitivity, abs=1e-6)
    assert found.specificity == pytest.approx(specificity, abs=1e-6)


def test_staple_of_outlines_and_of_a_full_picture(outlined):
    _, masks = outlined
    found = staple(list(masks.values()))
    assert found.probability == pytest.approx(simpleitk_staple(list(masks.values()))[0], abs=1e-9)
    full = np.ones((6, 6), bool)
    assert consensus_mask([full, full], "staple").all()
