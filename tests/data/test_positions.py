"""Positions of an affine map against torch's, and of tiles against the whole."""

import pytest
import torch
import torch.nn.functional as F

from muscletransfer.data.augmentation.positions import affine_positions, tile_positions
from muscletransfer.data.augmentation.warping import warp


def maps(count, dtype=torch.float64):
    return torch.randn(count, 2, 3, generator=torch.Generator().manual_seed(0), dtype=dtype)


@pytest.mark.parametrize("size", [(1, 1), (5, 8), (64, 33)])
def test_positions_are_those_of_torch(size):
    theta = maps(3)
    wanted = F.affine_grid(theta, [3, 1, *size], align_corners=False)
    torch.testing.assert_close(affine_positions(theta, size), wanted)


def test_tiles_get_the_very_numbers_of_the_whole():
    theta = maps(2, torch.float32)
    whole = affine_positions(theta, (40, 50))
    corners = torch.tensor([[[0, 0], [3, 41], [31, 7]], [[30, 40], [1, 2], [9, 9]]])
    made = tile_positions(theta, (40, 50), corners, 9)
    parts = made(slice(None)).unflatten(1, (3, 9))
    assert torch.equal(made(slice(1, 2)).unflatten(1, (3, 9)), parts[1:])
    for b, image in enumerate(corners.tolist()):
        for t, (row, column) in enumerate(image):
            assert torch.equal(parts[b, t], whole[b, row : row + 9, column : column + 9])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_warping_takes_other_float_types(dtype):
    image = torch.rand(1, 1, 8, 8, dtype=dtype)
    mirror = torch.tensor([[[-1.0, 0, 0], [0, 1.0, 0]]])
    moved, _ = warp(image, None, mirror)
    assert moved.dtype == dtype
    torch.testing.assert_close(moved, image.flip(-1), atol=0.05, rtol=0)
