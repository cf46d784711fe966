"""Ranges of Hounsfield units, and the checks that an image still holds Hounsfield units."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muscletransfer.errors import DataError, UnknownNameError, close_matches

__all__ = ["HU_WINDOWS", "check_hu", "clip_doubts", "hu_windows"]

_AIR = -1000

Window = tuple[float, float]

#: Inclusive ranges in HU. ``muscle`` and ``fat`` (IMAT and SAT): Aubrey et al., Acta Physiol
#: 2014;210(3):489-497, PMID 24393306. ``vat``: the -150..-50 of the TomoVision protocol.
#: ``lama`` and ``nama`` (low and normal attenuation muscle): unverified against a source.
#:
#: .. versionadded:: 0.1
HU_WINDOWS: dict[str, Window] = {
    "muscle": (-29.0, 150.0),
    "fat": (-190.0, -30.0),
    "lama": (-29.0, 29.0),
    "nama": (30.0, 150.0),
    "vat": (-150.0, -50.0),
}


def hu_windows(changes: Mapping[str, Window] | None = None) -> dict[str, Window]:
    """Return the windows, with some of them changed.

    .. versionadded:: 0.1

    Args:
        changes: Window name to inclusive ``(low, high)`` in HU; the others keep their default.

    Returns:
        All windows by name.

    Raises:
        UnknownNameError: No window of that name.
        DataError: Not two numbers, or low above high.

    Example:
        >>> hu_windows({"muscle": (-30, 110)})["muscle"]
        (-30.0, 110.0)
    """
    windows = dict(HU_WINDOWS)
    for name, window in (changes or {}).items():
        if name not in windows:
            near = close_matches(name, windows)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise UnknownNameError(
                f"Unknown HU window {name!r}; known: {', '.join(windows)}.{hint}"
            )
        try:
            low, high = (float(v) for v in window)
        except (TypeError, ValueError) as error:
            raise DataError(
                f"HU window {name!r} is {window!r}; wanted (low, high), two numbers in HU."
            ) from error
        if not low <= high:
            raise DataError(f"HU window {name!r} is ({low:g}, {high:g}); wanted low <= high.")
        windows[name] = (low, high)
    return windows


def check_hu(hu: NDArray[Any], windows: Mapping[str, Window]) -> None:
    """Refuse an image that cannot be in Hounsfield units any more.

    A CT slice holds air near -1000 HU and fat near -100. An image without a negative value has been
    windowed to 8 bits, scaled to [0, 1] or never rescaled, and areas and densities from it would be
    wrong without a sign.

    Args:
        hu: The image.
        windows: The windows about to be used.

    Raises:
        DataError: Not numbers, not finite, or not one negative value.

    Warns:
        UserWarning: The image looks clipped inside a window, as for the input of a network; what
            lies beyond the clip is then counted at the clip.

    Example:
        >>> check_hu(np.array([[-1000, 40]]), HU_WINDOWS)
    """
    if hu.dtype.kind not in "iuf":
        raise DataError(f"The image has dtype {hu.dtype}; wanted Hounsfield units as numbers.")
    low, high = float(hu.min()), float(hu.max())
    if not np.isfinite([low, high]).all():
        raise DataError(
            f"The image holds values that are not finite (from {low:g} to {high:g}); wanted "
            "Hounsfield units. Fill padding with air, -1000."
        )
    if low >= 0:
        looks = (
            "windowed to 8 bits or scaled to [0, 1]"
            if high <= 255
            else "stored values without the rescale intercept"
        )
        raise DataError(
            f"The image runs from {low:g} to {high:g}, as if {looks}; wanted Hounsfield units, "
            "where air is near -1000. Read the original CT with read_ct, and pass the whole slice."
        )
    for doubt in clip_doubts(hu, windows):
        warnings.warn(doubt, stacklevel=3)


def clip_doubts(hu: NDArray[Any], windows: Mapping[str, Window]) -> list[str]:
    """Return a sentence for each end at which an image looks clipped inside a window.

    Args:
        hu: The image.
        windows: The windows about to be used.

    Returns:
        What `check_hu` warns of; empty for an image as it should be.

    Example:
        >>> clip_doubts(np.clip(np.arange(-1000, 400), -100, 400), {"fat": (-190, -30)})[0]
        'The image seems clipped at -100 HU, inside the window(s) fat: ...'
    """
    low, high = float(hu.min()), float(hu.max())
    # Windows include their ends: what was clipped to an end counts. Padding to air is no clip.
    ends = {
        "lower": (low, [n for n, (a, b) in windows.items() if a < low <= b or a == low > _AIR]),
        "higher": (high, [n for n, (a, b) in windows.items() if a <= high <= b]),
    }
    return [
        f"The image seems clipped at {value:g} HU, inside the window(s) {', '.join(cut)}: "
        f"pixels that were {side} count as part of them. Measure on the original CT."
        for side, (value, cut) in ends.items()
        # Noise never puts 1 % of the pixels on the lowest or highest value; a clip does.
        if cut and np.count_nonzero(hu == value) > 0.01 * hu.size
    ]
