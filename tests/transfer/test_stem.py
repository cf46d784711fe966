"""The stem rule is exact on a grey image, for every kind of stem, or refused."""

import functools

import pytest
import torch
from torch import nn

from muscletransfer.encoders import create_encoder, register_encoder
from muscletransfer.errors import ChannelMismatchError
from muscletransfer.transfer import adapt_kernel, load_encoder, save_encoder
from muscletransfer.transfer.stem import adapt_stem

from .helpers import randomise


@pytest.mark.parametrize("source", [1, 2, 3, 4])
@pytest.mark.parametrize("target", [1, 2, 3, 4, 7])
def test_kernel_on_equal_channels_is_what_it_was(source, target):
    generator = torch.Generator().manual_seed(source * 10 + target)
    kernel = torch.randn(6, source, 5, 5, generator=generator)
    grey = torch.randn(2, 1, 12, 12, generator=generator)
    before = torch.conv2d(grey.expand(-1, source, -1, -1), kernel, padding=2)
    adapted = adapt_kernel(kernel, source, target)
    assert adapted.shape == (6, target, 5, 5)
    after = torch.conv2d(grey.expand(-1, target, -1, -1), adapted, padding=2)
    torch.testing.assert_close(after, before, rtol=1e-5, atol=1e-5)


def test_kernel_rules():
    kernel = torch.tensor([[1.0], [2.0], [4.0]]).reshape(1, 3, 1)
    assert adapt_kernel(kernel, 3, 1).flatten().tolist() == [7]
    assert adapt_kernel(kernel, 3, 2).flatten().tolist() == [5, 2]
    assert adapt_kernel(kernel, 3, 3).flatten().tolist() == [1, 2, 4]
    assert adapt_kernel(kernel, 3, 4).flatten().tolist() == [0.5, 2, 4, 0.5]
    thirds = adapt_kernel(torch.tensor([[[6.0]]]), 1, 3)
    assert thirds.flatten().tolist() == [2, 2, 2]
    assert adapt_kernel(kernel.half(), 3, 1).dtype == torch.float16


NETS = [
    ("timm/resnet18", {}, 64),
    ("timm/resnet18d", {}, 64),
    ("timm/test_convnext", {}, 64),
    ("timm/tf_mobilenetv3_small_minimal_100", {}, 64),  # TensorFlow padding
    ("timm/repvgg_a0", {}, 64),  # two branches read the image
    ("timm/test_vit", {"img_size": 64}, 64),
    ("smp/mobileone_s0", {}, 64),  # several branches
    ("smp/mit_b0", {}, 64),
]


@pytest.mark.parametrize(("name", "options", "size"), NETS)
@pytest.mark.parametrize(("source", "target"), [(3, 1), (1, 3)])
def test_features_are_the_same_on_a_replicated_image(name, options, size, source, target, tmp_path):
    before = randomise(create_encoder(name, source, **options)).eval()
    path = save_encoder(before, tmp_path / "e.safetensors")
    after = create_encoder(name, target, **options).eval()
    with pytest.raises(ChannelMismatchError, match="stem='adapt'"):
        load_encoder(after, path)
    report = load_encoder(after, path, stem="adapt")
    assert report.complete
    assert report.stem.startswith(f"adapted {source}->{target} (model.")
    grey = torch.rand(2, 1, size, size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = before(grey.expand(-1, source, -1, -1))
        found = after(grey.expand(-1, target, -1, -1))
    for a, b in zip(expected[1:], found[1:], strict=True):
        if a.numel():
            assert a.abs().max() > 0
            assert (a - b).abs().max() <= 1e-5 * a.abs().max()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64], ids=str)
@pytest.mark.parametrize("target", [1, 4])
def test_weights_of_another_precision_are_adapted_exactly(dtype, target):
    state = create_encoder("timm/resnet18", in_channels=3).to(dtype).state_dict()
    adapted, keys = adapt_stem(state, create_encoder("timm/resnet18", target), 3, target)
    assert keys == ["model.conv1.weight"]
    source, found = state[keys[0]].double(), adapted[keys[0]].double()
    torch.testing.assert_close(found.sum(1), source.sum(1), rtol=1e-6, atol=1e-7)


def test_all_branches_that_read_the_image_are_adapted(tmp_path):
    path = save_encoder(create_encoder("timm/repvgg_a0", 3), tmp_path / "e.safetensors")
    report = load_encoder(create_encoder("timm/repvgg_a0", 1), path, stem="adapt")
    assert report.stem.count("stem.conv") == 2


def test_a_stem_that_standardises_its_weights_is_refused(tmp_path):
    path = save_encoder(create_encoder("timm/test_nfnet", 3), tmp_path / "e.safetensors")
    encoder = create_encoder("timm/test_nfnet", 1)
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    with pytest.raises(ChannelMismatchError, match="ScaledStdConv2d"):
        load_encoder(encoder, path, stem="adapt")
    assert all(torch.equal(v, before[k]) for k, v in encoder.state_dict().items())


class Stacked(nn.Module):
    """Blocks of 2 x 2 pixels as channels, the image channel fastest or slowest, then a kernel."""

    def __init__(self, in_channels, depth, fastest):
        super().__init__()
        self.out_channels, self.output_stride, self.fastest = [in_channels, 8], 2, fastest
        self.conv = nn.Conv2d(4 * in_channels, 8, 3, padding=1)

    def forward(self, x):
        stacked = nn.functional.pixel_unshuffle(x, 2)  # (B, C * 4, H / 2, W / 2), C slowest
        if self.fastest:
            stacked = stacked.unflatten(1, (-1, 4)).transpose(1, 2).flatten(1, 2)
        return [x, self.conv(stacked)]


@pytest.fixture
def stacked():
    for order in ("fastest", "slowest"):
        builder = functools.partial(Stacked, fastest=order == "fastest")
        register_encoder(f"stacked/{order}", override=True)(builder)


def test_pixels_stacked_into_channels(stacked, tmp_path):
    before = create_encoder("stacked/fastest", 3, depth=1)
    path = save_encoder(before, tmp_path / "e.safetensors")
    after = create_encoder("stacked/fastest", 1, depth=1)
    assert load_encoder(after, path, stem="adapt").complete
    grey = torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(after(grey)[-1], before(grey.expand(-1, 3, -1, -1))[-1])


def test_pixels_stacked_in_another_order_are_refused(stacked, tmp_path):
    path = save_encoder(create_encoder("stacked/slowest", 3, depth=1), tmp_path / "e.safetensors")
    with pytest.raises(ChannelMismatchError, match="order of its own"):
        load_encoder(create_encoder("stacked/slowest", 1, depth=1), path, stem="adapt")


def test_adapt_does_nothing_when_channels_agree(tmp_path):
    encoder = randomise(create_encoder("timm/resnet18", 1))
    path = save_encoder(encoder, tmp_path / "e.safetensors")
    other = create_encoder("timm/resnet18", 1)
    assert load_encoder(other, path, stem="adapt").stem == "unchanged"
    assert torch.equal(other.model.conv1.weight, encoder.model.conv1.weight)
