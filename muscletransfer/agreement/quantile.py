"""Quantiles of values of which some may be infinite."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["quantile"]


def quantile(ordered: NDArray[np.float64], share: float) -> float:
    """Quantile by linear interpolation, infinite (never NaN) where it falls on a missed mask.

    Args:
        ordered: Rising values, at least one; may end in inf.
        share: 0 to 1.

    Example:
        >>> quantile(np.array([1.0, 2.0, np.inf]), 0.5)
        2.0
        >>> quantile(np.array([1.0, 2.0, 3.0, np.inf]), 0.9)
        inf
    """
    place = (ordered.size - 1) * share
    below, above = ordered[int(np.floor(place))], ordered[int(np.ceil(place))]
    part = place - np.floor(place)
    if np.isinf(above):
        return float(above if part > 0 else below)
    return float(below + part * (above - below))
