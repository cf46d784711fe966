"""Random draws that belong to one step or one run and leave the global state alone."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

__all__ = ["own_stream"]


@contextlib.contextmanager
def own_stream(seed: int, device: torch.device | None = None) -> Iterator[None]:
    """Draw from a stream of its own inside; the global random state is as before afterwards.

    The stream stands in for the global generator, which all threads of a process share: a seed
    holds where no other thread draws meanwhile, so train in processes and not in threads.

    Args:
        seed: Of the stream, from 0 to 2**63 - 1.
        device: The accelerator whose generator is used besides the CPU's.

    Example:
        >>> with own_stream(1):
        ...     first = torch.rand(1)
        >>> with own_stream(1):
        ...     bool(torch.rand(1) == first)
        True
    """
    if device is None or device.type == "cpu":
        with torch.random.fork_rng(devices=[], device_type="cuda"):
            # Not torch.manual_seed, which would also reach every accelerator.
            torch.default_generator.manual_seed(seed)
            yield
    else:
        with torch.random.fork_rng(devices=[device], device_type=device.type):
            torch.manual_seed(seed)
            yield
