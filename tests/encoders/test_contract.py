"""The contract of an encoder, on one backbone of each family with real numbers."""

import json
import pickle

import pytest
import torch
from encoder_contract import FAMILIES, check_pyramid, sizes_of, wanted_shapes

from muscletransfer import Encoder, create_encoder
from muscletransfer.encoders import EncoderSpec, build_encoder
from muscletransfer.errors import ImageSizeError

NAMES = [name for name, _ in FAMILIES]


@pytest.fixture(scope="module", params=FAMILIES, ids=NAMES)
def encoder(request):
    name, kwargs = request.param
    torch.manual_seed(0)
    return create_encoder(name, **kwargs)


def image_for(encoder, batch=2, channels=1):
    height, width = sizes_of(encoder)[0]
    generator = torch.Generator().manual_seed(1)
    return torch.rand(batch, channels, height, width, generator=generator)


def test_pyramid(encoder):
    assert isinstance(encoder, Encoder)
    check_pyramid(encoder.eval())


def test_gradients_reach_every_parameter_that_is_trained(encoder):
    encoder.train()
    features = encoder(image_for(encoder))
    sum(feature.square().sum() for feature in features[1:] if feature.numel()).backward()
    without = {n for n, p in encoder.named_parameters() if p.grad is None}
    resting = {n for n, p in encoder.named_parameters() if not p.requires_grad}
    encoder.zero_grad()
    assert without == resting  # nothing that is trained is left out, and nothing rests that acts


def test_features_are_finite_and_depend_on_the_image(encoder):
    encoder.eval()
    image = image_for(encoder)
    with torch.no_grad():
        once, again = encoder(image), encoder(image)
        other = encoder(image.flip(-1))
    for a, b, c in zip(once, again, other, strict=True):
        assert torch.isfinite(a).all()
        assert torch.equal(a, b)
        assert not a.numel() or not torch.equal(a, c)


def test_an_image_of_a_batch_does_not_see_the_others(encoder):
    encoder.eval()
    image = image_for(encoder)
    with torch.no_grad():
        for whole, alone in zip(encoder(image), encoder(image[:1]), strict=True):
            torch.testing.assert_close(whole[:1], alone, rtol=1e-3, atol=1e-4)


def test_odd_sizes_work_or_the_error_says_which_do(encoder):
    encoder.eval()
    with pytest.raises(ImageSizeError) as caught:
        encoder(torch.zeros(1, 1, 101, 75))
    message = str(caught.value)
    assert encoder.spec.name in message
    assert "101 x 75" in message
    if encoder.image_size is not None:
        height, width = encoder.image_size
        assert f"exactly {height} x {width}" in message
    else:
        height, width = 128, 96
        assert f"Pad to {height} x {width}" in message
    with torch.no_grad():
        features = encoder(torch.zeros(1, 1, height, width))
    assert [tuple(f.shape) for f in features] == wanted_shapes(encoder, 1, height, width)


def test_spec_survives_json_and_pickle_and_builds_the_same(encoder):
    spec = EncoderSpec.from_dict(json.loads(json.dumps(encoder.spec.to_dict())))
    assert spec == encoder.spec
    assert pickle.loads(pickle.dumps(spec)) == spec
    torch.manual_seed(0)  # as the fixture did
    twin = build_encoder(spec)
    state = encoder.state_dict()
    assert twin.state_dict().keys() == state.keys()
    assert all(torch.equal(parameter, state[n]) for n, parameter in twin.named_parameters())
    assert twin.out_channels == encoder.out_channels
    resting = [n for n, p in encoder.named_parameters() if not p.requires_grad]
    assert [n for n, p in twin.named_parameters() if not p.requires_grad] == resting


SMALL = [("timm/test_resnet", {}), ("timm/test_vit", {"img_size": 64}), ("smp/mit_b0", {})]


@pytest.mark.parametrize(("name", "kwargs"), SMALL)
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("depth", [3, 4, 5])
def test_channels_and_depths(name, kwargs, channels, depth):
    encoder = create_encoder(name, channels, depth, **kwargs).train()
    check_pyramid(encoder, channels, depth)
    features = encoder(image_for(encoder, channels=channels))
    sum(feature.square().sum() for feature in features[1:] if feature.numel()).backward()
    assert all((p.grad is None) != p.requires_grad for p in encoder.parameters())


@pytest.mark.parametrize("name", ["timm/resnet18", "timm/regnetx_002", "smp/resnet18"])
@pytest.mark.parametrize("stride", [8, 16])
def test_dilation_keeps_the_parameters(name, stride):
    plain, dilated = create_encoder(name), create_encoder(name, output_stride=stride)
    assert dilated.output_stride == stride
    check_pyramid(dilated)
    shapes = {key: value.shape for key, value in plain.state_dict().items()}
    assert {key: value.shape for key, value in dilated.state_dict().items()} == shapes


def test_levels_that_an_architecture_lacks():
    assert create_encoder("timm/convnext_atto").out_channels[:2] == [1, 0]  # starts at stride 4
    vit = create_encoder("timm/vit_tiny_patch16_224", img_size=64)
    assert vit.out_channels == [1, 0, 192, 192, 192, 192]  # one stride, resampled
