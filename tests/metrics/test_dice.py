from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from metric_shapes import blob

from muscletransfer.errors import EmptyMaskError, GeometryError
from muscletransfer.metrics import dice


def test_counted_by_hand():
    pred = [[1, 1, 1, 0], [0, 0, 0, 0]]
    target = [[0, 1, 1, 1], [0, 0, 0, 1]]
    assert dice(pred, target) == pytest.approx(2 * 2 / (3 + 4))
    assert dice(target, pred) == dice(pred, target)
    assert dice(target, target) == 1.0


@pytest.mark.parametrize("shape", [(40, 50), (10, 20, 22)])
@pytest.mark.parametrize("seed", range(3))
def test_equals_simpleitk(shape, seed):
    pred, target = blob(seed, shape), blob(seed + 50, shape)
    overlap = sitk.LabelOverlapMeasuresImageFilter()
    overlap.Execute(*(sitk.GetImageFromArray(m.astype(np.uint8)) for m in (pred, target)))
    assert dice(pred, target) == pytest.approx(overlap.GetDiceCoefficient(), rel=1e-12)


def test_disjoint_masks_have_none():
    pred, target = np.zeros((2, 5, 5), bool)
    pred[0], target[4] = True, True
    assert dice(pred, target) == 0.0


def test_tensors_and_arrays_agree():
    pred, target = blob(1), blob(2)
    assert dice(torch.from_numpy(pred), target.astype(float)) == dice(pred, target)


def test_empty_masks_follow_the_rule():
    mask, empty = blob(0), np.zeros((40, 50), bool)
    assert dice(empty, empty) == 1.0
    assert dice(empty, mask) == 0.0
    with pytest.raises(EmptyMaskError, match="nothing to score"):
        dice(mask, empty)


def test_another_grid_is_refused():
    with pytest.raises(GeometryError, match="native grid"):
        dice(blob(0), blob(0)[:, :-1])
