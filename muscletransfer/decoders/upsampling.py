"""A convolution after nearest upsampling, done at the resolution before it.

A 3 x 3 convolution of an image that was doubled by repeating pixels sees each pixel up to four
times. Doubling is a transposed convolution with a 2 x 2 kernel of ones, and two convolutions in a
row are one: so the two together are a transposed convolution of stride 2 whose 4 x 4 kernel is the
3 x 3 kernel correlated with those ones. It does 16 products where the pair does 36, and neither the
doubled map nor its concatenation with the skip connection is ever written.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoderBlock
from torch import Tensor, nn

from muscletransfer.decoders.upsampling_product import product_pays, upsample_as_product
from muscletransfer.encoders.small_maps import SmallMapConv2d

__all__ = ["UpsamplingBlock", "upsample_and_convolve", "use_fast_upsampling"]

# Below this many pixels in the batch the larger kernel costs more than the products it saves
# (forward and backward at batch 8 in bf16: 4 x 4 pixels lose two thirds, 8 x 8 win a seventh).
_FEWEST_PIXELS = 512


def _correlation_with_ones() -> Tensor:
    """Matrix (16, 9) from a 3 x 3 kernel to the 4 x 4 kernel of the transposed convolution."""
    # A transposed convolution applies its kernel reversed.
    unit = F.pad(torch.eye(9).reshape(9, 3, 3).flip(-1, -2), (1, 1, 1, 1))
    rows = unit[:, :-1] + unit[:, 1:]
    return (rows[..., :-1] + rows[..., 1:]).reshape(9, 16).T.contiguous()


_TO_4X4 = _correlation_with_ones()


def upsample_and_convolve(
    x: Tensor, skip: Tensor | None, weight: Tensor, bias: Tensor | None = None
) -> Tensor:
    """Double ``x`` by repeating pixels, append ``skip``, convolve 3 x 3 with a border of zeros.

    .. versionadded:: 0.1

    Args:
        x: Map (B, C, H, W).
        skip: Map (B, S, 2H, 2W), or ``None`` for S = 0.
        weight: Kernel (K, C + S, 3, 3).
        bias: (K,), or ``None``.

    Returns:
        Map (B, K, 2H, 2W), equal to the plain computation up to rounding.

    Example:
        >>> x, weight = torch.rand(1, 2, 4, 4), torch.rand(3, 2, 3, 3)
        >>> plain = F.conv2d(F.interpolate(x, scale_factor=2), weight, padding=1)
        >>> torch.allclose(upsample_and_convolve(x, None, weight), plain, atol=1e-5)
        True
    """
    channels = x.shape[1]
    # One small product of matrices a channel, on memory in the order it lies in: (K, 9, C).
    taps = weight.permute(0, 2, 3, 1).reshape(weight.shape[0], 9, -1)[..., :channels]
    kernel = torch.matmul(_TO_4X4.to(weight.dtype), taps).view(-1, 4, 4, channels)
    kernel = kernel.permute(3, 0, 1, 2).contiguous()
    out = F.conv_transpose2d(x, kernel, bias, stride=2, padding=1)
    if skip is None or not skip.shape[1]:  # an encoder may lack a level
        return out
    return out + F.conv2d(skip, weight[:, channels:], padding=1)


class UpsamplingBlock(UnetDecoderBlock):  # type: ignore[misc]
    """smp's U-Net block that convolves before it upsamples, where that is faster.

    Parameters, state and results are those of the block it stands for; see
    :func:`use_fast_upsampling`.

    Example:
        >>> block = UpsamplingBlock(8, 4, 4)
        >>> block(torch.rand(1, 8, 16, 16), 32, 32, torch.rand(1, 4, 32, 32)).shape
        torch.Size([1, 4, 32, 32])
    """

    def forward(
        self,
        feature_map: Tensor,
        target_height: int,
        target_width: int,
        skip_connection: Tensor | None = None,
    ) -> Tensor:
        """Turn (B, C, H, W) and the skip connection into (B, K, 2H, 2W)."""
        target = (target_height, target_width)
        if not self._pays(feature_map, skip_connection, target):
            out: Tensor = super().forward(feature_map, *target, skip_connection)
            return out
        conv = self.conv1[0]
        if skip_connection is not None and self._multiplies(feature_map, skip_connection):
            x, skip = feature_map.bfloat16(), skip_connection.bfloat16()
            out = upsample_as_product(x, skip, conv.weight)
        else:
            out = upsample_and_convolve(feature_map, skip_connection, conv.weight, conv.bias)
        for layer in list(self.conv1)[1:]:
            out = layer(out)
        out = self.attention2(self.conv2(out))
        return out

    def _multiplies(self, x: Tensor, skip: Tensor | None) -> bool:
        return product_pays(x, skip, self.conv1[0].weight, self.conv1[0].bias)

    def _pays(self, x: Tensor, skip: Tensor | None, target: tuple[int, int]) -> bool:
        batch, _, height, width = x.shape
        conv = self.conv1[0]
        return (
            x.device.type == "cpu"
            and target == (2 * height, 2 * width)
            and (batch * height * width >= _FEWEST_PIXELS or self._multiplies(x, skip))
            and self.interpolation_mode == "nearest"
            # Attention looks at the doubled map; a hook or an adapter at what the convolution gets.
            and isinstance(self.attention1.attention, nn.Identity)
            and type(conv) in (nn.Conv2d, SmallMapConv2d)
            and not (conv._forward_hooks or conv._forward_pre_hooks)
        )


def use_fast_upsampling(decoder: nn.Module, enabled: bool = True) -> nn.Module:
    """Let the U-Net blocks of a decoder convolve before they upsample, or let them be smp's again.

    It is on for the decoder ``"unet"`` and works on the CPU; a GPU keeps smp's way.

    .. versionadded:: 0.1

    Args:
        decoder: Any module; blocks of segmentation-models-pytorch's U-Net in it are changed in
            place. Their parameters stay.
        enabled: ``False`` goes back.

    Returns:
        The module.

    Example:
        >>> from muscletransfer.decoders import build_segmentation_model
        >>> model = use_fast_upsampling(build_segmentation_model("timm/resnet18"), False)
        >>> {type(block).__name__ for block in model.decoder.body.blocks}
        {'UnetDecoderBlock'}
    """
    old, new = (UnetDecoderBlock, UpsamplingBlock)[:: 1 if enabled else -1]
    for module in decoder.modules():
        if type(module) is old:
            module.__class__ = new
    return decoder
