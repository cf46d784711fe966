"""3 x 3 convolutions of small maps as products: the numbers of torch's own convolution."""

import copy
import pickle

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from muscletransfer.encoders import create_encoder
from muscletransfer.encoders import small_maps as code
from muscletransfer.encoders.small_maps import (
    SmallMapConv2d,
    convolve_as_product,
    use_fast_small_maps,
)


@pytest.fixture
def count(monkeypatch):
    calls = []
    real = code.convolve_as_product

    def counted(*args):
        calls.append(tuple(args[0].shape))
        return real(*args)

    monkeypatch.setattr(code, "convolve_as_product", counted)
    return calls


def pair(channels=256, out=8, **settings):
    torch.manual_seed(0)
    plain = nn.Conv2d(channels, out, 3, padding=1, **settings)
    plain = plain.to(memory_format=torch.channels_last)
    return plain, use_fast_small_maps(copy.deepcopy(plain))


def run(conv, x):
    """The output and all gradients under bf16 autocast."""
    x = x.clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        out = conv(x)
    inputs = [x, *conv.parameters()]
    torch.manual_seed(2)
    return [out, *torch.autograd.grad(out, inputs, torch.randn(out.shape).to(out.dtype))]


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [(4, 4), (1, 1), (3, 5), (2, 7)])
def test_in_double_the_product_and_its_gradients_are_those_of_torch(stride, size):
    torch.manual_seed(0)
    x = torch.randn(3, 6, *size, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(5, 6, 3, 3, dtype=torch.float64, requires_grad=True)
    wanted = F.conv2d(x, weight, stride=stride, padding=1)
    found = convolve_as_product(x, weight, stride)
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)
    given = torch.randn_like(wanted)
    pairs = zip(
        torch.autograd.grad(found, (x, weight), given),
        torch.autograd.grad(wanted, (x, weight), given),
        strict=True,
    )
    for ours, theirs in pairs:
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("frozen", ["x", "weight"])
def test_what_needs_no_gradient_gets_none(frozen):
    x, weight = torch.randn(1, 4, 4, 4), torch.randn(4, 4, 3, 3)
    needed = weight if frozen == "x" else x
    needed.requires_grad_()
    convolve_as_product(x, weight).sum().backward()
    plain = F.conv2d(x, weight, padding=1)
    assert torch.allclose(needed.grad, torch.autograd.grad(plain.sum(), needed)[0], atol=1e-5)
    assert (x if frozen == "x" else weight).grad is None


@pytest.mark.parametrize("settings", [{}, {"bias": False}, {"stride": 2}], ids=str)
def test_bf16_is_as_near_to_exact_as_torch_is(settings, count):
    plain, fast = pair(**settings)
    torch.manual_seed(1)
    x = torch.randn(8, 256, 4, 4).to(memory_format=torch.channels_last)
    exact = copy.deepcopy(plain).double()
    outputs = [run(conv, x) for conv in (plain, fast)]
    given = x.double().requires_grad_()
    out = exact(given)
    torch.manual_seed(2)
    weights = torch.randn(out.shape).bfloat16().double()
    truth = [out, *torch.autograd.grad(out, [given, *exact.parameters()], weights)]
    for right, theirs, ours in zip(truth, *outputs, strict=True):
        assert ours.dtype == theirs.dtype
        assert ours.stride() == theirs.stride()
        errors = [float((one.double() - right).detach().abs().max()) for one in (theirs, ours)]
        assert errors[1] <= 1.5 * errors[0] + 1e-12
    assert count == [(8, 256, 4, 4)]


@pytest.mark.parametrize(
    ("settings", "shape"),
    [
        ({}, (1, 256, 8, 8)),
        ({}, (32, 256, 4, 4)),
        ({"dilation": 2}, (1, 256, 4, 4)),
        ({"groups": 2}, (1, 256, 4, 4)),
        ({"padding_mode": "reflect"}, (1, 256, 4, 4)),
        ({"channels": 128}, (1, 128, 4, 4)),
    ],
    ids=["large maps", "large batch", "dilation", "groups", "border", "few channels"],
)
def test_where_it_does_not_pay_or_apply_torch_runs(settings, shape, count):
    plain, fast = pair(**settings)
    for wanted, found in zip(*(run(c, torch.randn(shape)) for c in (plain, fast)), strict=True):
        assert found.shape == wanted.shape
    with torch.autocast("cpu", torch.bfloat16):
        x = torch.randn(shape)
        assert torch.equal(plain(x), fast(x))
    assert not count


def test_float32_and_other_layouts_stay_with_torch(count):
    plain, fast = pair()
    x = torch.randn(1, 256, 4, 4)
    assert torch.equal(plain(x), fast(x))
    with torch.autocast("cpu", torch.bfloat16):
        other = copy.deepcopy(fast).to(memory_format=torch.contiguous_format)
        other(x)
    assert not count
    fast.bfloat16()(x.bfloat16())  # no autocast needed
    assert len(count) == 1


def test_who_changes_convolutions_from_outside_sees_them(count):
    class Doubled(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            out = func(*args, **(kwargs or {}))
            return 2 * out if getattr(func, "__name__", "") == "conv2d" else out

    _, fast = pair(bias=False)
    x = torch.randn(1, 256, 4, 4)
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        alone = F.conv2d(x, fast.weight, padding=1)
        with Doubled():
            assert torch.equal(fast(x), 2 * alone)
    assert not count


def test_functional_transforms_get_torchs_convolution(count):
    plain, fast = pair(bias=False)
    plain, fast = plain.bfloat16(), fast.bfloat16()
    x = torch.randn(1, 256, 4, 4).bfloat16()
    found = torch.func.grad(lambda x: fast(x).square().sum())(x)
    assert torch.equal(found, torch.func.grad(lambda x: plain(x).square().sum())(x))
    assert not count


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_a_trace_holds_torchs_convolution(count):
    _, fast = pair()
    x = torch.randn(1, 256, 4, 4).bfloat16()
    traced = torch.jit.trace(fast.bfloat16(), x, check_trace=False)
    assert "aten::_convolution" in str(traced.graph)
    assert not count


def test_encoders_have_it_with_the_state_of_timm_and_can_go_back(count):
    torch.manual_seed(0)
    encoder = create_encoder("timm/resnet18").to(memory_format=torch.channels_last).eval()
    kinds = [type(part) for part in encoder.modules()]
    keys = list(encoder.state_dict())
    images = torch.rand(2, 1, 128, 128)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        fast = encoder(images)[-1].float()
        assert count == [(2, 256, 8, 8), *[(2, 512, 4, 4)] * 3]
        use_fast_small_maps(encoder, enabled=False)
        plain = encoder(images)[-1].float()
    assert SmallMapConv2d in kinds
    assert SmallMapConv2d not in {type(part) for part in encoder.modules()}
    assert list(encoder.state_dict()) == keys
    assert len(count) == 4
    assert float((fast - plain).abs().max()) <= 0.05 * float(plain.abs().max())


def test_a_converted_part_can_be_pickled():
    _, fast = pair()
    again = pickle.loads(pickle.dumps(fast))
    assert type(again) is SmallMapConv2d
    assert torch.equal(again.weight, fast.weight)
