"""Convolving before upsampling gives what segmentation-models-pytorch gives."""

import copy
import pickle

import pytest
import torch
from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoderBlock
from torch import nn

from muscletransfer.decoders import build_segmentation_model, use_fast_upsampling
from muscletransfer.decoders import upsampling as code


def _pair(skip: int, **settings: object) -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    plain = UnetDecoderBlock(13, skip, 16, **settings).double()
    return plain, use_fast_upsampling(copy.deepcopy(plain))


def _run(block: nn.Module, skip: int, height: int = 32, width: int = 36, batch: int = 2) -> list:
    torch.manual_seed(1)
    x = torch.randn(batch, 13, height, width, dtype=torch.float64, requires_grad=True)
    beside = torch.randn(batch, skip, 2 * height, 2 * width).double().requires_grad_()
    given = (beside,) if skip else ()
    out = block(x, 2 * height, 2 * width, *given)
    inputs = [x, *given, *block.parameters()]
    return [out, *torch.autograd.grad(out.square().mean(), inputs)]


@pytest.fixture
def count(monkeypatch):
    calls = []
    real = code.upsample_and_convolve

    def counted(*args):
        calls.append(args[0].shape)
        return real(*args)

    monkeypatch.setattr(code, "upsample_and_convolve", counted)
    return calls


@pytest.mark.parametrize("skip", [0, 3])
@pytest.mark.parametrize("use_norm", ["batchnorm", False], ids=["norm", "bias"])
def test_output_and_every_gradient_are_those_of_smp(skip, use_norm, count):
    plain, fast = _pair(skip, use_norm=use_norm)
    for wanted, found in zip(_run(plain, skip), _run(fast, skip), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-12)
    assert len(count) == 1


@pytest.mark.parametrize(
    ("settings", "size"),
    [
        ({}, (8, 8)),
        ({"attention_type": "scse"}, (32, 36)),
        ({"interpolation_mode": "bilinear"}, (32, 36)),
    ],
    ids=["few pixels", "attention", "bilinear"],
)
def test_where_it_does_not_pay_or_apply_smp_runs(settings, size, count):
    plain, fast = _pair(3, **settings)
    for wanted, found in zip(_run(plain, 3, *size), _run(fast, 3, *size), strict=True):
        assert torch.equal(found, wanted)
    assert not count


def test_a_level_without_channels_changes_nothing():
    x, weight = torch.rand(2, 3, 16, 16), torch.rand(4, 3, 3, 3)
    lacking = code.upsample_and_convolve(x, torch.rand(2, 0, 32, 32), weight)
    assert torch.equal(lacking, code.upsample_and_convolve(x, None, weight))


def test_a_hook_or_an_adapter_on_the_convolution_is_honoured(count):
    _, fast = _pair(3)
    seen = []
    conv = fast.conv1[0]
    handle = conv.register_forward_pre_hook(lambda module, args: seen.append(args[0].shape))
    _run(fast, 3)
    assert seen == [(2, 16, 64, 72)]
    handle.remove()

    class Doubled(nn.Conv2d):
        def forward(self, x):
            return 2 * super().forward(x)

    conv.__class__ = Doubled
    _run(fast, 3)
    assert not count


def test_the_model_has_the_state_of_smp_and_can_go_back(count):
    torch.manual_seed(0)
    model = build_segmentation_model("timm/resnet18").eval()
    images = torch.rand(4, 1, 64, 96)
    with torch.no_grad():
        fast = model(images)
        used = len(count)
        keys = list(model.state_dict())
        use_fast_upsampling(model, enabled=False)
        plain = model(images)
    assert used == 2  # the maps of 16 x 24 and 32 x 48, not that of 8 x 12
    assert len(count) == used
    assert list(model.state_dict()) == keys
    torch.testing.assert_close(fast, plain, rtol=1e-4, atol=1e-5)


def test_a_model_can_be_pickled():
    model = build_segmentation_model("timm/resnet18")
    again = pickle.loads(pickle.dumps(model))
    assert {type(block) for block in again.decoder.body.blocks} == {code.UpsamplingBlock}


def test_bf16_stays_within_its_rounding():
    plain, fast = (block.float().eval() for block in _pair(3))
    torch.manual_seed(1)
    x, beside = torch.randn(2, 13, 32, 32), torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        exact = plain(x, 64, 64, beside)
        with torch.autocast("cpu", torch.bfloat16):
            errors = [(b(x, 64, 64, beside).float() - exact).abs().max() for b in (plain, fast)]
    assert errors[1] <= 2 * errors[0]
