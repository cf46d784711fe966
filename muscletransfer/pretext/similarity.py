"""How alike two images are: PSNR, and SSIM as a map that can be a loss."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from muscletransfer.errors import ImageSizeError

__all__ = ["psnr", "ssim_map"]


def psnr(images: Tensor, reference: Tensor, data_range: float, most: float = 100.0) -> Tensor:
    """Return the peak signal-to-noise ratio of each image in dB.

    ``10 log10(data_range ** 2 / mean squared error)``, at most ``most`` (equal images).

    Args:
        images: (B, C, H, W).
        reference: (B, C, H, W).
        data_range: Width of the range of the values.
        most: Upper limit in dB.

    Returns:
        (B,) float32.

    Example:
        >>> psnr(torch.zeros(1, 1, 8, 8), torch.full((1, 1, 8, 8), 0.1), 1.0)
        tensor([20.])
    """
    error = (images.float() - reference.float()).square().mean(dim=(1, 2, 3))
    return (2 * math.log10(data_range) - error.log10()).mul(10).clamp(max=most)


def ssim_map(images: Tensor, reference: Tensor, data_range: float, sigma: float = 1.5) -> Tensor:
    """Return the structural similarity around each pixel; differentiable.

    Wang et al., IEEE Trans Image Process 2004;13(4):600-612, with their Gaussian window (sigma 1.5
    pixels, 11 x 11) and constants (0.01 and 0.03). Borders are mirrored, so the map has the size of
    the images.

    Args:
        images: (B, C, H, W).
        reference: (B, C, H, W).
        data_range: Width of the range of the values.
        sigma: Standard deviation of the window in pixels.

    Returns:
        (B, C, H, W) float32, 1 where the two agree.

    Raises:
        ImageSizeError: If a side is no longer than half the window.

    Example:
        >>> image = torch.rand(1, 1, 16, 16)
        >>> round(ssim_map(image, image, 1.0).mean().item(), 4)
        1.0
    """
    radius = int(3.5 * sigma + 0.5)
    height, width = images.shape[-2:]
    if min(height, width) <= radius:
        raise ImageSizeError(
            f"SSIM looks at windows of {2 * radius + 1} pixels and cannot mirror images of "
            f"{height} x {width}; wanted more than {radius} pixels a side."
        )
    # In half precision the variances, differences of near equal numbers, would be noise.
    with torch.autocast(images.device.type, enabled=False):
        x, y = images.float(), reference.float()
        moments = torch.cat((x, y, x * x, y * y, x * y), dim=1)
        blur_rows = _blur(height, sigma, radius, x.device)
        blur_columns = blur_rows if width == height else _blur(width, sigma, radius, x.device)
        # Matrix products take less than half the time of two separable convolutions on a CPU.
        moments = blur_rows @ moments @ blur_columns.t()
        mean_x, mean_y, xx, yy, xy = moments.chunk(5, dim=1)
        low, high = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
        variance = (xx - mean_x**2) + (yy - mean_y**2)
        covariance = xy - mean_x * mean_y
        luminance = (2 * mean_x * mean_y + low) / (mean_x**2 + mean_y**2 + low)
        return luminance * (2 * covariance + high) / (variance + high)


def _blur(length: int, sigma: float, radius: int, device: torch.device) -> Tensor:
    """Return the (length, length) matrix of a Gaussian window with mirrored borders."""
    offsets = torch.arange(-radius, radius + 1, device=device)
    window = torch.exp(-0.5 * (offsets.to(torch.float32) / sigma) ** 2)
    window = window / window.sum()
    place = torch.arange(length, device=device)
    source = (place.unsqueeze(1) + offsets).abs()
    source = (length - 1) - (length - 1 - source).abs()
    matrix = torch.zeros(length, length, device=device, dtype=torch.float32)
    return matrix.scatter_add_(1, source, window.expand(length, -1))
