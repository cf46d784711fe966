"""Predicted masks as files on the native grid: NIfTI, or DICOM objects that refer to the image."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from muscletransfer.data.io import write_mask
from muscletransfer.data.types import Array
from muscletransfer.errors import (
    DataError,
    MissingDependencyError,
    UnknownNameError,
    close_matches,
)
from muscletransfer.prediction.reading import ReadCase

__all__ = ["MASK_FORMATS", "MaskFormat", "check_mask_format", "mask_files", "write_prediction"]

MaskFormat: TypeAlias = Literal["nifti", "rtstruct", "dicom-seg"]
MASK_FORMATS: tuple[MaskFormat, ...] = get_args(MaskFormat)
_RTSTRUCT, _SEG = "_rtstruct.dcm", "_seg.dcm"
_ENDINGS = {"nifti": (".nii.gz", ".png"), "rtstruct": (_RTSTRUCT,), "dicom-seg": (_SEG,)}
_NEEDS = {"rtstruct": "pydicom", "dicom-seg": "highdicom"}


def check_mask_format(name: str) -> MaskFormat:
    """Return a known format whose libraries are there.

    Args:
        name: ``"nifti"``, ``"rtstruct"`` or ``"dicom-seg"``.

    Raises:
        UnknownNameError: Another name.
        MissingDependencyError: The library that writes it is not installed.

    Example:
        >>> check_mask_format("nifti")
        'nifti'
    """
    if name not in MASK_FORMATS:
        near = close_matches(str(name), MASK_FORMATS)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        known = ", ".join(MASK_FORMATS)
        raise UnknownNameError(f"Unknown mask format {name!r}.{hint} Known: {known}.")
    library = _NEEDS.get(name)
    if library is not None and importlib.util.find_spec(library) is None:
        raise MissingDependencyError(
            f"writing {name} needs {library}, which is not installed: "
            "pip install 'muscletransfer[dicom]'"
        )
    return name


def mask_files(folder: Path, name: str, formats: Sequence[MaskFormat]) -> list[Path]:
    """Return every file that `write_prediction` may write of a case in one of the formats."""
    return [folder / f"{name}{ending}" for kind in formats for ending in _ENDINGS[kind]]


def write_prediction(
    mask: Array, read: ReadCase, folder: Path, mask_format: MaskFormat, classes: Sequence[str]
) -> Path:
    """Write one mask.

    Args:
        mask: uint8 (H, W) class indices.
        read: The image it belongs to.
        folder: Where to.
        mask_format: See `check_mask_format`. A plain image has no grid; its mask becomes a PNG.
        classes: Names of the classes 1, 2, ...

    Returns:
        The file. NIfTI has the grid of the whole image, with zeros in the other slices; of a series
        with uneven gaps, which has no grid, that of its slice.

    Raises:
        DataError: A DICOM object for an image that is not DICOM or lacks what the object repeats
            of its header, or a file that could not be written whole.
    """
    name = read.case.name
    if mask_format == "nifti":
        if read.grid is None:
            return write_mask(mask, folder / f"{name}.png")
        return write_mask(mask, folder / f"{name}.nii.gz", read.grid, read.place)
    if read.source is None:
        raise DataError(
            f"{read.case.image}: is not a DICOM slice, so {mask_format} has nothing to refer to; "
            "wanted DICOM images. Write NIfTI (--format nifti), or give the DICOM files."
        )
    from pydicom.errors import InvalidDicomError

    try:
        return _write_object(mask, read.source, folder, name, mask_format, classes)
    except (AttributeError, KeyError, ValueError, TypeError, InvalidDicomError) as error:
        # The image was read, but the object repeats more of its header than its pixels need.
        raise DataError(
            f"{read.case.image}: its header cannot be referred to by {mask_format} ({error}); "
            "wanted the patient, study, series and frame of reference of a whole DICOM header. "
            "Write NIfTI (--format nifti), or mend the header."
        ) from error


def _write_object(
    mask: Array,
    source: Path,
    folder: Path,
    name: str,
    mask_format: MaskFormat,
    classes: Sequence[str],
) -> Path:
    if mask_format == "rtstruct":
        from muscletransfer.prediction.rtstruct import write_rtstruct

        return write_rtstruct(mask, source, folder / f"{name}{_RTSTRUCT}", classes)
    from muscletransfer.prediction.dicom_seg import write_dicom_seg

    return write_dicom_seg(mask, source, folder / f"{name}{_SEG}", classes)
