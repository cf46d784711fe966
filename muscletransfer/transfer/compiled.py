"""Parts that ``torch.compile`` wrapped: found and saved as if they were not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from torch import nn

__all__ = ["keys_of", "plain_keys", "uncompiled"]

_WRAPPED = "_orig_mod"

V = TypeVar("V")
M = TypeVar("M", bound=nn.Module)


def uncompiled(module: M) -> M:
    """Return what ``torch.compile(module)`` wraps; any other module is returned as it is.

    .. versionadded:: 0.1

    Example:
        >>> import torch
        >>> layer = nn.Linear(1, 1)
        >>> uncompiled(torch.compile(layer)) is layer, uncompiled(layer) is layer
        (True, True)
    """
    inner: Any = getattr(module, _WRAPPED, module)
    return inner  # type: ignore[no-any-return]


def plain_keys(state: Mapping[str, V]) -> dict[str, V]:
    """Return a state with the names that it would have without compiling.

    So a checkpoint does not tell whether the model was compiled, and loads either way.

    .. versionadded:: 0.1

    Example:
        >>> plain_keys({"encoder._orig_mod.weight": 1})
        {'encoder.weight': 1}
    """
    return {key.replace(f"{_WRAPPED}.", ""): value for key, value in state.items()}


def keys_of(module: nn.Module, state: Mapping[str, V]) -> dict[str, V]:
    """Return a state of plain names with the names of a module, compiled or not.

    .. versionadded:: 0.1

    Example:
        >>> import torch
        >>> compiled = torch.compile(nn.Linear(1, 1))
        >>> sorted(keys_of(compiled, {"weight": 1, "bias": 2, "other": 3}))
        ['_orig_mod.bias', '_orig_mod.weight', 'other']
    """
    own = {key.replace(f"{_WRAPPED}.", ""): key for key in module.state_dict()}
    return {own.get(key, key): value for key, value in plain_keys(state).items()}
