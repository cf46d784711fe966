"""Small images, data and Trainer for the tests of the pretext tasks."""

from __future__ import annotations

import math

import torch
from lightning.pytorch import LightningDataModule, Trainer
from torch import nn
from torch.utils.data import DataLoader, Dataset

from muscletransfer.encoders import EncoderSpec, list_encoders, register_encoder

ENCODER = "timm/resnet10t"
TINY = "pretext-toys/tiny"


class TinyEncoder(nn.Module):
    """Strided stages with batch norm: trains in milliseconds."""

    def __init__(self, in_channels: int = 1, depth: int = 3, width: int = 8) -> None:
        super().__init__()
        self.output_stride = 2**depth
        self.out_channels = [in_channels, *(width * 2**level for level in range(depth))]
        self.spec = EncoderSpec(TINY, in_channels, depth, {"width": width})
        self.stages = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(),
            )
            for before, after in zip(self.out_channels, self.out_channels[1:], strict=False)
        )

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        features = [x]
        for stage in self.stages:
            features.append(stage(features[-1]))
        return features


if TINY not in list_encoders(TINY):
    register_encoder(TINY)(TinyEncoder)


def textured(count: int, side: int = 64, channels: int = 1, seed: int = 0) -> torch.Tensor:
    """Images whose four quadrants look different, each time in another phase and brightness."""
    generator = torch.Generator().manual_seed(seed)
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    wave = 2 * math.pi / 8
    phase = 2 * math.pi * torch.rand(count, 2, 1, 1, generator=generator)
    across, down = torch.sin(wave * x + phase[:, 0]), torch.sin(wave * y + phase[:, 1])
    slow = torch.sin(wave / 3 * (x + y) + phase[:, 0])
    top, left = y < side // 2, x < side // 2
    image = torch.where(
        top, torch.where(left, across, down), torch.where(left, across * down, slow)
    )
    image = 0.5 + 0.3 * image + 0.05 * torch.randn(image.shape, generator=generator)
    shade = 0.8 + 0.2 * torch.rand(count, channels, 1, 1, generator=generator)
    return image.clamp(0.05, 1).unsqueeze(1) * shade


def discs(count: int, side: int = 64, channels: int = 1, seed: int = 0):
    """Images of one bright disc on a darker ground; its mask, and as class the half it lies in."""
    generator = torch.Generator().manual_seed(seed)
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    centre = side * (0.25 + 0.5 * torch.rand(count, 2, 1, 1, generator=generator))
    mask = ((y - centre[:, 0]) ** 2 + (x - centre[:, 1]) ** 2 < (side / 6) ** 2).long()
    label = (centre[:, 1, 0, 0] > side / 2).long()
    noise = 0.1 * torch.rand(count, channels, side, side, generator=generator)
    return 0.2 + 0.6 * mask.unsqueeze(1) + noise, mask, label


class Samples(Dataset):
    def __init__(self, **tensors: torch.Tensor) -> None:
        self.tensors = tensors

    def __len__(self) -> int:
        return len(self.tensors["image"])

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {name: tensor[index] for name, tensor in self.tensors.items()}


def loader(batch_size: int = 4, **tensors: torch.Tensor) -> DataLoader:
    return DataLoader(Samples(**tensors), batch_size=batch_size)


class ToyData(LightningDataModule):
    """A data module that describes itself as those of the library do."""

    def __init__(self, preprocessing=None, batch_size: int = 4, **tensors: torch.Tensor) -> None:
        super().__init__()
        self.preprocessing = preprocessing or {"size": 64, "mean": 0.0, "std": 1.0}
        self.batch_size = batch_size
        self.tensors = tensors

    def describe(self) -> dict[str, object]:
        return {
            "manifest_hash": "abc",
            "patients": 3,
            "images": len(self.tensors["image"]),
            "preprocessing": self.preprocessing,
            "seed": 0,
            "licence": "CC0-1.0",
        }

    def train_dataloader(self) -> DataLoader:
        return loader(self.batch_size, **self.tensors)

    def val_dataloader(self) -> DataLoader:
        return loader(self.batch_size, **self.tensors)


def trainer(max_steps: int = 4, **changes) -> Trainer:
    settings = {
        "accelerator": "cpu",
        "devices": 1,
        "max_steps": max_steps,
        "max_epochs": -1,
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
    }
    return Trainer(**{**settings, **changes})


def gratings(count: int, side: int = 64, channels: int = 1, seed: int = 0) -> torch.Tensor:
    """Stripes of another direction and width in each image: told apart, and continued, by eye."""
    generator = torch.Generator().manual_seed(seed)
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    angle = math.pi * torch.arange(count).view(-1, 1, 1) / count
    length = 10 + 10 * torch.rand(count, 1, 1, generator=generator)
    stripes = torch.sin(2 * math.pi / length * (x * angle.cos() + y * angle.sin()))
    noise = 0.03 * torch.randn(count, side, side, generator=generator)
    return (0.5 + 0.3 * stripes + noise).unsqueeze(1).repeat(1, channels, 1, 1)
