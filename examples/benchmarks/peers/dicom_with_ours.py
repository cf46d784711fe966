"""From labelled DICOM slices to a validated model with the library; see dicom_to_model.py.

Prints the steps it took and the validation Dice that it ended with, as JSON.
"""

from __future__ import annotations

import argparse
import json
import logging
import warnings
from pathlib import Path

from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import EarlyStopping

from muscletransfer import LowDataModule, SegmentationFineTuner
from muscletransfer.data import PreprocessingSpec
from muscletransfer.hardware import recommended_precision

if __name__ == "__main__":
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
    stop = EarlyStopping("val_dice", mode="max", stopping_threshold=args.dice, patience=args.most)
    trainer = Trainer(
        max_steps=args.most,
        precision=recommended_precision(),
        callbacks=[*model.default_callbacks(), stop],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=args.out,
    )
    trainer.fit(model, datamodule=data)
    dice = float(trainer.callback_metrics["val_dice"])
    print(json.dumps({"steps": trainer.global_step, "dice": dice}))
