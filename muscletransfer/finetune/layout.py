"""What a slice looks like to an encoder: its features by their place in the body."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["CELLS", "layout_features"]

CELLS = 4
"""Rows and columns of the grid over the body."""

_FINEST_SHARE = 8  # maps of a coarser stride say what is there and no longer where
_POINTS = 8  # samples a cell and axis
_BODY = 0.02  # of the range of an image: above air under a CT window
_EDGE = 0.01  # share of the body beyond each side of its box: a table, a line


def layout_features(image: Tensor, pyramid: list[Tensor]) -> Tensor:
    """Return means of an encoder's fine maps in each cell of a grid over the body.

    The grid follows the body, so that place and size do not count. Left and right are averaged:
    they are alike, and liver or colon beside each other would only be noise. Deep maps are left
    out: what a network keeps there is what it needs to outline muscle, at every level the same.

    Args:
        image: (B, C, h, w), what the encoder was given.
        pyramid: What it returned; the first map is the image itself. Maps of a stride up to 8 are
            used, or the finest where there is none; maps without channels, which encoders with a
            stem of stride 4 have at stride 2, never are.

    Returns:
        (B, d) float32, of 8 numbers a channel.

    Example:
        >>> image = torch.zeros(2, 1, 32, 32)
        >>> image[:, :, 8:24, 4:28] = 1.0
        >>> maps = [image, torch.ones(2, 3, 16, 16), torch.ones(2, 5, 2, 2)]
        >>> layout_features(image, maps).shape
        torch.Size([2, 24])
    """
    least = max(image.shape[-2:]) // _FINEST_SHARE
    maps = [one for one in pyramid[1:] if one.shape[1]]
    fine = [one for one in maps if max(one.shape[-2:]) >= least] or maps[:1]
    places = _places(body_boxes(image))
    found = []
    for one in fine:
        seen = functional.grid_sample(
            one.float(), places, padding_mode="border", align_corners=False
        )
        cells = functional.avg_pool2d(seen, _POINTS)
        alike = (cells + cells.flip(-1)) / 2
        found.append(alike[..., : CELLS // 2].flatten(1))
    return torch.cat(found, dim=1)


def body_boxes(image: Tensor) -> Tensor:
    """Return the box of the body in each image, leaving out what little lies far from it.

    Args:
        image: (B, C, h, w); dark outside the body.

    Returns:
        (B, 4): top, bottom, left, right as shares of the side. The whole of a blank image.

    Example:
        >>> image = torch.zeros(1, 1, 10, 20)
        >>> image[0, 0, 2:7, 5:15] = 1.0
        >>> [round(share, 3) for share in body_boxes(image)[0].tolist()]
        [0.2, 0.7, 0.25, 0.75]
    """
    grey = image.float().mean(1)
    low, high = grey.amin((1, 2), keepdim=True), grey.amax((1, 2), keepdim=True)
    body = (grey > low + _BODY * (high - low)).float()
    sides = []
    for axis in (2, 1):
        share = body.sum(axis).cumsum(1)
        share = share / share[:, -1:].clamp_min(1.0)
        length = share.shape[1]
        before = (share < _EDGE).sum(1) / length
        after = ((share < 1 - _EDGE).sum(1) + 1).clamp_max(length) / length
        empty = share[:, -1] == 0
        sides += [torch.where(empty, 0.0, before), torch.where(empty, 1.0, after)]
    return torch.stack(sides, dim=1)


def _places(boxes: Tensor) -> Tensor:
    """Points of the grid in each box, (B, n, n, 2), as `grid_sample` wants them."""
    count = CELLS * _POINTS
    steps = (torch.arange(count, device=boxes.device) + 0.5) / count
    top, bottom, left, right = boxes.unbind(1)
    y = 2 * (top[:, None] + steps * (bottom - top)[:, None]) - 1
    x = 2 * (left[:, None] + steps * (right - left)[:, None]) - 1
    grid = torch.stack([x[:, None].expand(-1, count, -1), y[:, :, None].expand(-1, -1, count)], -1)
    return grid.float()
