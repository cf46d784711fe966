"""The jigsaw puzzle as a source task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torchmetrics import MeanMetric, Metric

from muscletransfer.data.preprocessing.per_channel import per_channel
from muscletransfer.encoders import EncoderSpec
from muscletransfer.errors import DataError, SettingError
from muscletransfer.pretext.base import PretextTask
from muscletransfer.pretext.heads import JigsawHead, pool
from muscletransfer.pretext.permutations import arrange, permutation_set
from muscletransfer.pretext.registry import register_pretext
from muscletransfer.pretext.tiles import (
    TileLayout,
    check_tile_size,
    cut_tiles,
    draw_corners,
    equalise_tiles,
    plan_tiles,
    resize_tiles,
    sample_tiles,
    shuffle_tiles,
)
from muscletransfer.pretext.views import body_window, draw_view, random_view

__all__ = ["JigsawPretext"]

_AIR = 0.02  # of the range [0, 1]: under a soft-tissue window air is 0, up to noise


@register_pretext("jigsaw")
class JigsawPretext(PretextTask):
    """Learn which permutation shuffled the tiles of an image (no labels needed).

    Noroozi & Favaro, ECCV 2016 (arXiv 1603.09246). Each image is rotated, flipped and cropped to
    the body, then cut into ``grid * grid`` cells; from each cell a random smaller square is the
    tile. The tiles are shuffled by one of a fixed set of permutations
    (:func:`~muscletransfer.pretext.permutation_set`) and go through one shared encoder; their
    pooled features are concatenated, and a small head tells the permutation.

    **Tile size.** The encoder takes sides that are multiples of its ``output_stride``, and some
    only larger multiples or sides from a certain one on; tiles are cut or resized to such a size,
    see :func:`~muscletransfer.pretext.tiles.plan_tiles`.

    **Air.** Tiles that are air stay in place and the others fill the remaining slots in the order
    of the permutation (:func:`~muscletransfer.pretext.arrange`). With many pinned tiles two
    permutations can come to the same arrangement, and no network could tell them apart; so the
    target is the *set* of permutations that give the arrangement shown, the loss is minus the log
    of the probability of the whole set, and any member counts as right. Without air this is plain
    cross-entropy. With the 72 permutations of 3 x 3 each arrangement is unique as long as seven
    tiles can move, and with five (a cross, the corners being air) 1.4 permutations share one on
    average. Images with fewer than two movable tiles do not count.

    Logs ``accuracy`` beside ``chance`` (what guessing gives, the mean share of the set in all
    permutations). Should accuracy stay at chance: train longer, use a larger batch, or begin with
    ``grid=2``; accuracy alone does not show that the features transfer.

    Batches: ``image`` (B, C, H, W) float. Other keys are not used.

    .. versionadded:: 0.1

    Args:
        encoder: Name, spec or module, see :class:`~muscletransfer.PretextTask`.
        in_channels: Channels of the images.
        depth: Number of halvings of the encoder.
        grid: Tiles a side, at least 2.
        permutations: Number of permutations, or ``"auto"``: 24 for 2 x 2, 72 for 3 x 3, else 100.
        tile_size: Side of the tiles that the encoder sees in pixels, one that it takes; ``None``
            takes the one that fits the image.
        gap: Smallest part of a cell's side that no tile covers, 0 to 0.9; 0.14 is the paper's 64
            of 75 pixels.
        jitter: Part of the free space in its cell that a tile may move in, 0 to 1.
        normalise_tiles: Give all tiles of an image the same mean and spread, so that brightness
            cannot be matched; see :func:`~muscletransfer.pretext.tiles.equalise_tiles`.
        rotation: Largest angle in degrees by which an image is rotated before it is cut.
        flip: Mirror images left and right at random before they are cut.
        crop_to_body: Zoom in on what is not air before cutting.
        air_below: Mean brightness, in units of [0, 1] before any mean and standard deviation,
            under which a tile is air; ``"auto"`` is 0.02. ``None``: nothing is air.
        weights: What the encoder starts from.
        stem: ``"strict"`` or ``"adapt"``, for weights with another channel count.
        lr: Learning rate after the warm-up.
        weight_decay: Decoupled weight decay.
        warmup_steps: Optimiser steps of the warm-up.
        seed: Seed of the task's draws, and of the search for permutations where there is one.
        channels_last: Use the memory layout that convolutions are fastest in.

    Raises:
        SettingError: If a value cannot work.

    Example:
        >>> task = JigsawPretext(grid=2)
        >>> tiles, (possible, usable) = task.make_targets({"image": torch.rand(3, 1, 128, 128)})
        >>> tiles.shape, possible.shape, usable.tolist()
        (torch.Size([3, 4, 1, 64, 64]), torch.Size([3, 24]), [True, True, True])
        >>> task(tiles).shape
        torch.Size([3, 24])
    """

    def __init__(
        self,
        encoder: str | EncoderSpec | dict[str, Any] | nn.Module = "timm/resnet18",
        in_channels: int = 1,
        depth: int = 5,
        grid: int = 3,
        permutations: int | Literal["auto"] = "auto",
        tile_size: int | None = None,
        gap: float = 0.14,
        jitter: float = 1.0,
        normalise_tiles: bool = True,
        rotation: float = 20.0,
        flip: bool = True,
        crop_to_body: bool = True,
        air_below: float | Literal["auto"] | None = "auto",
        weights: str | None = None,
        stem: Literal["strict", "adapt"] = "strict",
        lr: float = 1e-3,
        weight_decay: float = 0.01,
        warmup_steps: int = 50,
        seed: int = 0,
        channels_last: bool = True,
    ) -> None:
        if not (0 <= gap <= 0.9 and 0 <= jitter <= 1 and 0 <= rotation <= 180):
            raise SettingError(
                f"gap={gap}, jitter={jitter}, rotation={rotation}; wanted gap from 0 to 0.9, "
                "jitter from 0 to 1 and rotation from 0 to 180 degrees."
            )
        if isinstance(air_below, str) and air_below != "auto":
            raise SettingError(f'air_below is {air_below!r}; wanted a number, "auto" or None.')
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
        self.grid = grid
        self.tile_size = self._fitting_tile_size(tile_size)
        self.gap = gap
        self.jitter = jitter
        self.normalise_tiles = normalise_tiles
        self.rotation = rotation
        self.flip = flip
        self.crop_to_body = crop_to_body
        self.air_below = _AIR if air_below == "auto" else air_below
        # No buffer: callbacks that average weights average buffers too, and 3 can become 2.
        self._permutations = permutation_set(grid, permutations, seed)
        self.head = JigsawHead(self.encoder.out_channels[-1], grid * grid, len(self.permutations))
        self.accuracy = MeanMetric()
        self.chance = MeanMetric()
        self._seen: Tensor | None = None

    @property
    def permutations(self) -> Tensor:
        """(P, T) int64 permutations to tell apart, the same whenever the task is built alike."""
        if self._permutations.device != self.device:
            self._permutations = self._permutations.to(self.device)
        return self._permutations

    def make_targets(self, batch: dict[str, Any]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Cut and shuffle.

        Returns:
            Tiles (B, T, C, h, w), and the targets: (B, P) bool, the permutations that give this
            arrangement, and (B,) bool, whether the image counts.
        """
        images = batch["image"]
        layout = plan_tiles(
            (images.shape[-2], images.shape[-1]),
            self.grid,
            **self._sides(),
            gap=self.gap,
            tile_size=self.tile_size,
        )
        tiles = self._cut(images, layout)
        choice = torch.randint(
            len(self.permutations), (len(tiles),), generator=self.generator, device=tiles.device
        )
        pinned = self._is_air(tiles)
        arrangements = arrange(self.permutations, pinned.unsqueeze(1))
        shown = arrangements[torch.arange(len(tiles), device=tiles.device), choice]
        possible = (arrangements == shown.unsqueeze(1)).all(dim=-1)
        if self.normalise_tiles:
            tiles = equalise_tiles(tiles, pinned)
        usable = (~pinned).sum(dim=1) >= 2
        return resize_tiles(shuffle_tiles(tiles, shown), layout.tile), (possible, usable)

    def _cut(self, images: Tensor, layout: TileLayout) -> Tensor:
        """Cut tiles (B, T, C, crop, crop) out of a random view of each image."""
        window = self._window(images)
        draw: dict[str, Any] = {"rotation": self.rotation, "flip": self.flip, "window": window}
        drawn: dict[str, Any] = {"jitter": self.jitter, "generator": self.generator}
        if self.rotation == 0 and window is None:  # pixels only change places
            view = random_view(images, **draw, generator=self.generator)
            return cut_tiles(view, draw_corners(len(images), layout, **drawn), layout.crop)
        theta = draw_view(images, **draw, generator=self.generator)
        corners = draw_corners(len(images), layout, **drawn)
        return sample_tiles(images, theta, corners, layout.crop)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map tiles (B, T, C, h, w) to logits (B, P); the trunk sees B * T images."""
        features = self.encoder(self.as_layout(inputs.flatten(0, 1)))[-1]
        logits: Tensor = self.head(pool(features).view(*inputs.shape[:2], -1))
        return logits

    def compute_loss(self, outputs: Tensor, targets: tuple[Tensor, Tensor]) -> Tensor:
        """Return minus the mean log probability of the possible permutations."""
        possible, usable = targets
        logits = outputs.float()
        inside = logits.masked_fill(~possible, -torch.inf).logsumexp(dim=1)
        missed = logits.logsumexp(dim=1) - inside
        return (missed * usable).sum() / usable.sum().clamp(min=1)

    def add_metrics(
        self, outputs: Tensor, targets: tuple[Tensor, Tensor]
    ) -> Mapping[str, Tensor | Metric]:
        """Return accuracy and chance, over the images that count."""
        possible, usable = targets
        right = possible.gather(1, outputs.argmax(dim=1, keepdim=True)).squeeze(1).float()
        chance = possible.float().mean(dim=1)
        if self.stage == "train":
            self._seen = usable.any() if self._seen is None else self._seen | usable.any()
            count = usable.sum().clamp(min=1)
            return {
                "accuracy": (right * usable).sum() / count,
                "chance": (chance * usable).sum() / count,
            }
        self.accuracy.update(right, usable.float())
        self.chance.update(chance, usable.float())
        return {"accuracy": self.accuracy, "chance": self.chance}

    def _images_that_count(self, images: int, targets: tuple[Tensor, Tensor]) -> Tensor:
        return targets[1].sum(dtype=torch.float32)

    def on_train_epoch_end(self) -> None:
        """Refuse to go on when every image of an epoch was air."""
        super().on_train_epoch_end()
        seen, self._seen = self._seen, None
        if seen is not None and not bool(seen):
            raise DataError(
                "No image of the epoch had two tiles brighter than air "
                f"(air_below={self.air_below} of the range [0, 1]), so there was nothing to learn. "
                "If the images are standardised by a data module of your own, let its describe() "
                'return {"preprocessing": {"mean": ..., "std": ...}}, or pass air_below=None.'
            )

    def _fitting_tile_size(self, tile_size: int | None) -> int | None:
        fixed = getattr(self.encoder, "image_size", None)
        if fixed is not None and tile_size in (None, fixed[0]) and fixed[0] == fixed[1]:
            return int(fixed[0])
        if fixed is not None:
            raise SettingError(
                f"The encoder takes images of exactly {fixed[0]} x {fixed[1]} pixels, so tiles "
                f"must be square and of that size; tile_size is {tile_size}. Build the encoder "
                "with the img_size that tiles should have."
            )
        if tile_size is not None:
            check_tile_size(tile_size, **self._sides())
        return tile_size

    def _sides(self) -> dict[str, int]:
        """Return what sides the encoder takes; one of a plug-in need not say more than a stride."""
        stride = int(getattr(self.encoder, "multiple", self.encoder.output_stride))
        return {"stride": stride, "least": int(getattr(self.encoder, "least", 0))}

    def _window(self, images: Tensor) -> tuple[Tensor, Tensor] | None:
        if self.air_below is None or not self.crop_to_body:
            return None
        unit = self._to_unit(images, -3)
        brightness = unit[:, 0] if unit.shape[1] == 1 else unit.mean(dim=1)
        return body_window(brightness, self.air_below)

    def _is_air(self, tiles: Tensor) -> Tensor:
        """Return (B, T) bool."""
        if self.air_below is None:
            return torch.zeros(tiles.shape[:2], dtype=torch.bool, device=tiles.device)
        return self._to_unit(tiles.mean(dim=(-2, -1)), -1).mean(dim=-1) < self.air_below

    def _to_unit(self, values: Tensor, channel: int) -> Tensor:
        """Undo the mean and standard deviation that the images were standardised by."""
        stated = self.preprocessing()
        for operation, name in ((torch.mul, "std"), (torch.add, "mean")):
            neutral = 1.0 if name == "std" else 0.0
            by = stated.get(name, neutral)
            if by == neutral:  # saves a pass over the images
                continue
            if isinstance(by, list | tuple):
                shape = [-1] + [1] * (-channel - 1)
                by = per_channel(tuple(by), values).view(shape)
            values = operation(values, by)
        return values
