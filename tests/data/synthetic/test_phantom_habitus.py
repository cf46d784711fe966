"""Body size, muscle and fat infiltration show in the measures of the image."""

from __future__ import annotations

import numpy as np
import pytest

from muscletransfer.data.synthetic import TISSUES, phantom_slice, sample_habitus
from muscletransfer.errors import DataError
from muscletransfer.measures import muscle_measures

SEEDS = range(3)


def measured(seed, habitus):
    """Muscle area, muscle density, and fat areas of a patient in cm2 and HU."""
    phantom = phantom_slice(seed, size=160, habitus=habitus)
    values = muscle_measures(phantom.hu, phantom.mask, phantom.spacing)
    pixel = np.prod(phantom.spacing) / 100
    fat = [
        float((phantom.tissues == TISSUES[name]).sum() * pixel)
        for name in ("subcutaneous_fat", "visceral_fat")
    ]
    return values["sma_cm2"], values["smd_hu"], *fat


def compared(low, high):
    """Mean measures over some patients with one change of habitus and another."""
    patients = [sample_habitus(np.random.default_rng(seed)) for seed in SEEDS]
    return (
        np.mean(
            [
                measured(seed, who.with_changes(**change))
                for seed, who in zip(SEEDS, patients, strict=True)
            ],
            axis=0,
        )
        for change in (low, high)
    )


def test_more_body_mass_is_more_fat():
    lean, heavy = compared({"bmi": 21.0}, {"bmi": 33.0})
    assert heavy[2] > 1.8 * lean[2]
    assert heavy[3] > 1.2 * lean[3]


def test_wasting_lowers_the_muscle_area_in_proportion():
    wasted, healthy = compared({"muscle": 0.7}, {"muscle": 1.0})
    assert 0.6 < wasted[0] / healthy[0] < 0.8
    assert abs(wasted[1] - healthy[1]) < 5.0  # area, not density


def test_infiltration_lowers_the_muscle_density():
    fatty, pure = compared({"fat_infiltration": 0.8}, {"fat_infiltration": 0.1})
    assert fatty[1] < pure[1] - 8.0
    assert fatty[0] < pure[0]  # fat is outside the muscle window


def test_visceral_share_moves_fat_inwards():
    under, within = compared({"visceral": 0.2}, {"visceral": 0.7})
    assert within[3] / within[2] > 1.3 * under[3] / under[2]


def test_a_cohort_has_plausible_means_and_correlations():
    people = [sample_habitus(np.random.default_rng(seed)) for seed in range(300)]
    bmi, age, muscle, infiltration = (
        np.array([getattr(p, name) for p in people])
        for name in ("bmi", "age", "muscle", "fat_infiltration")
    )
    assert 24 < bmi.mean() < 29
    assert 58 < age.mean() < 70
    assert np.corrcoef(age, infiltration)[0, 1] > 0.2
    assert np.corrcoef(age, muscle)[0, 1] < -0.1
    heights = {
        sex: np.mean([p.height_m for p in people if p.sex == sex]) for sex in ("male", "female")
    }
    assert heights["male"] - heights["female"] > 0.08


@pytest.mark.parametrize("change", [{"bmi": 90.0}, {"sex": "x"}, {"muscle": float("nan")}])
def test_impossible_patients_are_refused(change):
    who = sample_habitus(np.random.default_rng(0))
    with pytest.raises(DataError, match=next(iter(change))):
        who.with_changes(**change)
