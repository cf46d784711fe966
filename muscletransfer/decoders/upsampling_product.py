"""The upsampling convolution of many channels and few pixels as products of matrices, in bf16.

The algebra is that of :mod:`muscletransfer.decoders.upsampling`. Each of the four pixels that one
pixel is doubled to sees 2 x 2 pixels of the small map, so the four are four products of patches and
kernels; oneDNN's transposed convolution of such maps takes a fifth longer, and by autograd the
kernels would be written several times.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.overrides import has_torch_function

from muscletransfer.encoders.small_maps import computes_in_bf16

__all__ = ["product_pays", "upsample_as_product"]

# Measured on two cores (AVX512-BF16, 512 channels in, 256 out), against the faster of the other
# ways: 8 x 4 x 4 pixels gain a twentieth forward and backward and lose a quarter forward alone,
# 16 x 4 x 4 gain little, 4 x 8 x 8 a third, 8 x 8 x 8 a fifth, 16 x 8 x 8 a tenth, more nothing.
_FEWEST_CHANNELS, _MOST_PIXELS = 256, 1024
_FEWEST_PIXELS, _FEWEST_PIXELS_FORWARD = 128, 256
# Rows and columns (3, 2, 1, 0 of the 4 x 4 kernel) that each pixel of a doubled one sees.
_ROWS = ((3, 1), (2, 0))
_SEEN = torch.tensor([4 * r + c for rs in _ROWS for cs in _ROWS for r in rs for c in cs])


def product_pays(x: Tensor, skip: Tensor | None, weight: Tensor, bias: Tensor | None) -> bool:
    """Whether :func:`upsample_as_product` can be used, and is the faster way."""
    fewest = _FEWEST_PIXELS if torch.is_grad_enabled() else _FEWEST_PIXELS_FORWARD
    return (
        skip is not None
        and skip.shape[1] > 0
        and bias is None
        and x.device.type == "cpu"
        and x.shape[1] >= _FEWEST_CHANNELS
        and fewest <= x.shape[0] * x.shape[2] * x.shape[3] <= _MOST_PIXELS
        and computes_in_bf16(x, weight)
        and not torch.compiler.is_compiling()
        and torch._C._get_tracing_state() is None
        and not has_torch_function((x, skip, weight))
    )


def upsample_as_product(x: Tensor, skip: Tensor, weight: Tensor) -> Tensor:
    """Double ``x`` by repeating pixels, append ``skip``, convolve 3 x 3 with a border of zeros.

    Args:
        x: Map (B, C, H, W).
        skip: Map (B, S, 2H, 2W).
        weight: Kernel (K, C + S, 3, 3); its gradient is of its own type.

    Returns:
        Map (B, K, 2H, 2W) of the type of ``x``, up to rounding what the plain way gives; it can be
        derived once.

    Example:
        >>> x, skip, weight = torch.rand(1, 2, 4, 4), torch.rand(1, 1, 8, 8), torch.rand(3, 3, 3, 3)
        >>> doubled = F.interpolate(x, scale_factor=2)
        >>> plain = F.conv2d(torch.cat([doubled, skip], 1), weight, padding=1)
        >>> torch.allclose(upsample_as_product(x, skip, weight), plain, atol=1e-5)
        True
    """
    out: Tensor = _UpsampleAndConvolve.apply(x, skip, weight)
    return out


class _UpsampleAndConvolve(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, skip: Tensor, weight: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        kernel = _widened(weight.permute(2, 3, 0, 1)[..., :channels]).to(x.dtype)
        beside = weight[:, channels:].to(x.dtype)
        padded = F.pad(x.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1))
        image, row, column, channel = padded.stride()
        patches = padded.as_strided(
            (2, 2, batch, height, width, 2, 2, channels),
            (row, column, image, row, column, row, column, channel),
        ).reshape(4, -1, 4 * channels)
        seen = kernel.flatten(0, 1)[_SEEN].view(4, 4, -1, channels).transpose(1, 2).flatten(2)
        out = torch.bmm(patches, seen.transpose(1, 2)).view(2, 2, batch, height, width, -1)
        out = out.permute(2, 3, 0, 4, 1, 5).reshape(batch, 2 * height, 2 * width, -1)
        ctx.save_for_backward(x, skip, kernel, beside)
        ctx.of_weight = weight.dtype
        return out.permute(0, 3, 1, 2).add_(F.conv2d(skip, beside, padding=1))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, skip, kernel, beside = ctx.saved_tensors
        of_x, of_skip, of_weight = ctx.needs_input_grad  # a frozen encoder wants none
        to_x = to_weight = None
        batch, channels, height, width = x.shape
        padded = F.pad(gradient.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1))
        image, row, column, channel = padded.stride()
        patches = padded.as_strided(
            (batch, height, width, 4, 4, len(beside)),
            (image, 2 * row, 2 * column, row, column, channel),
        ).reshape(-1, 16 * len(beside))
        if of_x:
            to_x = (patches @ kernel.view(-1, channels)).view(batch, height, width, -1)
            to_x = to_x.permute(0, 3, 1, 2)
        plain = [1, 1], [1, 1], [1, 1], False, [0, 0], 1, [of_skip, of_weight, False]
        found = torch.ops.aten.convolution_backward(gradient, skip, beside, None, *plain)
        if of_weight:
            to_kernel = patches.t() @ x.permute(0, 2, 3, 1).reshape(-1, channels)
            narrowed = _narrowed(to_kernel.view_as(kernel).to(ctx.of_weight))
            shape = (len(beside), 3, 3, channels + skip.shape[1])
            whole = narrowed.new_empty(shape)
            whole[..., :channels] = narrowed.permute(2, 0, 1, 3)
            whole[..., channels:] = found[1].permute(0, 2, 3, 1)
            to_weight = whole.permute(0, 3, 1, 2)
        return to_x, found[0], to_weight


def _widened(taps: Tensor) -> Tensor:
    """From (3, 3, K, C) taps to the (4, 4, K, C) kernel of the transposed convolution."""
    for _ in range(2):  # rows, then columns, which brings rows to the front again
        wide = taps.new_empty(4, *taps.shape[1:])
        wide[0], wide[3] = taps[2], taps[0]
        torch.add(taps[1], taps[2], out=wide[1])
        torch.add(taps[0], taps[1], out=wide[2])
        taps = wide.transpose(0, 1)
    return taps.contiguous()


def _narrowed(kernel: Tensor) -> Tensor:
    """The derivative of :func:`_widened`: from (4, 4, K, C) to (3, 3, K, C)."""
    for _ in range(2):
        narrow = kernel.new_empty(3, *kernel.shape[1:])
        for tap, wide in enumerate(((3, 2), (2, 1), (1, 0))):
            torch.add(kernel[wide[0]], kernel[wide[1]], out=narrow[tap])
        kernel = narrow.transpose(0, 1)
    return kernel
