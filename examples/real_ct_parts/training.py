"""A Trainer for short CPU runs, and the two kinds of run, in terms of the public interface."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning as L

import muscletransfer as mt
from muscletransfer.hardware import recommended_precision
from muscletransfer.transfer import PreprocessingMismatchWarning
from real_ct_parts.settings import Arm, Settings


@contextmanager
def quiet() -> Iterator[None]:
    """Keep log lines of Lightning and warnings that are expected here out of the progress.

    Weights from CT slices meet MR, and weights from photographs meet both; that is the question
    asked, so the library's warning of another preprocessing is dropped, and the page says so.
    """
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning.*")
        warnings.simplefilter("ignore", PreprocessingMismatchWarning)
        yield


def trainer(steps: int, folder: Path) -> L.Trainer:
    """Return a Trainer for a run of so many steps, without checkpoints, logger or bars.

    Args:
        steps: Optimisation steps.
        folder: Where Lightning may put files.
    """
    return L.Trainer(
        max_steps=steps,
        max_epochs=-1,
        accelerator="cpu",
        precision=recommended_precision("cpu"),
        default_root_dir=folder,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        limit_val_batches=0,
    )


def validator(folder: Path) -> L.Trainer:
    """Return a Trainer that only validates, in full precision.

    Args:
        folder: Where Lightning may put files.
    """
    return L.Trainer(
        accelerator="cpu",
        default_root_dir=folder,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def fine_tune(
    arm: Arm,
    data: mt.LowDataModule,
    settings: Settings,
    folder: Path,
    *,
    steps: int,
    seed: int,
    num_classes: int = 1,
    class_names: list[str] | None = None,
    masks: bool = False,
) -> tuple[list[dict[str, Any]], dict[int, Any]]:
    """Fine-tune one arm for a fixed number of steps and score its last weights once.

    No label is spent on choosing a checkpoint.

    Args:
        arm: Where the weights come from.
        data: The labelled slices.
        settings: Sizes of the run.
        folder: The run's folder.
        steps: Optimisation steps.
        seed: Seed of the random weights and dropout.
        num_classes: See `SegmentationFineTuner`.
        class_names: See `SegmentationFineTuner`.
        masks: Also predict the test cases.

    Returns:
        The rows of `case_table`, and predicted masks by case number (empty without ``masks``).
    """
    weights = None if arm.source is None else folder / "weights" / f"{arm.source}.safetensors"
    model = mt.SegmentationFineTuner(
        encoder=settings.encoder,
        depth=settings.depth,
        num_classes=num_classes,
        class_names=class_names,
        weights=weights,
        transfer=arm.transfer,
        freeze="encoder" if arm.frozen else "none",
        lr=settings.lr,
        warmup_steps=max(1, steps // 10),
        seed=seed,
    )
    run = trainer(steps, folder)
    run.fit(model, datamodule=data)
    run.test(model, datamodule=data, verbose=False)
    if not masks:
        return model.case_table(), {}
    predicted = run.predict(model, datamodule=data) or []
    return model.case_table(), {c["case"]: c["mask"].numpy() for batch in predicted for c in batch}
