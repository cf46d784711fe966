"""3 x 3 convolutions of maps of a few pixels as one product of matrices.

The deepest stage of an encoder has most of its weights and, of small images, maps of 4 x 4 pixels
and less. oneDNN's bf16 convolutions work along rows of pixels and are two to three times slower
there than its product of the same numbers: patches of the map, side by side, times the kernels.
"""

from __future__ import annotations

from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.overrides import has_torch_function

__all__ = ["SmallMapConv2d", "computes_in_bf16", "convolve_as_product", "use_fast_small_maps"]

M = TypeVar("M", bound=nn.Module)

# Measured on two cores in use by others too (AVX512-BF16, 3 x 3, forward and backward): at 512
# channels maps of 8 x 4 x 4 gain a fifth to a half and 8 x 2 x 2 a half; 128 channels hardly gain.
_FEWEST_CHANNELS = 256
_MOST_PIXELS = 16
_MOST_IN_BATCH = 256


def convolve_as_product(x: Tensor, weight: Tensor, stride: int = 1) -> Tensor:
    """Convolve 3 x 3 with a border of zeros.

    Args:
        x: Map (B, C, H, W).
        weight: Kernel (K, C, 3, 3) of the same type.
        stride: Of the convolution, the same along rows and columns.

    Returns:
        What ``conv2d(x, weight, None, stride, 1)`` returns, up to rounding; it can be derived once.

    Example:
        >>> x, weight = torch.rand(2, 8, 4, 4), torch.rand(3, 8, 3, 3)
        >>> plain = F.conv2d(x, weight, stride=2, padding=1)
        >>> torch.allclose(convolve_as_product(x, weight, 2), plain, atol=1e-5)
        True
    """
    out: Tensor = _Product.apply(x, weight, stride)
    return out


class SmallMapConv2d(nn.Conv2d):
    """torch's convolution, which multiplies matrices where that is faster.

    Parameters, state and results are those of `torch.nn.Conv2d`; see `use_fast_small_maps`.

    Example:
        >>> SmallMapConv2d(256, 8, 3, padding=1)(torch.rand(2, 256, 4, 4)).shape
        torch.Size([2, 8, 4, 4])
    """

    def forward(self, x: Tensor) -> Tensor:
        """Turn (B, C, H, W) into (B, K, H/stride, W/stride)."""
        if not self._pays(x):
            return super().forward(x)
        stride = self.stride[0]
        out = convolve_as_product(x.bfloat16(), self.weight.bfloat16(), stride)
        return out if self.bias is None else out + self.bias.to(out.dtype).view(1, -1, 1, 1)

    def _pays(self, x: Tensor) -> bool:
        if (
            x.ndim != 4
            or x.device.type != "cpu"
            or torch.compiler.is_compiling()
            or torch._C._are_functorch_transforms_active()  # torch.func.grad and the like
            or torch._C._get_tracing_state() is not None  # torch.jit.trace, the old ONNX export
            or has_torch_function((x, self.weight))  # who changes convolutions must see them
        ):
            return False
        pixels = -(-x.shape[2] // self.stride[0]) * -(-x.shape[3] // self.stride[0])
        return (
            0 < pixels <= _MOST_PIXELS
            and pixels * len(x) <= _MOST_IN_BATCH
            and computes_in_bf16(x, self.weight)
            and self.weight.is_contiguous(memory_format=torch.channels_last)
        )


def use_fast_small_maps(module: M, enabled: bool = True) -> M:
    """Let 3 x 3 convolutions of many channels multiply matrices, or be torch's again.

    It is on for the encoders of timm and smp, and works on the CPU, in bf16, on weights that lie
    channels last. It has no second derivative: who wants one (a gradient penalty) turns it off.

    Args:
        module: Any module; convolutions in it are changed in place. Their parameters stay.
        enabled: ``False`` goes back.

    Returns:
        The module.

    Example:
        >>> convolution = use_fast_small_maps(nn.Sequential(nn.Conv2d(256, 256, 3, padding=1)))[0]
        >>> type(convolution).__name__
        'SmallMapConv2d'
    """
    for part in module.modules():
        if _can(part) if enabled else type(part) is SmallMapConv2d:
            part.__class__ = SmallMapConv2d if enabled else nn.Conv2d
    return module


def _can(part: nn.Module) -> bool:
    return (
        type(part) is nn.Conv2d
        and part.in_channels >= _FEWEST_CHANNELS
        and part.groups == 1
        and part.kernel_size == (3, 3)
        and part.stride in ((1, 1), (2, 2))
        and part.padding == (1, 1)
        and part.dilation == (1, 1)
        and part.padding_mode == "zeros"
    )


def computes_in_bf16(x: Tensor, weight: Tensor) -> bool:
    """Whether a CPU's convolution of these is one of bf16, by itself or under autocast."""
    if torch.is_autocast_enabled("cpu"):
        return torch.get_autocast_dtype("cpu") == torch.bfloat16
    return x.dtype == weight.dtype == torch.bfloat16


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int) -> Tensor:
        batch, channels, height, width = x.shape
        height, width = (height - 1) // stride + 1, (width - 1) // stride + 1
        padded = F.pad(x.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1))
        image, row, column, channel = padded.stride()
        patches = padded.as_strided(
            (batch, height, width, 3, 3, channels),
            (image, row * stride, column * stride, row, column, channel),
        ).reshape(-1, 9 * channels)
        ctx.save_for_backward(x, weight, patches)
        ctx.stride = stride
        out = patches @ weight.permute(0, 2, 3, 1).reshape(len(weight), -1).t()
        return out.view(batch, height, width, -1).permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, weight, patches = ctx.saved_tensors
        to_x = to_weight = None
        if ctx.needs_input_grad[0]:  # here oneDNN's own way is as fast, and rounds once
            settings = [ctx.stride] * 2, [1, 1], [1, 1], False, [0, 0], 1, [True, False, False]
            to_x = torch.ops.aten.convolution_backward(gradient, x, weight, None, *settings)[0]
        if ctx.needs_input_grad[1]:
            rows = gradient.permute(0, 2, 3, 1).reshape(len(patches), -1)
            to_weight = (rows.t() @ patches).view(len(weight), 3, 3, -1).permute(0, 3, 1, 2)
        return to_x, to_weight, None
