"""The short fine-tuning from random weights whose networks the benchmarks of the flags look at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer

from muscletransfer import LowDataModule, SegmentationFineTuner
from muscletransfer.data import PreprocessingSpec
from muscletransfer.hardware import recommended_precision

#: The network grid of all these networks.
SPEC = PreprocessingSpec(size=128)


def fine_tuned(
    manifest: Path, folder: Path, *, seed: int, steps: int, label: str, **data: Any
) -> Path:
    """Fine-tune a U-Net on resnet18; print its validation Dice and return the best checkpoint.

    Args:
        manifest: Labelled slices.
        folder: Where checkpoints go.
        seed: Of the network's first weights.
        steps: Training steps, of eight images each.
        label: What the network is called in the output.
        data: Other arguments of `LowDataModule`.
    """
    images = LowDataModule(manifest, preprocessing=SPEC, steps_per_epoch=min(50, steps), **data)
    model = SegmentationFineTuner("timm/resnet18", "unet", seed=seed)
    trainer = Trainer(
        max_steps=steps,
        precision=recommended_precision(),
        callbacks=model.default_callbacks(),
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
    )
    trainer.fit(model, datamodule=images)
    best = trainer.checkpoint_callback
    print(f"{label}: best validation Dice {float(best.best_model_score):.3f}", flush=True)
    return Path(best.best_model_path)
