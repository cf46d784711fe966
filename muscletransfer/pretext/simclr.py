"""Contrastive learning of two views of an image as a source task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics import Metric

from muscletransfer.data.augmentation import Augmentation
from muscletransfer.encoders import EncoderSpec
from muscletransfer.errors import DataError, SettingError
from muscletransfer.pretext.base import PretextTask
from muscletransfer.pretext.contrastive import mean_over_all, pair_logits
from muscletransfer.pretext.heads import ProjectionHead
from muscletransfer.pretext.registry import register_pretext
from muscletransfer.pretext.views import float32_by_default, from_unit, to_unit

__all__ = ["SimCLRPretext"]


@register_pretext("simclr")
class SimCLRPretext(PretextTask):
    """Learn which two views show the same image, among all images of the batch (no labels needed).

    SimCLR (Chen et al., ICML 2020, arXiv 2002.05709): each image is cropped, turned, mirrored,
    changed in grey values, blurred and made noisy twice, a whole batch at once on its device; the
    two must be nearer to each other than to any other view. Under several processes the views of
    all of them are compared, with the gradient of one process that has the whole batch (batch norm
    aside, which counts its own images: ``Trainer(sync_batchnorm=True)`` changes that).

    More images a batch make it harder and better; neighbouring slices of one patient in a batch are
    near copies that are pushed apart, so one slice a patient is worth more than many.

    Logs ``accuracy`` (the other view is the nearest of all), beside ``chance``, and ``spread``: 1
    when embeddings lie all around the sphere, 0 when all images look the same to the encoder.

    Batches: ``image`` (B, C, H, W) float, at least two images. Other keys are not used.

    .. versionadded:: 0.1

    Args:
        encoder: Name, spec or module, see :class:`~muscletransfer.PretextTask`.
        in_channels: Channels of the images.
        depth: Number of halvings of the encoder.
        temperature: Divides cosine similarities before the softmax; the smaller, the more only the
            nearest wrong views count.
        features: Width of the embedding that is compared.
        crop: Smallest part of the area that a view keeps, above 0 to 1.
        rotation: Largest angle in degrees.
        flip: Mirror left and right half of the time.
        intensity: Strength of changes of gamma, contrast and brightness; 0 for none, 1 for up to
            40 %, 30 % and 0.15 of the range.
        noise: Largest standard deviation of the noise, in units of the range [0, 1].
        blur: Largest standard deviation of the blur in pixels.
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
        >>> task = SimCLRPretext()
        >>> views, _ = task.make_targets({"image": torch.rand(3, 1, 64, 64)})
        >>> views.shape, task(views).shape
        (torch.Size([6, 1, 64, 64]), torch.Size([6, 128]))
    """

    def __init__(
        self,
        encoder: str | EncoderSpec | dict[str, Any] | nn.Module = "timm/resnet18",
        in_channels: int = 1,
        depth: int = 5,
        temperature: float = 0.2,
        features: int = 128,
        crop: float = 0.3,
        rotation: float = 20.0,
        flip: bool = True,
        intensity: float = 1.0,
        noise: float = 0.03,
        blur: float = 1.0,
        weights: str | None = None,
        stem: Literal["strict", "adapt"] = "strict",
        lr: float = 1e-3,
        weight_decay: float = 0.01,
        warmup_steps: int = 50,
        seed: int = 0,
        channels_last: bool = True,
    ) -> None:
        if not (temperature > 0 and features >= 2 and 0 < crop <= 1 and 0 <= intensity <= 3):
            raise SettingError(
                f"temperature={temperature}, features={features}, crop={crop}, "
                f"intensity={intensity}; wanted temperature above 0, at least 2 features, crop "
                "above 0 to 1, and intensity from 0 to 3."
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
        self.temperature = temperature
        self.augment = Augmentation(
            flip=0.5 if flip else 0.0,
            rotation=rotation,
            scale=0.0,
            shift=0.0,
            crop=crop,
            gamma=0.4 * intensity,
            contrast=0.3 * intensity,
            brightness=0.15 * intensity,
            noise=noise,
            blur=blur,
        )
        self.head = ProjectionHead(self.encoder.out_channels[-1], features)
        self._compared: tuple[Tensor, Tensor] | None = None

    def make_targets(self, batch: dict[str, Any]) -> tuple[Tensor, None]:
        """Make two views of each image.

        Returns:
            (2 B, C, H, W), the first views before the second ones; there is no other target.
        """
        images = batch["image"]
        if self.stage == "train" and len(images) < 2:
            raise DataError(
                "SimCLR compares the images of a batch and got one image. Use a batch_size of at "
                "least 2 (64 or more is better), and drop_last=True in a loader of your own."
            )
        stated = self.preprocessing()
        twice = to_unit(images, stated).repeat(2, 1, 1, 1)
        with float32_by_default():
            views, _ = self.augment(twice, None, self.generator)
        return from_unit(views, stated).to(images.dtype), None

    def compute_loss(self, outputs: Tensor, targets: None) -> Tensor:
        """Return the NT-Xent loss of embeddings (2 B, D)."""
        logits, positive = pair_logits(outputs, self.temperature)
        self._compared = (logits.detach(), positive)
        if self.stage == "train":
            return mean_over_all(logits, positive)
        return F.cross_entropy(logits, positive)  # figures are weighted when they are logged

    def add_metrics(self, outputs: Tensor, targets: None) -> Mapping[str, Tensor | Metric]:
        """Return accuracy, chance and spread."""
        # Made by compute_loss: gathering from other processes twice would cost twice.
        compared, self._compared = self._compared, None
        logits, positive = compared or pair_logits(outputs, self.temperature)
        unit = F.normalize(outputs.float(), dim=1)
        spread = unit.var(dim=0, correction=0).sum()
        return {
            "accuracy": (logits.argmax(dim=1) == positive).float().mean(),
            "chance": logits.new_full((), 1.0 / max(1, logits.shape[1] - 1)),
            "spread": spread,
        }
