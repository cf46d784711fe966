"""Encoder, decoder and head as one segmentation model."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, cast

from torch import Tensor, nn

from muscletransfer.decoders.head import SegmentationHead
from muscletransfer.decoders.registry import create_decoder, required_encoder_kwargs
from muscletransfer.encoders import Encoder, EncoderSpec, resolve_encoder
from muscletransfer.encoders.checks import check_image
from muscletransfer.errors import ContractError

__all__ = ["SegmentationModel", "build_segmentation_model"]


class SegmentationModel(nn.Module):
    """An encoder, a decoder on it and a head; the state's keys begin with these three words.

    .. versionadded:: 0.1

    Args:
        encoder: An encoder (see :class:`~muscletransfer.Encoder`).
        decoder: A decoder built for it.
        head: From the decoder's map (B, D, H/stride, W/stride) to logits (B, K, H, W).

    Raises:
        ContractError: When one of them is no module.

    Example:
        >>> import torch
        >>> model = build_segmentation_model("timm/resnet18", "unet", num_classes=3)
        >>> tuple(model(torch.zeros(1, 1, 64, 96)).shape)
        (1, 3, 64, 96)
    """

    encoder: nn.Module
    decoder: nn.Module
    head: nn.Module

    def __init__(self, encoder: nn.Module, decoder: nn.Module, head: nn.Module) -> None:
        super().__init__()
        for name, part in (("encoder", encoder), ("decoder", decoder), ("head", head)):
            if not isinstance(part, nn.Module):
                raise ContractError(
                    f"the {name} of a SegmentationModel is {part!r}; wanted a module. To build one "
                    "from names and a number of classes: build_segmentation_model('timm/resnet18', "
                    "'unet', num_classes=1)."
                )
        self.encoder = encoder
        self.decoder = decoder
        self.head = head

    def forward(self, x: Tensor) -> Tensor:
        """Turn images (B, C, H, W) into logits (B, K, H, W).

        Raises:
            ImageSizeError: When the encoder or decoder cannot take the height or width.
            ChannelMismatchError: When the images have another number of channels.
        """
        encoder = cast(Any, self.encoder)
        spec = getattr(encoder, "spec", None)
        check_image(
            x,
            encoder.out_channels[0],
            encoder.output_stride,
            getattr(encoder, "image_size", None),
            type(encoder).__name__ if spec is None else spec.name,
        )
        logits: Tensor = self.head(self.decoder(self.encoder(x)))
        return logits


def build_segmentation_model(
    encoder: str | EncoderSpec | nn.Module,
    decoder: str = "unet",
    num_classes: int = 1,
    in_channels: int = 1,
    depth: int = 5,
    decoder_kwargs: Mapping[str, Any] | None = None,
    encoder_kwargs: Mapping[str, Any] | None = None,
) -> SegmentationModel:
    """Build a segmentation model, randomly initialised.

    An encoder given by name or specification also gets what the decoder asks for
    (:func:`~muscletransfer.decoders.required_encoder_kwargs`, such as ``output_stride=16``),
    unless it is set already.

    .. versionadded:: 0.1

    Args:
        encoder: Name, specification or module of the encoder.
        decoder: Name of the decoder.
        num_classes: Number of logits K a pixel; 1 for one class against background.
        in_channels: Number of image channels.
        depth: Number of levels of the encoder below the image, 3 to 5.
        decoder_kwargs: Further arguments of the decoder.
        encoder_kwargs: Further arguments of an encoder given by name.

    Returns:
        The model.

    Raises:
        UnknownNameError, PluginError, ContractError, SettingError, ImageSizeError: As
            :func:`~muscletransfer.encoders.resolve_encoder` and
            :func:`~muscletransfer.decoders.create_decoder`.

    Example:
        >>> model = build_segmentation_model("timm/resnet18", "deeplabv3plus")
        >>> model.encoder.output_stride
        16
    """
    wanted = required_encoder_kwargs(decoder)
    given = dict(encoder_kwargs or {})
    if isinstance(encoder, str):
        built = resolve_encoder(encoder, in_channels, depth, **{**wanted, **given})
    elif isinstance(encoder, EncoderSpec):
        spec = dataclasses.replace(encoder, kwargs={**wanted, **encoder.kwargs})
        built = resolve_encoder(spec, in_channels, depth, **given)
    else:
        built = resolve_encoder(encoder, in_channels, depth, **given)
    body = create_decoder(decoder, cast(Encoder, built), **(decoder_kwargs or {}))
    head = SegmentationHead(
        body.out_channels,
        num_classes,
        upsampling=body.stride,
        kernel_size=getattr(body, "head_kernel_size", 3),
    )
    return SegmentationModel(built, cast(nn.Module, body), head)
