"""The loop of a pretext task: one step for training, validation and test, with its checks."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal, cast

import torch
from torch import Tensor
from torchmetrics import Metric

from muscletransfer.errors import ContractError, DataError, SettingError
from muscletransfer.own_optimizer import ChoosesOptimizer
from muscletransfer.pretext.checks import DeferredChecks, PretextBatch, check_images
from muscletransfer.pretext.optim import decay_groups
from muscletransfer.pretext.repeats import first_rows, leaves_metrics_alone, rows_that_count
from muscletransfer.pretext.seeding import step_seed
from muscletransfer.pretext.unused import check_every_parameter_learns
from muscletransfer.randomness import own_stream
from muscletransfer.registry import owner_of

__all__ = ["PretextLoop", "Stage"]

Stage = Literal["train", "val", "test"]


@contextlib.contextmanager
def _readable(task: PretextLoop, images: Tensor) -> Iterator[None]:
    """Say of a batch norm with a single value, which torch tells in other words, what helps."""
    try:
        yield
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        shape = " x ".join(map(str, images.shape[-2:]))
        raise DataError(
            f"The task {task.task_name!r} got {len(images)} image(s) of {shape} pixels, and a norm "
            "of it has one value in all to take its statistics from. Use a batch_size of at least "
            "2, and drop_last=True in a loader of your own."
        ) from error


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
        count = len(images)
        if stage != "train":
            count = rows_that_count(self._trainer, loader, index, len(images))
            if 0 < count < len(images):
                batch = PretextBatch(first_rows(batch, count, len(images)), self.task_name)
                images = batch["image"]
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
            with _readable(self, images):
                outputs = self(pair[0])
            loss = self.compute_loss(outputs, pair[1])
        self._check_loss(loss, images)
        # Of repeats alone the steps are taken (others may wait in them), and nothing is counted.
        with torch.no_grad(), contextlib.nullcontext() if count else leaves_metrics_alone(self):
            metrics = self.add_metrics(outputs, pair[1])
        weight = self._images_that_count(count, pair[1]) if count else 0.0
        self._log(f"{stage}_loss", loss.detach(), weight, prog_bar=stage == "val")
        for name, value in metrics.items():
            weight = self._images_behind(name, count, pair[1]) if count else 0.0
            self._log(f"{stage}_{name}", value, weight, prog_bar=stage == "val")
        return loss

    def _images_that_count(self, images: int, targets: Any) -> float | Tensor:
        """Return of how many images of a batch the loss and plain metrics are a mean."""
        return float(images)

    def _images_behind(self, name: str, images: int, targets: Any) -> float | Tensor:
        """Return of how many images of a batch one of the plain metrics is a mean."""
        return self._images_that_count(images, targets)

    def _log(
        self, name: str, value: float | Tensor | Metric, weight: float | Tensor, prog_bar: bool
    ) -> None:
        sync = not isinstance(value, Metric)  # a Metric gathers its own states
        self.log(
            name,
            value,
            on_step=False,
            on_epoch=True,
            sync_dist=sync,
            # No int: the mean over processes, which Lightning takes, would lose its fraction.
            batch_size=cast(int, weight),
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
