"""SHA-256 of a state, so that a file can be told from every other one."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor

__all__ = ["state_sha256"]


def state_sha256(state: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of a state dict, whatever the order of its keys.

    For each key in sorted order the digest takes the name, the dtype, the shape and the bytes (in
    row-major order, as on a little-endian machine), so that two states are equal in all of these
    exactly when their digests are.

    .. versionadded:: 0.1

    Args:
        state: Names and tensors of any dtype, shape and device.

    Returns:
        64 hexadecimal digits.

    Example:
        >>> a, b = torch.zeros(2), torch.ones(3, dtype=torch.bfloat16)
        >>> state_sha256({"a": a, "b": b}) == state_sha256({"b": b, "a": a})
        True
        >>> state_sha256({"a": a}) == state_sha256({"a": a.reshape(2, 1)})
        False
    """
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        header = f"{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0"
        digest.update(header.encode())
        if tensor.numel():
            digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
