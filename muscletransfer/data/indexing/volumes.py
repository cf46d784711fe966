"""NIfTI, NRRD and MHA files: is it axial CT?"""

from __future__ import annotations

import hashlib
import math
import os
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from muscletransfer.data.indexing.plausible import Histogram
from muscletransfer.data.indexing.records import Rejected, VolumeFile
from muscletransfer.data.indexing.whole import check_whole
from muscletransfer.data.io.read import read_volume
from muscletransfer.data.io.volume import itk_name, quiet, reason
from muscletransfer.data.types import Volume
from muscletransfer.errors import DataError

__all__ = ["fingerprint", "scan_volume"]

_PIECE = 1 << 16
_COPY = "Copy or export the file again."


def scan_volume(path: str, values: bool) -> VolumeFile | Rejected:
    """Read one file and say what it is.

    Args:
        path: NIfTI, NRRD or MHA.
        values: Look at the values; without, a mask cannot be told from CT.

    Returns:
        The record of a CT, or why it is none.
    """
    try:
        check_whole(Path(path))
        histogram = Histogram() if values else None
        if histogram is None:
            shape, spacing, is_axial = _header(Path(path))
        else:
            volume = read_volume(path)
            histogram.add(volume.array)
            shape, spacing, is_axial = volume.shape, volume.spacing, volume.is_axial
    except (DataError, OSError) as error:
        return Rejected(path, str(error).removeprefix(f"{path}: "), _COPY)
    why = histogram.why_not() if histogram else None
    if why is not None:
        return Rejected(path, why[0], why[1])
    if not is_axial:
        return Rejected(
            path,
            "is not stored as axial slices",
            "Reorient it, for instance with SimpleITK.DICOMOrient(image, 'LPS').",
        )
    check = histogram.doubt() if histogram else ""
    if set(spacing) == {1.0}:
        check = check or "every spacing is exactly 1 mm, as in a file that does not say"
    return VolumeFile(path, shape, spacing[0], check)


def fingerprint(path: str) -> str:
    """Return a digest of a file's length, beginning and middle: few bytes that tell scans apart."""
    try:
        with Path(path).open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            pieces = [file.read(_PIECE)]
            file.seek(size // 2)
            pieces.append(file.read(_PIECE))
    except OSError:  # gone since it was scanned, which reading it will tell
        return ""
    return hashlib.sha256(str(size).encode() + b"".join(pieces)).hexdigest()


def _header(path: Path) -> tuple[tuple[int, int, int], tuple[float, float, float], bool]:
    reader = sitk.ImageFileReader()
    reader.SetFileName(itk_name(path))
    try:
        with quiet():
            reader.ReadImageInformation()
    except RuntimeError as error:
        raise DataError(f"{path}: cannot be read ({reason(error)})") from error
    size, spacing, direction = reader.GetSize(), reader.GetSpacing(), reader.GetDirection()
    if len(size) == 2:
        return (1, size[1], size[0]), (math.nan, spacing[1], spacing[0]), True
    if len(size) != 3:
        raise DataError(f"{path}: has {len(size)} dimensions, size {size}; wanted a volume")
    if reader.GetNumberOfComponents() != 1:
        raise DataError(f"{path}: has {reader.GetNumberOfComponents()} values a voxel")
    axial = Volume(np.empty((0, 0, 0)), direction=tuple(direction)).is_axial
    return (size[2], size[1], size[0]), (spacing[2], spacing[1], spacing[0]), axial
