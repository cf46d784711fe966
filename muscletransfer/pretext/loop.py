"""The loop of a pretext task: one step for training, validation and test, with its checks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from torchmetrics import Metric

from muscletransfer.errors import ContractError, SettingError
from muscletransfer.own_optimizer import ChoosesOptimizer
from muscletransfer.pretext.checks import DeferredChecks, PretextBatch, check_images
from muscletransfer.pretext.optim import decay_groups
from muscletransfer.pretext.seeding import step_seed
from muscletransfer.pretext.unused import check_every_parameter_learns
from muscletransfer.randomness import own_stream
from muscletransfer.registry import owner_of

__all__ = ["PretextLoop", "Stage"]

Stage = Literal["train", "val", "test"]


class PretextLoop(ChoosesOptimizer):
    """Steps, logging, random draws and optimiser; the lower half of :class:`PretextTask`."""

    task_name: ClassVar[str]
    encoder: Any
    seed: int
    channels_last: bool

    def __init__(self) -> None:
        super().__init__()
        self.stage: Stage = "train"
        self._generator: torch.Generator | None = None
        self._checks = DeferredChecks()
        self._reached = False

    def make_targets(self, batch: dict[str, Any]) -> tuple[Any, Any]:
        """See :class:`PretextTask`."""
        raise NotImplementedError

    def compute_loss(self, outputs: Any, targets: Any) -> Tensor:
        """See :class:`PretextTask`."""
        raise NotImplementedError

    def add_metrics(self, outputs: Any, targets: Any) -> Mapping[str, float | Tensor | Metric]:
        """See :class:`PretextTask`."""
        raise NotImplementedError

    @property
    def generator(self) -> torch.Generator:
        """Source of random draws, on the task's device.

        Seeded anew at each step from (seed, stage, epoch, batch index, rank), so an interrupted run
        continues exactly, and validation draws the same in each epoch.
        """
        if self._generator is None or self._generator.device.type != self.device.type:
            self._generator = torch.Generator(self.device).manual_seed(self.seed)
        return self._generator

    def setup(self, stage: str) -> None:
        """Bring the kernels into the memory layout of the images."""
        if self.channels_last:
            self.to(memory_format=torch.channels_last)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Take one training step; logs ``train_loss`` (epoch mean) and ``train_loss_step``."""
        loss = self._step(batch, batch_idx, "train", self.current_epoch, 0)
        self.log("train_loss_step", loss.detach(), on_step=True, on_epoch=False, prog_bar=True)
        return loss

    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> Tensor:
        """Score one validation batch; the draws are the same in every epoch."""
        return self._step(batch, batch_idx, "val", 0, dataloader_idx)

    def test_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> Tensor:
        """Score one test batch."""
        return self._step(batch, batch_idx, "test", 0, dataloader_idx)

    def _step(self, batch: Any, index: int, stage: Stage, epoch: int, loader: int) -> Tensor:
        self._checks.settle()
        self.stage = stage
        self.generator.manual_seed(
            step_seed(self.seed, stage, epoch, index, self.global_rank, loader)
        )
        batch = PretextBatch(batch, self.task_name)
        images = check_images(batch, self.encoder.out_channels[0])
        pair: Any = self.make_targets(batch)
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            found = f"{len(pair)} values" if isinstance(pair, tuple | list) else type(pair).__name__
            raise ContractError(
                f"{type(self).__name__}.make_targets returned {found}; wanted the pair "
                "(inputs, targets)."
            )
        layers = step_seed(self.seed, "layers", stage, epoch, index, self.global_rank, loader)
        # What layers draw (dropout) comes from the step as well, or resuming would not be exact.
        with own_stream(layers, self.device):
            outputs = self(pair[0])
            loss = self.compute_loss(outputs, pair[1])
        self._check_loss(loss, images)
        with torch.no_grad():
            metrics = self.add_metrics(outputs, pair[1])
        self._log(f"{stage}_loss", loss.detach(), len(images), prog_bar=stage == "val")
        for name, value in metrics.items():
            self._log(f"{stage}_{name}", value, len(images), prog_bar=stage == "val")
        return loss

    def _log(
        self, name: str, value: float | Tensor | Metric, batch_size: int, prog_bar: bool
    ) -> None:
        sync = not isinstance(value, Metric)  # a Metric gathers its own states
        self.log(
            name,
            value,
            on_step=False,
            on_epoch=True,
            sync_dist=sync,
            batch_size=batch_size,
            prog_bar=prog_bar,
        )

    def _check_loss(self, loss: Tensor, images: Tensor) -> None:
        who = type(self).__name__
        if not isinstance(loss, Tensor) or loss.ndim != 0:
            found = (
                f"shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else type(loss).__name__
            )
            raise ContractError(
                f"{who}.compute_loss returned {found}; wanted a scalar tensor, such as loss.mean()."
            )
        if self.stage == "train" and not loss.requires_grad:
            raise ContractError(
                f"The loss of {who} depends on no trainable parameter: compute_loss must use the "
                "outputs of forward, without detach() or argmax(), and not all may be frozen."
            )
        where = f"{self.stage} step {self.global_step} (epoch {self.current_epoch})"
        checked = loss.detach()

        def error() -> ContractError | SettingError:
            broken = not bool(images.isfinite().all())
            advice = (
                "The images themselves hold NaN or infinite values: mend the data."
                if broken
                else f"Try a smaller lr (now {self.lr:g}), a longer warm-up (now "
                f"{self.warmup_steps} steps), Trainer(gradient_clip_val=1.0), or another precision "
                "(bf16-mixed or 32-true rather than 16-mixed)."
            )
            if not broken and self.global_step == 0:
                advice += (
                    " Before any update it is rather compute_loss itself: a division by 0, "
                    "the logarithm of 0 or a mean over nothing."
                )
            return SettingError(
                f"The loss of {who} is {checked.item()} at {where}. {advice} compute_loss is that "
                f"of {owner_of(type(self))}."
            )

        self._checks.add(~checked.isfinite(), error)

    def on_after_backward(self) -> None:
        """After the first step: make sure that there was something for the encoder to learn."""
        if self._reached:
            return
        self._reached = True
        trained = [p for p in self.encoder.parameters() if p.requires_grad]
        if trained and all(p.grad is None for p in trained):
            raise ContractError(
                f"The loss of {type(self).__name__} does not reach the encoder: no parameter of it "
                "got a gradient. forward must use self.encoder, without torch.no_grad(). The task "
                f"is that of {owner_of(type(self))}."
            )
        check_every_parameter_learns(self)

    def on_train_epoch_end(self) -> None:
        """Look at the checks of the last step, before a checkpoint is written."""
        self._checks.settle()

    def on_validation_epoch_end(self) -> None:
        """Look at the checks of the last validation batch."""
        self._checks.settle()

    def on_test_epoch_end(self) -> None:
        """Look at the checks of the last test batch."""
        self._checks.settle()

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return the parameters that are trained in two groups: norms and biases do not decay."""
        return decay_groups(self, self.lr, self.weight_decay)

    def __getstate__(self) -> dict[str, Any]:
        # a generator is rebuilt at the next step and need not be copied or pickled
        return {**super().__getstate__(), "_generator": None}
