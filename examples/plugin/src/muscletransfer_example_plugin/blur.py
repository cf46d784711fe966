"""A pretext task: tell how strongly an image was blurred."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from muscletransfer.pretext import ClassificationHead, PretextTask, register_pretext


def blurred(images: Tensor, radius: int) -> Tensor:
    """Replace each pixel by the mean of its neighbourhood, (B, C, H, W); no border is invented."""
    side = 2 * radius + 1
    return F.avg_pool2d(images, side, stride=1, padding=radius, count_include_pad=False)


# The entry point makes the name known; the decorator writes it into checkpoints. Both together are
# one claim of the name.
@register_pretext("example-plugin/blur")
class BlurPretext(PretextTask):
    """Tell by how many pixels an image was blurred.

    Batches: ``image`` (B, C, H, W) float. Other keys are not used.

    Args:
        encoder: Name, spec or module, see ``muscletransfer.PretextTask``.
        in_channels: Channels of the images.
        depth: Number of halvings of the encoder.
        levels: Number of blur radii, from 0 up.
        weights: What the encoder starts from.
        lr: Learning rate after the warm-up.
        warmup_steps: Optimiser steps of the warm-up.
        seed: Seed of the task's draws.
    """

    def __init__(
        self,
        encoder: str | dict[str, Any] | nn.Module = "example-plugin/tiny",
        in_channels: int = 1,
        depth: int = 5,
        levels: int = 4,
        weights: str | None = None,
        lr: float = 1e-3,
        warmup_steps: int = 50,
        seed: int = 0,
    ) -> None:
        super().__init__(
            encoder,
            in_channels,
            depth,
            weights=weights,
            lr=lr,
            warmup_steps=warmup_steps,
            seed=seed,
        )
        self.levels = levels
        self.head = ClassificationHead(self.encoder.out_channels[-1], levels)

    def make_targets(self, batch: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """Blur each image by its own radius: (B, C, H, W) and the radii (B,)."""
        image = batch["image"]
        count, device = len(image), image.device
        radii = torch.randint(self.levels, (count,), generator=self.generator, device=device)
        versions = torch.stack([blurred(image, radius) for radius in range(self.levels)])
        return versions[radii, torch.arange(count, device=device)], radii

    def compute_loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean cross-entropy of logits (B, levels)."""
        return F.cross_entropy(outputs.float(), targets)

    def add_metrics(self, outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Return the accuracy beside chance."""
        accuracy = (outputs.argmax(dim=1) == targets).float().mean()
        return {"accuracy": accuracy, "chance": outputs.new_tensor(1 / self.levels)}
