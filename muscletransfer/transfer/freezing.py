"""Freeze a module for good: no gradients, no norm statistics, no dropout."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Self

from torch import nn

__all__ = ["freeze", "frozen_parts", "is_frozen", "unfreeze", "unfreeze_others"]


class _StaysInEval:
    """Stands in for the ``train`` method of one frozen module.

    An object in the instance's ``__dict__`` rather than a subclass or a hook: ``state_dict`` keys
    and the module's class stay what they were, and the module can be pickled and deep-copied.
    """

    def __init__(self, module: nn.Module, trained: list[str]) -> None:
        self.module = module
        self.trained = trained
        self.requested = module.training

    def __call__(self, mode: bool = True) -> nn.Module:
        """Remember the mode that was asked for and stay in eval."""
        self.requested = mode
        self.module.training = False
        for child in self.module.children():  # a child may have been unfrozen on its own
            child.train(mode)
        return self.module

    @classmethod
    def of(cls, module: nn.Module) -> Self | None:
        """Return the stand-in of a frozen module, ``None`` for others."""
        found = module.__dict__.get("train")
        return found if isinstance(found, cls) else None


def freeze(module: nn.Module) -> None:
    """Stop a module from changing: gradients, norm statistics, dropout and stochastic depth.

    ``requires_grad=False`` alone lets batch norm go on counting its running mean and variance, and
    one ``model.train()`` undoes ``eval()``. After this call the module stays in eval mode through
    ``.train()`` on itself or on its parent, through ``.to()``, ``copy.deepcopy`` and pickling; its
    ``state_dict`` keys do not change. Freezing twice does no harm.

    .. versionadded:: 0.1

    Args:
        module: Any module, usually an encoder.

    Example:
        >>> import torch
        >>> model = nn.Sequential(nn.BatchNorm2d(3), nn.Dropout())
        >>> freeze(model)
        >>> _ = model.train()(torch.randn(4, 3, 8, 8))
        >>> model[0].running_mean.tolist(), is_frozen(model)
        ([0.0, 0.0, 0.0], True)
    """
    for part in module.modules():
        if _StaysInEval.of(part) is not None:
            continue
        trained = [n for n, p in part.named_parameters(recurse=False) if p.requires_grad]
        part.__dict__["train"] = _StaysInEval(part, trained)
        part.training = False
    module.requires_grad_(False)


def unfreeze(module: nn.Module) -> None:
    """Undo `freeze` on a module or on one part of a frozen module.

    Parameters that had a gradient before get it back, those that had none do not. The module takes
    the mode (train or eval) that was last asked for while it was frozen.

    .. versionadded:: 0.1

    Args:
        module: A module, frozen or not.

    Example:
        >>> layer = nn.Linear(2, 2)
        >>> freeze(layer)
        >>> unfreeze(layer)
        >>> layer.weight.requires_grad, layer.training, is_frozen(layer)
        (True, True, False)
    """
    unfreeze_others(module, {})


def is_frozen(module: nn.Module) -> bool:
    """Return whether `freeze` holds for the module and all its parts.

    .. versionadded:: 0.1

    Example:
        >>> module = nn.Linear(1, 1)
        >>> freeze(module)
        >>> is_frozen(module), module.weight.requires_grad
        (True, False)
    """
    return all(_StaysInEval.of(part) is not None for part in module.modules())


def frozen_parts(module: nn.Module) -> dict[str, list[str]]:
    """Name the parts that `freeze` holds now, each with its parameters that learn nevertheless.

    Example:
        >>> net = nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1))
        >>> freeze(net[0])
        >>> frozen_parts(net)
        {'0': []}
    """
    return {
        _plain(name): [n for n, p in part.named_parameters(recurse=False) if p.requires_grad]
        for name, part in module.named_modules()
        if _StaysInEval.of(part) is not None
    }


def unfreeze_others(module: nn.Module, kept: Mapping[str, Collection[str]]) -> None:
    """Undo `freeze` on all parts but those that `frozen_parts` named before.

    Args:
        module: A module, frozen or not.
        kept: Names of parts that stay frozen, each with its parameters that learn nevertheless.

    Example:
        >>> net = nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1))
        >>> freeze(net[0])
        >>> kept = frozen_parts(net)
        >>> freeze(net)
        >>> unfreeze_others(net, kept)
        >>> is_frozen(net[0]), is_frozen(net[1])
        (True, False)
    """
    for name, part in module.named_modules():
        keeper, learns = _StaysInEval.of(part), kept.get(_plain(name))
        if learns is None and keeper is not None:
            del part.__dict__["train"]
            part.training = keeper.requested
            learns = keeper.trained
        for parameter in learns or ():
            part.get_parameter(parameter).requires_grad_(True)


def _plain(name: str) -> str:
    """Return the name of a part as it is without compiling; a wrapper has that of its content."""
    return ".".join(word for word in name.split(".") if word != "_orig_mod")
