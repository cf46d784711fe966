"""From labelled DICOM slices to a validated model with the library; see dicom_to_model.py.

Prints as JSON its steps, the validation Dice that it ended with, and where its seconds went.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import time
import warnings
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Callback, EarlyStopping

from muscletransfer import LowDataModule, SegmentationFineTuner
from muscletransfer.data import PreprocessingSpec
from muscletransfer.finetune import BestAndLast
from muscletransfer.hardware import recommended_precision

STEPS, VALIDATION = "steps, loading, transfer, augmentation", "validation"


class Spent(Callback):
    """Adds up the seconds of steps and validations, of each from the end of what was before it.

    On a GPU what it was given is waited for around a validation only: a training does not wait
    between its steps.
    """

    def __init__(self) -> None:
        self.trains = self.edge = 0.0
        self.seconds = {STEPS: 0.0, VALIDATION: 0.0}

    def on_train_start(self, *_: Any) -> None:
        """Preparation is over."""
        self.trains = time.perf_counter()

    def on_train_epoch_start(self, *_: Any) -> None:
        """Checkpoints have been written; the batch of the first step is not there yet."""
        self.edge = time.perf_counter()

    def on_train_batch_end(self, *_: Any) -> None:
        """A step is done."""
        self._add(STEPS)

    def on_validation_start(self, *_: Any) -> None:
        """The steps are done, on a GPU too."""
        if self.trains:  # not the first look at validation, which is a part of the preparation
            self._wait()
            self._add(STEPS)

    def on_validation_end(self, *_: Any) -> None:
        """A validation is done."""
        if self.trains:
            self._wait()
            self._add(VALIDATION)

    def _add(self, part: str) -> None:
        began, self.edge = self.edge, time.perf_counter()
        self.seconds[part] += self.edge - began

    @staticmethod
    def _wait() -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()


class TimedBestAndLast(BestAndLast):
    """The library's own, which adds up the seconds that it takes."""

    seconds = 0.0

    def on_train_epoch_end(self, *arguments: Any) -> None:
        """Write what is to be written."""
        start = time.perf_counter()
        super().on_train_epoch_end(*arguments)
        self.seconds += time.perf_counter() - start


if __name__ == "__main__":
    imported, since_start = time.perf_counter(), time.time() - float(os.environ["BEGAN"])
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("manifest", type=Path)
    parser.add_argument("split", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--encoder", default="resnet18")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--every", type=int, default=10)
    parser.add_argument("--dice", type=float, default=0.9)
    parser.add_argument("--most", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    data = LowDataModule(
        args.manifest,
        split=args.split,
        seed=args.seed,
        preprocessing=PreprocessingSpec(size=args.size),
        batch_size=args.batch,
        steps_per_epoch=args.every,
        cache_dir=args.out / "cache",
    )
    model = SegmentationFineTuner(f"timm/{args.encoder}", "unet", seed=args.seed)
    spent, files = Spent(), TimedBestAndLast()
    stop = EarlyStopping("val_dice", mode="max", stopping_threshold=args.dice, patience=args.most)
    trainer = Trainer(
        max_steps=args.most,
        precision=recommended_precision(),
        callbacks=[spent, files, stop],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=args.out,
    )
    trainer.fit(model, datamodule=data)
    dice = float(trainer.callback_metrics["val_dice"])
    seconds = {
        "start of the process and imports": since_start,
        "reading, cache, network, first look": spent.trains - imported,
        **spent.seconds,
        "checkpoints": files.seconds,
    }
    print(json.dumps({"steps": trainer.global_step, "dice": dice, "seconds": seconds}))
