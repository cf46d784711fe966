"""Trainer.fit with its defaults: encoder, side, batch, steps, manifest, cache; prints peaks."""

from __future__ import annotations

import logging
import sys
import tempfile
import warnings

from lightning.pytorch import Trainer
from peaks import after_imports, peaks

from muscletransfer import LowDataModule, SegmentationFineTuner
from muscletransfer.data import PreprocessingSpec
from muscletransfer.hardware import recommended_precision


def main(encoder: str, size: int, batch: int, steps: int, manifest: str, cache: str) -> None:
    """Train, print."""
    imported = after_imports()
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    data = LowDataModule(
        manifest,
        train_patients=10,
        preprocessing=PreprocessingSpec(size=size),
        batch_size=batch,
        steps_per_epoch=steps,
        cache_dir=cache,
    )
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            max_steps=steps,
            precision=recommended_precision(),
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            limit_val_batches=0,
            default_root_dir=folder,
        )
        trainer.fit(SegmentationFineTuner(f"timm/{encoder}", "unet"), datamodule=data)
    print(peaks(imported))


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:5]), *sys.argv[5:7])
