"""Intensities of plain images: from any file type to int16, one image at a time."""

from __future__ import annotations

import numpy as np

from muscletransfer.data.types import Array, narrowest
from muscletransfer.errors import DataError

__all__ = ["FULL_SCALE", "finite_float", "scale_plain", "to_grey"]

FULL_SCALE = 32767  # int16 value of intensity 1.0
_LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, as Pillow's "L"


def finite_float(array: Array) -> Array:
    """Return float32 values.

    Raises:
        DataError: Not numbers, or not finite.
    """
    if array.dtype.kind not in "iufb":
        raise DataError(f"the slice holds {array.dtype}; wanted numbers.")
    values = array.astype(np.float32)
    if array.dtype.kind == "f" and not np.isfinite(values).all():
        raise DataError(
            "the slice holds nan or infinite values; wanted finite numbers. Replace them (outside "
            "the scanner's field by -1024 HU) before."
        )
    return values


def to_grey(array: Array) -> Array:
    """Return ``(H, W)`` raw values: as they are, or the luminance of ``(H, W, 3)`` colour.

    Whole numbers come as int16 where they fit, else int32; fractions as float32.

    Example:
        >>> to_grey(np.full((1, 1, 3), 9, np.uint8)).tolist()
        [[9]]
    """
    return narrowest(np.rint(array @ _LUMINANCE) if array.ndim == 3 else array)


def scale_plain(array: Array, percentiles: tuple[float, float] | None, colour: bool) -> Array:
    """Map intensities to 0..`FULL_SCALE`, the same for all channels, and clip.

    Args:
        array: ``(H, W)``, or ``(H, W, 3)`` colour.
        percentiles: Percentiles of this image that become 0 and 1; ``None`` for the range of the
            array's type.
        colour: Return ``(H, W, 3)``, else ``(H, W)``.

    Returns:
        float32. An image without contrast between the percentiles becomes 0.

    Raises:
        DataError: Not finite, or no range is known for the array's type.

    Example:
        >>> scale_plain(np.array([[0, 51, 255]], np.uint8), None, colour=False).round().tolist()
        [[0.0, 6553.0, 32767.0]]
    """
    values = finite_float(array)
    low, high = _range(array, values, percentiles)
    if values.ndim == 3 and not colour:
        values = values @ _LUMINANCE
    elif values.ndim == 2 and colour:
        values = np.repeat(values[..., None], 3, axis=2)
    gain = FULL_SCALE / (high - low) if high > low else 0.0
    return ((values - low) * gain).clip(0.0, FULL_SCALE)


def _range(
    array: Array, values: Array, percentiles: tuple[float, float] | None
) -> tuple[float, float]:
    if percentiles is not None:
        low, high = np.percentile(values, percentiles)
        return float(low), float(high)
    if array.dtype == np.bool_:
        return 0.0, 1.0
    if array.dtype.kind == "u":
        return 0.0, float(np.iinfo(array.dtype).max)
    raise DataError(
        f"the image holds {array.dtype} values, which have no natural range to map to [0, 1]. "
        "Set preprocessing percentiles, such as (1, 99), or an hu_window if it is CT."
    )
