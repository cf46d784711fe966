"""The decoder of the fully convolutional network: one convolution on the last feature."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from muscletransfer.encoders.base import Encoder, check_count
from muscletransfer.errors import SettingError

__all__ = ["FCNDecoder", "build_fcn"]


class FCNDecoder(nn.Module):
    """Convolution, normalisation, ReLU and dropout on the encoder's last feature.

    The body of the FCN head of torchvision's ``fcn_resnet50`` (after Long et al. 2015, arXiv
    1411.4038), meant for a dilated encoder of output stride 8.

    Args:
        in_channels: Channels of the encoder's last feature.
        stride: Stride of that feature.
        channels: Channels of the result; a quarter of ``in_channels`` by default.
        dropout: Share of values set to 0 while training, in [0, 1).

    Raises:
        SettingError: When a number is out of range.

    Example:
        >>> import torch
        >>> decoder = FCNDecoder(512, stride=8)
        >>> tuple(decoder([torch.zeros(1, 512, 8, 8)]).shape)
        (1, 128, 8, 8)
    """

    head_kernel_size = 1

    def __init__(
        self, in_channels: int, stride: int, channels: int | None = None, dropout: float = 0.1
    ) -> None:
        super().__init__()
        if not 0 <= dropout < 1:
            raise SettingError(f"dropout is {dropout!r}; wanted a number in [0, 1).")
        width = max(1, in_channels // 4) if channels is None else channels
        self.out_channels = check_count("channels of the decoder 'fcn'", width, 1, None)
        self.stride = stride
        self.body = nn.Sequential(
            nn.Conv2d(in_channels, width, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
        )

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Turn the pyramid into a map (B, D, H/stride, W/stride)."""
        decoded: Tensor = self.body(features[-1])
        return decoded


def build_fcn(encoder: Encoder, *, channels: int | None = None, dropout: float = 0.1) -> FCNDecoder:
    """Build an :class:`FCNDecoder` for an encoder.

    Example:
        >>> from muscletransfer.encoders import create_encoder
        >>> build_fcn(create_encoder("timm/resnet18", output_stride=8)).stride
        8
    """
    return FCNDecoder(encoder.out_channels[-1], encoder.output_stride, channels, dropout)


build_fcn.encoder_kwargs = {"output_stride": 8}  # type: ignore[attr-defined]
