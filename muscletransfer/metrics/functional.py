"""Dice and distance-to-agreement of one prediction against one reference.

Each metric is a trio as in torchmetrics: validate the input, update (reduce the masks to what the
figure needs), compute. The classes of :mod:`muscletransfer.metrics` stand on the same functions.

The empty mask has one rule everywhere:

========== =========== ====================== ==========================
prediction reference   Dice                   distance-to-agreement
========== =========== ====================== ==========================
empty      empty       1                      0
empty      not empty   0                      inf (a failure, to count)
not empty  empty       :class:`EmptyMaskError`  :class:`EmptyMaskError`
========== =========== ====================== ==========================
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import ArrayLike

from muscletransfer.errors import EmptyMaskError, UnknownNameError, close_matches
from muscletransfer.metrics.boundary import (
    Distances,
    boundary,
    boundary_distances,
    crop_to_union,
)
from muscletransfer.metrics.checks import BoolMask, check_pair, check_spacing

__all__ = ["Direction", "Statistic", "dice", "distance_to_agreement"]

Statistic = Literal["rms", "mean", "max", "p95"]
Direction = Literal["both", "pred_to_target", "target_to_pred"]


def dice(pred: ArrayLike | torch.Tensor, target: ArrayLike | torch.Tensor) -> float:
    """Dice overlap ``2 |A and B| / (|A| + |B|)`` of two masks.

    .. versionadded:: 0.1

    Args:
        pred: Predicted mask, ``(H, W)`` or ``(Z, H, W)``, bool or 0/1; numpy or a tensor on any
            device.
        target: Reference mask of the same shape.

    Returns:
        Dice in [0, 1]. Both empty: 1. Prediction empty: 0.

    Raises:
        EmptyMaskError: The reference is empty and the prediction is not.
        GeometryError: The shapes differ.
        DataError: An input is no mask.

    Example:
        >>> dice([[1, 1, 0]], [[0, 1, 1]])
        0.5
    """
    return _dice_compute(*_dice_update(*check_pair(pred, target)))


def _dice_update(pred: BoolMask, target: BoolMask) -> tuple[int, int, int]:
    """Reduce a checked pair to (intersection, size of pred, size of target)."""
    return (
        int(np.count_nonzero(pred & target)),
        int(np.count_nonzero(pred)),
        int(np.count_nonzero(target)),
    )


def _dice_compute(intersection: int, pred_size: int, target_size: int) -> float:
    if target_size == 0:
        _refuse_empty_target(pred_size)
        return 1.0
    return 2.0 * intersection / (pred_size + target_size)


def distance_to_agreement(
    pred: ArrayLike | torch.Tensor,
    target: ArrayLike | torch.Tensor,
    spacing: Sequence[float] | ArrayLike | None,
    statistic: Statistic = "rms",
    direction: Direction = "both",
) -> float:
    """Distance between the boundaries of two masks, in mm.

    With ``statistic="rms"`` and ``direction="both"``, where dA and dB are the boundaries:
    ``sqrt((sum_{a in dA} d(a, dB)^2 + sum_{b in dB} d(b, dA)^2) / (|dA| + |dB|))``.
    A boundary pixel is a foreground pixel with a neighbour outside the mask that shares a face
    with it (4 neighbours in 2-D, 6 in 3-D; outside the image is outside the mask). Distances are
    Euclidean, between pixel centres, exact.

    The distances of both directions are pooled before the statistic is taken. So ``"max"`` is the
    Hausdorff distance of the boundaries, ``"mean"`` with ``direction="both"`` is what MONAI calls
    the symmetric average surface distance (MONAI's default is ``"pred_to_target"``, in pixels),
    and ``"p95"`` is the percentile of the pooled distances: tools that take the larger of the two
    directed percentiles give another figure.

    .. versionadded:: 0.1

    Args:
        pred: Predicted mask, ``(H, W)`` or ``(Z, H, W)``, bool or 0/1; numpy or a tensor on any
            device.
        target: Reference mask of the same shape.
        spacing: Pixel spacing in mm in array order, ``(y, x)`` or ``(z, y, x)``.
        statistic: ``"rms"``, ``"mean"``, ``"max"`` or ``"p95"``.
        direction: ``"both"``, ``"pred_to_target"`` or ``"target_to_pred"``.

    Returns:
        Millimetres. Both masks empty: 0. Prediction empty: ``inf``.

    Raises:
        EmptyMaskError: The reference is empty and the prediction is not.
        GeometryError: The shapes differ, or the spacing is missing or wrong.
        DataError: An input is no mask.
        UnknownNameError: No such statistic or direction.

    Example:
        >>> target = np.zeros((8, 8), bool)
        >>> target[2:6, 3] = True
        >>> distance_to_agreement(np.roll(target, 2, axis=1), target, spacing=(1.0, 0.8))
        1.6
    """
    masks = _distance_validate(pred, target, spacing, statistic, direction)
    return _distance_compute(_distance_update(*masks), statistic, direction)


def _distance_validate(
    pred: ArrayLike | torch.Tensor,
    target: ArrayLike | torch.Tensor,
    spacing: Sequence[float] | ArrayLike | None,
    statistic: str,
    direction: str,
) -> tuple[BoolMask, BoolMask, tuple[float, ...]]:
    check_option("statistic", statistic, get_args(Statistic))
    check_option("direction", direction, get_args(Direction))
    found, wanted = check_pair(pred, target)
    return found, wanted, check_spacing(spacing, found.ndim)


def _distance_update(
    pred: BoolMask, target: BoolMask, spacing: tuple[float, ...]
) -> tuple[Distances, Distances]:
    """Reduce a checked pair to its distances (pred to target, target to pred).

    No foreground at all gives two empty arrays, an empty prediction one infinite distance each.
    """
    if not target.any():
        _refuse_empty_target(int(np.count_nonzero(pred)))
        return np.zeros(0), np.zeros(0)
    if not pred.any():
        return np.array([np.inf]), np.array([np.inf])
    pred, target = crop_to_union(pred, target)
    pred_edge, target_edge = boundary(pred), boundary(target)
    return (
        boundary_distances(pred_edge, target_edge, spacing),
        boundary_distances(target_edge, pred_edge, spacing),
    )


def _distance_compute(
    distances: tuple[Distances, Distances], statistic: Statistic, direction: Direction
) -> float:
    pooled = {
        "both": np.concatenate(distances),
        "pred_to_target": distances[0],
        "target_to_pred": distances[1],
    }[direction]
    if pooled.size == 0:
        return 0.0
    if np.isinf(pooled[0]):
        return float("inf")
    if statistic == "rms":
        return float(np.sqrt(np.mean(pooled**2)))
    if statistic == "mean":
        return float(np.mean(pooled))
    if statistic == "max":
        return float(np.max(pooled))
    return float(np.percentile(pooled, 95))


def _refuse_empty_target(pred_size: int) -> None:
    if pred_size:
        raise EmptyMaskError(
            f"The reference mask is empty while the prediction has {pred_size} pixels, so there is "
            "nothing to score against. Check the mask file of this case, or leave the case out."
        )


def check_option(kind: str, name: str, known: Sequence[str]) -> None:
    """Refuse an option that is not one of the known ones.

    Args:
        kind: What the option is, for the message.
        name: The value found.
        known: The values there are.

    Raises:
        UnknownNameError: ``name`` is not known; the message has close matches.

    Example:
        >>> check_option("statistic", "rms", ["rms", "mean"])
    """
    if name not in known:
        near = close_matches(str(name), known)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise UnknownNameError(f"Unknown {kind} {name!r}; known: {', '.join(known)}.{hint}")
