"""Small data, encoder and Trainer for the tests of fine-tuning."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from lightning.pytorch import LightningDataModule, Trainer
from torch import nn
from torch.utils.data import DataLoader, Dataset

from muscletransfer.data.datamodules.collate import CaseList, as_is
from muscletransfer.data.datamodules.samplers import EvaluationSampler, ResumableLoader, StepSampler
from muscletransfer.data.preprocessing import PreprocessingSpec
from muscletransfer.encoders import EncoderSpec, list_encoders, register_encoder

TINY = "toys/tiny"


class TinyEncoder(nn.Module):
    """Three strided stages with batch norm and dropout."""

    output_stride = 8

    def __init__(self, in_channels: int = 1, depth: int = 3, width: int = 8, drop: float = 0.1):
        super().__init__()
        self.out_channels = [in_channels, *(width * 2**i for i in range(depth))]
        self.spec = EncoderSpec(TINY, in_channels, depth, {"width": width, "drop": drop})
        self.stages = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(),
                nn.Dropout(drop),
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


def tiny(**changes):
    """Arguments of a fine-tuner that trains in milliseconds."""
    settings = {
        "encoder": TINY,
        "depth": 3,
        "decoder": "unet",
        "decoder_kwargs": {"decoder_channels": (16, 8, 8)},
        "lr": 1e-2,
        "warmup_steps": 2,
    }
    return settings | changes


def disc(shape, centre, radius):
    y, x = np.mgrid[: shape[0], : shape[1]]
    return (y - centre[0]) ** 2 + (x - centre[1]) ** 2 < radius**2


class ToySlices(Dataset):
    """Bright discs on a dark ground, on a native grid and on the network's."""

    def __init__(self, cases, spec, num_classes, spacing, native_shape, flip, seed):
        rng = np.random.default_rng(seed)
        self.cases, self.spec, self.items = cases, spec, []
        for case in range(cases):
            hu = rng.normal(-100, 20, native_shape)
            mask = np.zeros(native_shape, np.uint8)
            for label in range(1, max(2, num_classes)):
                share = np.array([0.3, 0.3]) if label == 1 else np.array([0.65, 0.7])
                centre = (share + rng.uniform(-0.05, 0.05, 2)) * native_shape
                inside = disc(native_shape, centre, rng.uniform(0.15, 0.22) * min(native_shape))
                hu[inside] += 140 if label == 1 else 240
                mask[inside] = label
            own = spacing[case % len(spacing)] if isinstance(spacing, list) else spacing
            stored, geometry = spec.apply(hu.astype(np.int16), own, flip)
            self.items.append(
                {
                    "image": spec.to_float(torch.from_numpy(stored)[None])[0],
                    "mask": torch.from_numpy(spec.apply_mask(mask, geometry)).long(),
                    "case": case,
                    "native_mask": torch.from_numpy(mask),
                    "native_hu": torch.from_numpy(hu.astype(np.int16)),
                    "geometry": geometry,
                }
            )

    def __len__(self):
        return self.cases

    def __getitems__(self, indices):
        chosen = [self.items[i] for i in indices]
        batch = {key: [item[key] for item in chosen] for key in chosen[0]}
        batch["geometry"] = CaseList(batch["geometry"])
        batch["case"] = torch.tensor(batch["case"])
        for key in ("image", "mask"):
            batch[key] = torch.stack(batch[key])
        return batch


class ToyData(LightningDataModule):
    """What the contract of batches says, without files."""

    def __init__(
        self,
        cases=6,
        num_classes=1,
        spacing=(0.9, 0.8),
        batch_size=3,
        size=32,
        native_shape=(50, 44),
        flip=(False, False),
        seed=0,
        eval_batch=2,
        preprocessing=None,
    ):
        super().__init__()
        self.preprocessing = preprocessing or PreprocessingSpec(size=size)
        self.slices = ToySlices(
            cases, self.preprocessing, num_classes, spacing, native_shape, flip, seed
        )
        self.batch_size, self.eval_batch, self.seed = batch_size, eval_batch, seed

    def train_dataloader(self):
        shares = self.trainer.distributed_sampler_kwargs if self.trainer else None
        world, rank = (shares["num_replicas"], shares["rank"]) if shares else (1, 0)
        sampler = StepSampler(len(self.slices), self.batch_size, None, self.seed, world, rank)
        return ResumableLoader(
            self.slices, batch_size=self.batch_size, sampler=sampler, collate_fn=as_is
        )

    def _eval_loader(self):
        shares = self.trainer.distributed_sampler_kwargs if self.trainer else None
        world, rank = (shares["num_replicas"], shares["rank"]) if shares else (1, 0)
        sampler = EvaluationSampler(len(self.slices), world, rank)
        return DataLoader(
            self.slices, batch_size=self.eval_batch, sampler=sampler, collate_fn=as_is
        )

    val_dataloader = test_dataloader = predict_dataloader = _eval_loader

    def describe(self):
        return {
            "manifest_hash": "0" * 8,
            "patients": len(self.slices),
            "images": len(self.slices),
            "seed": self.seed,
            "licence": "CC0-1.0",
            "preprocessing": self.preprocessing.to_dict(),
        }


def trainer(folder: Path, **changes) -> Trainer:
    settings = {
        "default_root_dir": folder,
        "accelerator": "cpu",
        "devices": 1,
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": False,
        "num_sanity_val_steps": 0,
        "max_epochs": 2,
        "limit_val_batches": 0,
    }
    return Trainer(**(settings | changes))


def copy_of(module: nn.Module) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in module.state_dict().items()}


def equal_states(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(
        torch.equal(first[key], second[key]) for key in first
    )
