"""The parameter groups of all pretext tasks."""

from __future__ import annotations

from typing import Any

from torch import nn

__all__ = ["decay_groups"]


def decay_groups(module: nn.Module, lr: float, weight_decay: float) -> list[dict[str, Any]]:
    """Split the parameters of a module for an optimiser: norm parameters and biases do not decay.

    Frozen parameters are left out; so is a group without any.

    Args:
        module: Its parameters that require a gradient are optimised.
        lr: Base learning rate.
        weight_decay: Decoupled decay of matrices and kernels.

    Returns:
        Groups with ``params``, ``lr`` and ``weight_decay``.

    Example:
        >>> [len(group["params"]) for group in decay_groups(nn.Linear(2, 2), 1e-3, 0.01)]
        [1, 1]
    """
    trained = [p for p in module.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "lr": lr, "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "lr": lr, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]
