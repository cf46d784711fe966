"""Seconds of the steps of one ``Trainer.fit`` with the library's defaults."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch
from lightning.pytorch import Callback
from training_only import training_only

from muscletransfer import LowDataModule, SegmentationFineTuner


class Clock(Callback):
    """Notes when each training step has ended."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_train_batch_end(self, *_: object) -> None:
        """Note it."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.ends.append(time.perf_counter())


def fit_steps(
    encoder: str, data: LowDataModule, steps: int, skipped: int, folder: Path, accelerator: str
) -> list[float]:
    """Train a U-Net of an encoder of timm; the first steps are done and do not count."""
    clock = Clock()
    trainer = training_only(folder, steps + skipped, accelerator, callbacks=[clock])
    trainer.fit(SegmentationFineTuner(f"timm/{encoder}", "unet"), datamodule=data)
    return np.diff(clock.ends)[skipped - 1 :].tolist()
