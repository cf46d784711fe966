"""How far augmentation moves things, how evenly, and that one draw says nothing of another."""

import math

import pytest
import torch

from muscletransfer.data.augmentation import Augmentation
from muscletransfer.data.augmentation.warping import affine_matrices, warp

OFF = Augmentation.none().to_dict()


def make(**changes):
    return Augmentation(**{**OFF, **changes})


def geometry(count=4000, size=(64, 96), seed=0, **changes):
    image = torch.zeros(1, 1, 1, 1).expand(count, 1, *size)
    return make(**changes)._draw_geometry(image, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("size", [(64, 64), (48, 80)])
def test_a_mirrored_turn_is_the_turn_and_then_the_mirror(size):
    """A flip with a rotation keeps proportions and angles, on wide images too."""
    image = torch.rand(1, 1, *size, generator=torch.Generator().manual_seed(0))
    turn = (torch.tensor([math.radians(20)]), torch.tensor([1.1]), torch.zeros(1, 2))
    both = affine_matrices(*turn, torch.tensor([True]), size)
    alone = affine_matrices(*turn, torch.tensor([False]), size)
    found, _ = warp(image, None, both)
    mirrored, _ = warp(image.flip(-1), None, alone)  # read at (-x, y): the mirror comes last here
    torch.testing.assert_close(found, mirrored, atol=1e-4, rtol=0)
    to_pixels = torch.diag(torch.tensor([size[1] / 2, size[0] / 2]))
    linear = to_pixels @ both[0, :, :2] @ to_pixels.inverse()
    torch.testing.assert_close(linear @ linear.T, torch.eye(2) / 1.1**2, atol=1e-5, rtol=0)
    assert torch.det(linear) < 0


def test_shift_is_a_share_of_the_side_and_drawn_for_each_axis():
    theta, _ = geometry(shift=0.05)
    moved = theta[:, :, 2] / 2  # the grid spans [-1, 1]
    for axis in (0, 1):
        assert -0.05 <= moved[:, axis].min() < -0.0495
        assert 0.0495 < moved[:, axis].max() <= 0.05
    assert abs(torch.corrcoef(moved.T)[0, 1]) < 0.1


def test_crop_keeps_a_share_of_the_area():
    theta, _ = geometry(crop=0.35)
    area = theta[:, 0, 0] * theta[:, 1, 1]
    assert 0.35 <= area.min() < 0.355
    assert 0.995 < area.max() <= 1
    assert area.mean().item() == pytest.approx(0.675, abs=0.01)  # uniform


def test_rotation_scale_flip_and_shift_are_drawn_apart():
    theta, _ = geometry(size=(64, 64), rotation=20, scale=0.1, shift=0.05, flip=0.5)
    angle = torch.atan2(theta[:, 1, 0], theta[:, 1, 1])
    zoom = 1 / torch.hypot(theta[:, 1, 0], theta[:, 1, 1])
    flipped = (theta[:, 0, 0] < 0).float()
    drawn = torch.stack([angle, zoom, flipped, theta[:, 0, 2], theta[:, 1, 2]])
    apart = torch.corrcoef(drawn) - torch.eye(5)
    assert apart.abs().max() < 0.08


def test_distortion_reaches_its_share_of_the_distance_between_control_points():
    _, field = geometry(count=50, distortion=0.2, distortion_cells=4)
    reach = field.abs().amax() * 4 / 2  # the grid spans [-1, 1], four cells
    assert 0.19 < reach <= 0.2
