"""A small network trained on phantom slices, and files to predict."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch
from lightning.pytorch import Trainer
from torch import nn

from muscletransfer import LowDataModule, SegmentationFineTuner
from muscletransfer.data import PreprocessingSpec
from muscletransfer.data.synthetic import make_cohort, phantom_slice
from muscletransfer.data.synthetic.writing import write_image
from muscletransfer.encoders import EncoderSpec, list_encoders, register_encoder

TINY = "toys/predicting"


class TinyEncoder(nn.Module):
    """Three strided stages."""

    output_stride = 8

    def __init__(self, in_channels: int = 1, depth: int = 3, width: int = 16):
        super().__init__()
        self.out_channels = [in_channels, *(width * 2**i for i in range(depth))]
        self.spec = EncoderSpec(TINY, in_channels, depth, {"width": width})
        self.stages = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(),
                nn.Conv2d(after, after, 3, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(),
            )
            for before, after in zip(self.out_channels, self.out_channels[1:], strict=False)
        )

    def forward(self, x):
        features = [x]
        for stage in self.stages:
            features.append(stage(features[-1]))
        return features


if TINY not in list_encoders(TINY):
    register_encoder(TINY)(TinyEncoder)


def train(folder: Path, seed: int = 0, steps: int = 80, patients: int = 12, **changes) -> Path:
    """Fine-tune the small network; return its checkpoint."""
    cohort = make_cohort(folder / "cohort", patients=patients, size=96, seed=5, workers=1)
    data = LowDataModule(
        cohort.manifest,
        train_patients="all",
        num_folds=4,
        val_patients=3,
        preprocessing=PreprocessingSpec(size=64),
        steps_per_epoch=steps,
        cache_dir=folder / "cache",
        augmentation=None,
    )
    settings = {
        "encoder": TINY,
        "depth": 3,
        "decoder_kwargs": {"decoder_channels": (32, 16, 16)},
        "lr": 5e-3,
        "warmup_steps": 5,
        "seed": seed,
    }
    model = SegmentationFineTuner(**(settings | changes))
    trainer = Trainer(
        max_steps=steps,
        default_root_dir=folder,
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        limit_val_batches=0,
    )
    trainer.fit(model, datamodule=data)
    path = folder / f"seed{seed}.ckpt"
    trainer.save_checkpoint(path)
    return path


def phantom(path: Path, number: int = 0, size: int = 96, level="L3", troubles=()) -> Path:
    """Write one phantom slice (the ending gives the format)."""
    sequence = np.random.SeedSequence(99, spawn_key=(number,))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_image(
        phantom_slice(sequence, size=size, level=level, troubles=troubles), path, path.stem, "99"
    )
    return path


def turned_volume(path: Path, slices: int = 4) -> Path:
    """Write a NIfTI volume that lies the other way round, off the origin, anisotropic."""
    hu = phantom_slice(np.random.SeedSequence(7), size=96).hu
    stack = np.stack([np.full_like(hu, -1000) for _ in range(slices)])
    stack[2] = hu[::-1, ::-1]
    image = sitk.GetImageFromArray(stack)
    image.SetSpacing((4.2, 4.2, 5.0))
    image.SetOrigin((31.5, -12.25, 400.0))
    image.SetDirection((-1, 0, 0, 0, -1, 0, 0, 0, 1))
    sitk.WriteImage(image, str(path))
    return path


def same_grid(first: Path, second: Path) -> bool:
    """Whether SimpleITK reads the same size, spacing, origin and direction."""
    a, b = sitk.ReadImage(str(first)), sitk.ReadImage(str(second))
    same = all(
        np.allclose(getattr(a, f"Get{what}")(), getattr(b, f"Get{what}")(), atol=1e-4)
        for what in ("Spacing", "Origin", "Direction")
    )
    return same and a.GetSize() == b.GetSize()


def truncated(path: Path, whole: Path, share: float = 0.6) -> Path:
    """Copy the beginning of a file."""
    data = whole.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    return path


def probabilities_of(model: SegmentationFineTuner, stored: np.ndarray) -> torch.Tensor:
    """Return sigmoid probabilities (1, h, w) in fp32, by hand."""
    with torch.no_grad():
        image = model.preprocessing.to_float(torch.from_numpy(stored)[None])
        return torch.sigmoid(model.eval()(image))[0]
