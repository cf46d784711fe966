"""Supervised segmentation of something other than muscle as a source task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from torch import Tensor, nn
from torchmetrics import Metric

from muscletransfer.decoders import SegmentationHead, create_decoder, required_encoder_kwargs
from muscletransfer.encoders import EncoderSpec
from muscletransfer.errors import DataError, SettingError
from muscletransfer.losses import build_loss
from muscletransfer.pretext.base import PretextTask
from muscletransfer.pretext.checks import check_indices
from muscletransfer.pretext.overlap import MeanOverlap
from muscletransfer.pretext.registry import register_pretext

__all__ = ["SegmentationPretext"]


@register_pretext("segmentation")
class SegmentationPretext(PretextTask):
    """Learn to outline other things: organs, tissues, street scenes.

    Encoder and decoder are those of fine-tuning, so both can be transferred; the head, which knows
    the classes of this task only, stays behind.

    Logs mean ``dice`` and mean ``iou`` over the classes that occur, in validation and test from one
    confusion matrix over all pixels of the epoch and all devices. Class 0 is the background and not
    part of the mean unless ``background=False``.

    Batches: ``image`` (B, C, H, W) float, ``mask`` (B, H, W) class indices.

    .. versionadded:: 0.1

    Args:
        num_classes: Number of classes K, the background counted, at least 2.
        encoder: Name, spec or module, see :class:`~muscletransfer.PretextTask`.
        in_channels: Channels of the images.
        depth: Number of halvings of the encoder.
        decoder: Name of the decoder, see ``list_decoders``.
        decoder_kwargs: Further arguments of the decoder.
        loss: A name of :func:`~muscletransfer.losses.build_loss`, such as ``"ce_dice"``, ``"ce"``,
            ``"dice"``, ``"focal"``, the path of a class, or a module.
        loss_kwargs: Arguments of a loss given by name or path.
        ignore_index: Mask value of pixels that count neither in the loss nor in the scores.
        background: Whether class 0 is background; ``False`` where every class is a thing (street
            scenes), then it counts in the scores like the others.
        weights: What the encoder starts from.
        stem: ``"strict"`` or ``"adapt"``, for weights with another channel count.
        lr: Learning rate after the warm-up.
        weight_decay: Decoupled weight decay.
        warmup_steps: Optimiser steps of the warm-up.
        seed: Seed of the task's draws.
        channels_last: Use the memory layout that convolutions are fastest in.

    Raises:
        UnknownNameError: If decoder or loss are not known.
        SettingError: If a value cannot work.

    Example:
        >>> import torch
        >>> task = SegmentationPretext(num_classes=4)
        >>> mask = torch.randint(4, (2, 64, 64))
        >>> inputs, targets = task.make_targets({"image": torch.rand(2, 1, 64, 64), "mask": mask})
        >>> task(inputs).shape
        torch.Size([2, 4, 64, 64])
    """

    def __init__(
        self,
        num_classes: int,
        encoder: str | EncoderSpec | dict[str, Any] | nn.Module = "timm/resnet18",
        in_channels: int = 1,
        depth: int = 5,
        decoder: str = "unet",
        decoder_kwargs: dict[str, Any] | None = None,
        loss: str | nn.Module = "ce_dice",
        loss_kwargs: dict[str, Any] | None = None,
        ignore_index: int = 255,
        background: bool = True,
        weights: str | None = None,
        stem: Literal["strict", "adapt"] = "strict",
        lr: float = 1e-3,
        weight_decay: float = 0.01,
        warmup_steps: int = 50,
        seed: int = 0,
        channels_last: bool = True,
    ) -> None:
        if num_classes < 2 or 0 <= ignore_index < num_classes:
            raise SettingError(
                f"num_classes={num_classes}, ignore_index={ignore_index}; wanted at least 2 "
                "classes (the background is one), and an ignore_index that is no class."
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
            encoder_kwargs=required_encoder_kwargs(decoder),
        )
        self.num_classes = num_classes
        self.ignore_index = ignore_index
        self.decoder = create_decoder(decoder, self.encoder, **(decoder_kwargs or {}))
        self.head = SegmentationHead(self.decoder.out_channels, num_classes, self.decoder.stride)
        self.loss = build_loss(loss, num_classes, ignore_index, loss_kwargs)
        self.dice = MeanOverlap(num_classes, "dice", ignore_index, background)
        self.iou = MeanOverlap(num_classes, "iou", ignore_index, background)

    def make_targets(self, batch: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """Return the images and their masks (B, H, W)."""
        images, mask = batch["image"], batch["mask"]
        wanted = (images.shape[0], *images.shape[2:])
        if tuple(mask.shape) != wanted:
            raise DataError(
                f"batch['mask'] has shape {tuple(mask.shape)}; wanted {wanted}, one class index "
                "for each pixel of the images (no channel, no one-hot)."
            )
        target = check_indices(
            self.checks, mask, self.num_classes, "batch['mask']", ignore=self.ignore_index
        )
        return images, target

    def compute_loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of logits (B, K, H, W)."""
        loss: Tensor = self.loss(outputs, targets)
        return loss

    def add_metrics(self, outputs: Tensor, targets: Tensor) -> Mapping[str, Tensor | Metric]:
        """Return mean Dice and IoU beyond training."""
        if self.stage == "train":
            return {}
        predicted = outputs.argmax(dim=1)
        self.dice.update(predicted, targets)
        self.iou.update(predicted, targets)
        return {"dice": self.dice, "iou": self.iou}
