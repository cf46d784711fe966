"""Another view of an image before it is cut up: rotated, flipped, cropped to the body."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from muscletransfer.data.augmentation.positions import affine_positions
from muscletransfer.data.augmentation.sampling import grid_sample
from muscletransfer.data.preprocessing.per_channel import per_channel

__all__ = [
    "body_window",
    "draw_view",
    "float32_by_default",
    "from_unit",
    "random_view",
    "sample",
    "to_unit",
]

_CACHED = 1 << 20  # pixels
_SPECK = 0.02  # a row with less than this part above air holds noise or the table's edge, no body


def body_window(brightness: Tensor, air: float) -> tuple[Tensor, Tensor]:
    """Find the smallest window of the image's own proportions around what is not air.

    A row or column belongs to the body when more than 2 % of its pixels are above the air level.
    The window lies inside the image; an image that is all air keeps the whole.

    Args:
        brightness: (B, H, W).
        air: The level, in the same units.

    Returns:
        ``(centre, zoom)``: (B, 2) centres (x, y) in -1 to 1, and (B,) window side over image side.

    Example:
        >>> image = torch.zeros(1, 8, 8)
        >>> image[:, 2:4, 2:6] = 1
        >>> body_window(image, 0.5)
        (tensor([[ 0.0000, -0.2500]]), tensor([0.5000]))
    """
    centres, sides = [], []
    for share in _shares_above(brightness, air):
        filled = (share > _SPECK).to(torch.uint8)
        length = filled.shape[1]
        first = filled.argmax(dim=1)
        last = length - filled.flip(1).argmax(dim=1)
        centres.append((first + last) / length - 1.0)
        sides.append((last - first) / length)
    zoom = torch.stack(sides).amax(dim=0)
    room = (1.0 - zoom).unsqueeze(1)
    centre = torch.stack(centres, dim=1)
    return torch.minimum(torch.maximum(centre, -room), room), zoom


def _shares_above(brightness: Tensor, air: float) -> tuple[Tensor, Tensor]:
    """Return the parts above air (B, W) of columns, for the extent in x, and (B, H) of rows."""
    images = len(brightness)
    if brightness.device.type == "cpu" and images:  # a few at a time stay in the cache
        images = max(1, _CACHED // max(1, brightness[0].numel()))
    columns, rows = [], []
    body: Tensor | None = None
    for start in range(0, max(1, len(brightness)), max(1, images)):
        few = brightness[start : start + images]
        if body is None or len(body) != len(few):
            body = torch.empty_like(few)
        torch.gt(few, air, out=body)  # compared and made numbers in one pass
        columns.append(body.mean(dim=1))
        rows.append(body.mean(dim=2))
    return torch.cat(columns), torch.cat(rows)


def random_view(
    images: Tensor,
    *,
    rotation: float,
    flip: bool,
    window: tuple[Tensor, Tensor] | None,
    generator: torch.Generator,
) -> Tensor:
    """Rotate, flip and crop each image on its own, with one interpolation for all three.

    Args:
        images: (B, C, H, W).
        rotation: Largest angle in degrees, uniform in both directions; 0 for none.
        flip: Whether to mirror left and right half of the time.
        window: What to crop to and enlarge to the full size, keeping proportions, as
            :func:`body_window` gives it; ``None`` does not crop.
        generator: Source of the draws, on the images' device.

    Returns:
        (B, C, H, W); outside the image it is mirrored at the border.

    Example:
        >>> generator = torch.Generator().manual_seed(0)
        >>> images = torch.rand(4, 1, 16, 16)
        >>> view = random_view(images, rotation=20, flip=True, window=None, generator=generator)
        >>> view.shape
        torch.Size([4, 1, 16, 16])
    """
    theta = draw_view(images, rotation=rotation, flip=flip, window=window, generator=generator)
    size = (images.shape[-2], images.shape[-1])
    if rotation == 0 and window is None:  # pixels only change places
        mirrored = theta[:, 0, 0] < 0
        return torch.where(mirrored[:, None, None, None], images.flip(-1), images)
    return sample(images, affine_positions(theta, size))


def draw_view(
    images: Tensor,
    *,
    rotation: float,
    flip: bool,
    window: tuple[Tensor, Tensor] | None,
    generator: torch.Generator,
) -> Tensor:
    """Draw the maps of :func:`random_view`, for one who needs only parts of the view.

    Args:
        images: (B, C, H, W); only the shape is used.
        rotation: See :func:`random_view`.
        flip: See :func:`random_view`.
        window: See :func:`random_view`.
        generator: See :func:`random_view`.

    Returns:
        (B, 2, 3) float32 maps from the view to the image in normalised coordinates.
    """
    batch, _, height, width = images.shape
    # Always drawn, so that switching one part off does not change the others.
    draws = torch.rand(batch, 2, generator=generator, device=images.device, dtype=torch.float32)
    mirrored = (draws[:, 1] < 0.5) if flip else torch.zeros_like(draws[:, 1], dtype=torch.bool)
    angle = (2.0 * draws[:, 0] - 1.0) * math.radians(rotation)
    if window is None:
        window = draws.new_zeros(batch, 2), draws.new_ones(batch)
    centre, zoom = window[0].float(), window[1].float()
    cosine, sine = zoom * angle.cos(), zoom * angle.sin()
    sign = 1.0 - 2.0 * mirrored.float()
    row_x = torch.stack((cosine * sign, -sine * (height / width), centre[:, 0]), dim=1)
    row_y = torch.stack((sine * sign * (width / height), cosine, centre[:, 1]), dim=1)
    return torch.stack((row_x, row_y), dim=1)


def sample(images: Tensor, positions: Tensor | Callable[[slice], Tensor]) -> Tensor:
    """Read images bilinearly; outside they are mirrored at the border.

    Args:
        images: (B, C, H, W).
        positions: (B, h, w, 2) of float32, see
            :func:`~muscletransfer.data.augmentation.positions.affine_positions`; or what makes
            those of a slice of the batch.

    Returns:
        (B, C, h, w) of the images' type, computed in float32: positions in half precision would be
        off by half a pixel.
    """
    values = images.float()
    return grid_sample(values, positions, "bilinear", "reflection").to(images.dtype)


@contextmanager
def float32_by_default() -> Iterator[None]:
    """Let new tensors be float32 inside, where Lightning's ``64-true`` makes them float64.

    Example:
        >>> torch.set_default_dtype(torch.float64)
        >>> with float32_by_default():
        ...     torch.rand(1).dtype
        torch.float32
        >>> torch.set_default_dtype(torch.float32)
    """
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def to_unit(images: Tensor, preprocessing: Mapping[str, Any]) -> Tensor:
    """Undo standardising: bring images back to the range [0, 1] that a window maps to.

    Args:
        images: (B, C, H, W).
        preprocessing: What ``task.preprocessing()`` says; ``mean`` and ``std`` are used.

    Returns:
        (B, C, H, W).

    Example:
        >>> to_unit(torch.ones(1, 1, 1, 1), {"mean": 0.5, "std": 0.25}).item()
        0.75
    """
    mean, std = _scale(images, preprocessing)
    unit: Tensor = images * std + mean
    return unit


def from_unit(images: Tensor, preprocessing: Mapping[str, Any]) -> Tensor:
    """Standardise images of the range [0, 1] as the data module did; undoes :func:`to_unit`.

    Example:
        >>> from_unit(torch.ones(1, 1, 1, 1), {"mean": 0.5, "std": 0.25}).item()
        2.0
    """
    mean, std = _scale(images, preprocessing)
    standardised: Tensor = (images - mean) / std
    return standardised


def _scale(images: Tensor, preprocessing: Mapping[str, Any]) -> tuple[Any, Any]:
    """Return mean and standard deviation, numbers or tensors (C, 1, 1)."""
    found = []
    for name, neutral in (("mean", 0.0), ("std", 1.0)):
        value = preprocessing.get(name, neutral)
        if isinstance(value, list | tuple):
            value = per_channel(tuple(value), images)
        found.append(value)
    return found[0], found[1]
