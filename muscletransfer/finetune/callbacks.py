"""Callbacks of fine-tuning: the best checkpoint, frozen phases, frozen norm statistics."""

from __future__ import annotations

import math
import os
import shutil
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_warn
from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.optim import Optimizer

from muscletransfer.errors import ContractError, SettingError
from muscletransfer.transfer import freeze, is_frozen
from muscletransfer.transfer.freezing import frozen_parts, unfreeze_others

__all__ = ["BestAndLast", "FreezeNormStats", "UnfreezeEncoder", "default_callbacks"]


class BestAndLast(ModelCheckpoint):
    """Keeps the checkpoint with the best validation Dice, and ``last.ckpt`` to resume from.

    ``ModelCheckpoint(save_last=True)`` writes the last one only when the best one changes too, and
    two ``ModelCheckpoint`` make Lightning warn about ``ckpt_path="best"``; so this is one callback
    that writes both. Without validation only the last one is kept. It follows validation, and a run
    that trains on after its last one writes it once more at the end.

    .. versionadded:: 0.1

    Args:
        dirpath: Folder; by default where the Trainer puts checkpoints.

    Example:
        >>> BestAndLast().monitor
        'val_dice'
    """

    def __init__(self, dirpath: str | Path | None = None) -> None:
        super().__init__(
            dirpath,
            filename="best-{epoch}-{val_dice:.4f}",
            monitor="val_dice",
            mode="max",
            save_top_k=1,
        )
        self._saved_at: int | None = None
        self._last_at: int | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Forget what an earlier fit has saved: at the same step, it was of other weights."""
        super().setup(trainer, pl_module, stage)
        self._saved_at = self._last_at = None

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Know the best so far, in a run that goes on in another folder too.

        Lightning forgets its score then (a command makes a new folder for each start), and would
        call the first one after the interruption the best.
        """
        best = str(state_dict.get("best_model_path", ""))
        if best and Path(best).is_file():
            state_dict = {**state_dict, "dirpath": self.dirpath}
        super().load_state_dict(state_dict)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the best; and the last, unless it follows at the end of the epoch."""
        super().on_validation_end(trainer, pl_module)
        within = trainer.check_val_every_n_epoch is None or not trainer.is_last_batch
        if within and not trainer.sanity_checking:
            self._keep_last(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the best, and the last after each validation, or each epoch where there is none."""
        counts = trainer.num_val_batches
        total = sum(map(float, counts)) if isinstance(counts, list) else counts
        validates = trainer.enable_validation and total > 0
        if validates:
            super().on_train_epoch_end(trainer, pl_module)
        every = trainer.check_val_every_n_epoch
        due = not validates if every is None else (trainer.current_epoch + 1) % every == 0
        if due or not trainer.enable_validation:
            self._keep_last(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the last where steps followed the one that was kept."""
        super().on_train_end(trainer, pl_module)
        if self._last_at != trainer.global_step:
            self._keep_last(trainer)

    def _keep_last(self, trainer: Trainer) -> None:
        if trainer.state.fn != TrainerFn.FITTING or getattr(trainer, "fast_dev_run", False):
            return
        last, best = Path(str(self.dirpath)) / "last.ckpt", Path(self.best_model_path)
        self.last_model_path, self._last_at = str(last), trainer.global_step
        just_saved = self._saved_at == trainer.global_step and trainer.world_size == 1
        if just_saved and best.is_file() and last.parent == best.parent:
            # The same state: a copy takes a quarter of the time. No hard link, since a file that is
            # written through one name would change under the other.
            unfinished = last.with_name("last.ckpt.part")
            try:
                shutil.copyfile(best, unfinished)
                os.replace(unfinished, last)
            finally:  # of a full disk it would take more
                unfinished.unlink(missing_ok=True)
        else:
            trainer.save_checkpoint(last, self.save_weights_only)

    def _save_checkpoint(self, trainer: Trainer, filepath: str) -> None:
        # The state that is saved names the last checkpoint too, as if that were written first.
        self.last_model_path = str(Path(str(self.dirpath)) / "last.ckpt")
        super()._save_checkpoint(trainer, filepath)
        self._saved_at = trainer.global_step


def default_callbacks() -> list[Callback]:
    """Return the callbacks that a fine-tuning run should have.

    .. versionadded:: 0.1

    Returns:
        A new `BestAndLast`: the checkpoint with the best validation Dice, and ``last.ckpt``.

    Example:
        >>> [type(callback).__name__ for callback in default_callbacks()]
        ['BestAndLast']
    """
    return [BestAndLast()]


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

    Parts that were frozen before it froze the whole encoder stay frozen after that. Decided by the
    epoch number alone, so a resumed run does what an uninterrupted one does. The optimiser holds
    the encoder's parameters from the start; without a gradient AdamW leaves them (and its own
    moments) alone. With several processes the gradients are computed and dropped instead:
    DistributedDataParallel counts the parameters once, at the start, and would never average
    gradients of parameters that join later.

    .. versionadded:: 0.1

    Args:
        epoch: The first epoch, counted from 0, in which the encoder is trained.

    Raises:
        SettingError: ``epoch`` is below 1.

    Example:
        >>> UnfreezeEncoder(epoch=5).epoch
        5
    """

    def __init__(self, epoch: int) -> None:
        if not isinstance(epoch, int) or epoch < 1:
            raise SettingError(
                f"the encoder is to be unfrozen at epoch {epoch!r}; wanted 1 or more (epochs count "
                "from 0). To train it from the start use freeze='none'."
            )
        self.epoch = epoch
        self._frozen: list[nn.Parameter] = []
        self._kept: dict[str, list[str]] = {}

    def note(self, encoder: nn.Module) -> None:
        """Note which parts are frozen already; they stay so for good.

        Args:
            encoder: The encoder. One that is frozen as a whole says nothing: it is what this
                callback does to it, or is to undo.
        """
        if not is_frozen(encoder):
            self._kept = frozen_parts(encoder)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Freeze before the strategy wraps the model."""
        if stage == "fit":
            encoder = encoder_of(pl_module)
            self.note(encoder)
            self._hold(trainer, encoder)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Do what the epoch asks for; a run resumed within an epoch has no epoch start."""
        length = self._too_short(trainer)
        if length is not None:
            rank_zero_warn(
                f"the encoder stays frozen: it is to be trained from epoch {self.epoch}, and the "
                f"run has {length}."
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

    def _too_short(self, trainer: Trainer) -> str | None:
        """Say how long a run is that ends before the epoch."""
        if trainer.max_epochs is not None and 0 < trainer.max_epochs <= self.epoch:
            return f"max_epochs={trainer.max_epochs}"
        batches = trainer.num_training_batches
        if not math.isfinite(batches):
            return None
        steps = math.ceil(batches / trainer.accumulate_grad_batches)
        if 0 < trainer.max_steps <= self.epoch * steps:
            return f"max_steps={trainer.max_steps}, with {steps} an epoch"
        return None

    def _follow(self, trainer: Trainer, pl_module: LightningModule) -> None:
        encoder = encoder_of(pl_module)
        if trainer.current_epoch < self.epoch:
            self._hold(trainer, encoder)
        else:
            unfreeze_others(encoder, self._kept)
            self._frozen = []

    def _hold(self, trainer: Trainer, encoder: nn.Module) -> None:
        # Thawed first, so that parameters somebody froze for good are not thawed later. Again at
        # the start of training, as converting to synchronised batch norm makes new modules.
        unfreeze_others(encoder, self._kept)
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

    .. versionadded:: 0.1

    Example:
        >>> callback = FreezeNormStats()
    """

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Freeze the statistics before training."""
        if stage == "fit":
            self._hold(encoder_of(pl_module))

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Freeze again: an encoder that was unfrozen, by whichever callback, has its norms so too.

        And converting to synchronised batch norm makes new modules.
        """
        self._hold(encoder_of(pl_module))

    @staticmethod
    def _hold(encoder: nn.Module) -> None:
        for module in encoder.modules():
            if isinstance(module, _NormBase) and not is_frozen(module):
                trained = [p for p in module.parameters() if p.requires_grad]
                freeze(module)
                for parameter in trained:
                    parameter.requires_grad_(True)
