from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from metric_shapes import blob
from torchmetrics import MetricCollection

from muscletransfer.errors import DataError, EmptyMaskError, GeometryError, UnknownNameError
from muscletransfer.metrics import DiceScore, DistanceToAgreement, dice, distance_to_agreement

SPACING = (0.7, 1.1)
PAIRS = [(blob(i), blob(i + 50)) for i in range(5)]
EMPTY = np.zeros((40, 50), bool)


def filled(metric, pairs=PAIRS, cases=None):
    preds, targets = zip(*pairs, strict=True)
    cases = list(range(len(pairs))) if cases is None else cases
    metric.update(preds, targets, cases, [SPACING] * len(pairs))
    return metric


def test_each_case_is_the_function():
    for metric, figure in (
        (DiceScore(), dice),
        (DistanceToAgreement(), lambda p, t: distance_to_agreement(p, t, SPACING)),
        (
            DistanceToAgreement("p95", "pred_to_target"),
            lambda p, t: distance_to_agreement(p, t, SPACING, "p95", "pred_to_target"),
        ),
    ):
        expected = [figure(*pair) for pair in PAIRS]
        filled(metric)
        assert list(metric.per_case().values()) == expected
        result = metric.compute()
        assert result["mean"].dtype == torch.float64
        assert result["mean"].item() == pytest.approx(np.mean(expected), rel=1e-12)
        assert result["median"].item() == np.median(expected)
        assert (result["n_failed"], result["n_cases"]) == (0, 5)


def test_a_case_that_comes_again_counts_once():
    once, again = filled(DiceScore()), filled(DiceScore())
    filled(again, PAIRS[:2], [0, 1])
    filled(again, PAIRS[4:], [4])
    assert again.compute() == once.compute()
    assert again.per_case() == once.per_case()


def test_the_order_and_the_batches_do_not_matter():
    forward = filled(DistanceToAgreement())
    backward = DistanceToAgreement()
    for case in reversed(range(5)):
        filled(backward, PAIRS[case : case + 1], [case])
    assert backward.compute() == forward.compute()


def test_a_missed_mask_is_a_failure_that_shows():
    pairs = [*PAIRS[:3], (EMPTY, PAIRS[3][1])]
    overlap, distance = filled(DiceScore(), pairs), filled(DistanceToAgreement(), pairs)
    scores = [dice(*pair) for pair in pairs]
    assert scores[3] == 0
    assert overlap.compute()["mean"].item() == pytest.approx(np.mean(scores))
    assert overlap.compute()["n_failed"] == 1
    finite = [distance_to_agreement(*pair, SPACING) for pair in pairs[:3]]
    result = distance.compute()
    assert result["mean"].item() == pytest.approx(np.mean(finite))
    assert result["median"].item() == pytest.approx(np.median([*finite, math.inf]))
    assert (result["n_failed"], result["n_cases"]) == (1, 4)
    assert distance.per_case()[3] == math.inf


def test_when_all_fail_the_distance_is_infinite_and_not_nan():
    result = filled(DistanceToAgreement(), [(EMPTY, target) for _, target in PAIRS]).compute()
    assert result["mean"] == result["median"] == math.inf
    assert result["n_failed"] == result["n_cases"] == 5


def test_an_empty_reference_is_an_error_and_leaves_the_state_alone():
    for metric in (DiceScore(), DistanceToAgreement()):
        filled(metric)
        before = copy.deepcopy(metric.per_case())
        for pred in (PAIRS[0][0], EMPTY):
            with pytest.raises(EmptyMaskError, match="Case 7"):
                filled(metric, [PAIRS[0], (pred, EMPTY)], [6, 7])
        assert metric.per_case() == before


def test_ignored_pixels_are_outside_in_both():
    (pred, target), ignored = PAIRS[0], np.zeros((40, 50), bool)
    ignored[:, 30:] = True
    labels = np.where(ignored, 255, target).astype(np.uint8)
    metric = filled(DistanceToAgreement(), [(pred, labels)])
    expected = distance_to_agreement(pred & ~ignored, target & ~ignored, SPACING)
    assert metric.per_case() == {0: expected}
    with pytest.raises(DataError, match="255"):
        filled(DiceScore(ignore_index=None), [(pred, labels)])


def label_maps():
    first = np.zeros((40, 50), int)
    first[5:15, 5:15], first[20:30, 20:40] = 1, 2
    shifted = np.roll(first, 2, axis=1)
    only_two = np.where(first == 2, 2, 0)
    return first, shifted, only_two


def test_several_classes():
    first, shifted, only_two = label_maps()
    pairs = [
        (shifted, first),  # both there
        (only_two, first),  # misses class 1
        (first, only_two),  # invents class 1
        (only_two, only_two),
    ]
    metric = filled(DiceScore(num_classes=3, class_names=["psoas", "rectus"]), pairs)
    psoas = dice(shifted == 1, first == 1)
    rectus = dice(shifted == 2, first == 2)
    assert metric.per_case_class() == {
        0: {"psoas": psoas, "rectus": rectus},
        1: {"psoas": 0.0, "rectus": 1.0},
        2: {"rectus": 1.0},
        3: {"rectus": 1.0},
    }
    assert metric.per_case() == {0: (psoas + rectus) / 2, 1: 0.5, 2: 1.0, 3: 1.0}
    found = {name: value.item() for name, value in metric.compute().items()}
    assert found["mean"] == pytest.approx(((psoas + rectus) / 2 + 0.5 + 2) / 4)
    assert found["mean_psoas"] == pytest.approx(psoas / 2)
    assert found["mean_rectus"] == pytest.approx((rectus + 3) / 4)
    assert (found["n_cases"], found["n_cases_psoas"], found["n_cases_rectus"]) == (4, 2, 4)
    assert (found["n_failed"], found["n_failed_psoas"], found["n_failed_rectus"]) == (1, 1, 0)
    assert (found["n_spurious_psoas"], found["n_spurious_rectus"]) == (1, 0)
    distance = filled(DistanceToAgreement(num_classes=3), pairs)
    assert distance.per_case()[1] == math.inf
    assert distance.compute()["n_failed_class_1"] == 1


def test_a_class_that_no_reference_has_gives_counts_and_no_figure():
    first, _, only_two = label_maps()
    result = filled(DiceScore(num_classes=3), [(first, only_two)]).compute()
    assert "mean_class_1" not in result
    assert (result["n_cases_class_1"], result["n_spurious_class_1"]) == (0, 1)
    assert all(torch.isfinite(value) for value in result.values())


def test_batches_of_tensors_and_volumes():
    preds, targets = (torch.from_numpy(np.stack(m)) for m in zip(*PAIRS, strict=True))
    stacked = DiceScore()
    stacked.update(preds.long(), targets.byte(), torch.arange(5))
    assert stacked.per_case() == filled(DiceScore()).per_case()
    volume = DistanceToAgreement()
    volume.update([preds], [targets], [0], [(5.0, *SPACING)])
    assert volume.per_case() == {0: distance_to_agreement(preds, targets, (5.0, *SPACING))}


def test_in_a_collection_none_stands_in_for_another():
    # On a perfect first batch all distances are 0: torchmetrics would take them for one metric.
    collection = MetricCollection(
        {"rms": DistanceToAgreement("rms"), "max": DistanceToAgreement("max"), "dice": DiceScore()},
        prefix="val_",
    )
    perfect = PAIRS[0][1]
    collection.update(preds=[perfect], targets=[perfect], case=[0], spacing=[SPACING])
    pred, target = PAIRS[1]
    collection.update(preds=[pred], targets=[target], case=[1], spacing=[SPACING])
    for name, statistic in (("rms", "rms"), ("max", "max")):
        expected = distance_to_agreement(pred, target, SPACING, statistic)
        assert collection[name].per_case() == {0: 0.0, 1: expected}


def test_forward_and_reset_work_as_in_torchmetrics():
    metric = DiceScore()
    pred, target = PAIRS[0]
    batch = metric([pred], [target], case=[0])
    assert batch["mean"].item() == dice(pred, target)
    metric([PAIRS[1][0]], [PAIRS[1][1]], case=[1])
    assert metric.compute()["n_cases"] == 2
    metric.reset()
    metric.update([], [], [])
    with pytest.raises(DataError, match="no case"):
        metric.compute()
    with pytest.raises(DataError, match="no case"):
        metric.per_case()


@pytest.mark.parametrize(
    ("batch", "error", "message"),
    [
        (([EMPTY], PAIRS[0], [0]), DataError, "uneven"),
        (([PAIRS[0][0]], [PAIRS[0][1]], ["p01"]), DataError, "one integer a case"),
        (([PAIRS[0][0][1:]], [PAIRS[0][1]], [3]), GeometryError, "Case 3.*native grid"),
        (([np.full((40, 50), 0.5)], [PAIRS[0][1]], [3]), DataError, "not scores"),
        (([PAIRS[0][0] * 2], [PAIRS[0][1]], [3]), DataError, "values 0, 2"),
        (([[1, 0]], [[1, 0]], [3]), DataError, r"\(H, W\)"),
        (([PAIRS[0][0]], [PAIRS[0][1]], [0], [None]), GeometryError, "missing"),
        (([PAIRS[0][0]], [PAIRS[0][1]], [0]), GeometryError, "missing"),
    ],
)
def test_bad_batches_are_named(batch, error, message):
    with pytest.raises(error, match=message):
        DistanceToAgreement().update(*batch)


def test_bad_options_are_named():
    with pytest.raises(UnknownNameError, match="rms"):
        DistanceToAgreement("rsm")
    with pytest.raises(DataError, match="num_classes"):
        DiceScore(num_classes=0)
    with pytest.raises(DataError, match="2 different name"):
        DiceScore(num_classes=3, class_names=["a", "a"])
