"""A Trainer with the library's defaults that trains and does nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer

from muscletransfer.hardware import recommended_precision


def training_only(
    folder: str | Path, steps: int, accelerator: str = "auto", **more: Any
) -> Trainer:
    """Return it: no validation, checkpoint, log or progress bar; ``more`` is for the Trainer."""
    return Trainer(
        max_steps=steps,
        precision=recommended_precision(accelerator),
        accelerator=accelerator,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=0,
        default_root_dir=folder,
        **more,
    )
