"""Telling which way is up as a source task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics import Metric
from torchmetrics.classification import MulticlassAccuracy

from muscletransfer.encoders import EncoderSpec
from muscletransfer.errors import SettingError
from muscletransfer.pretext.base import PretextTask
from muscletransfer.pretext.heads import ClassificationHead
from muscletransfer.pretext.registry import register_pretext

__all__ = ["RotationPretext", "quarter_turns", "square_centre"]


def quarter_turns(images: Tensor, turns: Tensor) -> Tensor:
    """Turn each image of a batch by its own number of quarter turns; no pixel is interpolated.

    Args:
        images: (B, C, S, S).
        turns: (B,) integers from 0 to 3, counter-clockwise.

    Returns:
        (B, C, S, S).

    Example:
        >>> image = torch.tensor([[[[1, 2], [3, 4]]]])
        >>> quarter_turns(image, torch.tensor([1])).tolist()
        [[[[2, 4], [1, 3]]]]
    """
    turns = turns.view(-1, 1, 1, 1)
    turned = torch.where(turns % 2 == 1, images.transpose(2, 3), images)
    turned = torch.where((turns == 1) | (turns == 2), turned.flip(2), turned)
    return torch.where(turns >= 2, turned.flip(3), turned)


def square_centre(images: Tensor) -> Tensor:
    """Cut the largest square out of the middle of images; square ones are returned as they are.

    Args:
        images: (B, C, H, W).

    Returns:
        (B, C, S, S), S the shorter side.

    Example:
        >>> square_centre(torch.arange(4.0).view(1, 1, 1, 4)).tolist()
        [[[[1.0]]]]
    """
    side = min(images.shape[-2:])
    top, left = ((length - side) // 2 for length in images.shape[-2:])
    return images[..., top : top + side, left : left + side]


@register_pretext("rotation")
class RotationPretext(PretextTask):
    """Learn by how many quarter turns an image was rotated (no labels needed).

    Gidaris et al., ICLR 2018 (arXiv 1803.07728). Images that are not square lose the ends of their
    longer side, since a batch has one shape.

    On CT the couch, which always lies below, can give the answer away: crop to the body, or judge
    by what fine-tuning gains and not by the accuracy.

    Logs ``accuracy`` beside ``chance``, which is 0.25.

    Batches: ``image`` (B, C, H, W) float. Other keys are not used.

    .. versionadded:: 0.1

    Args:
        encoder: Name, spec or module, see :class:`~muscletransfer.PretextTask`.
        in_channels: Channels of the images.
        depth: Number of halvings of the encoder.
        all_turns: Show each image in all four turns at each step, as the paper does, at four times
            the cost; ``False`` draws one turn an image.
        flip: Mirror images left and right half of the time before they are turned.
        dropout: Dropout rate before the last layer, 0 to below 1.
        weights: What the encoder starts from.
        stem: ``"strict"`` or ``"adapt"``, for weights with another channel count.
        lr: Learning rate after the warm-up.
        weight_decay: Decoupled weight decay.
        warmup_steps: Optimiser steps of the warm-up.
        seed: Seed of the task's draws.
        channels_last: Use the memory layout that convolutions are fastest in.

    Raises:
        SettingError: If a value cannot work.

    Example:
        >>> task = RotationPretext(all_turns=True)
        >>> turned, turns = task.make_targets({"image": torch.rand(2, 1, 64, 96)})
        >>> turned.shape, turns.tolist()
        (torch.Size([8, 1, 64, 64]), [0, 0, 1, 1, 2, 2, 3, 3])
        >>> task(turned).shape
        torch.Size([8, 4])
    """

    def __init__(
        self,
        encoder: str | EncoderSpec | dict[str, Any] | nn.Module = "timm/resnet18",
        in_channels: int = 1,
        depth: int = 5,
        all_turns: bool = False,
        flip: bool = True,
        dropout: float = 0.0,
        weights: str | None = None,
        stem: Literal["strict", "adapt"] = "strict",
        lr: float = 1e-3,
        weight_decay: float = 0.01,
        warmup_steps: int = 50,
        seed: int = 0,
        channels_last: bool = True,
    ) -> None:
        if not 0 <= dropout < 1:
            raise SettingError(f"dropout is {dropout}; wanted 0 to below 1.")
        super().__init__(
            encoder,
            in_channels,
            depth,
            weights=weights,
            stem=stem,
            lr=lr,
            weight_decay=weight_decay,
            warmup_steps=warmup_steps,
            seed=seed,
            channels_last=channels_last,
        )
        self.all_turns = all_turns
        self.flip = flip
        self.head = ClassificationHead(self.encoder.out_channels[-1], 4, dropout)
        self.top1 = MulticlassAccuracy(4, average="micro")

    def make_targets(self, batch: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """Turn the images.

        Returns:
            Turned images (N, C, S, S) and their quarter turns (N,); N is B, or 4 * B with
            ``all_turns``.
        """
        images = square_centre(batch["image"])
        count, device = len(images), images.device
        # Both are always drawn, so that switching one off does not change the other.
        mirrored = torch.rand(count, 1, 1, 1, generator=self.generator, device=device) < 0.5
        turns = torch.randint(4, (count,), generator=self.generator, device=device)
        if self.flip:
            images = torch.where(mirrored, images.flip(-1), images)
        if self.all_turns:
            turns = torch.arange(4, device=device).repeat_interleave(count)
            images = images.repeat(4, 1, 1, 1)
        return quarter_turns(images, turns), turns

    def compute_loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean cross-entropy of logits (N, 4)."""
        return F.cross_entropy(outputs.float(), targets)

    def add_metrics(self, outputs: Tensor, targets: Tensor) -> Mapping[str, Tensor | Metric]:
        """Return the accuracy, and beyond training chance."""
        if self.stage == "train":
            return {"accuracy": (outputs.argmax(dim=1) == targets).float().mean()}
        self.top1.update(outputs, targets)
        return {"accuracy": self.top1, "chance": outputs.new_full((), 0.25)}
