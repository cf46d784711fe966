"""From the features an architecture happens to give to a pyramid at strides 2, 4, 8, ..."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

__all__ = ["Level", "assemble", "plan_pyramid"]


@dataclass(frozen=True)
class Level:
    """One level of the pyramid.

    Attributes:
        stride: Stride of the level in pixels of the image.
        index: Which feature of the architecture feeds it; ``None`` for a level of 0 channels.
        resample: Whether that feature has another stride and is brought to this one.
    """

    stride: int
    index: int | None
    resample: bool


def plan_pyramid(reductions: Sequence[float], depth: int) -> list[Level]:
    """Choose which feature of an architecture feeds which level.

    A level takes the deepest feature of exactly its stride. Where there is none:

    * stride 2 becomes a level of 0 channels (as segmentation-models-pytorch does for Swin);
    * an architecture of one stride only (a plain ViT) gives evenly spaced blocks, the last one to
      the last level, resampled bilinearly without parameters (the pyramid of BEiT and MAE
      segmentation, arXiv 2106.08254 and 2111.06377, without their learned up-sampling);
    * otherwise the feature of the nearest stride is resampled.

    Args:
        reductions: Stride of each feature of the architecture, first to last.
        depth: Number of levels below the image.

    Returns:
        ``depth`` levels, stride 2 first.

    Raises:
        ValueError: When there is no feature, or ``depth`` leaves only the level of 0 channels.

    Example:
        >>> [level.index for level in plan_pyramid([2, 4, 8, 16, 32], depth=4)]
        [0, 1, 2, 3]
        >>> [level.index for level in plan_pyramid([4, 8, 16, 32], depth=5)]
        [None, 0, 1, 2, 3]
        >>> [level.index for level in plan_pyramid([16] * 12, depth=5)]
        [None, 2, 5, 8, 11]
    """
    strides = [2**level for level in range(1, depth + 1)]
    exact = {float(stride): index for index, stride in enumerate(reductions)}
    if not reductions or (strides == [2] and 2.0 not in exact):
        raise ValueError("no feature")
    isotropic = len(exact) == 1 and len(reductions) > 1
    levels = []
    for stride in strides:
        if stride == 2 and 2.0 not in exact:
            levels.append(Level(stride, None, False))
        elif isotropic:
            index = len(reductions) * (int(math.log2(stride)) - 1) // (depth - 1) - 1
            levels.append(Level(stride, max(0, index), float(stride) not in exact))
        elif float(stride) in exact:
            levels.append(Level(stride, exact[float(stride)], False))
        else:
            nearest = min(exact, key=lambda r: (abs(math.log2(r / stride)), r))
            levels.append(Level(stride, exact[nearest], True))
    return levels


def assemble(
    x: Tensor, features: dict[int, Tensor], levels: Sequence[Level], output_stride: int
) -> list[Tensor]:
    """Build the pyramid that :func:`plan_pyramid` planned.

    Args:
        x: The images (B, C, H, W).
        features: The features (B, C', h, w) by their index.
        levels: The plan.
        output_stride: No level is coarser than this (dilated architectures).

    Returns:
        The image and one tensor a level.

    Example:
        >>> import torch
        >>> x = torch.zeros(1, 1, 64, 64)
        >>> levels = plan_pyramid([16] * 4, depth=4)
        >>> features = {i: torch.zeros(1, 8, 4, 4) for i in range(4)}
        >>> [tuple(f.shape[1:]) for f in assemble(x, features, levels, output_stride=16)]
        [(1, 64, 64), (0, 32, 32), (8, 16, 16), (8, 8, 8), (8, 4, 4)]
    """
    pyramid = [x]
    height, width = x.shape[2:]
    some = next(iter(features.values()))
    for level in levels:
        stride = min(level.stride, output_stride)
        size = (height // stride, width // stride)
        if level.index is None:
            pyramid.append(some.new_zeros(x.shape[0], 0, *size))
            continue
        feature = features[level.index]
        pyramid.append(_resize(feature, size) if level.resample else _pad(feature, size))
    return pyramid


def _pad(feature: Tensor, size: tuple[int, int]) -> Tensor:
    """Give back the border that convolutions without padding took (Inception, NASNet)."""
    rows, columns = size[0] - feature.shape[2], size[1] - feature.shape[3]
    if rows <= 0 and columns <= 0:
        return feature
    left, top = columns // 2, rows // 2
    return F.pad(feature, (left, columns - left, top, rows - top), mode="replicate")


def _resize(feature: Tensor, size: tuple[int, int]) -> Tensor:
    if feature.shape[2] >= size[0]:
        # Pooling reads every value; bilinear interpolation would skip some on the way down.
        return F.adaptive_avg_pool2d(feature, size)
    return F.interpolate(feature, size=size, mode="bilinear", align_corners=False)
