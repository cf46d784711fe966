"""Sampling a few images at a time gives torch's own numbers."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from muscletransfer.data.augmentation import sampling as code
from muscletransfer.data.augmentation.sampling import grid_sample


@pytest.fixture
def parts(monkeypatch):
    seen = []
    real = F.grid_sample

    def counted(images, *given, **settings):
        seen.append(len(images))
        return real(images, *given, **settings)

    monkeypatch.setattr(code.F, "grid_sample", counted)
    return seen


def batch(images: int, side: int = 256, channels: int = 1):
    generator = torch.Generator().manual_seed(0)
    values = torch.rand(images, channels, side, side, generator=generator)
    return values, 2.4 * torch.rand(images, 5, 7, 2, generator=generator) - 1.2


@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
def test_the_numbers_are_those_of_torch(mode, padding, parts):
    images, grid = batch(7)
    wanted = F.grid_sample(images, grid, mode, padding, align_corners=False)
    parts.clear()
    assert torch.equal(grid_sample(images, grid, mode, padding), wanted)
    assert len(parts) > 1
    assert sum(parts) == 7
    made = grid_sample(images, lambda few: grid[few].clone(), mode, padding)
    assert torch.equal(made, wanted)


@pytest.mark.parametrize(
    ("images", "side"), [(40, 32), (1, 512), (0, 64)], ids=["small", "one image", "none"]
)
def test_what_the_caches_hold_is_sampled_at_once(images, side, parts):
    values, grid = batch(images, side)
    out = grid_sample(values, grid, "bilinear", "zeros")
    assert out.shape == (images, 1, 5, 7)
    assert parts == [images]


def test_gradients_are_those_of_torch():
    images, grid = batch(5)
    gradients = []
    for function in (grid_sample, lambda *given: F.grid_sample(*given, align_corners=False)):
        inputs = [images.clone().requires_grad_(), grid.clone().requires_grad_()]
        out = function(*inputs, "bilinear", "border")
        gradients.append(torch.autograd.grad(out.square().sum(), inputs))
    for found, wanted in zip(*gradients, strict=True):
        torch.testing.assert_close(found, wanted)
