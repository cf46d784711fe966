"""STAPLE over patterns of votes: the same estimate as pixel by pixel, many times faster.

Pixels that the same observers marked have the same probability at every step, so the sums of the
EM algorithm run over the different patterns of votes (a few hundred) instead of the pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from muscletransfer.metrics.checks import BoolMask

__all__ = ["Staple", "staple"]

Float64 = NDArray[np.float64]

# Squared change of every rate below which the estimate has settled; SimpleITK's rule.
_SETTLED = 1e-14
# Observers who hardly agree can keep it going for thousands of steps.
_MOST_ITERATIONS = 100


@dataclass(frozen=True, eq=False)
class Staple:
    """What STAPLE found.

    Args:
        probability: Of foreground, of the masks' shape.
        sensitivity: Of each observer.
        specificity: Of each observer.
        iterations: Steps until it settled.
    """

    probability: Float64
    sensitivity: tuple[float, ...]
    specificity: tuple[float, ...]
    iterations: int


def staple(masks: Sequence[BoolMask]) -> Staple:
    """Estimate the probability of foreground, and how good each observer is, by EM.

    Warfield et al., IEEE Trans Med Imaging 2004;23(7):903-921, with the prior, start and end of
    SimpleITK's filter: the prior is the mean share of foreground, the start is the mean of the
    masks. The prior depends on how much empty surrounding the masks have: crop them first.

    Args:
        masks: At least one bool mask with foreground, all of one shape.

    Returns:
        The estimate. Its labels may be exchanged, which the likelihood cannot tell.

    Example:
        >>> found = staple([np.eye(4, dtype=bool)] * 3)
        >>> bool((found.probability > 0.5)[0, 0]), found.sensitivity[0]
        (True, 1.0)
    """
    votes = np.stack([mask.ravel() for mask in masks])
    packed = np.packbits(votes, axis=0)
    if packed.shape[0] <= 8:  # up to 64 observers fit one number, which sorts faster than rows
        wide = np.zeros((8, packed.shape[1]), np.uint8)
        wide[: packed.shape[0]] = packed
        codes = np.ascontiguousarray(wide.T).view(np.uint64).ravel()
        _, first, where, counts = np.unique(
            codes, return_index=True, return_inverse=True, return_counts=True
        )
    else:
        _, first, where, counts = np.unique(
            packed, axis=1, return_index=True, return_inverse=True, return_counts=True
        )
    marked = votes[:, first]  # (observers, patterns)
    weight = marked.mean(axis=0)
    prior = float((weight * counts).sum() / counts.sum())
    sensitivity = specificity = np.full(len(masks), -np.inf)
    steps = 0
    while steps < _MOST_ITERATIONS:
        steps += 1
        inside, outside = weight * counts, (1 - weight) * counts
        before = sensitivity, specificity
        sensitivity = (marked * inside).sum(axis=1) / inside.sum()
        background = outside.sum()  # none where everyone marked everything
        refused = (~marked * outside).sum(axis=1)
        specificity = refused / background if background else np.ones(len(masks))
        hit = np.where(marked, sensitivity[:, None], 1 - sensitivity[:, None]).prod(axis=0)
        miss = np.where(marked, 1 - specificity[:, None], specificity[:, None]).prod(axis=0)
        total = prior * hit + (1 - prior) * miss
        np.divide(prior * hit, total, out=weight, where=total > 0)  # 0 only by underflow
        changes = (sensitivity - before[0]) ** 2, (specificity - before[1]) ** 2
        if max(float(change.max()) for change in changes) <= _SETTLED:
            break
    return Staple(
        probability=weight[where].reshape(masks[0].shape),
        sensitivity=tuple(sensitivity.tolist()),
        specificity=tuple(specificity.tolist()),
        iterations=steps,
    )
