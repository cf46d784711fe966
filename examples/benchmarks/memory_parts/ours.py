"""Trainer.fit with its defaults: encoder, side, batch, steps, manifest, cache; prints peaks."""

from __future__ import annotations

import logging
import sys
import tempfile
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from peaks import after_imports, peaks
from training_only import training_only

from muscletransfer import LowDataModule, SegmentationFineTuner
from muscletransfer.data import PreprocessingSpec


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
        model = SegmentationFineTuner(f"timm/{encoder}", "unet")
        training_only(folder, steps).fit(model, datamodule=data)
    print(peaks(imported))


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:5]), *sys.argv[5:7])
