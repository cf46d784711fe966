"""What a NIfTI file holds where ITK reads 0: its reader replaces NaN and infinite values."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Iterator
from io import BufferedIOBase
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

__all__ = ["with_lost_values"]

_FLOATS = {16: "f4", 64: "f8"}  # datatype codes of the header
_PIECE = 1 << 20  # bytes; a whole multiple of either type


def with_lost_values(image: sitk.Image, path: Path) -> sitk.Image:
    """Put back what ITK replaced, so that NaN is seen, as in NRRD and MHA, and not taken for 0 HU.

    Args:
        image: As SimpleITK reads the file.
        path: The NIfTI file, which was found whole.

    Returns:
        The image itself where nothing was replaced.

    Raises:
        OSError, EOFError, zlib.error: The file cannot be unpacked.
    """
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    with gzip.open(path, "rb") if packed else path.open("rb") as file:
        header = file.read(352)
        order = "<" if struct.unpack_from("<i", header)[0] == 348 else ">"
        kind = _FLOATS.get(struct.unpack_from(f"{order}h", header, 70)[0])
        if kind is None or header[344:348] != b"n+1\0" or image.GetNumberOfComponentsPerPixel() > 1:
            return image
        start, slope, intercept = struct.unpack_from(f"{order}3f", header, 108)
        values = sitk.GetArrayViewFromImage(image)
        # Without a rescale what was replaced is 0; most files are settled by having none.
        if slope in (0.0, 1.0) and intercept == 0 and values.all():
            return image
        file.seek(max(int(start), 348))  # as ITK: some writers leave 0
        lost = [*_not_finite(file, np.dtype(f"{order}{kind}"), values.size)]
    if not lost:
        return image
    array = values.copy()
    for places, found in lost:
        array.flat[places] = found * (slope or 1.0)
    whole: sitk.Image = sitk.GetImageFromArray(array, isVector=False)
    whole.CopyInformation(image)
    return whole


def _not_finite(file: BufferedIOBase, kind: np.dtype[Any], count: int) -> Iterator[tuple[Any, Any]]:
    """Yield the places and values of what is not finite, a piece of the file at a time."""
    done = 0
    while done < count and (piece := file.read(min(_PIECE, (count - done) * kind.itemsize))):
        values = np.frombuffer(piece, kind)
        places = np.flatnonzero(~np.isfinite(values))
        if places.size:
            yield places + done, values[places]
        done += values.size
