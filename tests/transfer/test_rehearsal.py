"""A run whose weights could not be moved fails before it trains."""

import warnings

import pytest
import torch
from torch import nn

from muscletransfer.decoders import build_segmentation_model
from muscletransfer.encoders import EncoderSpec, create_encoder
from muscletransfer.errors import ContractError, TransferError
from muscletransfer.transfer import NotTransferableWarning, rehearse


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("timm/resnet18", {"output_stride": 16}),
        ("timm/test_vit", {"img_size": 64}),
        ("smp/mit_b0", {}),
        ("smp/mobileone_s0", {}),
    ],
)
def test_what_can_be_rebuilt_passes(name, options):
    torch.manual_seed(0)
    encoder = create_encoder(name, 1, **options)
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    torch.manual_seed(1)
    expected = torch.rand(2)
    torch.manual_seed(1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rehearse(encoder)
    assert torch.equal(torch.rand(2), expected)
    assert all(torch.equal(v, before[k]) for k, v in encoder.state_dict().items())


def test_with_its_decoder():
    model = build_segmentation_model("timm/resnet18", "unet")
    rehearse(model.encoder, model.decoder)
    model.decoder.extra = nn.Linear(1, 1)
    with pytest.raises(TransferError, match=r"decoder 'unet'[\s\S]*extra\.weight"):
        rehearse(model.encoder, model.decoder)


def test_a_changed_encoder_fails_and_says_where():
    encoder = create_encoder("timm/resnet18", 1)
    encoder.model.conv1 = nn.Conv2d(1, 64, 5, stride=2, padding=2)
    encoder.model.added = nn.Linear(2, 2)
    del encoder.model.layer4[1].conv2
    with pytest.raises(TransferError) as caught:
        rehearse(encoder)
    message = str(caught.value)
    assert "model.added.weight" in message
    assert "model.layer4.1.conv2.weight" in message
    assert "model.conv1.weight ((64, 1, 5, 5)" in message
    assert "@register_encoder" in message


class Mine(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, stride=2, padding=1)
        self.out_channels, self.output_stride = [1, 4], 2

    def forward(self, x):
        return [x, self.conv(x)]


def test_a_module_of_ones_own_warns_how_to_proceed():
    encoder = Mine()
    with pytest.warns(NotTransferableWarning, match=r"@register_encoder\(name\)"):
        rehearse(encoder)
    encoder.spec = EncoderSpec("mine/not-registered", depth=1)
    with pytest.warns(NotTransferableWarning, match="mine/not-registered"):
        rehearse(encoder)


def test_a_decoder_without_a_spec():
    with pytest.raises(ContractError, match="create_decoder"):
        rehearse(create_encoder("timm/resnet18"), nn.Conv2d(1, 1, 1))
