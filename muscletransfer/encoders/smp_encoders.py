"""The namespace ``smp/``: every encoder of segmentation-models-pytorch."""

from __future__ import annotations

from typing import Any

from segmentation_models_pytorch.encoders import get_encoder, get_encoder_names
from torch import Tensor, nn

from muscletransfer.encoders.checks import check_image
from muscletransfer.encoders.settle import settle
from muscletransfer.errors import ContractError, SettingError

__all__ = ["SmpEncoder", "build", "is_known", "names"]


def names() -> list[str]:
    """List the encoders of segmentation-models-pytorch, without the namespace.

    Example:
        >>> "mit_b0" in names()
        True
    """
    return list(get_encoder_names())


def is_known(model: str) -> bool:
    """Tell whether segmentation-models-pytorch has the encoder.

    Example:
        >>> is_known("mit_b0"), is_known("tu-resnet18")
        (True, False)
    """
    return model in names()


def build(model: str, in_channels: int, depth: int, **kwargs: Any) -> nn.Module:
    """Build a randomly initialised encoder; see :class:`SmpEncoder`.

    Example:
        >>> build("resnet18", in_channels=1, depth=5).out_channels
        [1, 64, 64, 128, 256, 512]
    """
    stride = kwargs.pop("output_stride", 32)
    if kwargs:
        raise ContractError(
            f"The encoder 'smp/{model}' takes no argument {', '.join(map(repr, kwargs))}; its only "
            f"argument is output_stride (8, 16 or 32). The models of 'timm/' take more."
        )
    stride = 32 if stride is None else stride
    encoder = SmpEncoder(model, in_channels, depth, stride)
    return settle(encoder, f"smp/{model} {in_channels} {depth} {stride}")


class SmpEncoder(nn.Module):
    """An encoder of segmentation-models-pytorch; its parameters are under ``model.``.

    Args:
        model: Name of the encoder, without the namespace.
        in_channels: Number of image channels.
        depth: Number of levels below the image, from 1 to 5.
        output_stride: 32, or 16 or 8 to dilate a convolutional encoder (the same parameters).

    Raises:
        ContractError: When the encoder cannot be dilated or has no such depth.
        SettingError: When ``output_stride`` is none of 8, 16, 32.

    Example:
        >>> encoder = SmpEncoder("mit_b0", in_channels=1, depth=5)
        >>> encoder.out_channels, encoder.output_stride
        ([1, 0, 32, 64, 160, 256], 32)
    """

    def __init__(self, model: str, in_channels: int, depth: int, output_stride: int = 32) -> None:
        super().__init__()
        self.name = f"smp/{model}"
        self.image_size = None
        if output_stride not in (8, 16, 32):
            raise SettingError(
                f"{self.name!r}: output_stride is {output_stride!r}; wanted 8, 16 or 32."
            )
        self.output_stride = min(output_stride, 2**depth)
        self.multiple, self.least = self.output_stride, 0
        # Dilating stages that are not there would fail for no reason.
        stride = output_stride if output_stride < 2**depth else 32
        try:
            self.model = get_encoder(
                model, in_channels=in_channels, depth=depth, weights=None, output_stride=stride
            )
        except (ValueError, NotImplementedError) as error:
            raise ContractError(
                f"segmentation-models-pytorch could not build {self.name!r} with depth={depth} and "
                f"output_stride={output_stride}: {error} Use another encoder, or depth=5 and no "
                f"output_stride with a decoder that needs no dilation ('unet', 'fpn', 'upernet')."
            ) from error
        # VGG gives its own feature at stride 1; here that level is the image for every encoder.
        self.out_channels = [in_channels, *(int(c) for c in self.model.out_channels[1:])]

    def forward(self, x: Tensor) -> list[Tensor]:
        """Turn images (B, C, H, W) into the pyramid; see :class:`~muscletransfer.Encoder`.

        Raises:
            ImageSizeError: When the height or width does not fit.
            ChannelMismatchError: When the images have another number of channels.
        """
        check_image(x, self.out_channels[0], self.multiple, None, self.name, self.least)
        return [x, *self.model(x)[1:]]
