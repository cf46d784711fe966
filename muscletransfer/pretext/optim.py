"""The optimiser of all pretext tasks."""

from __future__ import annotations

from torch import nn
from torch.optim import AdamW

__all__ = ["adamw"]


def adamw(module: nn.Module, lr: float, weight_decay: float) -> AdamW:
    """Build AdamW over a module; norm parameters and biases do not decay.

    Loshchilov & Hutter, ICLR 2019 (arXiv 1711.05101). Frozen parameters are left out. The fused
    kernel is used where the parameters' device has one.

    Args:
        module: Its parameters that require a gradient are optimised.
        lr: Base learning rate.
        weight_decay: Decoupled decay of matrices and kernels.

    Returns:
        The optimiser, with two parameter groups.

    Example:
        >>> [len(g["params"]) for g in adamw(nn.Linear(2, 2), 1e-3, 0.01).param_groups]
        [1, 1]
    """
    trained = [p for p in module.parameters() if p.requires_grad]
    fused = bool(trained) and all(
        p.device.type in ("cpu", "cuda") and p.is_floating_point() for p in trained
    )
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return AdamW(groups, lr=lr, fused=fused)
