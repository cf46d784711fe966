"""The review score adds up, areas are in cm2, and overlays have the patient's proportions."""

import math

import numpy as np
import pytest

from muscletransfer.finetune.profile import Spread, TrainingProfile
from muscletransfer.prediction.overlay import overlay_image
from muscletransfer.prediction.quality import judge

PLAIN = {"expected": 1.0, "agreement": None, "distance": None, "density": None}


def score_of(**changes):
    mask = np.zeros((30, 30), np.uint8)
    mask[10:20, 10:20] = 1
    return judge(np.full((30, 30), 40), mask, None, **(PLAIN | changes)).score


def test_the_score_is_the_sum_that_a_person_can_follow():
    assert score_of() == 0
    assert score_of(expected=0.97) == pytest.approx(0.03 / 0.15)  # counts below its threshold too
    assert score_of(agreement=0.95) == pytest.approx(0.05 / 0.10)
    assert score_of(distance=0.9) == 0  # this one does not
    assert score_of(distance=1.5) == pytest.approx(1.5)  # weight 1, by how far
    assert score_of(distance=50.0) == pytest.approx(4)  # no finding decides alone
    assert score_of(expected=0.0) == pytest.approx(4)


def test_an_area_is_that_of_the_pixels_of_both_axes():
    mask = np.zeros((40, 40), np.uint8)
    mask[10:20, 10:20] = 1  # 100 pixels of 2 x 8 mm: 16 cm2
    profile = TrainingProfile(Spread(20, math.log(16), 0.05), None, None)
    found = judge(np.full((40, 40), 40), mask, (2.0, 8.0), profiles=[profile], **PLAIN)
    assert "area" not in found.flags
    for factor in (0.5, 2.0):  # too small and too large
        other = TrainingProfile(Spread(20, math.log(16 * factor), 0.05), None, None)
        found = judge(np.full((40, 40), 40), mask, (2.0, 8.0), profiles=[other], **PLAIN)
        assert "area" in found.flags


def test_an_overlay_has_the_proportions_of_the_patient():
    body, mask = np.full((60, 60), 40), np.zeros((60, 60), np.uint8)
    assert overlay_image(body, mask, (2.0, 1.0)).size == (360, 720)
    assert overlay_image(body, mask, (1.0, 2.0)).size == (720, 360)


def test_a_class_keeps_its_colour_whichever_others_are_there():
    both = np.zeros((60, 60), np.uint8)
    both[10:20, 10:20], both[30:40, 30:40] = 1, 2
    second = np.where(both == 2, both, 0)
    flat = np.full((60, 60), 40)
    lower = [np.asarray(overlay_image(flat, mask))[360:] for mask in (both, second)]
    np.testing.assert_array_equal(*lower)
    assert (lower[0] == (230, 159, 0)).all(axis=-1).any()  # the second of Okabe & Ito's
