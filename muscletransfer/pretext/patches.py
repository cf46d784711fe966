"""Losses that count patch by patch, for images that were hidden patch by patch."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

__all__ = ["masked_patch_loss", "normalise_patches", "patch_means"]


def patch_means(values: Tensor, patch: int) -> Tensor:
    """Average over the patches of a regular grid; those cut by the border count what they have.

    Args:
        values: (B, C, H, W) float.
        patch: Side of a patch in pixels.

    Returns:
        (B, C, rows, columns).

    Example:
        >>> import torch
        >>> patch_means(torch.tensor([[[[1.0, 3.0, 5.0]]]]), 2).tolist()
        [[[[2.0, 5.0]]]]
    """
    height, width = values.shape[-2:]
    # The window may be larger than a short image, which avg_pool2d refuses.
    window = (min(patch, height), min(patch, width))
    return F.avg_pool2d(values, window, ceil_mode=True, count_include_pad=False)


def spread_out(means: Tensor, patch: int, size: tuple[int, int]) -> Tensor:
    """Give each pixel the value of its patch: (B, C, rows, columns) to (B, C, H, W)."""
    tall = means.repeat_interleave(patch, dim=2)[:, :, : size[0]]
    return tall.repeat_interleave(patch, dim=3)[:, :, :, : size[1]]


def normalise_patches(images: Tensor, patch: int, eps: float = 1e-4) -> Tensor:
    """Give each patch mean 0 and variance 1 in each channel (He et al., arXiv 2111.06377).

    Args:
        images: (B, C, H, W) float.
        patch: Side of a patch in pixels.
        eps: Added to the variance, so that the noise of a flat patch (air) is not blown up.

    Returns:
        (B, C, H, W).

    Example:
        >>> import torch
        >>> normalised = normalise_patches(torch.rand(1, 1, 8, 8), 4)
        >>> normalised[..., :4, :4].mean().abs().item() < 1e-6
        True
    """
    size = (images.shape[-2], images.shape[-1])
    centred = images - spread_out(patch_means(images, patch), patch, size)
    variance = spread_out(patch_means(centred.square(), patch), patch, size)
    return centred * (variance + eps).rsqrt()


def masked_patch_loss(predicted: Tensor, target: Tensor, hidden: Tensor, patch: int) -> Tensor:
    """Return the mean over hidden patches of each patch's mean squared error.

    Visible patches do not count: a network that sees them need not learn anything to copy them.

    Args:
        predicted: (B, C, H, W).
        target: (B, C, H, W), or what broadcasts with it.
        hidden: (B, 1, H, W) bool, whole patches of the grid.
        patch: Side of a patch in pixels.

    Returns:
        A scalar; 0 when nothing is hidden.

    Example:
        >>> import torch
        >>> hidden = torch.tensor([[[[True, True, False, False]]]])
        >>> predicted = torch.tensor([[[[1.0, 3.0, 9.0, 9.0]]]])
        >>> masked_patch_loss(predicted, torch.zeros(1, 1, 1, 4), hidden, 2).item()
        5.0
    """
    error = patch_means((predicted - target).square(), patch).mean(dim=1)
    where = hidden[:, 0, ::patch, ::patch]
    return (error * where).sum() / where.sum().clamp(min=1)
