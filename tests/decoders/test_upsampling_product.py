"""The upsampling convolution written as products gives what the plain one gives."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoderBlock
from torch import Tensor

from muscletransfer.decoders import upsampling as block_code
from muscletransfer.decoders import use_fast_upsampling
from muscletransfer.decoders.upsampling_product import product_pays, upsample_as_product
from muscletransfer.hardware import use_channels_last


def plain(x: Tensor, skip: Tensor, weight: Tensor) -> Tensor:
    doubled = F.interpolate(x, scale_factor=2, mode="nearest")
    return F.conv2d(torch.cat([doubled, skip], dim=1), weight, padding=1)


def inputs(dtype: torch.dtype) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = [(2, 5, 3, 4), (2, 3, 6, 8), (4, 8, 3, 3)]
    found = [torch.randn(shape, generator=generator, dtype=dtype) for shape in shapes]
    return [one.to(memory_format=torch.channels_last).requires_grad_() for one in found]


def test_output_and_gradients_in_double_precision():
    given = inputs(torch.float64)
    with torch.no_grad():
        direction = torch.randn_like(plain(*given))
    results = []
    for function in (upsample_as_product, plain):
        out = function(*given)
        results.append([out, *torch.autograd.grad(out, given, direction)])
    for found, wanted in zip(*results, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("wanted", [0, 1, 2], ids=["map", "skip", "weight"])
def test_only_what_is_wanted_is_derived(wanted):
    given = [one.requires_grad_(place == wanted) for place, one in enumerate(inputs(torch.float64))]
    gradients = []
    for function in (upsample_as_product, plain):
        function(*given).square().sum().backward()
        gradients.append(given[wanted].grad)
        given[wanted].grad = None
    torch.testing.assert_close(*gradients)
    assert all(one.grad is None for one in given)


def test_a_second_derivative_is_refused_not_wrong():
    given = inputs(torch.float64)
    out = upsample_as_product(*given).square().sum()
    (first,) = torch.autograd.grad(out, given[:1], create_graph=True)
    with pytest.raises(RuntimeError, match="differentiate twice"):
        first.sum().backward()


def test_the_block_of_many_channels_uses_it_under_autocast(monkeypatch):
    torch.manual_seed(0)
    smp = use_channels_last(UnetDecoderBlock(256, 16, 32))
    fast = use_fast_upsampling(copy.deepcopy(smp))
    calls = []
    monkeypatch.setattr(
        block_code,
        "upsample_as_product",
        lambda *given: calls.append(len(given)) or upsample_as_product(*given),
    )
    x = torch.randn(8, 256, 4, 4).to(memory_format=torch.channels_last)
    skip = torch.randn(8, 16, 8, 8).to(memory_format=torch.channels_last)
    results = []
    for block, precision in ((smp, None), (smp, torch.bfloat16), (fast, torch.bfloat16)):
        block.zero_grad()
        with torch.autocast("cpu", precision, enabled=precision is not None):
            out = block(x, 8, 8, skip)
        out.float().square().mean().backward()
        results.append([out.float(), *(one.grad.clone() for one in block.parameters())])
    assert len(calls) == 1
    exact, in_bf16, found = results
    for wanted, one, other in zip(exact, in_bf16, found, strict=True):
        assert other.dtype == wanted.dtype
        # as near to full precision as smp's own block comes in bf16
        assert (other - wanted).norm() <= 1.2 * (one - wanted).norm() + 1e-6 * wanted.norm()


@pytest.mark.parametrize(
    ("channels", "batch", "side", "grad", "pays"),
    [
        (256, 8, 4, True, True),
        (256, 8, 4, False, False),
        (256, 16, 4, False, True),
        (255, 8, 4, True, False),
        (256, 7, 4, True, False),
        (256, 16, 8, True, True),
        (256, 17, 8, True, False),
    ],
)
def test_where_it_pays(channels, batch, side, grad, pays):
    x, skip = torch.zeros(batch, channels, side, side), torch.zeros(batch, 4, 2 * side, 2 * side)
    weight = torch.zeros(8, channels + 4, 3, 3)
    with torch.set_grad_enabled(grad):
        assert not product_pays(x, skip, weight, None)  # float32
        with torch.autocast("cpu", torch.bfloat16):
            assert product_pays(x, skip, weight, None) is pays
            assert not product_pays(x, skip[:, :0], weight, None)
            assert not product_pays(x, skip, weight, torch.zeros(8))
