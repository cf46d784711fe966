"""Medical files through SimpleITK: one file in, an array with its grid out, or one clear error."""

from __future__ import annotations

import gzip
import math
import os
import stat
import struct
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import SimpleITK as sitk

from muscletransfer.data.io.nifti_values import with_lost_values
from muscletransfer.data.types import IDENTITY, Volume, narrowest
from muscletransfer.errors import DataError, ImageReadError, close_matches

__all__ = [
    "PLAIN_SUFFIXES",
    "READABLE",
    "VOLUME_SUFFIXES",
    "check_exists",
    "itk_name",
    "pick_slice",
    "printable",
    "quiet",
    "read_file",
    "reason",
    "to_volume",
]

VOLUME_SUFFIXES = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd")
PLAIN_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
READABLE = "DICOM (a file or a series folder), NIfTI, NRRD and MHA"


@contextmanager
def quiet() -> Iterator[None]:
    """Keep ITK's warnings off stderr; what matters in them is checked and raised here.

    The setting is one for the whole process, so the last of several threads puts it back.
    """
    with _quiet.lock:
        if not _quiet.users:
            _quiet.before = sitk.ProcessObject.GetGlobalWarningDisplay()
            sitk.ProcessObject.SetGlobalWarningDisplay(False)
        _quiet.users += 1
    try:
        yield
    finally:
        with _quiet.lock:
            _quiet.users -= 1
            if not _quiet.users:
                sitk.ProcessObject.SetGlobalWarningDisplay(_quiet.before)


class _Quiet:
    def __init__(self) -> None:
        self.lock, self.users, self.before = threading.Lock(), 0, True


_quiet = _Quiet()


def check_exists(path: Path) -> None:
    """Raise `ImageReadError` for a path that is not there, offering near names, or is empty."""
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        near: list[str] = []
        if path.parent.is_dir():
            near = close_matches(path.name, [p.name for p in path.parent.iterdir()])
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        raise ImageReadError(f"{path}: does not exist.{hint}") from None
    except OSError as error:
        raise ImageReadError(f"{path}: cannot be read ({error.strerror}).") from error
    if status.st_size == 0 and stat.S_ISREG(status.st_mode):
        raise ImageReadError(f"{path}: has 0 bytes; wanted an image. Copy it again.")


def itk_name(path: str | Path, error: type[DataError] = ImageReadError) -> str:
    """Return a path as ITK takes it; one that is no UTF-8 would end the process there.

    Args:
        path: The path.
        error: What to raise.

    Raises:
        ImageReadError: Its name, or that of a folder above it, is no UTF-8.

    Example:
        >>> itk_name(Path("a.nii.gz"))
        'a.nii.gz'
    """
    name = str(path)
    if (shown := printable(name)) != name:
        raise error(
            f"{shown}: a name that is no UTF-8, which ITK cannot open; wanted UTF-8. Rename it, "
            "for instance with convmv; a folder with all that is in it."
        )
    return name


def printable(path: str | Path) -> str:
    r"""Return a path for messages and tables: bytes that are no UTF-8 as ``\xe9``.

    Example:
        >>> print(printable(os.fsdecode(b"caf\xe9.nii")))
        caf\xe9.nii
    """
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return os.fsencode(path).decode("utf-8", "backslashreplace")
    return str(path)


def read_file(path: Path, image_io: str = "") -> sitk.Image:
    """Read one file whole.

    Args:
        path: NIfTI, NRRD, MHA or DICOM.
        image_io: SimpleITK's name of a reader; empty to choose by the file.

    Returns:
        The image as SimpleITK reads it (rescale slope and intercept applied); what is NaN or
        infinite in the file is so here.

    Raises:
        ImageReadError: The file cannot be read, or is shorter than its header says.
    """
    check_exists(path)
    is_nifti = path.name.lower().endswith((".nii", ".nii.gz"))
    if is_nifti:
        _check_nifti_length(path)
    reader = sitk.ImageFileReader()
    reader.SetFileName(itk_name(path))
    if image_io:
        reader.SetImageIO(image_io)
    try:
        with quiet():
            image: sitk.Image = reader.Execute()
    except RuntimeError as error:
        raise ImageReadError(
            f"{path}: cannot be read ({reason(error)}); wanted {READABLE}. The file may be cut "
            "short, damaged or of another format."
        ) from error
    if not is_nifti:
        return image
    try:
        return with_lost_values(image, path)
    except (OSError, EOFError, zlib.error, struct.error) as error:
        raise ImageReadError(
            f"{path}: is cut short or damaged ({error}); wanted a whole NIfTI file. Copy it again."
        ) from error


def to_volume(image: sitk.Image, path: Path, slice_thickness: float = math.nan) -> Volume:
    """Turn a SimpleITK image of two or three dimensions into a `Volume`.

    Args:
        image: Scalar image.
        path: For messages.
        slice_thickness: mm between slices when the image is one slice and cannot say itself.

    Raises:
        ImageReadError: More than three dimensions, or several values a voxel.
    """
    ndim = image.GetDimension()
    size = image.GetSize()
    if ndim == 4 and size[3] == 1:
        image, ndim = image[:, :, :, 0], 3
    if ndim not in (2, 3):
        raise ImageReadError(
            f"{path}: has {ndim} dimensions, size {size}; wanted a slice or a volume. Save one "
            "time point or phase on its own."
        )
    if image.GetNumberOfComponentsPerPixel() != 1:
        raise ImageReadError(
            f"{path}: has {image.GetNumberOfComponentsPerPixel()} values a voxel (colour or "
            "vectors); wanted one."
        )
    array = narrowest(sitk.GetArrayFromImage(image))
    spacing, origin, cosines = image.GetSpacing(), image.GetOrigin(), image.GetDirection()
    if ndim == 2:
        array = array[None]
        spacing, origin, cosines = from_two_axes(spacing, origin, cosines, slice_thickness)
    elif array.shape[0] == 1 and not math.isnan(slice_thickness):
        spacing = (*spacing[:2], slice_thickness)
    return Volume(
        array,
        (float(spacing[2]), float(spacing[1]), float(spacing[0])),
        tuple(float(c) for c in cosines),
        (float(origin[0]), float(origin[1]), float(origin[2])),
        str(path),
    )


def from_two_axes(
    spacing: tuple[float, ...],
    origin: tuple[float, ...],
    cosines: tuple[float, ...],
    slice_thickness: float = math.nan,
) -> tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]:
    """Return spacing, origin and direction of a two-dimensional image with a third axis, z."""
    return (
        (*spacing, slice_thickness),
        (*origin, 0.0),
        (cosines[0], cosines[1], 0.0, cosines[2], cosines[3], 0.0, *IDENTITY[6:]),
    )


def pick_slice(volume: Volume, index: int) -> Volume:
    """Return one slice, counted from 0.

    Raises:
        ImageReadError: There is no such slice.
    """
    if not 0 <= index < volume.num_slices:
        raise ImageReadError(
            f"{volume.path}: has slices 0 to {volume.num_slices - 1}; slice {index} was asked for."
        )
    return volume.one_slice(index)


def reason(error: BaseException) -> str:
    """Return the last line of an ITK error, without its source file and object addresses."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    last = lines[-1] if lines else type(error).__name__
    return last.removeprefix("sitk::ERROR: ").removeprefix("ITK ERROR: ").rstrip(".")


def _check_nifti_length(path: Path) -> None:
    """Raise for a NIfTI file cut short: ITK fills what is missing and says nothing."""
    try:
        wanted = _nifti_length(path)
        found = _unpacked_length(path, wanted)
    except (OSError, EOFError, zlib.error, struct.error) as error:
        raise ImageReadError(
            f"{path}: is cut short or damaged ({error}); wanted a whole NIfTI file. Copy it again."
        ) from error
    if wanted is not None and found < wanted:
        raise ImageReadError(
            f"{path}: is cut short: {found} bytes, its header promises {wanted}. Copy it again."
        )


def _open(path: Path) -> Any:
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return gzip.open(path, "rb") if packed else path.open("rb")


def _nifti_length(path: Path) -> int | None:
    """Return header + voxels in bytes, or ``None`` for a header this does not know."""
    with _open(path) as file:
        header = file.read(352)
    for order in "<>":
        kind = struct.unpack_from(f"{order}i", header)[0]
        if kind == 348:
            dims = struct.unpack_from(f"{order}8h", header, 40)
            bits = struct.unpack_from(f"{order}h", header, 72)[0]
            start = int(struct.unpack_from(f"{order}f", header, 108)[0])
            return int(start + math.prod(dims[1 : 1 + dims[0]]) * bits // 8)
        if kind == 540:
            raise ImageReadError(
                f"{path}: is NIfTI-2, which SimpleITK does not read; wanted NIfTI-1. Convert it, "
                "for instance with nibabel's Nifti1Image.from_image."
            )
    return None


def _unpacked_length(path: Path, wanted: int | None) -> int:
    size = path.stat().st_size
    with path.open("rb") as file:
        if file.read(2) != b"\x1f\x8b":
            return size
        file.seek(-4, 2)
        # gzip ends with the length of what it packed: one look settles nearly every file.
        if wanted is not None and struct.unpack("<I", file.read(4))[0] == wanted % 2**32:
            return wanted
    total = 0
    with gzip.open(path, "rb") as unpacked:
        while chunk := unpacked.read(1 << 20):
            total += len(chunk)
    return total
