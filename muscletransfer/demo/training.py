"""The two kinds of training run of the demo, each a few lines of the public interface."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, Trainer
from tqdm.auto import tqdm

from muscletransfer.data import LowDataModule, PretextDataModule
from muscletransfer.demo.settings import DemoSettings
from muscletransfer.finetune import SegmentationFineTuner
from muscletransfer.hardware import recommended_precision
from muscletransfer.pretext import PretextTask

__all__ = ["Bar", "FineTuned", "fine_tune", "pre_train"]


class Bar(Callback):
    """Moves one progress bar by one at every training step.

    Args:
        bar: The bar all runs of the demo share.
    """

    def __init__(self, bar: tqdm[Any]) -> None:
        self.bar = bar

    def on_train_batch_end(self, *_: Any, **__: Any) -> None:
        """Count the step."""
        self.bar.update()


def _trainer(
    folder: Path, steps: int, bar: tqdm[Any], callbacks: list[Callback], validate: bool
) -> Trainer:
    return Trainer(
        max_steps=steps,
        max_epochs=-1,
        precision=recommended_precision(),
        default_root_dir=folder,
        logger=False,
        callbacks=[Bar(bar), *callbacks],
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        limit_val_batches=None if validate else 0,
    )


def pre_train(
    task: PretextTask, data: PretextDataModule, steps: int, folder: Path, bar: tqdm[Any]
) -> Path:
    """Train one source task and return its checkpoint.

    Args:
        task: The source task.
        data: Its images.
        steps: Optimisation steps.
        folder: Where the checkpoint goes.
        bar: The progress bar.

    Returns:
        Path of the checkpoint.
    """
    trainer = _trainer(folder, steps, bar, [], validate=False)
    trainer.fit(task, datamodule=data)
    checkpoint = folder / "pretrained.ckpt"
    trainer.save_checkpoint(checkpoint)
    return checkpoint


@dataclass(frozen=True)
class FineTuned:
    """One fine-tuned model and its scores.

    Attributes:
        source: Source task, or "random".
        train_patients: Labelled patients trained on.
        cases: One row a test case.
        checkpoint: The best checkpoint by validation Dice.
        masks: Predicted masks on the native grid, by case number.
    """

    source: str
    train_patients: int
    cases: list[dict[str, Any]]
    checkpoint: Path
    masks: dict[int, Any]


def fine_tune(
    source: str,
    train_patients: int,
    model: SegmentationFineTuner,
    data: LowDataModule,
    settings: DemoSettings,
    folder: Path,
    bar: tqdm[Any],
) -> FineTuned:
    """Fine-tune one model, keep its best checkpoint, score it on the test cases.

    Args:
        source: Name of the source task, for the table.
        train_patients: Labelled patients trained on.
        model: The fine-tuner, with its weights loaded.
        data: The labelled patients.
        settings: Sizes of the demo.
        folder: Where checkpoints go.
        bar: The progress bar.

    Returns:
        The scores and the masks of the test cases.
    """
    trainer = _trainer(folder, settings.finetune_steps, bar, model.default_callbacks(), True)
    trainer.fit(model, datamodule=data)
    best = trainer.checkpoint_callback.best_model_path  # type: ignore[union-attr]
    trainer.test(model, datamodule=data, ckpt_path=best, verbose=False)
    cases = model.case_table()
    predicted = trainer.predict(model, datamodule=data, return_predictions=True)
    masks = {row["case"]: row["mask"] for batch in predicted or [] for row in batch}
    return FineTuned(source, train_patients, cases, Path(best), masks)
