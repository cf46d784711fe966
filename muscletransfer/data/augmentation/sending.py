"""The few numbers that are drawn a sample, sent from where they are drawn to the images."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["send"]


def send(tensors: Sequence[Tensor], device: torch.device) -> list[Tensor]:
    """Move small tensors to a device in one go, without waiting for it.

    A GPU takes longer to be told to multiply eight numbers than a CPU needs to do it, and a plain
    copy waits until all that was asked for before is done.

    Args:
        tensors: Of one type and device.
        device: Where they are wanted.

    Returns:
        The tensors themselves where they are there already, else copies.

    Example:
        >>> send([torch.ones(2), torch.zeros(1, 3)], torch.device("cpu"))[1].shape
        torch.Size([1, 3])
    """
    if not tensors or tensors[0].device == device:
        return list(tensors)
    packed = torch.cat([tensor.flatten() for tensor in tensors])
    if device.type == "cuda" and torch.cuda.is_available():
        packed = packed.pin_memory()
    there = packed.to(device, non_blocking=True)
    parts = torch.split(there, [tensor.numel() for tensor in tensors])
    return [part.view(tensor.shape) for part, tensor in zip(parts, tensors, strict=True)]
