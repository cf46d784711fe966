"""Masked image modelling for convolutional encoders as a source task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torchmetrics import Metric

from muscletransfer.decoders import SegmentationHead, create_decoder, required_encoder_kwargs
from muscletransfer.encoders import EncoderSpec
from muscletransfer.errors import SettingError, UnknownNameError
from muscletransfer.pretext.base import PretextTask
from muscletransfer.pretext.corruptions import draw_blocks, visible_mean
from muscletransfer.pretext.patches import masked_patch_loss, normalise_patches
from muscletransfer.pretext.registry import register_pretext
from muscletransfer.pretext.sparse import SparseMaps

__all__ = ["MaskedImagePretext"]


@register_pretext("masked")
class MaskedImagePretext(PretextTask):
    """Learn to say what hidden patches of an image show (no labels needed).

    Encoder and decoder are those of fine-tuning, so both can be transferred. The loss is taken on
    hidden patches alone, patch by patch. Two ways to hide:

    - ``"sparse"`` (Tian et al., ICLR 2023, arXiv 2301.03580): hidden places are masked again after
      each layer of the encoder, and its norms count visible places only, see
      :class:`~muscletransfer.pretext.sparse.SparseMaps`. Before the decoder, hidden places of each
      feature get a vector that is learned.
    - ``"filled"``: hidden pixels take the mean of the visible ones, and the encoder runs as usual
      (Xie et al., "SimMIM", CVPR 2022, arXiv 2111.09886, with a mean for the token). For encoders
      of attention layers.

    Logs ``trivial_loss`` beside ``loss``: what predicting no detail at all gives (each patch's mean
    where patches are normalised, else the mean of the visible pixels). A loss that is not below it
    has learned nothing.

    Batches: ``image`` (B, C, H, W) float, sides multiples of the encoder's ``output_stride``.

    .. versionadded:: 0.1

    Args:
        encoder: Name, spec or module, see :class:`~muscletransfer.PretextTask`.
        in_channels: Channels of the images.
        depth: Number of halvings of the encoder.
        decoder: Name of the decoder, see ``list_decoders``.
        decoder_kwargs: Further arguments of the decoder.
        masking: ``"sparse"`` or ``"filled"``.
        patch_size: Side of a patch in pixels; for ``"sparse"`` a multiple of the encoder's
            ``output_stride``, so that a place of the last feature is hidden or visible as a whole.
            ``None`` takes that stride.
        mask_ratio: Part of the patches that is hidden, between 0 and 1; 0.6 as in SparK.
        normalise_target: Give each patch of the target mean 0 and variance 1, so that structure
            counts and not brightness.
        weights: What the encoder starts from.
        stem: ``"strict"`` or ``"adapt"``, for weights with another channel count.
        lr: Learning rate after the warm-up.
        weight_decay: Decoupled weight decay.
        warmup_steps: Optimiser steps of the warm-up.
        seed: Seed of the task's draws.
        channels_last: Use the memory layout that convolutions are fastest in.

    Raises:
        UnknownNameError: If decoder or masking are not known.
        SettingError: If a value cannot work.

    Example:
        >>> task = MaskedImagePretext()
        >>> inputs, (target, hidden, _) = task.make_targets({"image": torch.rand(2, 1, 64, 96)})
        >>> task(inputs).shape, round(hidden.float().mean().item(), 2)
        (torch.Size([2, 1, 64, 96]), 0.67)
    """

    def __init__(
        self,
        encoder: str | EncoderSpec | dict[str, Any] | nn.Module = "timm/resnet18",
        in_channels: int = 1,
        depth: int = 5,
        decoder: str = "unet",
        decoder_kwargs: dict[str, Any] | None = None,
        masking: Literal["sparse", "filled"] = "sparse",
        patch_size: int | None = None,
        mask_ratio: float = 0.6,
        normalise_target: bool = True,
        weights: str | None = None,
        stem: Literal["strict", "adapt"] = "strict",
        lr: float = 1e-3,
        weight_decay: float = 0.01,
        warmup_steps: int = 50,
        seed: int = 0,
        channels_last: bool = True,
    ) -> None:
        if masking not in ("sparse", "filled"):
            raise UnknownNameError(f"masking is {masking!r}; wanted 'sparse' or 'filled'.")
        if not 0 < mask_ratio < 1:
            raise SettingError(f"mask_ratio is {mask_ratio}; wanted a number between 0 and 1.")
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
        self.masking = masking
        self.patch_size = _fitting_patch(patch_size, self.encoder.output_stride, masking)
        self.mask_ratio = mask_ratio
        self.normalise_target = normalise_target
        self.decoder = create_decoder(decoder, self.encoder, **(decoder_kwargs or {}))
        self.head = SegmentationHead(self.decoder.out_channels, in_channels, self.decoder.stride)
        if masking == "sparse":
            # One parameter for all levels: a decoder that skips a level leaves none unused.
            self.mask_tokens = nn.Parameter(0.02 * torch.randn(sum(self.encoder.out_channels[1:])))

    def on_fit_start(self) -> None:
        """Refuse norms that would see hidden patches, then check and rehearse as every task."""
        synchronised = any(isinstance(part, nn.SyncBatchNorm) for part in self.encoder.modules())
        # Its kernel is an autograd function, which runs past SparseMaps; alone it is a batch norm.
        if self.masking == "sparse" and synchronised and self.trainer.world_size > 1:
            raise SettingError(
                "masking='sparse' cannot hide patches from SyncBatchNorm on several devices. Use "
                "Trainer(sync_batchnorm=False), an encoder without it, or masking='filled'."
            )
        super().on_fit_start()

    def make_targets(
        self, batch: dict[str, Any]
    ) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]:
        """Hide patches.

        Returns:
            ``(images, hidden)``, the images (B, C, H, W) without their hidden pixels and (B, 1, H,
            W) bool; and the targets: what the decoder shall say (B, C, H, W), ``hidden``, and the
            trivial answer, which broadcasts with it.
        """
        images = batch["image"]
        hidden = draw_blocks(images, self.patch_size, self.mask_ratio, self.generator)
        mean = visible_mean(images, hidden, self.patch_size)
        shown = torch.where(hidden, 0.0 if self.masking == "sparse" else mean, images)
        target, trivial = images.float(), mean.float()
        if self.normalise_target:
            target = normalise_patches(target, self.patch_size)
            trivial = torch.zeros_like(trivial)
        return (shown, hidden), (target, hidden, trivial)

    def forward(self, inputs: tuple[Tensor, Tensor]) -> Tensor:
        """Map what :meth:`make_targets` showed to images (B, C, H, W)."""
        shown, hidden = inputs
        shown = self.as_layout(shown)
        if self.masking == "sparse":
            maps = SparseMaps(~hidden)
            with maps:
                features = self.encoder(shown)
            features = self._fill(features, maps)
        else:
            features = self.encoder(shown)
        rebuilt: Tensor = self.head(self.decoder(features))
        return rebuilt

    def compute_loss(self, outputs: Tensor, targets: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        """Return the mean squared error of the hidden patches."""
        target, hidden, _ = targets
        return masked_patch_loss(outputs.float(), target, hidden, self.patch_size)

    def add_metrics(
        self, outputs: Tensor, targets: tuple[Tensor, Tensor, Tensor]
    ) -> Mapping[str, Tensor | Metric]:
        """Return the loss of the trivial answer."""
        target, hidden, trivial = targets
        return {"trivial_loss": masked_patch_loss(trivial, target, hidden, self.patch_size)}

    def _fill(self, features: list[Tensor], maps: SparseMaps) -> list[Tensor]:
        """Put the learned vector of its level into each hidden place; the image stays."""
        tokens = torch.split(self.mask_tokens, list(self.encoder.out_channels[1:]))
        filled = [features[0]]
        for feature, token in zip(features[1:], tokens, strict=True):
            visible = maps.at(feature.shape[-2], feature.shape[-1])
            token = token.to(feature.dtype).view(1, -1, 1, 1)
            filled.append(torch.where(visible, feature, token))
        return filled


def _fitting_patch(patch_size: int | None, stride: int, masking: str) -> int:
    patch = stride if patch_size is None else patch_size
    if patch < 1 or (masking == "sparse" and patch % stride):
        raise SettingError(
            f"patch_size is {patch}; wanted at least 1, and with masking='sparse' a multiple of "
            f"the encoder's output_stride {stride}, such as {max(stride, patch // stride * stride)}"
            ". Smaller patches go with masking='filled', or an encoder of less depth."
        )
    return patch
