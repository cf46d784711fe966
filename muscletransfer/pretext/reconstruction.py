"""Rebuilding a corrupted image as a source task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics import Metric

from muscletransfer.decoders import SegmentationHead, create_decoder, required_encoder_kwargs
from muscletransfer.encoders import EncoderSpec
from muscletransfer.errors import SettingError, UnknownNameError, close_matches
from muscletransfer.pretext.base import PretextTask
from muscletransfer.pretext.corruptions import add_noise, mask_blocks, swap_patches
from muscletransfer.pretext.registry import register_pretext
from muscletransfer.pretext.similarity import psnr, ssim_map

__all__ = ["ReconstructionPretext"]

_CORRUPTIONS = ("none", "noise", "mask", "swap")
_LOSSES = ("l1", "l2", "ssim")


@register_pretext("reconstruction")
class ReconstructionPretext(PretextTask):
    """Learn to rebuild an image from a corrupted copy (no labels needed).

    Encoder and decoder are those of fine-tuning, so both can be transferred. Corruptions:

    - ``"none"``: a plain autoencoder; near trivial with a decoder that has skip connections.
    - ``"noise"``: Gaussian noise (Vincent et al., ICML 2008).
    - ``"mask"``: hidden blocks (He et al., CVPR 2022, arXiv 2111.06377), here for any encoder.
    - ``"swap"``: swapped patches, context restoration (Chen et al., Med Image Anal 2019,
      58:101539).

    Logs ``psnr`` (dB) and ``ssim`` of the rebuilt image, a mean over images, and for corrupted
    input ``psnr_input``, that of the input itself, which a network must beat to have learned
    anything.

    Batches: ``image`` (B, C, H, W) float, sides multiples of the encoder's ``output_stride``.

    .. versionadded:: 0.1

    Args:
        encoder: Name, spec or module, see :class:`~muscletransfer.PretextTask`.
        in_channels: Channels of the images.
        depth: Number of halvings of the encoder.
        decoder: Name of the decoder, see ``list_decoders``.
        decoder_kwargs: Further arguments of the decoder.
        corruption: ``"none"``, ``"noise"``, ``"mask"`` or ``"swap"``.
        loss: ``"l1"``, ``"l2"``, or ``"ssim"`` (one minus SSIM).
        loss_on: ``"all"`` pixels, or only the ``"corrupted"`` ones (hidden or moved).
        noise_std: Standard deviation of the noise in the images' own units, for ``"noise"``.
        patch_size: Side of blocks and patches in pixels, for ``"mask"`` and ``"swap"``.
        mask_ratio: Part of the blocks that is hidden, for ``"mask"``.
        swaps: Pairs of patches swapped in each image, for ``"swap"``; no more than fit.
        weights: What the encoder starts from.
        stem: ``"strict"`` or ``"adapt"``, for weights with another channel count.
        lr: Learning rate after the warm-up.
        weight_decay: Decoupled weight decay.
        warmup_steps: Optimiser steps of the warm-up.
        seed: Seed of the task's draws.
        channels_last: Use the memory layout that convolutions are fastest in.

    Raises:
        UnknownNameError: If decoder, corruption or loss are not known.
        SettingError: If a value cannot work.

    Example:
        >>> import torch
        >>> task = ReconstructionPretext(corruption="mask")
        >>> inputs, (images, hidden) = task.make_targets({"image": torch.rand(2, 1, 64, 64)})
        >>> task(inputs).shape, round(hidden.float().mean().item(), 2)
        (torch.Size([2, 1, 64, 64]), 0.62)
    """

    def __init__(
        self,
        encoder: str | EncoderSpec | dict[str, Any] | nn.Module = "timm/resnet18",
        in_channels: int = 1,
        depth: int = 5,
        decoder: str = "unet",
        decoder_kwargs: dict[str, Any] | None = None,
        corruption: Literal["none", "noise", "mask", "swap"] = "mask",
        loss: Literal["l1", "l2", "ssim"] = "l1",
        loss_on: Literal["all", "corrupted"] = "all",
        noise_std: float = 0.1,
        patch_size: int = 16,
        mask_ratio: float = 0.6,
        swaps: int = 10,
        weights: str | None = None,
        stem: Literal["strict", "adapt"] = "strict",
        lr: float = 1e-3,
        weight_decay: float = 0.01,
        warmup_steps: int = 50,
        seed: int = 0,
        channels_last: bool = True,
    ) -> None:
        _check_choice("corruption", corruption, _CORRUPTIONS)
        _check_choice("loss", loss, _LOSSES)
        _check_choice("loss_on", loss_on, ("all", "corrupted"))
        if loss_on == "corrupted" and corruption not in ("mask", "swap"):
            raise SettingError(
                f'loss_on="corrupted" with corruption={corruption!r}: there are no single pixels '
                'to choose. Use corruption="mask" or "swap", or loss_on="all".'
            )
        if not (noise_std > 0 and patch_size >= 1 and 0 < mask_ratio < 1 and swaps >= 1):
            raise SettingError(
                f"noise_std={noise_std}, patch_size={patch_size}, mask_ratio={mask_ratio}, "
                f"swaps={swaps}; wanted noise_std above 0, patch_size and swaps at least 1, and "
                "mask_ratio between 0 and 1."
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
        self.corruption = corruption
        self.loss = loss
        self.loss_on = loss_on
        self.noise_std = noise_std
        self.patch_size = patch_size
        self.mask_ratio = mask_ratio
        self.swaps = swaps
        self.decoder = create_decoder(decoder, self.encoder, **(decoder_kwargs or {}))
        self.head = SegmentationHead(self.decoder.out_channels, in_channels, self.decoder.stride)
        self._input_psnr: Tensor | None = None

    def make_targets(self, batch: dict[str, Any]) -> tuple[Tensor, tuple[Tensor, Tensor | None]]:
        """Corrupt the images.

        Returns:
            The corrupted images (B, C, H, W), and the targets: the images, and where they were
            corrupted, (B, 1, H, W) bool, or ``None`` when that is everywhere or nowhere.
        """
        images = batch["image"]
        where: Tensor | None = None
        corrupted = images
        if self.corruption == "noise":
            corrupted = add_noise(images, self.noise_std, self.generator)
        elif self.corruption == "mask":
            corrupted, where = mask_blocks(images, self.patch_size, self.mask_ratio, self.generator)
        elif self.corruption == "swap":
            corrupted, where = swap_patches(images, self.patch_size, self.swaps, self.generator)
        if self.stage != "train" and self.corruption != "none":
            self._input_psnr = psnr(corrupted, images, self._range())
        return corrupted, (images, where)

    def compute_loss(self, outputs: Tensor, targets: tuple[Tensor, Tensor | None]) -> Tensor:
        """Return the mean loss over all or the corrupted pixels."""
        images, where = targets
        outputs, images = outputs.float(), images.float()
        if self.loss == "l1":
            pixel = F.l1_loss(outputs, images, reduction="none")
        elif self.loss == "l2":
            pixel = F.mse_loss(outputs, images, reduction="none")
        else:
            pixel = 1.0 - ssim_map(outputs, images, self._range())
        if where is None or self.loss_on == "all":
            return pixel.mean()
        return (pixel * where).sum() / (where.sum() * pixel.shape[1]).clamp(min=1)

    def add_metrics(
        self, outputs: Tensor, targets: tuple[Tensor, Tensor | None]
    ) -> Mapping[str, Tensor | Metric]:
        """Return PSNR and SSIM beyond training."""
        if self.stage == "train":
            return {}
        images, span = targets[0], self._range()
        scores = {
            "psnr": psnr(outputs, images, span).mean(),
            "ssim": ssim_map(outputs, images, span).mean(),
        }
        if self._input_psnr is not None:
            scores["psnr_input"] = self._input_psnr.mean()
        return scores

    def _range(self) -> float:
        """Return the width of the images' range: [0, 1] divided by the standard deviation."""
        std = self.preprocessing().get("std", 1.0)
        return 1.0 / (sum(std) / len(std) if isinstance(std, list | tuple) else float(std))


def _check_choice(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        near = close_matches(str(value), known)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise UnknownNameError(
            f"{name} is {value!r}.{hint} Wanted one of {', '.join(map(repr, known))}."
        )
