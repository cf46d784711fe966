"""Corruptions that a reconstruction task undoes: a whole batch at once, on its device."""

from __future__ import annotations

import torch
from torch import Tensor

from muscletransfer.errors import ImageSizeError

__all__ = ["add_noise", "draw_blocks", "mask_blocks", "swap_patches", "visible_mean"]


def add_noise(images: Tensor, std: float, generator: torch.Generator) -> Tensor:
    """Add Gaussian noise (denoising autoencoder, Vincent et al., ICML 2008).

    Args:
        images: (B, C, H, W) float.
        std: Standard deviation in the images' own units.
        generator: Source of the draws, on the images' device.

    Returns:
        (B, C, H, W).

    Example:
        >>> noisy = add_noise(torch.zeros(1, 1, 64, 64), 0.1, torch.Generator().manual_seed(0))
        >>> round(noisy.std().item(), 2)
        0.1
    """
    noise = torch.randn(
        images.shape, generator=generator, device=images.device, dtype=torch.float32
    )
    return images + (std * noise).to(images.dtype)


def mask_blocks(
    images: Tensor, block: int, ratio: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Hide blocks of a regular grid (He et al., CVPR 2022, arXiv 2111.06377).

    Each image loses ``round(ratio * N)`` of its N blocks, at least one and never all. Hidden pixels
    take the mean of the image's visible ones, channel by channel, so that norm layers see no
    shift. Where the side is not a multiple of the block, the last row and column of blocks are cut
    by the border.

    Args:
        images: (B, C, H, W) float.
        block: Side of a block in pixels.
        ratio: Part of the blocks that is hidden, in (0, 1).
        generator: Source of the draws, on the images' device.

    Returns:
        ``(corrupted, hidden)``: (B, C, H, W) and (B, 1, H, W) bool, true where pixels were hidden.

    Raises:
        ImageSizeError: If the image is no larger than one block.

    Example:
        >>> corrupted, hidden = mask_blocks(torch.rand(2, 1, 64, 64), 16, 0.5, torch.Generator())
        >>> hidden.float().mean().item()
        0.5
    """
    hidden = draw_blocks(images, block, ratio, generator)
    return torch.where(hidden, visible_mean(images, hidden, block), images), hidden


def draw_blocks(images: Tensor, block: int, ratio: float, generator: torch.Generator) -> Tensor:
    """Draw which blocks of a regular grid are hidden; see :func:`mask_blocks`.

    Args:
        images: (B, C, H, W).
        block: Side of a block in pixels.
        ratio: Part of the blocks that is hidden, in (0, 1).
        generator: Source of the draws, on the images' device.

    Returns:
        (B, 1, H, W) bool, true where pixels are hidden.

    Raises:
        ImageSizeError: If the image is no larger than one block.

    Example:
        >>> draw_blocks(torch.rand(1, 1, 4, 4), 2, 0.5, torch.Generator()).sum().item()
        8
    """
    batch, _, height, width = images.shape
    rows, columns = -(-height // block), -(-width // block)
    count = rows * columns
    if count < 2:
        raise ImageSizeError(
            f"An image of {height} x {width} pixels holds no more than one block of {block} "
            "pixels; wanted at least two. Use a smaller patch_size or larger images."
        )
    hidden_count = min(count - 1, max(1, round(ratio * count)))
    draws = torch.rand(batch, count, generator=generator, device=images.device)
    rank = draws.argsort(dim=1).argsort(dim=1)
    blocks = (rank < hidden_count).view(batch, 1, rows, columns)
    # Along the rows first, which are then copied whole.
    wide = blocks.repeat_interleave(block, dim=3).unsqueeze(3).expand(-1, -1, -1, block, -1)
    return wide.reshape(batch, 1, rows * block, -1)[:, :, :height, :width]


def visible_mean(images: Tensor, hidden: Tensor, block: int = 1) -> Tensor:
    """Return the mean of each image's visible pixels, channel by channel.

    Args:
        images: (B, C, H, W) float.
        hidden: (B, 1, H, W) bool.
        block: Side in pixels of the blocks that are hidden or visible as a whole, see
            :func:`draw_blocks`; knowing it saves passes over the images.

    Returns:
        (B, C, 1, 1) of the images' type, computed at least in float32.

    Example:
        >>> hidden = torch.tensor([[[[True, False]]]])
        >>> visible_mean(torch.tensor([[[[3.0, 5.0]]]]), hidden).item()
        5.0
    """
    values = images.to(torch.promote_types(images.dtype, torch.float32))
    height, width = images.shape[-2:]
    if block > 1 and height % block == 0 and width % block == 0:
        # Sums of blocks: one pass over the images, and the mask is read once a block.
        rows, columns = height // block, width // block
        values = values.reshape(*images.shape[:2], rows, block, width).sum(3)
        values = values.view(*images.shape[:2], rows, columns, block).sum(4)
        hidden = hidden[:, :, ::block, ::block]
    else:
        block = 1
    total = torch.where(hidden, 0.0, values).sum(dim=(2, 3), keepdim=True)
    # Sums of numbers: those of truth values take ten times as long on a CPU.
    count = block**2 * (~hidden).float().sum(dim=(2, 3), keepdim=True)
    return (total / count).to(images.dtype)


def swap_patches(
    images: Tensor, patch: int, pairs: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Swap pairs of patches: context restoration (Chen et al., Med Image Anal 2019;58:101539).

    Patches lie on a grid that is shifted at random for each image; all ``2 * pairs`` patches of an
    image are different cells of it, so no two overlap and intensities are only moved.

    Args:
        images: (B, C, H, W).
        patch: Side of a patch in pixels.
        pairs: Swaps an image; at most half of the patches that fit are paired.
        generator: Source of the draws, on the images' device.

    Returns:
        ``(corrupted, moved)``: (B, C, H, W) and (B, 1, H, W) bool, true where pixels were moved.

    Raises:
        ImageSizeError: If fewer than two patches fit into the image at every shift.

    Example:
        >>> image = torch.arange(256.0).view(1, 1, 16, 16)
        >>> swapped, moved = swap_patches(image, 4, 2, torch.Generator().manual_seed(0))
        >>> int(moved.sum()), torch.equal(swapped.flatten().sort().values, image.flatten())
        (64, True)
    """
    batch, channels, height, width = images.shape
    device = images.device
    # One cell less than would fit unshifted, unless that leaves none: it makes room for the shift.
    rows, columns = (max(1, side // patch - (side % patch == 0)) for side in (height, width))
    if rows * columns < 2 or min(height, width) < patch:
        raise ImageSizeError(
            f"An image of {height} x {width} pixels holds no two patches of {patch} pixels that "
            "can be shifted and swapped; use a smaller patch_size (a quarter of the side or "
            "less) or larger images."
        )
    count = rows * columns
    pairs = min(pairs, count // 2)
    draws = torch.rand(batch, 2, generator=generator, device=device)
    free_y, free_x = height - rows * patch, width - columns * patch
    # floor(u * (free + 1)) can round up to free + 1 in float32
    shift_y = (draws[:, 0] * (free_y + 1)).long().clamp(max=free_y).view(-1, 1, 1)
    shift_x = (draws[:, 1] * (free_x + 1)).long().clamp(max=free_x).view(-1, 1, 1)
    order = torch.rand(batch, count, generator=generator, device=device).argsort(dim=1)
    first, second = order[:, :pairs], order[:, pairs : 2 * pairs]
    source = torch.arange(count, device=device).repeat(batch, 1)
    source = source.scatter(1, first, second).scatter(1, second, first)

    y = torch.arange(height, device=device).view(1, -1, 1) - shift_y
    x = torch.arange(width, device=device).view(1, 1, -1) - shift_x
    inside = (y >= 0) & (y < rows * patch) & (x >= 0) & (x < columns * patch)
    cell_y = (y // patch).clamp(0, rows - 1)
    cell_x = (x // patch).clamp(0, columns - 1)
    cell = (cell_y * columns + cell_x).flatten(1)
    other = source.gather(1, cell).view(batch, height, width)
    # where a pixel's value comes from, as an index into the flat image
    from_y = other // columns * patch + y - cell_y * patch + shift_y
    from_x = other % columns * patch + x - cell_x * patch + shift_x
    here = torch.arange(height * width, device=device).view(1, height, width)
    origin = torch.where(inside, from_y * width + from_x, here)
    flat = origin.view(batch, 1, -1).expand(-1, channels, -1)
    swapped = images.flatten(2).gather(2, flat).view_as(images)
    return swapped, (origin != here).unsqueeze(1)
