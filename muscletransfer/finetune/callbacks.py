"""Callbacks of fine-tuning: the best checkpoint, frozen phases, frozen norm statistics."""

from __future__ import annotations

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities import rank_zero_warn
from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.optim import Optimizer

from muscletransfer.errors import ContractError, SettingError
from muscletransfer.transfer import freeze, is_frozen, unfreeze

__all__ = ["FreezeNormStats", "UnfreezeEncoder", "default_callbacks"]


def default_callbacks() -> list[Callback]:
    """Return the callbacks that a fine-tuning run should have.

    The checkpoint with the best validation Dice is kept, and the last one to resume from.

    Returns:
        A new list with one ``ModelCheckpoint``.

    Example:
        >>> default_callbacks()[0].monitor
        'val_dice'
    """
    return [
        ModelCheckpoint(
            monitor="val_dice",
            mode="max",
            save_top_k=1,
            save_last=True,
            filename="best-{epoch}-{val_dice:.4f}",
        )
    ]


def encoder_of(module: LightningModule) -> nn.Module:
    """Return the encoder of a task of this library.

    Args:
        module: A task with ``model.encoder`` (fine-tuning) or ``encoder`` (pretext tasks).

    Raises:
        ContractError: The task has neither.
    """
    for name in ("model.encoder", "encoder"):
        try:
            return module.get_submodule(name)
        except AttributeError:
            continue
    raise ContractError(
        f"{type(module).__name__} has no encoder at 'model.encoder' or 'encoder'; this callback is "
        "for tasks of muscletransfer."
    )


class UnfreezeEncoder(Callback):
    """Keeps the encoder as it is until an epoch, norm statistics included, then trains it.

    Decided by the epoch number alone, so a resumed run does what an uninterrupted one does. The
    optimiser holds the encoder's parameters from the start; without a gradient AdamW leaves them
    (and its own moments) alone. With several processes the gradients are computed and dropped
    instead: DistributedDataParallel counts the parameters once, at the start, and would never
    average gradients of parameters that join later.

    Args:
        epoch: The first epoch, counted from 0, in which the encoder is trained.

    Raises:
        SettingError: ``epoch`` is below 1.

    Example:
        >>> UnfreezeEncoder(epoch=5).epoch
        5
    """

    def __init__(self, epoch: int) -> None:
        if epoch < 1:
            raise SettingError(
                f"the encoder is to be unfrozen at epoch {epoch}; wanted 1 or more (epochs count "
                "from 0). To train it from the start use freeze='none'."
            )
        self.epoch = epoch
        self._frozen: list[nn.Parameter] = []

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Freeze before the strategy wraps the model."""
        if stage == "fit":
            self._hold(trainer, encoder_of(pl_module))

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Do what the epoch asks for; a run resumed within an epoch has no epoch start."""
        if trainer.max_epochs is not None and 0 < trainer.max_epochs <= self.epoch:
            rank_zero_warn(
                f"the encoder stays frozen: it is to be trained from epoch {self.epoch}, and the "
                f"run has max_epochs={trainer.max_epochs}."
            )
        self._follow(trainer, pl_module)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Do what the epoch asks for."""
        self._follow(trainer, pl_module)

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer
    ) -> None:
        """Drop gradients of the frozen encoder, where several processes had to compute them."""
        for parameter in self._frozen:
            parameter.grad = None

    def _follow(self, trainer: Trainer, pl_module: LightningModule) -> None:
        encoder = encoder_of(pl_module)
        if trainer.current_epoch < self.epoch:
            self._hold(trainer, encoder)
        else:
            unfreeze(encoder)
            self._frozen = []

    def _hold(self, trainer: Trainer, encoder: nn.Module) -> None:
        # Thawed first, so that parameters somebody froze for good are not thawed later. Again at
        # the start of training, as converting to synchronised batch norm makes new modules.
        unfreeze(encoder)
        trained = [p for p in encoder.parameters() if p.requires_grad]
        freeze(encoder)
        if trainer.world_size > 1:
            self._frozen = trained
            for parameter in trained:
                parameter.requires_grad_(True)


class FreezeNormStats(Callback):
    """Keeps the running mean and variance of the encoder's batch norms as they came.

    With batches of a few slices the running statistics are noisy; those of the source task can be
    the better ones. Weights and biases of the norms are still trained.

    Example:
        >>> callback = FreezeNormStats()
    """

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Freeze the statistics before training."""
        if stage == "fit":
            self._hold(encoder_of(pl_module))

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Freeze again: converting to synchronised batch norm makes new modules."""
        self._hold(encoder_of(pl_module))

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Freeze again: an encoder that was unfrozen has its norms unfrozen too."""
        self._hold(encoder_of(pl_module))

    @staticmethod
    def _hold(encoder: nn.Module) -> None:
        for module in encoder.modules():
            if isinstance(module, _NormBase) and not is_frozen(module):
                trained = [p for p in module.parameters() if p.requires_grad]
                freeze(module)
                for parameter in trained:
                    parameter.requires_grad_(True)
