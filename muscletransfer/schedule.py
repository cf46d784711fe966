"""The learning-rate schedule that pre-training and fine-tuning share."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from muscletransfer.errors import SettingError

if TYPE_CHECKING:
    from lightning.pytorch import Trainer

__all__ = ["planned_calls", "planned_steps", "warmup_cosine", "warmup_cosine_factor"]


def warmup_cosine_factor(step: int, total_steps: int | None, warmup_steps: int) -> float:
    """Return the factor on the base learning rate at one optimiser step.

    Linear from ``1 / warmup_steps`` to 1 over the warm-up, then half a cosine to 0 at
    ``total_steps`` (Loshchilov & Hutter, ICLR 2017, arXiv 1608.03983, one cycle).

    Args:
        step: Number of optimiser steps taken so far, from 0.
        total_steps: Length of the run in optimiser steps; ``None`` when it is not known (then the
            rate stays at 1 after the warm-up).
        warmup_steps: Length of the warm-up in optimiser steps, 0 for none. A warm-up longer than
            half of the run is cut to half, so that a short trial run still reaches its full rate.

    Returns:
        A factor in [0, 1].

    Example:
        >>> [round(warmup_cosine_factor(s, 10, 2), 3) for s in (0, 1, 2, 6, 10, 99)]
        [0.5, 1.0, 1.0, 0.5, 0.0, 0.0]
        >>> warmup_cosine_factor(1000, None, 50)
        1.0
    """
    warmup = warmup_steps if total_steps is None else min(warmup_steps, total_steps // 2)
    if step < warmup:
        return (step + 1) / warmup
    if total_steps is None:
        return 1.0
    progress = (step - warmup) / max(1, total_steps - warmup)
    return 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))


def warmup_cosine(optimizer: Optimizer, total_steps: int | None, warmup_steps: int) -> LambdaLR:
    """Build the warm-up and cosine schedule; step it once an optimiser step.

    Every parameter group keeps its own base rate, so layer-wise rates keep their ratios.

    Args:
        optimizer: The optimiser, with the base learning rate in each group.
        total_steps: Optimiser steps of the whole run, or ``None`` (or a number below 1, as
            Lightning says for an endless run) when it is not known.
        warmup_steps: Optimiser steps of the warm-up, 0 for none.

    Returns:
        The scheduler. Its state holds plain numbers only, so a checkpoint stays readable with
        ``torch.load(weights_only=True)``; on resume the shape follows the new run's arguments.

    Raises:
        SettingError: When ``warmup_steps`` is negative.

    Example:
        >>> import torch
        >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
        >>> scheduler = warmup_cosine(optimizer, total_steps=10, warmup_steps=2)
        >>> scheduler.get_last_lr()
        [0.05]
    """
    if warmup_steps < 0:
        raise SettingError(
            f"warmup_steps is {warmup_steps}; wanted 0 or more optimiser steps (0: no warm-up)."
        )
    total = total_steps if total_steps is not None and total_steps > 0 else None
    # A closure, not a callable object: LambdaLR pickles the state of objects into checkpoints.
    return LambdaLR(optimizer, lambda step: warmup_cosine_factor(step, total, warmup_steps))


def planned_steps(trainer: Trainer) -> int | None:
    """Return how many optimiser steps a run will take, for use in ``configure_optimizers``.

    Like ``trainer.estimated_stepping_batches``, but a run that is resumed within an epoch still
    goes on with the right batch: the estimate sets the training loader up before the checkpoint is
    read, and Lightning (2.5 and 2.6) hands a loader its saved position only while setting it up.
    So a loader that was set up for the estimate is dropped again, and set up anew when the run
    starts.

    Args:
        trainer: The trainer that is about to fit.

    Returns:
        Optimiser steps of the whole run; ``None`` for an endless one.
    """
    had_loader = trainer.train_dataloader is not None
    steps = trainer.estimated_stepping_batches
    if not had_loader:
        trainer.fit_loop._combined_loader = None
    return int(steps) if math.isfinite(steps) and steps > 0 else None


def planned_calls(
    trainer: Trainer, interval: Literal["epoch", "step"], frequency: int = 1
) -> int | None:
    """Return how many rates a run will train with when Lightning calls a scheduler so often.

    Args:
        trainer: The trainer that is about to fit.
        interval: Whether the scheduler goes by epochs or by optimiser steps.
        frequency: Epochs or steps between two calls. Lightning counts these steps by the batches
            of each epoch, from its start.

    Returns:
        The stretches of the run that one rate holds for; ``None`` for an endless one, and for
        epochs of unknown length of which ``max_steps`` allows an unknown number.
    """
    epochs = trainer.max_epochs if trainer.max_epochs and trainer.max_epochs > 0 else None
    by_epochs = interval == "epoch"
    if by_epochs and trainer.max_steps < 0:
        return None if epochs is None else math.ceil(epochs / frequency)
    had_loader = trainer.train_dataloader is not None
    if not had_loader:  # which the steps alone may not need, and the batches of an epoch do
        trainer.fit_loop.setup_data()
    steps, batches = planned_steps(trainer), trainer.num_training_batches
    if not had_loader:  # see planned_steps
        trainer.fit_loop._combined_loader = None
    if steps is None:
        return None
    if not math.isfinite(batches):  # a stream
        return None if by_epochs else math.ceil(steps / frequency)
    every = trainer.accumulate_grad_batches
    each = math.ceil(batches / every)
    if by_epochs:
        return math.ceil(min(epochs or math.inf, math.ceil(steps / each)) / frequency)
    calls, last = _calls_within(int(batches), every, frequency)
    whole, rest = divmod(steps, each)
    more, last_of_rest = _calls_within(rest * every, every, frequency)
    follows = last < batches if rest == 0 else last_of_rest < rest * every
    return whole * calls + more + follows


def _calls_within(batches: int, every: int, frequency: int) -> tuple[int, int]:
    """Return after how many of these batches of an epoch a scheduler is called, and the last."""
    steps = [batch for batch in range(1, batches + 1) if batch % every == 0 or batch == batches]
    calls = [batch for batch in steps if batch % frequency == 0]
    return len(calls), calls[-1] if calls else 0
