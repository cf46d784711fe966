"""Images: HU from CT files, raw values from any other modality, with their geometry."""

from __future__ import annotations

import math
from numbers import Integral
from pathlib import Path

import numpy as np

from muscletransfer.data.dicom.header import Header, is_dicom, read_header
from muscletransfer.data.dicom.hu import why_not_hu
from muscletransfer.data.dicom.listed import read_listed
from muscletransfer.data.dicom.series import read_dicom_file, read_series
from muscletransfer.data.dicom.series_list import is_series_list
from muscletransfer.data.io.plain import is_plain
from muscletransfer.data.io.volume import (
    READABLE,
    VOLUME_SUFFIXES,
    check_exists,
    pick_slice,
    read_file,
    to_volume,
)
from muscletransfer.data.types import Array, CTImage, Volume
from muscletransfer.errors import ImageReadError

__all__ = ["read_ct", "read_volume"]


def read_ct(
    path: str | Path,
    slice_index: int | None = None,
    *,
    series: str | None = None,
    assume_hu: bool = False,
) -> CTImage:
    """Read a CT slice or volume in HU.

    .. versionadded:: 0.1

    Args:
        path: A DICOM file, a folder of one DICOM series, the list of one (``.series.json``, as
            ``muscletransfer data index`` writes), NIfTI, NRRD or MHA.
        slice_index: Read only this slice, from 0 in the order of the result. DICOM files are
            sorted along the normal of their slices, whatever their names.
        series: Series UID, for a folder that holds several.
        assume_hu: Take the values as HU although nothing says so.

    Returns:
        HU after rescale slope and intercept, in the file's order, with its grid. A lone DICOM file
        has its slice thickness as spacing between slices, or ``nan`` without that tag.

    Raises:
        ImageReadError: Missing, damaged, of another format or modality, several series, no such
            slice, or no HU (no rescale tags; or not one negative value, and fat and air are).
        GeometryError: The files of a series do not stack.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> import SimpleITK as sitk
        >>> file = Path(tempfile.mkdtemp()) / "ct.nii.gz"
        >>> sitk.WriteImage(sitk.GetImageFromArray(np.full((2, 3, 4), -1000, np.int16)), str(file))
        >>> read_ct(file).shape, read_ct(file, slice_index=1).shape
        ((2, 3, 4), (1, 3, 4))
        >>> read_ct(file, slice_index=2)
        Traceback (most recent call last):
        ...
        muscletransfer.errors.ImageReadError: ...ct.nii.gz: has slices 0 to 1; slice 2 was asked...
    """
    path = Path(path)
    volume, header = _read(path, slice_index, series)
    if not assume_hu:
        _check_hu(path, volume.array, header)
    return CTImage(volume.array, volume.spacing, volume.direction, volume.origin, str(path))


def read_volume(
    path: str | Path, slice_index: int | None = None, *, series: str | None = None
) -> Volume:
    """Read a slice or volume of any modality; values mean what the file means by them.

    .. versionadded:: 0.1

    Args:
        path: As in `read_ct`.
        slice_index: As in `read_ct`.
        series: As in `read_ct`.

    Returns:
        int16 where the values fit, else int32 or float32.

    Raises:
        ImageReadError: As in `read_ct`, save for the checks of HU and modality.
        GeometryError: The files of a series do not stack.

    Example:
        >>> import tempfile
        >>> import SimpleITK as sitk
        >>> file = Path(tempfile.mkdtemp()) / "mr.nrrd"
        >>> sitk.WriteImage(sitk.Image(4, 3, 2, sitk.sitkInt16), str(file))
        >>> read_volume(file).shape, read_volume(file, slice_index=1).shape
        ((2, 3, 4), (1, 3, 4))
    """
    return _read(Path(path), slice_index, series)[0]


def _read(path: Path, slice_index: int | None, series: str | None) -> tuple[Volume, Header | None]:
    check_exists(path)
    _check_index(path, slice_index)
    if path.is_dir():
        return read_series(path, series, slice_index)
    if is_series_list(path):
        return read_listed(path, slice_index)
    if is_plain(path):
        raise ImageReadError(
            f"{path}: is a plain image, which holds no HU or grid; wanted {READABLE}. Read it "
            "with read_image, and set preprocessing hu_window=None."
        )
    if not path.name.lower().endswith(VOLUME_SUFFIXES) and is_dicom(path):
        header = read_header(path)
        return read_dicom_file(path, header, slice_index), header
    volume = to_volume(read_file(path), path)
    if slice_index is not None:
        volume = pick_slice(volume, slice_index)
    return volume, None


def _check_index(path: Path, index: object) -> None:
    if index is not None and not isinstance(index, Integral):
        raise ImageReadError(f"{path}: slice_index is {index!r}; wanted a whole number or None.")


def _check_hu(path: Path, array: Array, header: Header | None) -> None:
    way_out = "If the values are HU all the same, read_ct(..., assume_hu=True) takes them."
    if header is not None and header.modality not in ("CT", ""):
        raise ImageReadError(
            f"{header.path}: its modality is {header.modality!r}; wanted CT. Read other modalities "
            "with read_volume, and set preprocessing hu_window=None."
        )
    low, high = float(array.min()), float(array.max())
    if not math.isfinite(high - low):  # NaN would hide what the others are
        finite = array[np.isfinite(array)]
        low, high = (float(finite.min()), float(finite.max())) if finite.size else (low, high)
    wrong = None if header is None else why_not_hu(header.facts)
    if header is not None and wrong is not None:
        raise ImageReadError(
            f"{header.path}: {wrong[0]} (they run from {low:g} to {high:g}). {wrong[1]} {way_out}"
        )
    if low >= 0:
        looks = (
            "a mask" if high <= 1 else "8-bit grey" if high <= 255 else "HU shifted to start at 0"
        )
        raise ImageReadError(
            f"{path}: values run from {low:g} to {high:g} (looks like {looks}); wanted HU, where "
            "air is near -1000 and fat near -100. Convert with slope and intercept first, or "
            f"treat it as a plain image (preprocessing hu_window=None). {way_out}"
        )
