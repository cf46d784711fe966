"""One mask out of several observers' masks of the same slice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from muscletransfer.errors import DataError, GeometryError
from muscletransfer.metrics.checks import BoolMask, to_mask
from muscletransfer.metrics.functional import check_option
from muscletransfer.observers.staple import staple

__all__ = ["Consensus", "consensus_mask"]

Consensus = Literal["majority", "staple"]

# STAPLE's prior is the foreground's share of the picture, so empty surroundings would change it.
_MARGIN = 3
_PLAUSIBLE_DICE = 0.5


def consensus_mask(
    masks: Sequence[ArrayLike | torch.Tensor], method: Consensus = "majority"
) -> BoolMask:
    """Return the mask that several observers agree on.

    .. versionadded:: 0.1

    Args:
        masks: At least one mask, ``(H, W)`` or ``(Z, H, W)``, all of one shape.
        method: ``"majority"``: pixels that more than half of the observers marked, so a tie of an
            even number is outside. ``"staple"``: STAPLE at a probability of 0.5
            (Warfield et al., IEEE Trans Med Imaging 2004;23(7):903-921), on the region around all
            masks, with its known label inversion undone.

    Returns:
        Bool mask of the same shape; it may be empty when the observers do not overlap.

    Raises:
        DataError: No masks, or STAPLE settled on something that is not what most observers marked.
        GeometryError: The shapes differ.
        UnknownNameError: No such method.

    Example:
        >>> consensus_mask([[[1, 1, 0]], [[0, 1, 1]], [[0, 1, 0]]]).astype(int).tolist()
        [[0, 1, 0]]
    """
    check_option("consensus", method, get_args(Consensus))
    if not len(masks):
        raise DataError("No masks were given; wanted at least one to make a consensus of.")
    stack = [to_mask(mask, f"mask {i}") for i, mask in enumerate(masks)]
    if len({mask.shape for mask in stack}) != 1:
        raise GeometryError(
            f"The masks have the shapes {sorted({m.shape for m in stack})}; wanted one grid."
        )
    votes: NDArray[np.uint16] = np.sum(stack, axis=0, dtype=np.uint16)
    majority: BoolMask = 2 * votes > len(stack)
    if method == "majority" or not votes.any():
        return majority
    return _staple(stack, votes > 0, majority)


def _staple(stack: Sequence[BoolMask], union: BoolMask, majority: BoolMask) -> BoolMask:
    box = tuple(
        slice(max(0, int(found.min()) - _MARGIN), int(found.max()) + 1 + _MARGIN)
        for found in np.nonzero(union)
    )
    found = staple([mask[box] for mask in stack])
    inner = _upright(found.probability, found.sensitivity, found.specificity)
    result = np.zeros_like(majority)
    result[box] = inner
    shared = np.count_nonzero(result & majority)
    size = np.count_nonzero(result) + np.count_nonzero(majority)
    if size and 2 * shared / size < _PLAUSIBLE_DICE:
        raise DataError(
            f"STAPLE settled on a mask whose Dice with the majority is {2 * shared / size:.2f}, so "
            "it did not find what the observers outlined. Use the majority for this case."
        )
    return result


def _upright(
    probability: NDArray[np.floating], sensitivity: Sequence[float], specificity: Sequence[float]
) -> BoolMask:
    """Turn STAPLE's probability into a mask, undoing its label inversion.

    The likelihood is the same with foreground and background exchanged, and then the observers
    seem to do worse than guessing: their sensitivity and specificity sum to less than 1.
    """
    youden = np.mean(np.add(sensitivity, specificity)) - 1
    inside: BoolMask = probability > 0.5 if youden >= 0 else probability < 0.5
    return inside
