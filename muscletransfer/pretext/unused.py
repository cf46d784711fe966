"""Parameters that no loss reaches: harmless on one process, fatal on several."""

from __future__ import annotations

from lightning.pytorch import LightningModule
from lightning.pytorch.strategies import DDPStrategy
from torch import nn

from muscletransfer.errors import ContractError
from muscletransfer.registry import owner_of

__all__ = ["check_every_parameter_learns", "unused_error", "unused_parameters"]


def unused_parameters(module: nn.Module) -> list[str]:
    """Return the names of trainable parameters without a gradient, after a backward pass.

    Example:
        >>> import torch
        >>> layers = nn.ModuleDict({"used": nn.Linear(1, 1), "left": nn.Linear(1, 1)})
        >>> layers["used"](torch.ones(1, 1)).sum().backward()
        >>> unused_parameters(layers)
        ['left.weight', 'left.bias']
    """
    return [n for n, p in module.named_parameters() if p.requires_grad and p.grad is None]


def unused_error(module: nn.Module, names: list[str]) -> ContractError:
    """Build the error that names the parameters and the ways out.

    Args:
        module: The task.
        names: Names of its parameters that got no gradient.
    """
    listed = ", ".join(f"self.{name}" for name in names[:6]) + (", ..." if len(names) > 6 else "")
    return ContractError(
        f"{type(module).__name__} (of {owner_of(type(module))}) has {len(names)} trainable "
        f"parameters that the loss does not reach: {listed}. Training on several processes waits "
        "for the gradient of each and would stop. Use them in forward, remove them, or switch "
        "them off with requires_grad_(False) in __init__; where they are used in some steps only, "
        'train with Trainer(strategy="ddp_find_unused_parameters_true").'
    )


def check_every_parameter_learns(task: LightningModule) -> None:
    """After the first backward pass on several processes: refuse parameters without a gradient.

    torch says the same one step later and without a name. A strategy that was told to look for
    unused parameters is left alone.

    Args:
        task: The task, attached to a Trainer.

    Raises:
        ContractError: When the loss does not reach a trainable parameter.
    """
    strategy = task.trainer.strategy
    if task.trainer.world_size == 1 or not isinstance(strategy, DDPStrategy):
        return
    options = strategy._ddp_kwargs
    if options.get("find_unused_parameters") or options.get("static_graph"):
        return
    names = unused_parameters(task)
    if names:
        raise unused_error(task, names)
