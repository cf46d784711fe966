"""Fine-tuning on a manifest as MONAI's tutorials do it, with the library's default augmentation."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import segmentation_models_pytorch as smp
import torch
from monai import transforms as mt
from monai.data import CacheDataset, DataLoader
from monai.losses import DiceCELoss
from monai.metrics import DiceMetric
from monai.utils import set_determinism
from peers.same_augmentation import monai_transforms
from torch.utils.data import RandomSampler

HU = (-150, 250)
KEYS = ("image", "mask")


def seed(number: int) -> None:
    """Seed all that MONAI draws from; cuDNN chooses its kernels freely, as beside the library."""
    set_determinism(number)
    torch.backends.cudnn.deterministic = False


def items_of(manifest: Path, split: Path, role: str) -> list[dict[str, str]]:
    """Paths of the images and masks of the patients of a role."""
    wanted = set(json.loads(split.read_text())[role])
    with manifest.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["patient_id"] in wanted]
    return [{key: str(manifest.parent / row[key]) for key in KEYS} for row in rows]


def reading(size: int) -> list[Any]:
    """Transforms that are the same every time, so that CacheDataset keeps what they give."""
    return [
        mt.LoadImaged(KEYS, ensure_channel_first=True),
        # An image of one slice is read as 2-D, a NIfTI mask of one slice as 3-D.
        mt.Lambdad(KEYS, lambda x: x.squeeze(-1) if x.ndim == 4 else x),
        mt.ScaleIntensityRanged("image", *HU, 0, 1, clip=True),
        mt.Resized(KEYS, (size, size), mode=("bilinear", "nearest")),
        mt.EnsureTyped(KEYS),
    ]


def training_loader(
    items: Sequence[dict[str, str]], size: int, batch: int, steps: int, workers: int
) -> DataLoader:
    """Batches of cached slices, augmented; so many an epoch, and none of them short."""
    transform = mt.Compose([*reading(size), *monai_transforms(size)])
    data = CacheDataset(list(items), transform, progress=False, num_workers=None)
    sampler = RandomSampler(data, num_samples=steps * batch)
    return DataLoader(
        data,
        batch_size=batch,
        sampler=sampler,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
    )


def validation_loader(items: Sequence[dict[str, str]], size: int) -> DataLoader:
    """Cached slices, one at a time."""
    data = CacheDataset(list(items), mt.Compose(reading(size)), progress=False, num_workers=None)
    return DataLoader(data, batch_size=1)


class Training:
    """Network, loss and optimiser.

    Args:
        encoder: A timm name.
        device: ``"cpu"`` or ``"cuda"``.
        mixed: Whether to compute under bf16 autocast.
        channels_last: Whether images and weights lie channels last, and AdamW is the fused one.
    """

    def __init__(
        self, encoder: str, device: str, mixed: bool = False, channels_last: bool = False
    ) -> None:
        network = smp.Unet(f"tu-{encoder}", encoder_weights=None, in_channels=1, classes=1)
        self.layout = torch.channels_last if channels_last else torch.contiguous_format
        self.network = network.to(device, memory_format=self.layout)
        self.device, self.mixed = device, mixed
        self.loss = DiceCELoss(sigmoid=True)
        # None, unlike False, leaves torch its own choice, which on a GPU is a fast one as well.
        fused = True if channels_last else None
        parameters = self.network.parameters()
        self.optimizer = torch.optim.AdamW(parameters, lr=1e-3, weight_decay=0.01, fused=fused)

    def _image(self, batch: dict[str, Any]) -> torch.Tensor:
        image = batch["image"].as_tensor().to(self.device)
        return image.contiguous(memory_format=self.layout)

    def step(self, batch: dict[str, Any]) -> float:
        """Learn from a batch; return its loss."""
        self.network.train()
        image, mask = self._image(batch), batch["mask"].as_tensor().to(self.device)
        self.optimizer.zero_grad()
        with torch.autocast(self.device, torch.bfloat16, enabled=self.mixed):
            logits = self.network(image)
        loss = self.loss(logits.float(), mask.float())
        loss.backward()
        self.optimizer.step()
        return float(loss.item())

    @torch.no_grad()
    def validate(self, loader: DataLoader) -> float:
        """Mean Dice over the cases, on the network's grid."""
        self.network.eval()
        metric = DiceMetric()
        for batch in loader:
            with torch.autocast(self.device, torch.bfloat16, enabled=self.mixed):
                logits = self.network(self._image(batch))
            metric(y_pred=(logits > 0).float().cpu(), y=batch["mask"].as_tensor().float())
        return float(metric.aggregate().item())


def endless(loader: DataLoader) -> Iterator[dict[str, Any]]:
    """Epoch after epoch."""
    while True:
        yield from loader
