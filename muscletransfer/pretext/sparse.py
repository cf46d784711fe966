"""Run any convolutional encoder as if it saw the visible patches of an image only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from muscletransfer.errors import SettingError

__all__ = ["SparseMaps"]

# What mixes pixels, or gives 0 another value. All else maps 0 to 0 pixel by pixel.
_MASKED = {
    "conv2d",
    "batch_norm",
    "group_norm",
    "instance_norm",
    "layer_norm",
    "max_pool2d",
    "_max_pool2d",
    "avg_pool2d",
    "interpolate",
}


class SparseMaps(TorchFunctionMode):
    """Hide patches from every layer inside the block, not from the first alone.

    A dense convolution fills hidden places from their neighbours, so after a few layers nothing is
    hidden any more and the statistics of batch norm are those of holes. Here each convolution, norm
    and pooling has its hidden places set back to 0, and batch, group and instance norm take their
    statistics from visible places only: what sparse convolutions do, for any encoder and device
    (Tian et al., "Designing BERT for convolutional networks", ICLR 2023, arXiv 2301.03580).

    Means over a whole map (squeeze and excitation) still count hidden places as 0, and attention
    sees them as 0 plus their position.

    Args:
        visible: (B, 1, H, W) bool, which pixels may be seen.

    Example:
        >>> convolve = torch.nn.Conv2d(1, 1, 3, padding=1)
        >>> visible = torch.zeros(1, 1, 4, 4, dtype=torch.bool)
        >>> visible[..., :2] = True
        >>> with SparseMaps(visible):
        ...     out = convolve(torch.ones(1, 1, 4, 4) * visible)
        >>> out[..., 2:].abs().max().item()
        0.0
    """

    def __init__(self, visible: Tensor) -> None:
        super().__init__()
        self._visible = visible
        self._at: dict[tuple[int, int], Tensor] = {}
        self._rows: dict[tuple[int, int], Tensor] = {}

    def at(self, height: int, width: int) -> Tensor:
        """Return (B, 1, height, width) bool: what is visible on a map of that size."""
        size = (height, width)
        if size not in self._at:
            found = F.interpolate(self._visible.to(torch.uint8), size=size, mode="nearest")
            self._at[size] = found.bool()
        return self._at[size]

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Mask what mixes pixels; let the rest pass."""
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if name not in _MASKED or not self._is_map(args):
            return func(*args, **kwargs)
        if name == "batch_norm":
            return self._batch_norm(func, *args, **kwargs)
        if name == "group_norm":
            return self._group_norm(*args, **kwargs)
        if name == "instance_norm":
            return self._instance_norm(func, *args, **kwargs)
        if name == "layer_norm" and not self._is_a_size(args[0].shape[1], args[0].shape[2]):
            return func(*args, **kwargs)  # of the queries of attention, (B, heads, tokens, C)
        out = func(*args, **kwargs)
        if name == "layer_norm":  # channels are last here
            return out * self.at(out.shape[1], out.shape[2]).permute(0, 2, 3, 1)
        return out * self.at(out.shape[2], out.shape[3])

    def _is_map(self, args: tuple[Any, ...]) -> bool:
        first = args[0] if args else None
        return (
            isinstance(first, Tensor)
            and first.ndim == 4
            and first.is_floating_point()
            and len(first) == len(self._visible)
        )

    def _is_a_size(self, height: int, width: int) -> bool:
        """Whether a map of the image can have that size: both sides divided by one stride."""
        whole, wide = self._visible.shape[2:]
        return whole % height == 0 and wide % width == 0 and whole // height == wide // width

    def _batch_norm(
        self, func: Callable[..., Tensor], maps: Tensor, *args: Any, **kwargs: Any
    ) -> Tensor:
        """Normalise the visible places as one long batch of single pixels."""
        batch, channels, height, width = maps.shape
        size = (height, width)
        if size not in self._rows:
            self._rows[size] = self.at(*size).flatten().nonzero().squeeze(1)
        rows = self._rows[size]
        flat = maps.permute(0, 2, 3, 1).reshape(-1, channels)
        seen = func(flat.index_select(0, rows), *args, **kwargs)
        whole = seen.new_zeros(len(flat), channels).index_copy(0, rows, seen)
        return whole.view(batch, height, width, channels).permute(0, 3, 1, 2)

    def _instance_norm(
        self,
        func: Callable[..., Tensor],
        maps: Tensor,
        running_mean: Tensor | None = None,
        running_var: Tensor | None = None,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        use_input_stats: bool = True,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> Tensor:
        """Normalise each channel of an image by its visible places."""
        if not use_input_stats:
            out = func(maps, running_mean, running_var, weight, bias, False, momentum, eps)
            return out * self.at(maps.shape[2], maps.shape[3])
        if running_mean is not None:
            raise SettingError(
                "The encoder has instance norms with running statistics, which would count hidden "
                "patches. Use masking='filled', or build it with track_running_stats=False."
            )
        return self._group_norm(maps, maps.shape[1], weight, bias, eps)

    def _group_norm(
        self,
        maps: Tensor,
        num_groups: int,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        eps: float = 1e-5,
    ) -> Tensor:
        """Normalise each group of an image by its visible places."""
        batch, channels, height, width = maps.shape
        seen = self.at(height, width)
        grouped = maps.float().view(batch, num_groups, -1, height, width)
        where = seen.unsqueeze(1)
        count = where.sum(dim=(2, 3, 4), keepdim=True) * (channels // num_groups)
        centred = grouped - (grouped * where).sum(dim=(2, 3, 4), keepdim=True) / count
        variance = (centred.square() * where).sum(dim=(2, 3, 4), keepdim=True) / count
        out = (centred * (variance + eps).rsqrt()).view(maps.shape).to(maps.dtype)
        if weight is not None:
            out = out * weight.view(1, -1, 1, 1)
        if bias is not None:
            out = out + bias.view(1, -1, 1, 1)
        return out * seen
