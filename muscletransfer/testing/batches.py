"""Batches that any pretext task can be tried on."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from lightning.pytorch import Trainer
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

__all__ = ["Rows", "loader", "quiet_trainer", "sample_batch"]


def sample_batch(
    count: int, channels: int, size: tuple[int, int], num_classes: int = 2
) -> dict[str, Tensor]:
    """Make smooth images in [0, 1] with a class and a mask each, the same at every call.

    Args:
        count: Number of images, B.
        channels: Image channels.
        size: Height and width in pixels.
        num_classes: Class indices go from 0 to ``num_classes - 1``.

    Returns:
        ``image`` (B, C, H, W), ``label`` (B,) and ``mask`` (B, H, W).

    Example:
        >>> {name: tuple(t.shape) for name, t in sample_batch(2, 1, (8, 8)).items()}
        {'image': (2, 1, 8, 8), 'label': (2,), 'mask': (2, 8, 8)}
    """
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(count, channels, 8, 8, generator=generator)
    image = F.interpolate(coarse, size=size, mode="bilinear", align_corners=False)
    image = (image + 0.05 * torch.rand(image.shape, generator=generator)).clamp(0, 1)
    mask = (image.mean(dim=1) * num_classes).long().clamp(max=num_classes - 1)
    return {"image": image, "label": torch.arange(count) % num_classes, "mask": mask}


class Rows(Dataset[dict[str, Tensor]]):
    """The rows of a batch, one at a time."""

    def __init__(self, batch: dict[str, Tensor]) -> None:
        self.batch = batch

    def __len__(self) -> int:
        return len(self.batch["image"])

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {name: tensor[index] for name, tensor in self.batch.items()}


def loader(batch: dict[str, Tensor], batch_size: int) -> DataLoader[dict[str, Tensor]]:
    """Give the rows of a batch in order."""
    return DataLoader(Rows(batch), batch_size=batch_size)


def quiet_trainer(**changes: Any) -> Trainer:
    """Return a Trainer on the CPU that writes and prints nothing."""
    settings: dict[str, Any] = {"accelerator": "cpu", "devices": 1, "logger": False}
    settings |= {"max_steps": 2, "max_epochs": -1, "num_sanity_val_steps": 0}
    settings |= {"enable_checkpointing": False, "enable_progress_bar": False}
    settings |= {"enable_model_summary": False, "barebones": False}
    return Trainer(**{**settings, **changes})
