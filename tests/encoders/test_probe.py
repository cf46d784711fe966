"""What a run without numbers says of an encoder holds for images."""

import pytest
import torch
from torch import nn

from muscletransfer.encoders.probe import probe
from muscletransfer.errors import ContractError


class Bands(nn.Module):
    """One convolution after a halving, as in the attention of SegFormer."""

    output_stride = 2

    def __init__(self, **settings):
        super().__init__()
        self.out_channels = [1, 4]
        self.halve = nn.AvgPool2d(2)
        self.layer = nn.Conv2d(1, 4, **settings)

    def forward(self, x):
        return [x, self.layer(self.halve(x))]


@pytest.mark.parametrize(
    ("settings", "least"),
    [
        ({"kernel_size": 8}, 16),
        ({"kernel_size": 8, "padding": 2}, 8),
        ({"kernel_size": 3, "dilation": 3}, 14),
        ({"kernel_size": (1, 5), "padding": "same"}, 2),
    ],
)
def test_a_size_counts_only_if_every_kernel_fits(settings, least):
    encoder = Bands(**settings)
    image = torch.zeros(1, 1, least, least)
    encoder(image)
    assert probe(encoder, [(least, least)]).features[0].device.type == "meta"
    if least > 2:
        with pytest.raises(RuntimeError, match="Kernel size can't be greater"):
            encoder(image[..., 2:, 2:])
        with pytest.raises(ContractError, match="could not run"):
            probe(encoder, [(least - 2, least - 2)])
        assert probe(encoder, [(least - 2, least), (least, least)]).size == (least, least)


def test_a_transposed_kernel_may_be_larger_than_its_image():
    encoder = Bands(kernel_size=1)
    encoder.layer = nn.ConvTranspose2d(1, 4, 7)
    assert probe(encoder, [(4, 4)]).features[1].shape == (2, 4, 8, 8)
