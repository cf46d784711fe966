"""Which items make up which batch, as a pure function of seed, epoch and rank.

Both samplers derive from ``DistributedSampler``: Lightning then leaves them in place under every
strategy and calls ``set_epoch`` on them, so ``Trainer(devices=...)`` needs no further flag.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from muscletransfer.errors import DataError

__all__ = ["EvaluationSampler", "ResumableLoader", "StepSampler", "step_seed"]


def step_seed(*keys: int) -> int:
    """Mix whole numbers (seed, epoch, batch, rank, ...) into one seed for a generator.

    Neighbouring keys give unrelated streams, which adding them up would not.

    Args:
        keys: Non-negative whole numbers; their order matters.

    Returns:
        A seed in ``[0, 2**63)``.

    Example:
        >>> step_seed(0, 1, 2) == step_seed(0, 1, 2), step_seed(0, 1, 2) == step_seed(0, 2, 1)
        (True, False)
    """
    return int(np.random.SeedSequence(keys).generate_state(1, np.uint64)[0] >> np.uint64(1))


class _RangeDataset(Dataset[int]):
    """Stands in for the data where a sampler needs only its length."""

    def __init__(self, length: int) -> None:
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> int:
        return index


class StepSampler(DistributedSampler[int]):
    """An endless row of reshuffled passes over ``n`` items, cut into epochs of equal steps.

    Runs with 5 and with 100 labelled items then take the same number of optimiser steps, and
    every item is seen equally often (to within one) however the passes and epochs fall. Epoch
    ``e`` reads the positions ``e * L`` to ``(e + 1) * L`` of the row, ``L = steps * batch_size *
    world``; each step's positions are shared out over the ranks in turn.

    Args:
        length: Number of items ``n``.
        batch_size: Items a step and process.
        steps_per_epoch: Steps an epoch; None for as many as one pass takes (rounded up).
        seed: Seed of all passes.
        world: Number of processes.
        rank: This process.
        numbered: Give numbered draws, ``position * n + item``, from which a data set can seed
            what it draws a sample; ``item`` is ``draw % n``.

    Raises:
        DataError: There is no item, or a size is not positive.

    Example:
        >>> sampler = StepSampler(5, batch_size=2, steps_per_epoch=5)
        >>> len(sampler), [list(sampler).count(i) for i in range(5)]
        (10, [2, 2, 2, 2, 2])
    """

    def __init__(
        self,
        length: int,
        batch_size: int,
        steps_per_epoch: int | None = None,
        seed: int = 0,
        world: int = 1,
        rank: int = 0,
        numbered: bool = False,
    ) -> None:
        if length < 1:
            raise DataError("There is no image to train on: found 0, wanted at least 1")
        if batch_size < 1 or (steps_per_epoch is not None and steps_per_epoch < 1):
            raise DataError(
                f"batch_size={batch_size} and steps_per_epoch={steps_per_epoch} must be at least 1"
            )
        super().__init__(_RangeDataset(length), num_replicas=world, rank=rank, seed=seed)
        self.length = length
        self.batch_size = batch_size
        self.steps = steps_per_epoch or math.ceil(length / (batch_size * world))
        self.numbered = numbered
        self.first_step = 0
        """Steps of the epoch to leave out at its start; set when a run resumes within an epoch."""
        self.was_told = False
        """Whether somebody has set the epoch since the last pass."""

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch that the next pass is of."""
        super().set_epoch(epoch)
        self.was_told = True

    def __len__(self) -> int:
        """Return the number of items this process sees in an epoch."""
        return self.steps * self.batch_size

    def __iter__(self) -> Iterator[int]:
        """Yield this process's items of the current epoch, step after step."""
        per_step = self.batch_size * self.num_replicas
        start = (self.epoch * self.steps + self.first_step) * per_step + self.rank
        stop = (self.epoch + 1) * self.steps * per_step
        current, order = -1, np.empty(0, dtype=np.int64)
        for position in range(start, stop, self.num_replicas):
            number, place = divmod(position, self.length)
            if number != current:
                current, order = number, self._pass(number)
            item = int(order[place])
            yield position * self.length + item if self.numbered else item

    def _pass(self, number: int) -> npt.NDArray[np.int64]:
        """Return the order of pass ``number``."""
        return np.random.default_rng([self.seed, number]).permutation(self.length)


class EvaluationSampler(DistributedSampler[int]):
    """Every item once, in order, shared out over the processes.

    Where the count does not divide, the last processes repeat an item so that all take equally
    many batches (their collective calls must match); metrics drop the repeats by ``case``.

    Args:
        length: Number of items.
        world: Number of processes.
        rank: This process.

    Example:
        >>> [list(EvaluationSampler(3, world=2, rank=rank)) for rank in range(2)]
        [[0, 2], [1, 0]]
    """

    def __init__(self, length: int, world: int = 1, rank: int = 0) -> None:
        super().__init__(_RangeDataset(length), num_replicas=world, rank=rank, shuffle=False)


class ResumableLoader(DataLoader[Any]):
    """A ``DataLoader`` that numbers its batches and can go on in the middle of an epoch.

    Each batch gets two plain numbers, ``batch["epoch"]`` and ``batch["step"]`` (in its epoch),
    from which augmentation seeds its generator: the numbers of a step then depend neither on
    worker processes nor on an interruption. Lightning stores ``state_dict()`` in its checkpoints.

    Args:
        dataset: Anything ``DataLoader`` takes.
        *args: Passed on to ``DataLoader``.
        **kwargs: Passed on to ``DataLoader``; ``sampler`` should be a :class:`StepSampler`.
    """

    counts_epochs: bool = False
    """Whether a pass after a pass is the next epoch by itself: where no Trainer sets the epoch."""
    _resume: tuple[int, int] | None = None
    _yielded: int = 0
    _has_passed: bool = False

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        """Yield the batches of the sampler's epoch, from where the loaded state left off.

        A generator: nothing is drawn before the first batch is asked for, by which time
        Lightning has set the epoch, also when worker processes fetch ahead.
        """
        sampler = self.sampler
        if self.counts_epochs and isinstance(sampler, StepSampler) and not self._resume:
            # Not where the loop says by itself which epoch it is in.
            sampler.epoch += self._has_passed and not sampler.was_told
            sampler.was_told, self._has_passed = False, True
        epoch = sampler.epoch if isinstance(sampler, DistributedSampler) else 0
        first = 0
        if isinstance(sampler, StepSampler):
            if self._resume is not None and self._resume[0] == epoch:
                first = self._resume[1]
            sampler.first_step = first
        self._resume = None
        self._yielded = first
        for batch in super().__iter__():
            batch["epoch"], batch["step"] = epoch, self._yielded
            self._yielded += 1
            yield batch

    def state_dict(self) -> dict[str, int]:
        """Return the position in the data: the epoch and the batches already given out."""
        epoch = self.sampler.epoch if isinstance(self.sampler, DistributedSampler) else 0
        return {"epoch": epoch, "step": self._yielded}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on after the batches that ``state`` has counted."""
        self._resume = (state["epoch"], state["step"])
