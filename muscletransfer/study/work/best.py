"""Rule ``best``: keep the weights with the best validation Dice in memory."""

from __future__ import annotations

import math

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

__all__ = ["KeepBest"]


class KeepBest(Callback):
    """Keeps a copy of the best weights; of equal ones the first.

    A checkpoint on disk at each better validation would cost more than the validation.

    Attributes:
        step: Optimisation step of the best weights; -1 before the first validation.
        value: Their validation Dice.
    """

    def __init__(self) -> None:
        self.step = -1
        self.value = -math.inf
        self._state: dict[str, torch.Tensor] = {}

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look whether these weights are better."""
        value = float(trainer.callback_metrics["val_dice"])
        if value > self.value:
            self.step, self.value = trainer.global_step, value
            self._state = {k: v.detach().clone() for k, v in pl_module.state_dict().items()}

    def restore(self, module: LightningModule) -> None:
        """Put the best weights back."""
        module.load_state_dict(self._state)
