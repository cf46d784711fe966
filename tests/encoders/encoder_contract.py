"""What holds for every encoder; used on a few of each family, and on all when asked."""

import re

import torch
from torch import nn

from muscletransfer.encoders import EncoderSpec, build_encoder
from muscletransfer.errors import ContractError, ImageSizeError

# One small backbone of each family. A transformer of one image size gets a small one.
FAMILIES = [
    ("timm/resnet18", {}),
    ("timm/convnext_atto", {}),
    ("timm/test_efficientnet", {}),
    ("timm/swin_tiny_patch4_window7_224", {"img_size": 64}),
    ("timm/vit_tiny_patch16_224", {"img_size": 64}),
    ("timm/mobilenetv3_small_050", {}),
    ("timm/regnetx_002", {}),
    ("timm/hrnet_w18_small", {}),
    ("timm/densenet121", {}),
    ("timm/maxvit_rmlp_pico_rw_256", {"img_size": 64}),
    ("timm/legacy_xception", {}),  # convolutions without padding
    ("smp/resnet18", {}),
    ("smp/efficientnet-b0", {}),
    ("smp/mit_b0", {}),
    ("smp/mobileone_s0", {}),
]


def build_light(name, in_channels=1, depth=5, **kwargs):
    """Build without memory where the architecture can be."""
    spec = EncoderSpec(name, in_channels, depth, kwargs)
    try:
        with torch.device("meta"):
            return build_encoder(spec)
    except (RuntimeError, NotImplementedError, ContractError):  # reads numbers as it builds or runs
        return build_encoder(spec)


def build_at_a_size_that_fits(name, **options):
    """Build, and where the usual image size gives no pyramid do what the error says."""
    try:
        return build_light(name, **options)
    except ImageSizeError as error:
        size = re.search(r"Build it with img_size=\((\d+), (\d+)\)", str(error))
        if size is None:
            raise
        return build_light(name, **options, img_size=(int(size[1]), int(size[2])))


def sizes_of(encoder):
    """Return image sizes that an encoder must take: not square, and not a power of two."""
    if encoder.image_size is not None:
        return [encoder.image_size]
    m = encoder.multiple
    least = max(2 * m, encoder.least)
    return [(least, least + m)]


def wanted_shapes(encoder, batch, height, width):
    strides = [min(2**level, encoder.output_stride) for level in range(len(encoder.out_channels))]
    return [
        (batch, channels, height // stride, width // stride)
        for channels, stride in zip(encoder.out_channels, strides, strict=True)
    ]


def check_pyramid(encoder, in_channels=1, depth=5):
    """Assert shapes, strides and the image itself as the first feature."""
    assert isinstance(encoder, nn.Module)
    assert len(encoder.out_channels) == depth + 1
    assert encoder.out_channels[0] == in_channels
    assert all(isinstance(channels, int) for channels in encoder.out_channels)
    assert encoder.out_channels[-1] > 0
    # only stride 2 may be empty, and only where the architecture starts at stride 4
    assert all(channels > 0 for channels in encoder.out_channels[2:])
    assert encoder.output_stride == min(
        2**depth, encoder.spec.kwargs.get("output_stride", 2**depth)
    )
    device = next(encoder.parameters()).device
    for height, width in sizes_of(encoder):
        image = torch.zeros(2, in_channels, height, width, device=device)
        with torch.no_grad():
            features = encoder(image)
        assert features[0] is image
        found = [tuple(feature.shape) for feature in features]
        assert found == wanted_shapes(encoder, 2, height, width)
