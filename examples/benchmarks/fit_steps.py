"""Seconds of the steps of one ``Trainer.fit`` with the library's defaults."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch
from lightning.pytorch import Callback, Trainer

from muscletransfer import LowDataModule, SegmentationFineTuner
from muscletransfer.hardware import recommended_precision


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
    trainer = Trainer(
        max_steps=steps + skipped,
        precision=recommended_precision(accelerator),
        accelerator=accelerator,
        callbacks=[clock],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=0,
        default_root_dir=folder,
    )
    trainer.fit(SegmentationFineTuner(f"timm/{encoder}", "unet"), datamodule=data)
    return np.diff(clock.ends)[skipped - 1 :].tolist()
