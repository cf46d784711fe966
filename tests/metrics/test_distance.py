from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from metric_shapes import blob, disc, slow_boundary, slow_distances

from muscletransfer.errors import DataError, EmptyMaskError, GeometryError, UnknownNameError
from muscletransfer.metrics import boundary, distance_to_agreement

STATISTICS = {
    "rms": lambda d: np.sqrt(np.mean(d**2)),
    "mean": np.mean,
    "max": np.max,
    "p95": lambda d: np.percentile(d, 95),
}
CASES = [
    ((40, 50), (1.0, 1.0)),
    ((40, 50), (0.78, 0.78)),
    ((40, 50), (0.7, 3.1)),
    ((12, 20, 22), (1.0, 1.0, 1.0)),
    ((12, 20, 22), (5.0, 0.7, 0.9)),
]


@pytest.mark.parametrize(("shape", "spacing"), CASES)
@pytest.mark.parametrize("seed", range(4))
def test_equals_all_pairs(shape, spacing, seed):
    pred, target = blob(seed, shape), blob(seed + 100, shape, level=0.8)
    there, back = slow_distances(pred, target, spacing)
    pools = {
        "both": np.concatenate([there, back]),
        "pred_to_target": there,
        "target_to_pred": back,
    }
    for statistic, figure in STATISTICS.items():
        for direction, pool in pools.items():
            found = distance_to_agreement(pred, target, spacing, statistic, direction)
            assert found == pytest.approx(figure(pool), rel=1e-12)


@pytest.mark.parametrize("shape", [(30, 31), (9, 14, 15)])
def test_far_apart_needs_the_tree(shape):
    pred, target = np.zeros(shape, bool), np.zeros(shape, bool)
    pred[tuple(slice(0, 3) for _ in shape)] = True
    target[tuple(slice(-3, None) for _ in shape)] = True
    spacing = (1.3, 0.7, 0.9)[: len(shape)]
    pool = np.concatenate(slow_distances(pred, target, spacing))
    assert distance_to_agreement(pred, target, spacing) == pytest.approx(
        np.sqrt(np.mean(pool**2)), rel=1e-12
    )


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("shape", [(25, 30), (8, 12, 13), (1, 20), (20, 1), (1, 9, 9)])
def test_boundary_equals_the_slow_one(seed, shape):
    mask = np.random.default_rng(seed).random(shape) > 0.3
    assert np.array_equal(boundary(mask), slow_boundary(mask))


def test_boundary_leaves_its_input_alone():
    mask = blob(0)
    before = mask.copy()
    boundary(mask)
    assert np.array_equal(mask, before)


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.5, 0.5)])
def test_concentric_discs_are_their_radii_apart(spacing):
    small, large = disc(20), disc(30)
    for statistic in ("rms", "mean", "max"):
        found = distance_to_agreement(small, large, spacing, statistic)
        # The radii differ by 10 pixels; a rasterised circle is within half a diagonal of it.
        assert found == pytest.approx(10 * spacing[0], abs=0.75 * spacing[0])
    assert distance_to_agreement(small, large, spacing, "max") <= 10.75 * spacing[0]


def test_anisotropic_discs_follow_the_axis():
    target = np.zeros((60, 60), bool)
    target[20:40, 20:40] = True
    down, right = np.roll(target, 4, axis=0), np.roll(target, 4, axis=1)
    assert distance_to_agreement(down, target, (2.0, 0.5), "max") == pytest.approx(8.0)
    assert distance_to_agreement(right, target, (2.0, 0.5), "max") == pytest.approx(2.0)


@pytest.mark.parametrize(("axis", "step"), [(0, 0.6), (1, 0.9)])
def test_shift_by_one_pixel(axis, step):
    line = np.zeros((20, 20), bool)
    line[(slice(5, 15), 10) if axis == 1 else (10, slice(5, 15))] = True
    moved = np.roll(line, 1, axis=axis)
    for statistic in STATISTICS:
        assert distance_to_agreement(moved, line, (0.6, 0.9), statistic) == pytest.approx(step)


@pytest.mark.parametrize("statistic", STATISTICS)
def test_swapping_the_masks_swaps_the_directions(statistic):
    a, b, spacing = blob(1), blob(2), (0.8, 0.7)

    def figure(pred, target, direction):
        return distance_to_agreement(pred, target, spacing, statistic, direction)

    assert figure(a, b, "both") == pytest.approx(figure(b, a, "both"), rel=1e-12)
    assert figure(a, b, "pred_to_target") == pytest.approx(figure(b, a, "target_to_pred"))
    assert figure(a, b, "pred_to_target") != pytest.approx(figure(b, a, "pred_to_target"))


@pytest.mark.parametrize(
    ("shape", "spacing"), [((40, 50), (0.7, 1.2)), ((12, 20, 22), (5.0, 0.7, 0.9))]
)
@pytest.mark.parametrize("seed", range(3))
def test_max_equals_simpleitk_hausdorff_of_the_contours(shape, spacing, seed):
    def contour(mask):
        framed = np.pad(mask, 2).astype(np.uint8)  # SimpleITK has its own rule at the frame
        image = sitk.GetImageFromArray(framed)
        image.SetSpacing(spacing[::-1])
        return sitk.BinaryContour(image, fullyConnected=False)

    pred, target = blob(seed, shape), blob(seed + 50, shape)
    reference = sitk.HausdorffDistanceImageFilter()
    reference.Execute(contour(pred), contour(target))
    found = distance_to_agreement(pred, target, spacing, "max")
    assert found == pytest.approx(reference.GetHausdorffDistance(), rel=1e-5)
    mean = distance_to_agreement(pred, target, spacing, "mean", "pred_to_target")
    back = distance_to_agreement(pred, target, spacing, "mean", "target_to_pred")
    # ITK averages the two directed means.
    assert (mean + back) / 2 == pytest.approx(reference.GetAverageHausdorffDistance(), rel=1e-5)


@pytest.mark.filterwarnings("ignore:.*always_return_as_numpy.*:FutureWarning")
@pytest.mark.parametrize("seed", range(3))
def test_mean_is_monais_average_surface_distance(seed):
    from monai.metrics import compute_average_surface_distance

    pred, target, spacing = blob(seed), blob(seed + 50), (0.7, 1.2)
    as_monai = [torch.from_numpy(m)[None, None].float() for m in (pred, target)]
    for symmetric, direction in ((True, "both"), (False, "pred_to_target")):
        reference = compute_average_surface_distance(
            *as_monai, include_background=True, symmetric=symmetric, spacing=spacing
        ).item()
        found = distance_to_agreement(pred, target, spacing, "mean", direction)
        assert found == pytest.approx(reference, rel=1e-5)


def test_identical_masks_are_zero_apart():
    mask = blob(5)
    for statistic in STATISTICS:
        assert distance_to_agreement(mask, mask, (0.8, 0.8), statistic) == 0.0


def test_one_pixel_is_its_own_boundary():
    pred, target = np.zeros((2, 9, 9), bool)
    pred[1, 1], target[4, 5] = True, True
    assert distance_to_agreement(pred, target, (1.0, 1.0)) == pytest.approx(5.0)


def test_every_kind_of_input_gives_one_answer():
    pred, target = blob(1), blob(2)
    expected = distance_to_agreement(pred, target, (1.0, 1.0))
    for convert in (
        lambda m: m.astype(np.uint8),
        lambda m: m.astype(np.float32),
        lambda m: torch.from_numpy(m),
        lambda m: torch.from_numpy(m).to(torch.bfloat16).requires_grad_(),
        lambda m: m.astype(int).tolist(),
        np.asfortranarray,
    ):
        found = distance_to_agreement(convert(pred), convert(target), torch.ones(2))
        assert found == expected


def test_empty_masks_follow_the_rule():
    mask, empty = blob(0), np.zeros((40, 50), bool)
    for statistic in STATISTICS:
        assert distance_to_agreement(empty, empty, (1, 1), statistic) == 0.0
        assert distance_to_agreement(empty, mask, (1, 1), statistic) == float("inf")
        with pytest.raises(EmptyMaskError, match="reference mask is empty"):
            distance_to_agreement(mask, empty, (1, 1), statistic)


@pytest.mark.parametrize(
    ("spacing", "message"),
    [
        (None, "missing"),
        ((1.0,), "wants 2, \\(y, x\\)"),
        ((5.0, 0.7, 0.7), r"spacing\[1:\]"),
        (0.7, "wants 2"),
        ((0.7, 0.0), "positive"),
        ((0.7, -0.7), "positive"),
        ((0.7, float("nan")), "unknown"),
        ((0.7, None), "pixels"),
        ("ab", "wanted 2 numbers"),
    ],
)
def test_spacing_is_checked(spacing, message):
    with pytest.raises(GeometryError, match=message):
        distance_to_agreement(blob(0), blob(1), spacing)


@pytest.mark.parametrize(
    ("pred", "error", "message"),
    [
        (np.zeros((40, 51)), GeometryError, r"\(40, 51\).*\(40, 50\)"),
        (np.full((40, 50), 0.4), DataError, "Threshold"),
        (np.full((40, 50), np.nan), DataError, "nan"),
        (np.full((40, 50), 2), DataError, "labels == 2"),
        (np.zeros((2, 1, 40, 50)), DataError, "call once per case"),
        (np.zeros((0, 50)), DataError, "no pixels"),
        (np.full((40, 50), "a"), DataError, "wanted an array"),
        (np.zeros((40, 50), complex), DataError, "dtype complex"),
        (None, DataError, "pred: NoneType"),
        ("mask.png", DataError, "read_mask"),
        ([[1, 0], [1]], DataError, "rows of one length"),
    ],
)
def test_masks_are_checked(pred, error, message):
    with pytest.raises(error, match=message):
        distance_to_agreement(pred, blob(0), (1, 1))


def test_unknown_options_get_close_matches():
    with pytest.raises(UnknownNameError, match="Did you mean 'mean'"):
        distance_to_agreement(blob(0), blob(1), (1, 1), "meen")
    with pytest.raises(UnknownNameError, match="pred_to_target"):
        distance_to_agreement(blob(0), blob(1), (1, 1), "rms", "pred2target")
