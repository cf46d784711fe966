"""Cutting images into jigsaw tiles: a whole batch at once, on its device.

Cells are the ``grid * grid`` parts of an image, numbered row by row; a tile is a random smaller
square inside its cell. The gap between neighbouring tiles, different for each pair, keeps a network
from solving the puzzle by continuing edges, and equal tile statistics keep it from matching
brightness (Noroozi & Favaro, ECCV 2016, arXiv 1603.09246, section 4.2).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from muscletransfer.data.augmentation.positions import tile_positions
from muscletransfer.errors import ImageSizeError, SettingError
from muscletransfer.pretext.views import sample

__all__ = [
    "TileLayout",
    "check_tile_size",
    "cut_tiles",
    "draw_corners",
    "equalise_tiles",
    "plan_tiles",
    "resize_tiles",
    "sample_tiles",
    "shuffle_tiles",
]

_LARGEST_ZOOM = 4  # enlarging a tile more than this gives the encoder nothing but blur


@dataclass(frozen=True)
class TileLayout:
    """Where tiles can lie in an image of one size; made by :func:`plan_tiles`.

    Args:
        size: ``(H, W)`` of the image in pixels.
        grid: Tiles a side.
        cell: ``(rows, columns)`` of a cell in pixels.
        crop: Side of the square cut out of each cell in pixels.
        tile: Side of the tile that the encoder sees in pixels; the crop is resized to it.
    """

    size: tuple[int, int]
    grid: int
    cell: tuple[int, int]
    crop: int
    tile: int


def check_tile_size(tile_size: int, stride: int, least: int = 0) -> None:
    """Refuse a tile that the encoder cannot take.

    Args:
        tile_size: Side in pixels.
        stride: What the encoder takes multiples of, at least its ``output_stride``.
        least: The smallest side that it takes.

    Raises:
        SettingError: If the side is not a positive multiple of the stride, or too small.
    """
    smallest = _smallest(stride, least)
    if tile_size < smallest or tile_size % stride:
        below = max(smallest, tile_size // stride * stride)
        near = f"{below}" if below > tile_size else f"{below} or {below + stride}"
        fewest = f", at least {least}" if smallest > stride else ""
        raise SettingError(
            f"tile_size is {tile_size}; wanted a multiple of {stride}, which the encoder takes"
            f"{fewest}, such as {near}, or None to take the one that fits the image."
        )


def _smallest(stride: int, least: int) -> int:
    """Return the smallest multiple of the stride that an encoder takes."""
    return max(1, -(-least // stride)) * stride


def plan_tiles(
    size: tuple[int, int],
    grid: int,
    *,
    stride: int,
    gap: float = 0.14,
    tile_size: int | None = None,
    least: int = 0,
) -> TileLayout:
    """Choose the size of the tiles of an image.

    A cell is ``H // grid`` by ``W // grid`` pixels, and the crop leaves at least ``gap`` of the
    shorter side free. With ``tile_size=None`` the tile is the multiple of ``stride`` nearest to
    that crop, at least one stride and ``least``: a smaller multiple is cut out as it is, a larger
    one is reached by enlarging the crop. A given ``tile_size`` is always reached by resizing the
    crop.

    Args:
        size: ``(H, W)`` of the image.
        grid: Tiles a side.
        stride: What the encoder takes multiples of, as a rule its ``output_stride``.
        gap: Smallest part of a cell's side that stays free, 0 to 0.9.
        tile_size: Side of the tile for the encoder in pixels, or ``None``.
        least: The smallest side in pixels that the encoder takes.

    Returns:
        The layout.

    Raises:
        ImageSizeError: If a crop would have to be enlarged more than four times.

    Example:
        >>> plan_tiles((256, 256), 3, stride=32)
        TileLayout(size=(256, 256), grid=3, cell=(85, 85), crop=64, tile=64)
        >>> plan_tiles((225, 225), 3, stride=32).crop  # as in the paper
        64
        >>> plan_tiles((64, 64), 2, stride=32)  # 27 pixels are enlarged to one stride
        TileLayout(size=(64, 64), grid=2, cell=(32, 32), crop=27, tile=32)
    """
    cell = (size[0] // grid, size[1] // grid)
    crop = int(min(cell) * (1.0 - gap))
    tile = tile_size or max(_smallest(stride, least), (crop + stride // 2) // stride * stride)
    if tile_size is None and tile < crop:
        crop = tile
    if crop * _LARGEST_ZOOM < tile:
        smallest = -(-tile // _LARGEST_ZOOM)
        side = grid * (int(smallest / (1.0 - gap)) + 1)
        raise ImageSizeError(
            f"An image of {size[0]} x {size[1]} pixels cut into {grid} x {grid} cells with "
            f"gap={gap} gives tiles of {crop} pixels; wanted at least {smallest}, so "
            f"that they need not be enlarged more than {_LARGEST_ZOOM} times to the {tile} pixels "
            f"that the encoder takes. Use images of at least {side} pixels a side, a smaller "
            "grid, or a smaller gap."
        )
    return TileLayout(size, grid, cell, crop, tile)


def draw_corners(
    batch: int, layout: TileLayout, *, jitter: float, generator: torch.Generator
) -> Tensor:
    """Draw where each tile of each image is cut.

    Args:
        batch: Number of images, B.
        layout: From :func:`plan_tiles`.
        jitter: Part of the free space that a tile may move in: 0 keeps it in the centre of its
            cell, 1 lets it lie anywhere inside.
        generator: Source of the draws; decides the device.

    Returns:
        (B, T, 2) int64: row and column of each tile's first pixel.

    Example:
        >>> layout = plan_tiles((144, 144), 2, stride=32)
        >>> layout.cell, layout.crop
        ((72, 72), 61)
        >>> draw_corners(1, layout, jitter=0.0, generator=torch.Generator()).tolist()
        [[[5, 5], [5, 77], [77, 5], [77, 77]]]
    """
    device = generator.device
    index = torch.arange(layout.grid**2, device=device)
    draws = torch.rand(batch, len(index), 2, generator=generator, device=device)
    corners = []
    for axis, place in enumerate((index // layout.grid, index % layout.grid)):
        free = layout.cell[axis] - layout.crop
        span = round(free * jitter)
        # floor(u * (span + 1)) can round up to span + 1 in float32
        shift = (draws[..., axis] * (span + 1)).long().clamp(max=span)
        corners.append(place * layout.size[axis] // layout.grid + (free - span) // 2 + shift)
    return torch.stack(corners, dim=-1)


def cut_tiles(images: Tensor, corners: Tensor, crop: int) -> Tensor:
    """Copy square tiles out of images, without interpolation.

    Args:
        images: (B, C, H, W).
        corners: (B, T, 2) int64, row and column of the first pixel of each tile.
        crop: Side of the tiles in pixels.

    Returns:
        (B, T, C, crop, crop).

    Example:
        >>> image = torch.arange(16.0).view(1, 1, 4, 4)
        >>> cut_tiles(image, torch.tensor([[[0, 1], [2, 2]]]), 2).flatten(2).tolist()
        [[[1.0, 2.0, 5.0, 6.0], [10.0, 11.0, 14.0, 15.0]]]
    """
    batch, channels, _, width = images.shape
    side = torch.arange(crop, device=images.device)
    rows, columns = corners[..., 0, None] + side, corners[..., 1, None] + side
    pixels = (rows.unsqueeze(-1) * width + columns.unsqueeze(-2)).view(batch, 1, -1)
    # One gather takes half the time of indexing windows of the image.
    tiles = images.flatten(2).gather(2, pixels.expand(-1, channels, -1))
    return tiles.view(batch, channels, -1, crop, crop).transpose(1, 2)


def sample_tiles(images: Tensor, theta: Tensor, corners: Tensor, crop: int) -> Tensor:
    """Cut tiles out of a view of images without making the whole view.

    Args:
        images: (B, C, H, W).
        theta: (B, 2, 3), see :func:`~muscletransfer.pretext.views.draw_view`.
        corners: (B, T, 2) int64, row and column of the first pixel of each tile in the view.
        crop: Side of the tiles in pixels.

    Returns:
        (B, T, C, crop, crop), what :func:`cut_tiles` cuts out of the view.

    Example:
        >>> image = torch.arange(16.0).view(1, 1, 4, 4)
        >>> mirror = torch.tensor([[[-1.0, 0, 0], [0, 1.0, 0]]])
        >>> sample_tiles(image, mirror, torch.tensor([[[0, 1], [2, 2]]]), 2).flatten(2).tolist()
        [[[2.0, 1.0, 6.0, 5.0], [9.0, 8.0, 13.0, 12.0]]]
    """
    batch, channels, height, width = images.shape
    read = sample(images, tile_positions(theta, (height, width), corners, crop))
    return read.view(batch, channels, -1, crop, crop).transpose(1, 2)


def resize_tiles(tiles: Tensor, side: int) -> Tensor:
    """Resize tiles bilinearly; tiles of the right size are returned as they are.

    Args:
        tiles: (B, T, C, h, w).
        side: New height and width in pixels.

    Returns:
        (B, T, C, side, side).
    """
    if tuple(tiles.shape[-2:]) == (side, side):
        return tiles
    smaller = side < tiles.shape[-1]
    flat = F.interpolate(tiles.flatten(0, 1), size=(side, side), mode="bilinear", antialias=smaller)
    return flat.view(*tiles.shape[:3], side, side)


def shuffle_tiles(tiles: Tensor, order: Tensor) -> Tensor:
    """Put tiles into another order, image by image.

    Args:
        tiles: (B, T, C, h, w).
        order: (B, T) int64, the tile that each slot shows.

    Returns:
        (B, T, C, h, w).

    Example:
        >>> tiles = torch.tensor([[10.0, 11.0], [20.0, 21.0]]).view(2, 2, 1, 1, 1)
        >>> shuffle_tiles(tiles, torch.tensor([[1, 0], [0, 1]])).flatten(1).tolist()
        [[11.0, 10.0], [20.0, 21.0]]
    """
    first = tiles.shape[1] * torch.arange(len(tiles), device=tiles.device)
    # Copies whole tiles, in half the time of indexing.
    picked = tiles.flatten(0, 1).index_select(0, (first.unsqueeze(1) + order).flatten())
    return picked.view_as(tiles)


def equalise_tiles(tiles: Tensor, pinned: Tensor, eps: float = 1e-4) -> Tensor:
    """Give all movable tiles of an image the same mean and spread in each channel.

    Each tile is standardised, then given the average mean and average standard deviation of its
    image's movable tiles. So brightness and contrast say nothing about where a tile belongs, as
    with the usual zero mean and unit variance, while the trunk's norm layers see values in the
    range they will see at fine-tuning.

    Args:
        tiles: (B, T, C, h, w) float.
        pinned: (B, T) bool, tiles that stay in place; they are returned unchanged.
        eps: Added to variances; a flat tile stays flat.

    Returns:
        (B, T, C, h, w).

    Example:
        >>> tiles = torch.rand(2, 4, 1, 8, 8)
        >>> out = equalise_tiles(tiles, torch.zeros(2, 4, dtype=torch.bool))
        >>> bool(out.mean((2, 3, 4)).std(dim=1).max() < 1e-6)
        True
    """
    mean = tiles.mean(dim=(-2, -1), keepdim=True)
    # torch.var_mean takes twenty times as long on a CPU as the norm of what is centred.
    centred = tiles - mean
    length = torch.linalg.vector_norm(centred, dim=(-2, -1), keepdim=True)
    spread = (length.square() / (tiles.shape[-2] * tiles.shape[-1]) + eps).sqrt()
    movable = (~pinned)[:, :, None, None, None]
    count = movable.sum(dim=1, keepdim=True).clamp(min=1)
    common_mean = (mean * movable).sum(dim=1, keepdim=True) / count
    common_spread = (spread * movable).sum(dim=1, keepdim=True) / count
    # One pass for all tiles: times 1 and plus 0 leaves a pinned one as it is.
    factor = torch.where(movable, common_spread / spread, 1.0)
    offset = torch.where(movable, common_mean - mean * factor, 0.0)
    # Memory that is warm takes two thirds of the time of new memory.
    into = None if torch.is_grad_enabled() and tiles.requires_grad else centred
    return torch.addcmul(offset, tiles, factor, out=into)
