"""Each decoder by name, on encoders of several families and depths."""

import importlib
import json
import pkgutil

import pytest
import segmentation_models_pytorch as smp
import torch

from muscletransfer import create_encoder
from muscletransfer.decoders import (
    Decoder,
    DecoderSpec,
    build_decoder,
    build_segmentation_model,
    create_decoder,
    list_decoders,
    required_encoder_kwargs,
)

BUILTIN = [
    "deeplabv3",
    "deeplabv3plus",
    "fcn",
    "fpn",
    "linknet",
    "manet",
    "pan",
    "pspnet",
    "segformer",
    "unet",
    "unetplusplus",
    "upernet",
]
# convolutional, starting at stride 4, of one stride, and of the other library
ENCODERS = {
    "timm/test_resnet": {},
    "timm/test_convnext": {},
    "timm/test_vit": {"img_size": 128},
    "smp/mit_b0": {},
}
SIDE = 128


@pytest.fixture(scope="module")
def encoders():
    """One encoder a name, depth and dilation; decoders only read it."""
    built = {}

    def get(name, depth=5, **kwargs):
        key = (name, depth, *kwargs.items())
        if key not in built:
            options = ENCODERS.get(name, {}) | kwargs
            built[key] = create_encoder(name, depth=depth, **options).eval()
        return built[key]

    return get


def test_every_decoder_of_smp_has_a_name():
    modules = pkgutil.iter_modules(importlib.import_module(f"{smp.__name__}.decoders").__path__)
    theirs = {module.name for module in modules}
    # DPT takes the tokens of a plain transformer and no pyramid
    assert theirs - {"dpt"} <= {"deeplabv3", *BUILTIN}
    assert [name for name in list_decoders() if "/" not in name] == BUILTIN


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("decoder", BUILTIN)
def test_map_on_each_family(decoder, name, encoders):
    kwargs, depth = required_encoder_kwargs(decoder), 5
    if kwargs and name != "timm/test_resnet":
        kwargs, depth = {}, 4  # what cannot be dilated ends at stride 16 with a level less
    encoder = encoders(name, depth, **kwargs)
    built = create_decoder(decoder, encoder).eval()
    assert isinstance(built, Decoder)
    with torch.no_grad():
        decoded = built(encoder(torch.zeros(2, 1, SIDE, SIDE)))
    side = SIDE // built.stride
    assert tuple(decoded.shape) == (2, built.out_channels, side, side)


@pytest.mark.parametrize("depth", [3, 4])
@pytest.mark.parametrize("decoder", [name for name in BUILTIN if name != "pan"])
def test_shallower_encoders(decoder, depth, encoders):
    kwargs = required_encoder_kwargs(decoder)
    model = build_segmentation_model(
        "timm/test_resnet", decoder, num_classes=3, depth=depth, encoder_kwargs=kwargs
    ).eval()
    with torch.no_grad():
        assert tuple(model(torch.zeros(1, 1, 64, 96)).shape) == (1, 3, 64, 96)


@pytest.mark.parametrize("decoder", BUILTIN)
def test_whole_model_by_name_trains_every_parameter(decoder):
    torch.manual_seed(0)
    model = build_segmentation_model("timm/test_resnet", decoder, num_classes=2, in_channels=3)
    for key, value in required_encoder_kwargs(decoder).items():
        assert model.encoder.spec.kwargs[key] == value
    logits = model.train()(torch.rand(2, 3, SIDE, SIDE))
    assert tuple(logits.shape) == (2, 2, SIDE, SIDE)
    logits.square().mean().backward()
    assert [n for n, p in model.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize("decoder", BUILTIN)
def test_spec_survives_json_and_builds_the_same_keys(decoder, encoders):
    encoder = encoders("timm/test_resnet", **required_encoder_kwargs(decoder))
    first = create_decoder(decoder, encoder)
    spec = DecoderSpec.from_dict(json.loads(json.dumps(first.spec.to_dict())))
    assert spec == first.spec
    assert hash(spec) == hash(first.spec)
    shapes = {key: value.shape for key, value in first.state_dict().items()}
    twin = build_decoder(spec, encoder)
    assert {key: value.shape for key, value in twin.state_dict().items()} == shapes


def test_options_of_a_decoder_are_in_its_spec_and_used(encoders):
    encoder = encoders("timm/test_resnet")
    thin = create_decoder("unet", encoder, decoder_channels=[64, 32, 16, 8, 4])
    assert thin.out_channels == 4
    assert build_decoder(thin.spec, encoder).out_channels == 4
    attentive = create_decoder("unet", encoder, attention_type="scse")
    assert len(attentive.state_dict()) > len(create_decoder("unet", encoder).state_dict())


def test_unet_computes_what_smp_computes(encoders):
    """The same weights in segmentation-models-pytorch's own model give the same logits."""
    ours = build_segmentation_model("smp/resnet18", "unet", num_classes=2).eval()
    theirs = smp.Unet("resnet18", encoder_weights=None, in_channels=1, classes=2).eval()
    theirs.encoder.load_state_dict(ours.encoder.model.state_dict())
    theirs.decoder.load_state_dict(ours.decoder.body.state_dict())
    theirs.segmentation_head[0].load_state_dict(ours.head.conv.state_dict())
    image = torch.rand(1, 1, 64, 96, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(ours(image), theirs(image))


def test_fcn_head_computes_what_torchvision_computes():
    from torchvision.models.segmentation.fcn import FCNHead

    ours = build_segmentation_model("smp/resnet18", "fcn", num_classes=21).eval()
    assert (ours.encoder.output_stride, ours.decoder.stride, ours.decoder.out_channels) == (
        8,
        8,
        128,
    )
    theirs = FCNHead(512, 21).eval()
    theirs[0].load_state_dict(ours.decoder.body[0].state_dict())
    theirs[1].load_state_dict(ours.decoder.body[1].state_dict())
    theirs[4].load_state_dict(ours.head.conv.state_dict())
    image = torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        small = theirs(ours.encoder(image)[-1])
        wanted = torch.nn.functional.interpolate(
            small, size=(64, 64), mode="bilinear", align_corners=False
        )
        torch.testing.assert_close(ours(image), wanted)
