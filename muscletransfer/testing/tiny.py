"""An encoder that runs in milliseconds, for tests of tasks."""

from __future__ import annotations

from torch import Tensor, nn

from muscletransfer.encoders import EncoderSpec, register_encoder

__all__ = ["TINY_ENCODER", "TinyEncoder"]

#: Name of the encoder that contract checks use unless told otherwise.
#:
#: .. versionadded:: 0.1
TINY_ENCODER = "muscletransfer-testing/tiny"


@register_encoder(TINY_ENCODER)
class TinyEncoder(nn.Module):
    """A convolution of stride 2 with batch norm a level.

    Args:
        in_channels: Channels of the images.
        depth: Number of halvings.
        width: Channels of the first level; each further one has twice as many.

    Example:
        >>> TinyEncoder(1, 3).out_channels
        [1, 4, 8, 16]
    """

    def __init__(self, in_channels: int = 1, depth: int = 5, width: int = 4) -> None:
        super().__init__()
        self.output_stride = 2**depth
        self.out_channels = [in_channels, *(width * 2**level for level in range(depth))]
        self.spec = EncoderSpec(TINY_ENCODER, in_channels, depth, {"width": width})
        self.stages = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(),
            )
            for before, after in zip(self.out_channels, self.out_channels[1:], strict=False)
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map (B, C, H, W) to the pyramid."""
        features = [x]
        for stage in self.stages:
            features.append(stage(features[-1]))
        return features
