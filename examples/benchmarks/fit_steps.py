"""Seconds of the steps of one ``Trainer.fit`` with the library's defaults, and how many to time."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch
from lightning.pytorch import Callback
from training_only import training_only

from muscletransfer import LowDataModule, SegmentationFineTuner

#: Steps of a turn that are timed on a GPU, at least: of a few, the start and the end decide.
LEAST_ON_GPU = 50


def steps_of_turn(asked: int) -> int:
    """How many steps of a turn are timed where so many were asked for."""
    return max(asked, LEAST_ON_GPU) if torch.cuda.is_available() else asked


class Clock(Callback):
    """Notes when each step has ended; on a GPU, when the first and the last that counts have.

    To wait for a GPU after each step would take from a loop what it gains by working ahead.

    Args:
        count: Steps that count.
        skipped: Steps before them.
    """

    def __init__(self, count: int, skipped: int) -> None:
        self.count, self.skipped, self.steps = count, skipped, 0
        self.gpu = torch.cuda.is_available()
        self.times: list[float] = []
        self._note()

    def on_train_batch_end(self, *_: object) -> None:
        """Note it."""
        self.tick()

    def tick(self) -> None:
        """Note that a step has ended."""
        self.steps += 1
        if not self.gpu or self.steps in (self.skipped, self.skipped + self.count):
            self._note()

    def seconds(self) -> list[float]:
        """Of each step that counts; on a GPU their mean."""
        if self.gpu:
            return [(self.times[-1] - self.times[-2]) / self.count]
        return np.diff(self.times)[self.skipped :].tolist()

    def _note(self) -> None:
        if self.gpu:
            torch.cuda.synchronize()
        self.times.append(time.perf_counter())


def fit_steps(
    encoder: str, data: LowDataModule, steps: int, skipped: int, folder: Path
) -> list[float]:
    """Train a U-Net of an encoder of timm; the first steps are done and do not count."""
    clock = Clock(steps, skipped)
    trainer = training_only(folder, steps + skipped, callbacks=[clock])
    trainer.fit(SegmentationFineTuner(f"timm/{encoder}", "unet"), datamodule=data)
    return clock.seconds()
