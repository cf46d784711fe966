"""Random numbers that belong to one run and leave the global state alone."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from muscletransfer.data.datamodules.samplers import step_seed
from muscletransfer.randomness import own_stream

__all__ = ["seeded"]


@contextlib.contextmanager
def seeded(*keys: int, device: torch.device | None = None) -> Iterator[None]:
    """Draw from a stream of its own inside; the global random state is as before afterwards.

    Args:
        keys: Whole numbers from 0 that name the stream: a seed, an epoch, a step, a rank.
        device: The accelerator whose generator is used besides the CPU's.

    Example:
        >>> with seeded(0, 1):
        ...     first = torch.rand(1)
        >>> with seeded(0, 1):
        ...     bool(torch.rand(1) == first)
        True
    """
    with own_stream(_seed(*keys), device):
        yield


@torch.compiler.disable  # type: ignore[untyped-decorator]
def _seed(*keys: int) -> int:
    """Mix the keys outside of what ``torch.compile`` traces, which knows no shifts of NumPy."""
    return step_seed(*keys)
