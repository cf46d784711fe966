"""DICOM objects that hold outlines, read through pydicom: what they are and what they refer to."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from muscletransfer.data.io.grids import ImageGrid
from muscletransfer.data.io.volume import check_exists
from muscletransfer.errors import (
    GeometryError,
    ImageReadError,
    MissingDependencyError,
    MuscleTransferError,
)

__all__ = [
    "RTSTRUCT",
    "SEGMENTATION",
    "check_series",
    "dicom_kind",
    "need",
    "open_object",
    "parsing",
]

RTSTRUCT = "1.2.840.10008.5.1.4.1.1.481.3"
# Segmentation Storage and Label Map Segmentation Storage.
SEGMENTATION = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")


def need(module: str) -> Any:
    """Import a library of the ``dicom`` extra.

    Raises:
        MissingDependencyError: It is not installed; with the pip command.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingDependencyError(
            f"outlines in DICOM files need {module.split('.')[0]} ({error}); install it with: "
            "pip install 'muscletransfer[dicom]'"
        ) from error


@contextmanager
def parsing(path: Path, wanted: str) -> Iterator[None]:
    """Turn what pydicom and highdicom raise over a damaged file into one error that names it.

    They look at an element when it is used, and a damaged one raises whatever its parsing happens
    to meet: from OSError and struct.error to IndexError and RuntimeError.

    Args:
        path: The file.
        wanted: What it should be.

    Raises:
        ImageReadError: Anything went wrong in the block that is no error of ours.
    """
    try:
        yield
    except MuscleTransferError:
        raise
    except Exception as error:
        raise ImageReadError(
            f"{path}: cannot be read ({type(error).__name__}: {error}); wanted {wanted}. The file "
            "may be damaged or of another format: export it again."
        ) from error


def open_object(path: Path, *, pixels: bool = True) -> Any:
    """Read a DICOM object as a pydicom data set.

    Args:
        path: The file.
        pixels: Read pixels too, where it has any.

    Raises:
        ImageReadError: It is no whole DICOM file.
    """
    pydicom = need("pydicom")
    check_exists(path)
    with parsing(path, "a whole DICOM object"):
        found = pydicom.dcmread(path, stop_before_pixels=not pixels)
        if not found.get("SOPClassUID"):
            raise ImageReadError(
                f"{path}: is no DICOM object; wanted an RTSTRUCT or a segmentation. The file may "
                "be damaged or of another format."
            )
    return found


def dicom_kind(path: Path) -> str:
    """Return ``"rtstruct"``, ``"segmentation"``, or ``""`` for anything else.

    Args:
        path: A file; only its first 4 kB are looked at, and no library is needed.
    """
    with path.open("rb") as file:
        head = file.read(4096)
    if head[128:132] != b"DICM":
        return ""
    at = head.find(b"\x02\x00\x02\x00UI")
    if at < 0:
        return ""
    length = int.from_bytes(head[at + 6 : at + 8], "little")
    uid = head[at + 8 : at + 8 + length].rstrip(b"\0 ").decode("ascii", "replace")
    if uid == RTSTRUCT:
        return "rtstruct"
    return "segmentation" if uid in SEGMENTATION else ""


def check_series(
    path: Path,
    grid: ImageGrid,
    series: frozenset[str],
    frames: frozenset[str],
    allow_other: bool,
) -> list[str]:
    """Check that an object was drawn on an image.

    Args:
        path: The object.
        grid: The image's.
        series: Series UIDs that the object refers to.
        frames: Frame of reference UIDs that it refers to.
        allow_other: Accept another series of the same frame of reference, such as another
            reconstruction of one scan.

    Returns:
        Notes on what could not be checked.

    Raises:
        GeometryError: Another series or frame of reference, with both.
    """
    if not grid.series:
        return [
            f"{grid.path} carries no DICOM series, so that {path.name} belongs to it was checked "
            "by position alone"
        ]
    if grid.frame_of_reference and frames and grid.frame_of_reference not in frames:
        raise GeometryError(
            f"{path}: was drawn in the frame of reference {_listed(frames)}, and {grid.path} has "
            f"{grid.frame_of_reference}: another scan, so positions do not carry over. Pass the "
            "series it was drawn on, or register the two first."
        )
    if series and grid.series not in series and not allow_other:
        same = "the same" if grid.frame_of_reference in frames else "an unknown"
        raise GeometryError(
            f"{path}: refers to the series {_listed(series)}, and {grid.path} is "
            f"{grid.series} ({same} frame of reference). Pass the series it was drawn on; if this "
            "is another reconstruction of that scan, allow it (other_series=True, --other-series)."
        )
    if not series and not frames:
        return [f"{path.name} does not say which series it was drawn on; checked by position alone"]
    return []


def _listed(uids: frozenset[str]) -> str:
    return " or ".join(sorted(uids)) or "(none)"
