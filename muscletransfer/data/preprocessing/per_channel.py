"""Mean and standard deviation of channels as tensors, which a device keeps."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

__all__ = ["per_channel"]


def per_channel(value: float | tuple[float, ...], like: Tensor) -> Tensor:
    """Return a number, or one a channel, as a tensor to compute with.

    An accelerator is sent each of them once: sending waits until it has done all it was asked for.

    Args:
        value: One for all channels, or one a channel.
        like: Gives type and device.

    Returns:
        (1, 1, 1) or (C, 1, 1); not to be changed in place.

    Example:
        >>> per_channel((0.5, 0.4, 0.3), torch.ones(2, 3, 4, 4)).shape
        torch.Size([3, 1, 1])
    """
    values = tuple(value) if isinstance(value, tuple | list) else (value,)
    make = _make if like.device.type == "cpu" or torch.compiler.is_compiling() else _kept
    return make(values, like.dtype, like.device)


def _make(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    with torch.inference_mode(False):  # made in a validation, it may be needed in training
        return torch.tensor(values, dtype=dtype, device=device).view(-1, 1, 1)


_kept = lru_cache(maxsize=64)(_make)
