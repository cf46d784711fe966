"""The namespace ``timm/``: every timm model, always built with ``features_only=True``.

There is one construction, because the keys of a plain and a ``features_only`` model differ (for
``convnext_atto`` they share none): pre-training, fine-tuning and the ImageNet weights all go
through :class:`TimmEncoder`.
"""

from __future__ import annotations

import math
import re
from typing import Any

import timm
from torch import Tensor, nn

from muscletransfer.encoders import timm_build
from muscletransfer.encoders.checks import check_image
from muscletransfer.encoders.pyramid import assemble, plan_pyramid
from muscletransfer.encoders.settle import settle
from muscletransfer.errors import ChannelMismatchError, ContractError, ImageSizeError, SettingError

__all__ = ["TimmEncoder", "build", "is_known", "names"]

_RGB = 3


def names() -> list[str]:
    """List the timm models, without the namespace.

    Example:
        >>> "resnet18" in names()
        True
    """
    return list(timm.list_models())


def is_known(model: str) -> bool:
    """Tell whether timm has the model; a pretrained tag (``resnet18.a1_in1k``) may follow.

    Example:
        >>> is_known("resnet18.a1_in1k"), is_known("resnet17")
        (True, False)
    """
    return bool(re.fullmatch(r"[\w.\-]+", model)) and bool(timm.is_model(model))


def build(model: str, in_channels: int, depth: int, **kwargs: Any) -> nn.Module:
    """Build a randomly initialised encoder; see :class:`TimmEncoder`.

    Raises:
        ChannelMismatchError: When the model takes images of 3 channels only.

    Example:
        >>> build("resnet18", in_channels=1, depth=5).out_channels
        [1, 64, 64, 128, 256, 512]
    """
    _check_stride(f"timm/{model}", kwargs.get("output_stride"))
    timm_build.check_arguments(model, kwargs)
    encoder = TimmEncoder(model, in_channels, depth, **kwargs)
    try:
        return settle(encoder, f"timm/{model} {in_channels} {depth} {sorted(kwargs.items())}")
    except ContractError as error:
        if in_channels == _RGB:
            raise
        try:
            build(model, _RGB, depth, **kwargs)
        except ContractError:
            raise error from None
        raise ChannelMismatchError(
            f"The encoder {encoder.name!r} takes images of {_RGB} channels only, asked for "
            f"{in_channels}. Build it with in_channels={_RGB} and repeat the image over its "
            f"channels, or use another encoder."
        ) from error


class TimmEncoder(nn.Module):
    """A timm model as an encoder; its parameters are the timm model's under ``model.``.

    Args:
        model: Name of the timm model, without the namespace; a pretrained tag may follow.
        in_channels: Number of image channels.
        depth: Number of levels below the image, from 1 to 5.
        pretrained: Whether timm loads its pretrained weights. Only weight sources pass it: an
            encoder is built at random and gets its weights by an act of their own.
        **kwargs: Arguments of the timm model, such as ``img_size`` or ``drop_path_rate``;
            ``output_stride=16`` or ``8`` dilates a convolutional model (the same parameters).
            A fixed-size model (ViT, Swin, ...) takes images of ``img_size`` only, unless it knows
            ``dynamic_img_size=True`` (ViT) or ``strict_img_size=False`` (Swin).

    Raises:
        UnknownNameError: When the model has no such pretrained tag.
        ContractError: When the model takes no such argument, or cannot be dilated.
        SettingError: When ``output_stride`` is none of 8, 16, 32.
        ImageSizeError: When a fixed-size model has a size that gives no pyramid.

    Example:
        >>> encoder = TimmEncoder("convnext_atto", in_channels=1, depth=4)
        >>> encoder.out_channels, encoder.output_stride
        ([1, 0, 40, 80, 160], 16)
    """

    def __init__(
        self,
        model: str,
        in_channels: int,
        depth: int,
        *,
        pretrained: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        self.name = f"timm/{model}"
        timm_build.check_tag(model)
        given = {key: value for key, value in kwargs.items() if value is not None}
        stride = given.pop("output_stride", 32)
        _check_stride(self.name, stride)
        # The plan is made from the undilated model: dilation keeps the stages, not their strides.
        info = timm_build.outline(model, given).feature_info.info
        # TResNet lists a stride that it has no module for.
        reductions = [
            math.inf if stage.get("module") == "" else float(stage["reduction"]) for stage in info
        ]
        try:
            self._levels = plan_pyramid(reductions, depth)
        except ValueError as error:
            raise ContractError(
                f"The timm model {model!r} gives no features at depth {depth}: its features have "
                f"strides {reductions}. Use a larger depth or another model."
            ) from error
        self._indices = sorted({level.index for level in self._levels if level.index is not None})
        self.output_stride = min(stride, 2**depth)
        self.multiple, self.least = self.output_stride, 0
        dilated = {"output_stride": stride} if self.output_stride < 2**depth else {}
        self.model = timm_build.create(
            model,
            {
                "in_chans": in_channels,
                "out_indices": tuple(self._indices),
                "pretrained": pretrained,
                **dilated,
                **given,
            },
        )
        if dilated:
            self._check_dilated(reductions)
        self._channels_last = getattr(self.model, "output_fmt", None) == "NHWC"
        channels = dict(zip(self._indices, self.model.feature_info.channels(), strict=True))
        self.out_channels = [in_channels] + [
            0 if level.index is None else int(channels[level.index]) for level in self._levels
        ]
        self.image_size = timm_build.fixed_size(self.model, given)
        if self.image_size is not None:
            self._check_fixed_size(self.image_size, given)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Turn images (B, C, H, W) into the pyramid; see :class:`~muscletransfer.Encoder`.

        Raises:
            ImageSizeError: When the height or width does not fit.
            ChannelMismatchError: When the images have another number of channels.
        """
        check_image(x, self.out_channels[0], self.multiple, self.image_size, self.name, self.least)
        features = self.model(x)
        if self._channels_last:
            features = [feature.permute(0, 3, 1, 2).contiguous() for feature in features]
        by_index = dict(zip(self._indices, features, strict=True))
        return assemble(x, by_index, self._levels, self.output_stride)

    def _check_dilated(self, reductions: list[float]) -> None:
        found = [float(stride) for stride in self.model.feature_info.reduction()]
        wanted = [min(reductions[index], float(self.output_stride)) for index in self._indices]
        if found != wanted or any(level.resample for level in self._levels):
            raise timm_build.no_dilation(self.name, self.output_stride)

    def _check_fixed_size(self, size: tuple[int, int], given: dict[str, Any]) -> None:
        if not any(n % self.output_stride for n in size):
            return
        fits = timm_build.size_that_fits(self.name, given, self.output_stride, max(size))
        larger = f"with img_size=({fits}, {fits}) or " if fits else ""
        raise ImageSizeError(
            f"The encoder {self.name!r} takes images of exactly {size[0]} x {size[1]} pixels, "
            f"which gives no pyramid down to stride {self.output_stride}. Build it "
            f"{larger}with a smaller depth."
        )


def _check_stride(name: str, stride: object) -> None:
    if stride not in (None, 8, 16, 32):
        raise SettingError(f"{name!r}: output_stride is {stride!r}; wanted 8, 16 or 32.")
