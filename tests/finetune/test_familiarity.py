"""Distances of features against explicit matrices, and how often ordinary images are called far."""

import numpy as np
import pytest
import torch
from scipy import stats

from muscletransfer.finetune.familiarity import FALSE_ALARMS, FeatureReference
from muscletransfer.finetune.layout import CELLS, body_boxes, layout_features


def mahalanobis(points, there):
    """Distance with the covariance of the points, shrunk half-way to its diagonal, explicitly."""
    scale = points.std(0, ddof=1)
    scale = np.maximum(scale, 0.05 * scale.mean())
    centred = (points - points.mean(0)) / scale
    covariance = centred.T @ centred / (len(points) - 1)
    shrunk = 0.5 * covariance + 0.5 * np.eye(points.shape[1])
    away = (there - points.mean(0)) / scale
    return np.sqrt(np.einsum("ij,jk,ik->i", away, np.linalg.inv(shrunk), away) / points.shape[1])


def drawn(rng, count, size=30):
    """Correlated features of a few scales."""
    mixing = np.random.default_rng(1).normal(size=(6, size))
    noise = rng.normal(size=(count, size)) * np.linspace(0.1, 3, size)
    return torch.from_numpy(rng.normal(size=(count, 6)) @ mixing + noise).float()


@pytest.mark.parametrize("count", [6, 50])
def test_distance_is_mahalanobis_on_the_scale_of_the_left_out(count):
    rng = np.random.default_rng(0)
    known, new = drawn(rng, count).double().numpy(), drawn(rng, 7).double().numpy() + 1
    left_out = [
        np.log(mahalanobis(np.delete(known, k, 0), known[k : k + 1])[0]) for k in range(count)
    ]
    mean, deviation = np.mean(left_out), np.std(left_out, ddof=1)
    reach = stats.t.ppf(1 - FALSE_ALARMS, count - 1) * deviation * np.sqrt(1 + 1 / count)
    in_order = sorted(left_out)[{6: 5, 50: 48}[count]]  # the last of 6; the 49th of 50
    wanted = (np.log(mahalanobis(known, new)) - mean) / max(reach, in_order - mean)
    found = FeatureReference.of(torch.from_numpy(known)).distance(torch.from_numpy(new))
    assert found.numpy() == pytest.approx(wanted, rel=1e-3, abs=1e-3)


@pytest.mark.parametrize("count", [10, 40])
def test_as_many_false_alarms_as_stated(count):
    """Over 60 training sets, about 5 % of further images pass 1."""
    rng = np.random.default_rng(count)
    passed = []
    for _ in range(60):
        reference = FeatureReference.of(drawn(rng, count))
        passed.append(float((reference.distance(drawn(rng, 40)) > 1).double().mean()))
    assert 0.02 < np.mean(passed) < 0.07


def test_a_long_tail_is_heeded():
    """One patient in eight far out: a normal limit would lie before them."""
    rng = np.random.default_rng(3)

    def patients(count):
        return drawn(rng, count) * torch.where(torch.rand(count, 1) < 1 / 8, 6.0, 1.0)

    torch.manual_seed(0)
    passed = [
        float((FeatureReference.of(patients(40)).distance(patients(60)) > 1).double().mean())
        for _ in range(40)
    ]
    assert np.mean(passed) < 0.07


def test_a_patient_is_seen_from_other_patients_only():
    """Slices of one patient lie near each other; by slice, everyone else would seem far."""
    rng = np.random.default_rng(0)
    patients = [k for k in range(12) for _ in range(3)]
    slices = drawn(rng, 12).repeat_interleave(3, 0) + 0.05 * torch.randn(36, 30)
    by_patient = FeatureReference.of(slices, patients)
    by_slice = FeatureReference.of(slices)
    assert by_patient.ordinary.count == 12
    further = drawn(rng, 200)
    assert float((by_patient.distance(further) > 1).double().mean()) < 0.15
    assert float((by_slice.distance(further) > 1).double().mean()) > 0.9


def test_too_little_gives_no_reference():
    assert FeatureReference.of(torch.randn(3, 8)) is None
    assert FeatureReference.of(torch.randn(9, 8), ["a", "b", "c"] * 3) is None
    assert FeatureReference.of(torch.ones(6, 8)) is None
    one_differs = torch.ones(6, 8)
    one_differs[0] = 2.0  # without it the others do not differ
    assert FeatureReference.of(one_differs) is None


def test_comes_back_from_plain_tensors():
    reference = FeatureReference.of(torch.randn(9, 8))
    again = FeatureReference.from_block(reference.to_block())
    new = torch.randn(4, 8)
    assert all(isinstance(value, torch.Tensor) for value in reference.to_block().values())
    assert torch.equal(again.distance(new), reference.distance(new))


def body(top, left, height, width, side=64, turned=False):
    """A body with something bright at its upper left."""
    image = torch.zeros(1, 1, side, side)
    inside = torch.full((height, width), 0.4)
    inside[: height // 2, : width // 2] = 0.8
    image[0, 0, top : top + height, left : left + width] = inside.flip(-1) if turned else inside
    return image


def pyramid(image):
    return [image, torch.nn.functional.avg_pool2d(image, 2), torch.zeros(1, 9, 4, 4)]


def features(image):
    return layout_features(image, pyramid(image))


def test_cells_are_means_over_parts_of_the_body():
    found = features(body(16, 8, 32, 48)).reshape(CELLS, CELLS // 2)
    # Left and right are averaged: 0.6 in the upper half and 0.4 in the lower.
    assert found[0].tolist() == pytest.approx([0.6, 0.6], abs=0.03)
    assert found[-1].tolist() == pytest.approx([0.4, 0.4], abs=0.03)


def test_place_size_and_side_do_not_count():
    one = features(body(16, 8, 32, 48))
    for other in (body(4, 14, 32, 48), body(20, 16, 24, 36), body(16, 8, 32, 48, turned=True)):
        assert torch.allclose(features(other), one, atol=0.05)
    upside_down = body(16, 8, 32, 48).flip(-2)
    assert not torch.allclose(features(upside_down), one, atol=0.15)


def test_a_table_far_from_the_body_does_not_move_the_box():
    alone = body(16, 8, 32, 48)
    with_line = alone.clone()
    with_line[0, 0, 60, 24:32] = 0.5
    assert torch.allclose(body_boxes(with_line), body_boxes(alone), atol=1 / 64)


def test_blank_images_and_coarse_encoders_have_features():
    blank = torch.zeros(2, 1, 64, 64)
    assert body_boxes(blank).tolist() == [[0, 1, 0, 1]] * 2
    coarse = [blank, torch.ones(2, 5, 4, 4), torch.ones(2, 7, 2, 2)]
    assert layout_features(blank, coarse).shape == (2, 5 * CELLS * CELLS // 2)


def test_maps_without_channels_are_passed_over():
    """Encoders with a stem of stride 4 have one at stride 2."""
    image = torch.rand(2, 1, 64, 64)
    fine = torch.rand(2, 3, 16, 16)
    found = layout_features(image, [image, torch.zeros(2, 0, 32, 32), fine])
    assert torch.equal(found, layout_features(image, [image, fine]))
    coarse = torch.rand(2, 3, 4, 4)
    found = layout_features(image, [image, torch.zeros(2, 0, 32, 32), coarse])
    assert torch.equal(found, layout_features(image, [image, coarse]))
