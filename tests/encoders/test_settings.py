"""Wrong images and arguments: an error of ours that says what was found and what to do."""

from enum import Enum

import pytest
import timm
import torch
from torch import nn

from muscletransfer import create_encoder, register_encoder
from muscletransfer.encoders import EncoderSpec, build_encoder, resolve_encoder
from muscletransfer.errors import (
    ChannelMismatchError,
    ContractError,
    ImageSizeError,
    SettingError,
)


@pytest.fixture(scope="module")
def resnet():
    return create_encoder("timm/test_resnet", in_channels=1)


@pytest.mark.parametrize("name", ["timm/test_resnet", "smp/resnet18"])
def test_another_number_of_channels(name):
    with pytest.raises(ChannelMismatchError, match=r"built for 1 image.*with 3.*in_channels=3"):
        create_encoder(name)(torch.zeros(2, 3, 64, 64))


def test_an_image_without_its_batch(resnet):
    with pytest.raises(ImageSizeError, match=r"shape \(1, 64, 64\).*\(B, C, H, W\).*x\[None\]"):
        resnet(torch.zeros(1, 64, 64))


@pytest.mark.parametrize(
    ("name", "options", "size", "message"),
    [
        ("timm/test_resnet", {}, (100, 64), "multiples of 32. Pad to 128 x 64.*to 96 x 64"),
        ("timm/test_resnet", {"depth": 3}, (100, 64), "multiples of 8. Pad to 104 x 64"),
        ("smp/resnet18", {}, (64, 65), "Pad to 64 x 96, crop or resize to 64 x 64"),
        ("timm/test_resnet", {}, (10, 10), "Pad to 32 x 32"),
        ("timm/test_vit", {"img_size": 64}, (128, 128), r"exactly 64 x 64.*img_size=\(128, 128\)"),
        ("timm/mobilevitv2_050", {}, (96, 96), "multiples of 64. Pad to 128 x 128"),
        ("timm/inception_v3", {}, (64, 96), "got images of 64 x 96.*wanted at least 128 x 128"),
    ],
)
def test_sizes(name, options, size, message):
    with pytest.raises(ImageSizeError, match=message):
        create_encoder(name, **options)(torch.zeros(2, 1, *size))


def test_patches_of_14_pixels_want_multiples_of_both():
    with pytest.raises(ImageSizeError, match=r"exactly 518 x 518.*img_size=\(672, 672\)"):
        create_encoder("timm/vit_small_patch14_dinov2")


@pytest.mark.skipif(not timm.is_model("csatv2"), reason="this timm has no csatv2")
def test_an_encoder_that_takes_colour_only_says_so():
    with pytest.raises(ChannelMismatchError, match=r"3 channels only, asked for 1.*in_channels=3"):
        create_encoder("timm/csatv2")
    with pytest.raises(ChannelMismatchError, match="asked for 4"):  # also when tried again
        create_encoder("timm/csatv2", in_channels=4)


SETTINGS = [
    ({"in_channels": 0}, SettingError, "in_channels is 0; wanted a whole number of at least 1"),
    ({"in_channels": 1.0}, SettingError, r"in_channels is 1\.0"),
    ({"depth": 0}, SettingError, "depth is 0; wanted a whole number from 1 to 5"),
    ({"depth": 6}, SettingError, "depth is 6"),
    ({"depth": True}, SettingError, "depth is True"),
    ({"output_stride": 4}, SettingError, "output_stride is 4; wanted 8, 16 or 32"),
    ({"drop_pth_rate": 0.1}, ContractError, "takes no argument 'drop_pth_rate'"),
    ({"pretrained": True}, ContractError, "'pretrained'.*load_encoder"),
    ({"in_chans": 3}, ContractError, "'in_chans': the number of channels is in_channels"),
    ({"norm_layer": nn.BatchNorm2d}, ContractError, "norm_layer"),
]


@pytest.mark.parametrize(("changes", "error", "message"), SETTINGS)
def test_arguments_of_timm(changes, error, message):
    with pytest.raises(error, match=message):
        create_encoder("timm/resnet18", **changes)


@pytest.mark.parametrize(
    ("name", "kwargs", "message"),
    [
        ("smp/resnet18", {"img_size": 64}, "takes no argument 'img_size'.*only argument is output"),
        ("smp/vgg11", {"output_stride": 16}, "could not build 'smp/vgg11'"),
        ("timm/convnext_atto", {"output_stride": 8, "depth": 9}, "depth is 9"),
        ("timm/swin_tiny_patch4_window7_224", {"output_stride": 8}, "cannot be dilated"),
        ("timm/hrnet_w18_small", {"output_stride": 8}, "cannot be dilated to output_stride=8"),
        ("timm/densenet121", {"output_stride": 16}, "cannot be dilated to output_stride=16"),
        ("timm/swin_tiny_patch4_window7_224", {"img_siz": 64}, "Did you mean 'img_size'"),
    ],
)
def test_arguments_that_a_model_does_not_take(name, kwargs, message):
    with pytest.raises((ContractError, SettingError), match=message):
        create_encoder(name, **kwargs)


def test_specs_that_cannot_be_read():
    with pytest.raises(ContractError, match=r"missing 'name'; unknown 'nam'"):
        EncoderSpec.from_dict({"nam": "timm/resnet18"})
    with pytest.raises(ContractError, match="must be text"):
        EncoderSpec("")
    with pytest.raises(ContractError, match="which is a field of EncoderSpec itself"):
        build_encoder(EncoderSpec("timm/resnet18", kwargs={"depth": 3}))
    spec = EncoderSpec("timm/resnet18", kwargs={"output_stride": 16})
    with pytest.raises(TypeError):
        spec.kwargs["output_stride"] = 8
    assert hash(spec) == hash(EncoderSpec.from_dict(spec.to_dict()))


class Mode(str, Enum):  # noqa: UP042 - a StrEnum has no such name for its str
    """A choice as many libraries write it; its ``str`` is its name, its value is what is meant."""

    FAST = "fast"


def test_a_member_of_an_enum_of_texts_is_its_value():
    spec = EncoderSpec("timm/resnet18", kwargs={"mode": Mode.FAST, Mode.FAST: [Mode.FAST]})
    frozen = dict(spec.kwargs)
    assert frozen == {"mode": "fast", "fast": ("fast",)}
    assert {type(text) for text in (*frozen, frozen["mode"], *frozen["fast"])} == {str}


class Mine(nn.Module):
    """A module of a user's own; the class attributes are the contract."""

    out_channels = (1, 4)
    output_stride = 2

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(1)
        self.conv = nn.Conv2d(1, 4, 3, stride=2, padding=1)

    def forward(self, x):
        return [x, self.conv(self.norm(x))]


def test_a_module_of_ones_own_is_tried_and_left_as_it_was():
    mine = Mine().train()
    mine.conv.eval()
    before = {key: value.clone() for key, value in mine.state_dict().items()}
    assert resolve_encoder(mine, depth=1) is mine
    assert mine.training
    assert not mine.conv.training
    assert all(torch.equal(value, before[key]) for key, value in mine.state_dict().items())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"out_channels": None}, "out_channels is missing"),
        ({"out_channels": "14"}, "out_channels is '14', wanted a list of at least two"),
        ({"output_stride": 2.0}, r"output_stride is 2\.0, wanted a whole number"),
        ({"output_stride": 4}, r"is 4, but 1 level\(s\) below the image end at stride 2"),
        ({"output_stride": 1}, r"output_stride 1 promise \[\(1, 1, 64, 64\), \(1, 4, 64, 64\)"),
        ({"out_channels": (1, 5)}, r"shapes \[\(1, 1, 64, 64\), \(1, 4, 32, 32\)\]"),
        ({"forward": lambda self, x: self.conv(x)}, "returned Tensor from forward"),
        ({"forward": lambda self, x: self.missing}, "failed on a blank image.*AttributeError"),
    ],
)
def test_a_module_that_breaks_the_contract(changes, message):
    broken = type("Broken", (Mine,), changes)
    with pytest.raises(ContractError, match=message) as caught:
        resolve_encoder(broken(), depth=1)
    assert "An encoder looks like this" in str(caught.value)


def test_what_was_passed_contradicts_what_was_asked():
    with pytest.raises(ChannelMismatchError, match=r"is for images of 1 channel.*in_channels=3"):
        resolve_encoder(Mine(), in_channels=3, depth=1)
    with pytest.raises(ContractError, match="has 1 levels below the image, but depth=5"):
        resolve_encoder(Mine())
    with pytest.raises(ContractError, match=r"'output_stride' go with the name.*found Mine"):
        resolve_encoder(Mine(), depth=1, output_stride=8)
    with pytest.raises(ContractError, match="found <object"):
        resolve_encoder(object())


def test_a_registered_builder_that_lies():
    register_encoder("tests/two-levels", override=True)(lambda in_channels, depth: Mine())
    register_encoder("tests/none", override=True)(lambda in_channels, depth: None)
    with pytest.raises(ContractError, match="has 1 levels below the image, but depth=4"):
        create_encoder("tests/two-levels", depth=4)
    with pytest.raises(ContractError, match=r"returned is no encoder.*found None"):
        create_encoder("tests/none")
    with pytest.raises(ContractError, match=r"does not take these arguments.*'colour'"):
        create_encoder("tests/none", colour=1)
