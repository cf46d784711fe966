from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from muscletransfer.errors import DataError, GeometryError
from muscletransfer.metrics import dice
from muscletransfer.observers import consensus_mask
from muscletransfer.observers.consensus import _upright


def truth():
    mask = np.zeros((60, 70), bool)
    mask[20:40, 15:50] = True
    return mask


def raters(count=5, noise=0.08, seed=0):
    rng = np.random.default_rng(seed)
    near = np.zeros((60, 70), bool)
    near[15:45, 10:55] = True
    return [truth() ^ ((rng.random((60, 70)) < noise) & near) for _ in range(count)]


def test_majority_is_more_than_half():
    stack = np.array([[1, 1, 1, 1], [1, 1, 1, 0], [1, 1, 0, 0], [1, 0, 0, 0]], bool)
    masks = [row[None] for row in stack]
    assert consensus_mask(masks)[0].tolist() == [True, True, False, False]  # a tie is outside
    assert consensus_mask(masks[:3])[0].tolist() == [True, True, True, False]
    assert np.array_equal(consensus_mask(masks[:1]), masks[0])


@pytest.mark.parametrize("method", ["majority", "staple"])
def test_the_consensus_is_nearer_the_truth_than_its_observers(method):
    masks = raters()
    found = consensus_mask(masks, method)
    assert dice(found, truth()) > max(dice(mask, truth()) for mask in masks)
    assert dice(found, truth()) > 0.97


def test_staple_weighs_observers_by_how_good_they_are():
    good = raters(2, noise=0.01)
    poor = raters(3, noise=0.42, seed=9)
    majority, staple = (consensus_mask([*good, *poor], m) for m in ("majority", "staple"))
    assert dice(staple, truth()) > dice(majority, truth())


@pytest.mark.parametrize("where", [(slice(0, 20), slice(0, 20)), (slice(40, 60), slice(50, 70))])
def test_staple_works_at_the_edge_and_with_identical_masks(where):
    mask = np.zeros((60, 70), bool)
    mask[where] = True
    assert np.array_equal(consensus_mask([mask, mask, mask], "staple"), mask)


def test_staple_in_three_dimensions():
    masks = [np.stack([a, a, b]) for a, b in zip(raters(), raters(seed=1), strict=True)]
    assert dice(consensus_mask(masks, "staple"), np.stack([truth()] * 3)) > 0.97


def test_an_inverted_result_is_turned_upright():
    probability = np.where(truth(), 0.99, 0.02)
    assert np.array_equal(_upright(probability, [0.9, 0.95], [0.97, 0.9]), truth())
    # STAPLE's likelihood is the same with labels exchanged: 1 - W, and 1 - each rate swapped.
    assert np.array_equal(_upright(1 - probability, [0.03, 0.1], [0.1, 0.05]), truth())


@pytest.mark.parametrize("seed", [4, 10])
def test_staple_that_really_inverts_is_turned_upright(seed):
    """Observers so poor that SimpleITK's STAPLE settles on the background as the foreground."""
    rng = np.random.default_rng(seed)
    target = np.zeros((40, 40), bool)
    target[6:34, 4:36] = True
    masks = [target ^ (rng.random(target.shape) < rate) for rate in rng.uniform(0.2, 0.6, 3)]
    raw = sitk.STAPLE([sitk.GetImageFromArray(m.astype(np.uint8)) for m in masks], 1.0, 100)
    inverted = sitk.GetArrayFromImage(raw) > 0.5
    found = consensus_mask(masks, "staple")
    assert dice(inverted, target) < 0.45
    assert dice(found, target) > 0.6


def test_staple_that_found_something_else_is_refused():
    rng = np.random.default_rng(5)
    target = np.zeros((30, 30), bool)
    target[6:24, 4:26] = True
    rates = rng.uniform(0.2, 0.8, rng.integers(2, 5))  # some are worse than guessing
    masks = [target ^ (rng.random(target.shape) < rate) for rate in rates]
    with pytest.raises(DataError, match="Use the majority"):
        consensus_mask(masks, "staple")


def test_masks_without_any_foreground():
    empty = np.zeros((5, 5), bool)
    for method in ("majority", "staple"):
        assert not consensus_mask([empty, empty], method).any()


def test_bad_input_is_named():
    with pytest.raises(DataError, match="No masks"):
        consensus_mask([])
    with pytest.raises(GeometryError, match="one grid"):
        consensus_mask([np.ones((3, 3)), np.ones((3, 4))])
