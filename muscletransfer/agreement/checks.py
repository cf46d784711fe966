"""What a vector of measurements and a confidence must look like before they are compared."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from muscletransfer.errors import DataError

__all__ = ["Interval", "check_confidence", "check_pairs", "percent"]

Interval = tuple[float, float]


def check_pairs(
    first: ArrayLike, second: ArrayLike, fewest: int, what: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return two sets of measurements of the same cases as float vectors.

    Args:
        first: ``(N,)``.
        second: ``(N,)``.
        fewest: Cases that are wanted at least.
        what: What wants them, for the message.

    Returns:
        Both as float64.

    Raises:
        DataError: Lengths differ, too few cases, or values that are not finite.

    Example:
        >>> check_pairs([1, 2], [2, 3], 2, "a mean")
        (array([1., 2.]), array([2., 3.]))
    """
    a, b = _vector(first, "first"), _vector(second, "second")
    if a.size != b.size:
        raise DataError(f"first has {a.size} cases, second {b.size}; wanted pairs.")
    if a.size < fewest:
        raise DataError(f"{a.size} case(s) were given; {what} at least {fewest}.")
    return a, b


def check_confidence(confidence: float) -> None:
    """Refuse a confidence that is no share.

    Raises:
        DataError: Not between 0 and 1.

    Example:
        >>> check_confidence(0.95)
    """
    if not 0 < confidence < 1:
        raise DataError(f"confidence is {confidence!r}; wanted a share between 0 and 1, as 0.95.")


def percent(confidence: float) -> str:
    """Write a confidence for a sentence, with every digit that it has.

    Example:
        >>> percent(0.95), percent(0.995)
        ('95%', '99.5%')
    """
    return f"{100 * confidence:g}%"


def _vector(values: ArrayLike, name: str) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise DataError(f"{name} has shape {array.shape}; wanted one number a case, (N,).")
    if not np.isfinite(array).all():
        raise DataError(
            f"{name} holds {int((~np.isfinite(array)).sum())} value(s) that are not finite; leave "
            "these cases out of both, and say how many they were."
        )
    return array
