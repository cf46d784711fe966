"""An encoder: strided convolutions, small enough to train on a laptop."""

from __future__ import annotations

from torch import Tensor, nn


class TinyEncoder(nn.Module):
    """One strided convolution, batch norm and ReLU a level.

    Args:
        in_channels: Number of image channels.
        depth: Number of levels below the image.
        width: Channels of the first level; each further level has twice as many.
    """

    def __init__(self, in_channels: int, depth: int, width: int) -> None:
        super().__init__()
        # What muscletransfer asks of an encoder: these two numbers, and the pyramid of forward.
        self.out_channels = [in_channels, *(width * 2**level for level in range(depth))]
        self.output_stride = 2**depth
        self.stages = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(inplace=True),
            )
            for before, after in zip(self.out_channels, self.out_channels[1:], strict=False)
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """Turn images (B, C, H, W) into ``depth + 1`` features at strides 1, 2, 4, ..."""
        features = [x]
        for stage in self.stages:
            features.append(stage(features[-1]))
        return features


def build_tiny(in_channels: int = 1, depth: int = 5, width: int = 8) -> nn.Module:
    """Build the encoder, randomly initialised; the entry point names this function."""
    return TinyEncoder(in_channels, depth, width)
