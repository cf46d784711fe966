"""Geometric changes of a batch: affine maps, and images and masks sampled by one grid."""

from __future__ import annotations

import torch
from torch import Tensor

from muscletransfer.data.augmentation.positions import affine_positions
from muscletransfer.data.augmentation.sampling import grid_sample

__all__ = ["affine_matrices", "warp"]


def affine_matrices(
    angle: Tensor, scale: Tensor, shift: Tensor, flip: Tensor, size: tuple[int, int]
) -> Tensor:
    """Build the maps from output to input coordinates that ``affine_grid`` takes.

    The content is flipped left-right, then zoomed by ``scale`` and turned by ``angle`` about the
    image centre (counter-clockwise as seen on a screen), then shifted.

    .. versionadded:: 0.1

    Args:
        angle: ``(B,)`` radians.
        scale: ``(B,)`` zoom factors; above 1 enlarges the content.
        shift: ``(B, 2)`` shift of the sampling window in x and y, in units of half a side.
        flip: ``(B,)`` booleans.
        size: Height and width in pixels; a rotation must know the aspect of the image.

    Returns:
        ``(B, 2, 3)`` matrices in normalised coordinates.

    Example:
        >>> import torch
        >>> quarter, one = torch.tensor([torch.pi / 2]), torch.ones(1)
        >>> affine_matrices(quarter, one, torch.zeros(1, 2), one < 0, (4, 4)).round().abs().tolist()
        [[[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]]
    """
    height, width = size
    aspect = height / width
    cos, sin = torch.cos(angle) / scale, torch.sin(angle) / scale
    mirror = 1 - 2 * flip.to(cos.dtype)
    row_x = torch.stack([mirror * cos, -mirror * sin * aspect, shift[:, 0]], dim=1)
    row_y = torch.stack([sin / aspect, cos, shift[:, 1]], dim=1)
    return torch.stack([row_x, row_y], dim=1)


def warp(
    image: Tensor,
    mask: Tensor | None,
    theta: Tensor,
    displacement: Tensor | None = None,
    fill: float = 0.0,
    mask_fill: int = 0,
) -> tuple[Tensor, Tensor | None]:
    """Resample images bilinearly and masks by nearest neighbour with one shared grid.

    .. versionadded:: 0.1

    Args:
        image: ``(B, C, H, W)`` floats.
        mask: ``(B, H, W)`` class indices, or None.
        theta: ``(B, 2, 3)`` affine maps from :func:`affine_matrices`, on any device.
        displacement: ``(B, 2, H, W)`` added to the sampling positions (x, y) in normalised
            coordinates, or None.
        fill: Image value outside the image.
        mask_fill: Mask value outside the image.

    Returns:
        The resampled image and the resampled mask as int64 (or None).

    Example:
        >>> import torch
        >>> image = torch.arange(4.0).reshape(1, 1, 2, 2)
        >>> mirror = torch.tensor([[[-1.0, 0, 0], [0, 1.0, 0]]])
        >>> warp(image, None, mirror)[0].tolist()
        [[[[1.0, 0.0], [3.0, 2.0]]]]
    """
    exact = torch.promote_types(image.dtype, torch.float32)
    size = (image.shape[-2], image.shape[-1])
    grid = affine_positions(theta.to(exact), size, image.device).to(image.dtype)
    if displacement is not None:
        grid = grid + displacement.movedim(1, -1)
    # outside pixels come out as 0, so the fill is made the zero point while sampling
    moved = image - fill if fill else image
    moved = grid_sample(moved, grid, "bilinear", "zeros")
    if fill:
        moved = moved + fill
    if mask is None:
        return moved, None
    labels = mask.unsqueeze(1).to(image.dtype) - mask_fill
    labels = grid_sample(labels, grid, "nearest", "zeros")
    return moved, (labels.squeeze(1) + mask_fill).long()
