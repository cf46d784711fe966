"""From a decoder's feature map to logits at the image's size."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from muscletransfer.encoders.base import check_count

__all__ = ["SegmentationHead"]


class SegmentationHead(nn.Module):
    """A convolution to one logit a class, then bilinear up-sampling.

    The up-sampling does not align corners, so that a pixel's place does not depend on the size
    of the image (as torchvision; segmentation-models-pytorch aligns them).

    .. versionadded:: 0.1

    Args:
        in_channels: Channels D of the decoder's feature map.
        num_classes: Number of logits K a pixel.
        upsampling: Factor from the feature map to the image: the decoder's ``stride``.
        kernel_size: Side of the convolution's kernel, odd.

    Raises:
        SettingError: When a number is out of range.

    Example:
        >>> import torch
        >>> head = SegmentationHead(in_channels=8, num_classes=3, upsampling=4)
        >>> tuple(head(torch.zeros(2, 8, 16, 16)).shape)
        (2, 3, 64, 64)
    """

    def __init__(
        self, in_channels: int, num_classes: int, upsampling: int = 1, kernel_size: int = 3
    ) -> None:
        super().__init__()
        check_count("in_channels of the head", in_channels, 1, None)
        self.num_classes = check_count("num_classes", num_classes, 1, None)
        self.upsampling = check_count("upsampling", upsampling, 1, None)
        self.conv = nn.Conv2d(in_channels, num_classes, kernel_size, padding=kernel_size // 2)
        nn.init.xavier_uniform_(self.conv.weight)
        assert self.conv.bias is not None
        nn.init.zeros_(self.conv.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Turn a map (B, D, h, w) into logits (B, K, h * upsampling, w * upsampling)."""
        x = self.conv(x)
        if self.upsampling == 1:
            return x
        return F.interpolate(
            x, scale_factor=float(self.upsampling), mode="bilinear", align_corners=False
        )
