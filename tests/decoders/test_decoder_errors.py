"""Decoders that cannot take an encoder, an image or an argument say what can be done."""

import pytest
import torch
from torch import nn

from muscletransfer import create_encoder
from muscletransfer.decoders import (
    DecoderSpec,
    SegmentationHead,
    SegmentationModel,
    build_segmentation_model,
    create_decoder,
    register_decoder,
    required_encoder_kwargs,
)
from muscletransfer.errors import (
    ChannelMismatchError,
    ContractError,
    DuplicateNameError,
    ImageSizeError,
    SettingError,
    UnknownNameError,
)


@pytest.fixture(scope="module")
def resnet():
    return create_encoder("timm/test_resnet")


@pytest.mark.parametrize("call", ["create", "required", "model"])
def test_unknown_names_offer_close_ones(call, resnet):
    calls = {
        "create": lambda: create_decoder("deeplabv3+", resnet),
        "required": lambda: required_encoder_kwargs("deeplabv3+"),
        "model": lambda: build_segmentation_model("timm/test_resnet", "deeplabv3+"),
    }
    with pytest.raises(UnknownNameError, match=r"'deeplabv3' or 'deeplabv3plus'.*@register_dec"):
        calls[call]()


@pytest.mark.parametrize(
    ("decoder", "options", "message"),
    [
        ("unet", {"depth": 2}, "depth 3 to 5, found depth 2.*depth=3 or more"),
        ("unetplusplus", {"output_stride": 16}, "found a dilated encoder.*16 instead of 32"),
        ("fpn", {"output_stride": 8}, "Build the encoder without output_stride"),
        ("deeplabv3plus", {}, r"output stride 8 or 16, found 32.*output_stride=16.*or with depth"),
    ],
)
def test_encoders_that_do_not_suit(decoder, options, message):
    encoder = create_encoder("timm/test_resnet", **options)
    with pytest.raises(ContractError, match=message):
        create_decoder(decoder, encoder)


def test_the_way_out_of_deeplab_works():
    shallow = create_encoder("timm/test_resnet", depth=4)
    assert create_decoder("deeplabv3plus", shallow).stride == 4


def test_a_level_without_channels_where_fpn_needs_one():
    encoder = create_encoder("timm/test_convnext", depth=4)
    with pytest.raises(ContractError, match=r"level at stride 2, which has 0 channels.*depth=5"):
        create_decoder("fpn", encoder)
    assert create_decoder("fpn", create_encoder("timm/test_convnext")).stride == 4


def test_a_transformer_that_cannot_be_dilated():
    with pytest.raises(ContractError, match=r"cannot be dilated to output_stride=8.*'unet'"):
        build_segmentation_model(
            "timm/swin_tiny_patch4_window7_224", "fcn", encoder_kwargs={"img_size": 64}
        )


@pytest.mark.parametrize(
    ("decoder", "kwargs", "message"),
    [
        ("unet", {"decoder_chanels": (1,)}, "no argument 'decoder_chanels'.*'decoder_channels'"),
        ("unet", {"encoder_channels": (1,)}, "no argument 'encoder_channels'"),
        ("unet", {"decoder_channels": (8, 4)}, "could not build the decoder 'unet' with .*8, 4"),
        ("fcn", {"width": 3}, "does not take these arguments.*'width'"),
        ("unet", {"use_norm": nn.BatchNorm2d}, "kwargs of decoder 'unet'"),
    ],
)
def test_arguments(decoder, kwargs, message, resnet):
    with pytest.raises(ContractError, match=message):
        create_decoder(decoder, resnet, **kwargs)


@pytest.mark.parametrize("kwargs", [{"dropout": 1.0}, {"dropout": -0.1}, {"channels": 0}])
def test_numbers_of_the_fcn_decoder(kwargs, resnet):
    with pytest.raises(SettingError, match=next(iter(kwargs))):
        create_decoder("fcn", resnet, **kwargs)


def test_images_too_small_and_batches_of_one():
    model = build_segmentation_model("timm/test_resnet", "pan")
    with pytest.raises(ImageSizeError, match=r"at least 128 x 128 pixels, found 64 x 64"):
        model.eval()(torch.zeros(2, 1, 64, 64))
    with pytest.raises(SettingError, match=r"at least 2 images at once, found 1.*drop_last=True"):
        model.train()(torch.zeros(1, 1, 128, 128))


def test_images_of_another_size_or_channels():
    model = build_segmentation_model("timm/test_resnet", "unet")
    with pytest.raises(ImageSizeError, match=r"'timm/test_resnet' got images of 50 x 64.*64 x 64"):
        model(torch.zeros(1, 1, 50, 64))
    with pytest.raises(ChannelMismatchError, match=r"in_channels=3"):
        model(torch.zeros(1, 3, 64, 64))


@pytest.mark.parametrize("number", [0, -1, 1.5, True])
def test_class_counts(number):
    with pytest.raises(SettingError, match=r"num_classes is .*; wanted a whole number of at least"):
        SegmentationHead(8, num_classes=number)
    with pytest.raises(SettingError, match=r"num_classes is"):
        build_segmentation_model("timm/test_resnet", "unet", num_classes=number)


def test_a_number_of_classes_in_place_of_the_head(resnet):
    with pytest.raises(ContractError, match=r"the head .* is 1; wanted a module.*num_classes=1"):
        SegmentationModel(resnet, create_decoder("unet", resnet), 1)


def test_what_is_no_encoder_and_what_is_no_decoder(resnet):
    with pytest.raises(
        ContractError, match=r"decoder 'unet' is no encoder: out_channels is missing"
    ):
        create_decoder("unet", nn.ReLU())
    register_decoder("tests/no-stride", override=True)(lambda encoder: nn.ReLU())
    with pytest.raises(ContractError, match=r"out_channels is missing.*; stride is missing"):
        create_decoder("tests/no-stride", resnet)
    with pytest.raises(ContractError, match=r"missing 'name'; unknown 'decoder'"):
        DecoderSpec.from_dict({"decoder": "unet"})
    with pytest.raises(DuplicateNameError, match=r"'unet' is taken twice.*muscletransfer itself"):
        register_decoder("unet")(lambda encoder: nn.ReLU())
