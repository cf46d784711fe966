"""Random draws that belong to one step or one run and leave the global state alone."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator

import numpy as np
import torch

__all__ = ["own_stream", "own_streams"]


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
            # Not torch.manual_seed, which would also reach every accelerator, for good.
            torch.default_generator.manual_seed(seed)
            yield
    else:
        with torch.random.fork_rng(devices=[device], device_type=device.type):
            torch.default_generator.manual_seed(seed)
            _seed(device, seed)
            yield


@contextlib.contextmanager
def own_streams(seed: int, device: torch.device | None = None) -> Iterator[None]:
    """As `own_stream`, with the global generators of Python and NumPy too: for a user's code.

    Args:
        seed: Of the streams, from 0 to 2**63 - 1.
        device: The accelerator whose generator is used besides the CPU's.

    Example:
        >>> with own_streams(1):
        ...     first = random.random(), np.random.rand()
        >>> with own_streams(1):
        ...     (random.random(), np.random.rand()) == first
        True
    """
    python, numpy = random.getstate(), np.random.get_state()
    random.seed(seed)
    np.random.seed(seed % 2**32)
    try:
        with own_stream(seed, device):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)


def _seed(device: torch.device, seed: int) -> None:
    """Seed the generator of one device, whose others belong to other work."""
    module = torch.get_device_module(device)
    generators = getattr(module, "default_generators", ())
    if len(generators):
        index = module.current_device() if device.index is None else device.index
        generators[index].manual_seed(seed)
    else:  # of which there is only one
        module.manual_seed(seed)
