"""Each vertebral level has an anatomy of its own, which can be told from the image."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy import ndimage

from muscletransfer.data.synthetic import OTHER_LEVELS, TISSUES, phantom_slice

LEVELS = ("L3", *OTHER_LEVELS)
PATIENTS = 9


@pytest.fixture(scope="module")
def slices():
    """By level, one slice of each patient."""
    return {
        level: [phantom_slice(seed, size=128, level=level) for seed in range(PATIENTS)]
        for level in LEVELS
    }


def area(phantom, tissue):
    """Area of a tissue in cm2."""
    return (phantom.tissues == TISSUES[tissue]).sum() * np.prod(phantom.spacing) / 100


def areas(phantoms, tissue):
    """Area of a tissue in each slice."""
    return np.array([area(phantom, tissue) for phantom in phantoms])


def test_no_level_is_the_picture_of_another(slices):
    """Not the drawing, not the pose, not the noise."""
    for one, other in combinations(LEVELS, 2):
        for first, second in zip(slices[one], slices[other], strict=True):
            assert not np.array_equal(first.tissues, second.tissues)
            inside = (first.tissues > 0) & (second.tissues > 0)
            same = np.mean(first.tissues[inside] == second.tissues[inside])
            assert same < 0.93
            air = np.s_[:14, :14]  # nothing but noise in this corner
            noise = np.corrcoef(first.hu[air].ravel(), second.hu[air].ravel())[0, 1]
            assert abs(noise) < 0.35


def test_the_patient_and_the_scanner_stay_the_same(slices):
    for level in OTHER_LEVELS:
        for first, second in zip(slices["L3"], slices[level], strict=True):
            assert first.patient == second.patient
            assert first.scanner == second.scanner
            assert first.spacing == second.spacing
            fat = [
                np.median(p.hu[p.tissues == TISSUES["subcutaneous_fat"]]) for p in (first, second)
            ]
            assert abs(fat[0] - fat[1]) < 12


def test_only_l3_has_a_muscle_mask(slices):
    for level, phantoms in slices.items():
        for phantom in phantoms:
            assert phantom.mask.any() == (level == "L3")
            assert phantom.groups.any() == (level == "L3")


def test_organs_are_at_the_levels_where_they_belong(slices):
    found = {
        tissue: {level: areas(slices[level], tissue) for level in LEVELS} for tissue in TISSUES
    }
    solid = {level: found["liver_spleen"][level].mean() for level in LEVELS}
    assert solid["T12"] > solid["L1"] > solid["L2"] > solid["L3"] > solid["S1"] == 0
    assert found["liver_spleen"]["T12"].min() > 60
    for level in ("L1", "L2"):
        assert found["kidney"][level].min() > 5
    for level in ("L4", "S1"):
        assert found["kidney"][level].max() == 0
    bone = {level: found["bone"][level].mean() for level in LEVELS}
    assert bone["S1"] > 1.8 * bone["L3"]
    assert bone["T12"] > bone["L3"]
    assert bone["L4"] > bone["L3"]
    bowel = {level: found["bowel"][level].mean() for level in LEVELS}
    assert bowel["T12"] < bowel["L1"] < bowel["L3"]
    for level in LEVELS:
        assert found["vessel"][level].min() > 1
        assert found["visceral_fat"][level].min() > 5
        assert found["subcutaneous_fat"][level].min() > 15


def test_lung_bases_are_at_t12_alone(slices):
    def lung(phantom):
        """Aerated lung inside the trunk, in cm2: no tissue, air in it, behind the middle."""
        trunk = ndimage.binary_fill_holes(phantom.tissues == TISSUES["subcutaneous_fat"])
        trunk = ndimage.binary_erosion(trunk, iterations=3)
        airy = (phantom.hu > -950) & (phantom.hu < -600) & (phantom.tissues == 0) & trunk
        return airy.sum() * np.prod(phantom.spacing) / 100

    assert np.mean([lung(phantom) for phantom in slices["T12"]]) > 5
    for level in ("L1", "L2", "L3", "L4", "S1"):
        assert max(lung(phantom) for phantom in slices[level]) < 1


def test_bones_are_ribs_above_and_wings_below(slices):
    def lateral(phantom):
        """Bone more than 75 mm to the side of the spine, in cm2."""
        bone = phantom.tissues == TISSUES["bone"]
        x = phantom.origin[0] + phantom.spacing[1] * np.arange(bone.shape[1])
        return bone[:, np.abs(x) > 75].sum() * np.prod(phantom.spacing) / 100

    side = {level: np.mean([lateral(p) for p in slices[level]]) for level in LEVELS}
    assert side["T12"] > side["L1"] > side["L2"] > side["L3"]
    assert side["S1"] > side["L4"] > side["L3"]


def test_hu_of_organs_are_right_at_every_level(slices):
    for level in LEVELS:
        for phantom in slices[level]:
            for tissue, low, high in (
                ("subcutaneous_fat", -125, -80), ("visceral_fat", -125, -65), ("bone", 90, 420),
                ("liver_spleen", 15, 160), ("kidney", 15, 260), ("vessel", 20, 380),
            ):  # fmt: skip
                inside = ndimage.binary_erosion(phantom.tissues == TISSUES[tissue])
                if inside.sum() > 20:
                    assert low < np.median(phantom.hu[inside]) < high, (level, tissue)


def test_nothing_runs_out_of_the_field_of_view(slices):
    for phantoms in slices.values():
        for phantom in phantoms:
            border = phantom.tissues.copy()
            border[1:-1, 1:-1] = 0
            assert not border.any()


def test_the_level_can_be_learnt_from_the_image(slices):
    """Ridge regression on small images of seven patients tells the levels of three others."""
    features, labels, patients = [], [], []
    for label, level in enumerate(OTHER_LEVELS):
        for patient, phantom in enumerate(slices[level]):
            seen = np.clip(phantom.hu, -150, 250).astype(float)
            features.append(ndimage.zoom(ndimage.uniform_filter(seen, 6), 1 / 6, order=1).ravel())
            labels.append(label)
            patients.append(patient)
    x, y, who = np.array(features), np.array(labels), np.array(patients)
    right = []
    for held_out in ((0, 1, 2), (3, 4, 5), (6, 7, 8)):
        test = np.isin(who, held_out)
        mean, std = x[~test].mean(axis=0), x[~test].std() + 1e-9
        train, other = ((part - mean) / std for part in (x[~test], x[test]))
        kernel = train @ train.T
        weights = np.linalg.solve(
            kernel + 0.01 * np.trace(kernel) / len(kernel) * np.eye(len(kernel)),
            np.eye(len(OTHER_LEVELS))[y[~test]],
        )
        guess = (other @ train.T @ weights).argmax(axis=1)
        right.append((guess == y[test]).mean())
    assert np.mean(right) > 0.6  # chance is 0.2
