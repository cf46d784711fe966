"""Supervised classification of whole images as a source task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics import Metric
from torchmetrics.classification import MulticlassAccuracy

from muscletransfer.encoders import EncoderSpec
from muscletransfer.errors import SettingError
from muscletransfer.pretext.base import PretextTask
from muscletransfer.pretext.checks import check_indices
from muscletransfer.pretext.heads import ClassificationHead
from muscletransfer.pretext.registry import register_pretext

__all__ = ["ClassificationPretext"]


@register_pretext("classification")
class ClassificationPretext(PretextTask):
    """Learn to tell the class of an image: natural images, spinal levels, any folder a class.

    Cross-entropy on globally pooled features. Logs top-1 ``accuracy`` and ``macro_accuracy`` (the
    mean over classes, so that a frequent class does not hide the others), in validation and test
    exactly over the epoch and all devices, beside ``chance``, the reciprocal of the class count.

    Batches: ``image`` (B, C, H, W) float, ``label`` (B,) class indices from 0.

    .. versionadded:: 0.1

    Args:
        num_classes: Number of classes, at least 2.
        encoder: Name, spec or module, see :class:`~muscletransfer.PretextTask`.
        in_channels: Channels of the images.
        depth: Number of halvings of the encoder.
        label_smoothing: Part of the target spread over all classes, 0 to below 1.
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
        >>> import torch
        >>> task = ClassificationPretext(num_classes=3)
        >>> batch = {"image": torch.rand(2, 1, 64, 64), "label": torch.tensor([0, 2])}
        >>> inputs, targets = task.make_targets(batch)
        >>> task(inputs).shape
        torch.Size([2, 3])
    """

    def __init__(
        self,
        num_classes: int,
        encoder: str | EncoderSpec | dict[str, Any] | nn.Module = "timm/resnet18",
        in_channels: int = 1,
        depth: int = 5,
        label_smoothing: float = 0.0,
        dropout: float = 0.0,
        weights: str | None = None,
        stem: Literal["strict", "adapt"] = "strict",
        lr: float = 1e-3,
        weight_decay: float = 0.01,
        warmup_steps: int = 50,
        seed: int = 0,
        channels_last: bool = True,
    ) -> None:
        if num_classes < 2 or not (0 <= label_smoothing < 1 and 0 <= dropout < 1):
            raise SettingError(
                f"num_classes={num_classes}, label_smoothing={label_smoothing}, dropout={dropout}; "
                "wanted at least 2 classes, and the others from 0 to below 1."
            )
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
        self.num_classes = num_classes
        self.label_smoothing = label_smoothing
        self.head = ClassificationHead(self.encoder.out_channels[-1], num_classes, dropout)
        self.top1 = MulticlassAccuracy(num_classes, average="micro")
        self.macro = MulticlassAccuracy(num_classes, average="macro")

    def make_targets(self, batch: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """Return the images and their classes (B,)."""
        label = check_indices(self.checks, batch["label"], self.num_classes, "batch['label']")
        return batch["image"], label

    def compute_loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean cross-entropy of logits (B, K)."""
        return F.cross_entropy(outputs, targets, label_smoothing=self.label_smoothing)

    def add_metrics(self, outputs: Tensor, targets: Tensor) -> Mapping[str, Tensor | Metric]:
        """Return top-1 accuracy, and beyond training macro accuracy and chance."""
        if self.stage == "train":
            return {"accuracy": (outputs.argmax(dim=1) == targets).float().mean()}
        self.top1.update(outputs, targets)
        self.macro.update(outputs, targets)
        chance = outputs.new_full((), 1.0 / self.num_classes)
        return {"accuracy": self.top1, "macro_accuracy": self.macro, "chance": chance}
