"""The decoders of segmentation-models-pytorch, each on any encoder of the contract."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from segmentation_models_pytorch.base.initialization import initialize_decoder
from torch import Tensor, nn

from muscletransfer.decoders.upsampling import use_fast_upsampling
from muscletransfer.encoders.base import Encoder
from muscletransfer.errors import ContractError, ImageSizeError, SettingError, close_matches

__all__ = ["SmpDecoder", "SmpRecipe"]

_WIDTHS = (256, 128, 64, 32, 16)


class SmpDecoder(nn.Module):
    """A decoder of segmentation-models-pytorch; its parameters are under ``body.``.

    Args:
        body: The decoder of segmentation-models-pytorch.
        out_channels: Channels D of its feature map.
        stride: Stride of that map in pixels of the image.
        recipe: Where it came from.
        feature_stride: Stride of the encoder's last feature, for messages.

    Example:
        >>> from muscletransfer.encoders import create_encoder
        >>> decoder = UNET(create_encoder("timm/resnet18"), decoder_channels=(64, 32, 16, 8, 4))
        >>> decoder.out_channels, decoder.stride
        (4, 1)
    """

    def __init__(
        self,
        body: nn.Module,
        out_channels: int,
        stride: int,
        recipe: SmpRecipe,
        feature_stride: int,
    ) -> None:
        super().__init__()
        self.body = body
        self.out_channels = out_channels
        self.stride = stride
        self.head_kernel_size = recipe.head_kernel_size
        self._name = recipe.name
        self._smallest = recipe.smallest
        self._pools = recipe.pools
        self._feature_stride = feature_stride

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Turn the pyramid into a map (B, D, H/stride, W/stride).

        Raises:
            ImageSizeError: When the image is too small for this decoder.
            SettingError: When a decoder that pools to one pixel trains on a single image.
        """
        batch, _, height, width = features[-1].shape
        if min(height, width) < self._smallest:
            least = self._smallest * self._feature_stride
            found = tuple(features[0].shape[2:])
            raise ImageSizeError(
                f"The decoder {self._name!r} on this encoder wants images of at least {least} x "
                f"{least} pixels, found {found[0]} x {found[1]}. Resize or pad the images, use an "
                f"encoder with a smaller output_stride or depth, or another decoder."
            )
        if self._pools and self.training and batch < 2:
            raise SettingError(
                f"The decoder {self._name!r} pools each image to one pixel and normalises over "
                f"the batch, so it trains on at least 2 images at once, found {batch}. Use a "
                f"batch size of 2 or more and drop_last=True, or another decoder."
            )
        decoded: Tensor = self.body(list(features))
        return decoded


@dataclass(frozen=True)
class SmpRecipe:
    """How to build one decoder of segmentation-models-pytorch on an encoder; a builder.

    Attributes:
        name: The decoder's name.
        cls: Import string of its class.
        arguments: From the encoder to the arguments that the class must have.
        defaults: From the encoder to arguments that the user may change.
        out_channels: From the decoder and its arguments to the channels of its map.
        stride: From the encoder to the stride of the decoder's map.
        encoder_kwargs: Arguments that an encoder for this decoder is built with.
        head_kernel_size: Kernel of the convolution after it.
        initialize: Whether segmentation-models-pytorch initialises it in its own way.
        undilated: Whether each level must be half of the one before.
        smallest: Least height and width of the last feature.
        pools: Whether it normalises a map of one pixel over the batch.
        strides: Output strides of the encoder that it takes; empty for any.

    Example:
        >>> UNET.name, DEEPLABV3PLUS.encoder_kwargs
        ('unet', {'output_stride': 16})
    """

    name: str
    cls: str
    arguments: Callable[[Encoder], dict[str, Any]]
    out_channels: Callable[[Any, Mapping[str, Any]], int]
    stride: Callable[[Encoder], int]
    defaults: Callable[[Encoder], dict[str, Any]] = lambda encoder: {}
    encoder_kwargs: Mapping[str, int] = field(default_factory=dict)
    head_kernel_size: int = 3
    initialize: bool = True
    undilated: bool = False
    smallest: int = 1
    pools: bool = False
    strides: tuple[int, ...] = ()

    def __call__(self, encoder: Encoder, **kwargs: Any) -> SmpDecoder:
        """Build the decoder for an encoder.

        Args:
            encoder: The encoder, depth 3 to 5.
            **kwargs: Arguments of the class of segmentation-models-pytorch.

        Returns:
            The decoder, randomly initialised.

        Raises:
            ContractError: When the encoder does not suit, or an argument is unknown or refused.
        """
        self._check_encoder(encoder)
        module, _, attribute = self.cls.partition(":")
        cls = getattr(importlib.import_module(module), attribute)
        given = self.arguments(encoder)
        self._check_arguments(cls, given, kwargs)
        arguments = {**given, **self.defaults(encoder), **kwargs}
        try:
            body = cls(**arguments)
        except Exception as error:
            told = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
            raise ContractError(
                f"segmentation-models-pytorch could not build the decoder {self.name!r} with "
                f"{told}: {type(error).__name__}: {error}"
            ) from error
        if self.initialize:
            initialize_decoder(body)
        return SmpDecoder(
            use_fast_upsampling(body),
            int(self.out_channels(body, arguments)),
            self.stride(encoder),
            self,
            encoder.output_stride,
        )

    def _check_encoder(self, encoder: Encoder) -> None:
        depth = len(encoder.out_channels) - 1
        if not 3 <= depth <= 5:
            raise ContractError(
                f"The decoder {self.name!r} wants an encoder of depth 3 to 5, found depth {depth}. "
                f"Build the encoder with depth=3 or more."
            )
        stride = encoder.output_stride
        if self.undilated and stride != 2**depth:
            raise ContractError(
                f"The decoder {self.name!r} wants each level of the encoder to be half of the one "
                f"before, found a dilated encoder (depth {depth}, output stride {stride} instead "
                f"of {2**depth}). Build the encoder without output_stride, or use 'unet', "
                f"'upernet', 'segformer' or 'deeplabv3plus'."
            )
        if self.strides and stride not in self.strides:
            wanted = " or ".join(map(str, self.strides))
            raise ContractError(
                f"The decoder {self.name!r} wants an encoder of output stride {wanted}, found "
                f"{stride}. Build it with create_encoder(name, output_stride={self.strides[-1]}) "
                f"(see required_encoder_kwargs({self.name!r})), or with depth=4."
            )
        if self.name == "fpn" and encoder.out_channels[-4] == 0:
            raise ContractError(
                f"The decoder 'fpn' needs the encoder's level at stride {2 ** (depth - 3)}, which "
                f"has 0 channels here. Build the encoder with depth=5, or use 'unet'."
            )

    def _check_arguments(
        self, cls: Any, given: Mapping[str, Any], kwargs: Mapping[str, Any]
    ) -> None:
        known = [n for n in inspect.signature(cls).parameters if n not in given]
        unknown = [name for name in kwargs if name not in known]
        if unknown:
            matches = list(dict.fromkeys(m for n in unknown for m in close_matches(n, known)))
            hint = f" Did you mean {' or '.join(map(repr, matches))}?" if matches else ""
            raise ContractError(
                f"The decoder {self.name!r} takes no argument {', '.join(map(repr, unknown))}."
                f"{hint} Its arguments: {', '.join(known)}."
            )


def _channels(encoder: Encoder) -> dict[str, Any]:
    return {"encoder_channels": list(encoder.out_channels)}


def _channels_depth(encoder: Encoder) -> dict[str, Any]:
    return {**_channels(encoder), "encoder_depth": len(encoder.out_channels) - 1}


def _channels_blocks(encoder: Encoder) -> dict[str, Any]:
    return {**_channels(encoder), "n_blocks": len(encoder.out_channels) - 1}


def _widths(encoder: Encoder) -> dict[str, Any]:
    # The same width at the same stride, whatever the depth.
    return {"decoder_channels": _WIDTHS[-(len(encoder.out_channels) - 1) :]}


def _argument(name: str) -> Callable[[Any, Mapping[str, Any]], int]:
    def read(body: Any, arguments: Mapping[str, Any]) -> int:
        value = arguments.get(name)
        if value is None:
            value = inspect.signature(type(body)).parameters[name].default
        return int(value[-1] if isinstance(value, Sequence) else value)

    return read


_SMP = "segmentation_models_pytorch.decoders"

UNET = SmpRecipe(
    "unet",
    f"{_SMP}.unet.decoder:UnetDecoder",
    _channels_blocks,
    _argument("decoder_channels"),
    lambda encoder: 1,
    defaults=_widths,
)
UNETPLUSPLUS = SmpRecipe(
    "unetplusplus",
    f"{_SMP}.unetplusplus.decoder:UnetPlusPlusDecoder",
    _channels_blocks,
    _argument("decoder_channels"),
    lambda encoder: 1,
    defaults=_widths,
    undilated=True,
)
MANET = SmpRecipe(
    "manet",
    f"{_SMP}.manet.decoder:MAnetDecoder",
    _channels_blocks,
    _argument("decoder_channels"),
    lambda encoder: 1,
    defaults=_widths,
    undilated=True,
)
LINKNET = SmpRecipe(
    "linknet",
    f"{_SMP}.linknet.decoder:LinknetDecoder",
    _channels_blocks,
    _argument("prefinal_channels"),
    lambda encoder: 1,
    head_kernel_size=1,
    undilated=True,
)
FPN = SmpRecipe(
    "fpn",
    f"{_SMP}.fpn.decoder:FPNDecoder",
    _channels_depth,
    lambda body, arguments: int(body.out_channels),
    lambda encoder: int(2 ** (len(encoder.out_channels) - 4)),
    head_kernel_size=1,
    undilated=True,
)
PSPNET = SmpRecipe(
    "pspnet",
    f"{_SMP}.pspnet.decoder:PSPDecoder",
    _channels,
    _argument("out_channels"),
    lambda encoder: encoder.output_stride,
    encoder_kwargs={"output_stride": 8},
)
PAN = SmpRecipe(
    "pan",
    f"{_SMP}.pan.decoder:PANDecoder",
    _channels_depth,
    _argument("decoder_channels"),
    lambda encoder: 4,
    defaults=lambda encoder: {"decoder_channels": 32},
    encoder_kwargs={"output_stride": 16},
    smallest=8,
    pools=True,
)
DEEPLABV3 = SmpRecipe(
    "deeplabv3",
    f"{_SMP}.deeplabv3.decoder:DeepLabV3Decoder",
    lambda encoder: {"in_channels": encoder.out_channels[-1]},
    _argument("out_channels"),
    lambda encoder: encoder.output_stride,
    defaults=lambda encoder: {
        "out_channels": 256,
        "atrous_rates": (12, 24, 36),
        "aspp_separable": False,
        "aspp_dropout": 0.5,
    },
    encoder_kwargs={"output_stride": 8},
    head_kernel_size=1,
    initialize=False,
    pools=True,
)
DEEPLABV3PLUS = SmpRecipe(
    "deeplabv3plus",
    f"{_SMP}.deeplabv3.decoder:DeepLabV3PlusDecoder",
    lambda encoder: {**_channels_depth(encoder), "output_stride": encoder.output_stride},
    _argument("out_channels"),
    lambda encoder: 4,
    defaults=lambda encoder: {
        "out_channels": 256,
        "atrous_rates": (12, 24, 36),
        "aspp_separable": True,
        "aspp_dropout": 0.5,
    },
    encoder_kwargs={"output_stride": 16},
    head_kernel_size=1,
    initialize=False,
    pools=True,
    strides=(8, 16),
)
UPERNET = SmpRecipe(
    "upernet",
    f"{_SMP}.upernet.decoder:UPerNetDecoder",
    _channels_depth,
    _argument("decoder_channels"),
    lambda encoder: 4,
    head_kernel_size=1,
    pools=True,
)
SEGFORMER = SmpRecipe(
    "segformer",
    f"{_SMP}.segformer.decoder:SegformerDecoder",
    _channels_depth,
    _argument("segmentation_channels"),
    lambda encoder: 4,
    head_kernel_size=1,
)
