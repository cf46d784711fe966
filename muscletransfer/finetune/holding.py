"""Look at a module as a checkpoint will have it, where that is not what it holds now."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

from torch import Tensor, nn

__all__ = ["holding"]


@contextlib.contextmanager
def holding(module: nn.Module, state: Mapping[str, Tensor], prefix: str) -> Iterator[None]:
    """Let a module hold another state inside, such as averaged weights; afterwards its own again.

    Args:
        module: The module.
        state: Names and tensors of a whole task. Where it has not all of the module's, or those
            that the module holds, or the module's are split over processes, nothing is done.
        prefix: What stands before the module's names in it.

    Example:
        >>> import torch
        >>> layer = nn.Linear(1, 1, bias=False)
        >>> with holding(layer, {"layer.weight": torch.ones(1, 1)}, "layer."):
        ...     layer.weight.item()
        1.0
    """
    own = module.state_dict()
    other = {key: state[prefix + key] for key in own if prefix + key in state}
    same = all(other[key].data_ptr() == own[key].data_ptr() for key in other)
    split = any(type(value) is not Tensor for value in own.values())
    if same or split or len(other) < len(own):
        yield
        return
    kept = {key: value.clone() for key, value in own.items()}
    module.load_state_dict(other)
    try:
        yield
    finally:
        module.load_state_dict(kept)
