"""DICOM: one file, or the files of one series sorted along the normal of its slices."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from muscletransfer.data.io_volume import (
    READABLE,
    check_exists,
    pick_slice,
    quiet,
    read_file,
    to_volume,
)
from muscletransfer.data.types import Volume
from muscletransfer.errors import GeometryError, ImageReadError

__all__ = ["Header", "is_dicom", "list_series", "read_dicom_file", "read_header", "read_series"]

_MULTI_FRAME = "1.2.840.10008.5.1.4.1.1.2."  # enhanced CT keeps its rescale inside the frames


@dataclass(frozen=True)
class Header:
    """What decides how a DICOM file is read; empty text or ``nan`` where a tag is absent."""

    path: Path
    series: str
    description: str
    modality: str
    has_rescale: bool
    thickness: float
    has_position: bool
    size: tuple[int, ...]
    spacing: tuple[float, ...]
    origin: tuple[float, ...]
    direction: tuple[float, ...]

    @property
    def along_normal(self) -> float:
        """Position of the slice along the normal of its plane, in mm."""
        return float(np.dot(self.origin, np.array(self.direction).reshape(3, 3)[:, 2]))


def is_dicom(path: Path) -> bool:
    """Whether a file starts as DICOM part 10 does, or is named like DICOM."""
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM" or path.suffix.lower() in (".dcm", ".ima", ".dicom")


def read_header(path: Path) -> Header:
    """Read the tags of one file, not its pixels.

    Raises:
        ImageReadError: The file is no readable DICOM image.
    """
    check_exists(path)
    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(path))
    try:
        with quiet():
            reader.ReadImageInformation()
    except RuntimeError as error:
        raise ImageReadError(
            f"{path}: cannot be read as a DICOM image; wanted {READABLE}. The file may be cut "
            "short, damaged, or hold no pixels (a structure set, a report)."
        ) from error

    def tag(key: str) -> str:
        return str(reader.GetMetaData(key)).strip() if reader.HasMetaDataKey(key) else ""

    return Header(
        path=path,
        series=tag("0020|000e"),
        description=tag("0008|103e"),
        modality=tag("0008|0060"),
        has_rescale=bool(tag("0028|1052") and tag("0028|1053"))
        or tag("0008|0016").startswith(_MULTI_FRAME),
        thickness=_positive(tag("0018|0050"), tag("0018|0088")),
        has_position=bool(tag("0020|0032") and tag("0020|0037")),
        size=reader.GetSize(),
        spacing=reader.GetSpacing(),
        origin=reader.GetOrigin(),
        direction=reader.GetDirection(),
    )


def read_dicom_file(path: Path, header: Header) -> Volume:
    """Read one file; the slice spacing is its slice thickness, or ``nan``.

    GDCM reports 1.0 mm between slices for a lone file whatever its thickness, so that number is
    never used.
    """
    image = read_file(path, "GDCMImageIO")
    single = image.GetDimension() == 2 or image.GetSize()[2] == 1
    volume = to_volume(image, path, header.thickness if single else math.nan)
    if single and math.isnan(header.thickness):
        _, sy, sx = volume.spacing
        return Volume(
            volume.array, (math.nan, sy, sx), volume.direction, volume.origin, volume.path
        )
    return volume


def list_series(folder: Path) -> dict[str, list[Header]]:
    """Return the image series of a folder (not its subfolders), by series UID.

    Files that are not DICOM, and DICOM objects without pixels, are passed over.

    Raises:
        ImageReadError: A DICOM file is damaged, or no image is found.
    """
    series: dict[str, list[Header]] = {}
    files = sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith("."))
    for path in files:
        if path.name.upper() == "DICOMDIR" or not is_dicom(path) or _is_imageless(path):
            continue
        header = read_header(path)
        series.setdefault(header.series, []).append(header)
    if not series:
        raise ImageReadError(f"{folder}: {_what_is_there(folder, files)}")
    return series


def read_series(folder: Path, series: str | None, slice_index: int | None) -> tuple[Volume, Header]:
    """Read one series of a folder, sorted along its normal.

    Args:
        folder: Folder with the files.
        series: Series UID, needed when the folder holds several.
        slice_index: Read this slice only, counted in the sorted order.

    Returns:
        The volume (one slice when ``slice_index`` is given) and the header of its first file.

    Raises:
        ImageReadError: Several series and none chosen, no such series or slice, a damaged file.
        GeometryError: Files of one series that do not stack.
    """
    headers = _choose(folder, list_series(folder), series)
    if len(headers) == 1:
        volume = read_dicom_file(headers[0].path, headers[0])
        if slice_index is None:
            return volume, headers[0]
        return pick_slice(volume, slice_index), headers[0]
    headers, gap = _sorted_stack(folder, headers)
    if slice_index is not None:
        if not 0 <= slice_index < len(headers):
            raise ImageReadError(
                f"{folder}: has slices 0 to {len(headers) - 1}; slice {slice_index} was asked for."
            )
        headers = headers[slice_index : slice_index + 1]
    slices = [read_dicom_file(h.path, h) for h in headers]
    _, sy, sx = slices[0].spacing
    volume = Volume(
        np.concatenate([s.array for s in slices]),
        (gap, sy, sx),
        slices[0].direction,
        slices[0].origin,
        str(folder),
    )
    return volume, next((h for h in headers if not h.has_rescale), headers[0])


def _choose(folder: Path, found: dict[str, list[Header]], series: str | None) -> list[Header]:
    listing = "; ".join(
        f"{uid!r} ({hs[0].modality or 'no modality'}, {hs[0].description or 'no description'}, "
        f"{len(hs)} files)"
        for uid, hs in sorted(found.items())
    )
    if series is not None:
        if series not in found:
            raise ImageReadError(f"{folder}: no series {series!r}; found {listing}.")
        return found[series]
    if len(found) > 1:
        raise ImageReadError(
            f"{folder}: holds {len(found)} series; wanted one. Choose with series=UID, or give "
            f"each its own folder. Found {listing}."
        )
    return next(iter(found.values()))


def _sorted_stack(folder: Path, headers: Sequence[Header]) -> tuple[list[Header], float]:
    """Return the headers along the normal and the gap between slices (``nan`` when uneven)."""
    first = headers[0]
    for h in headers:
        if not h.has_position:
            raise GeometryError(
                f"{h.path}: has no position or orientation tag, so its place among the "
                f"{len(headers)} slices is unknown. Read the files one by one."
            )
        same = h.size == first.size and np.allclose(h.spacing[:2], first.spacing[:2], rtol=1e-4)
        if not same or not np.allclose(h.direction, first.direction, atol=1e-3):
            raise GeometryError(
                f"{folder}: {h.path.name} ({_grid(h)}) and {first.path.name} ({_grid(first)}) are "
                "of one series but do not stack. Move one of them (a localiser?) elsewhere."
            )
    ordered = sorted(headers, key=lambda h: h.along_normal)
    places = np.array([h.along_normal for h in ordered])
    gaps = np.diff(places)
    for k in np.flatnonzero(gaps < 1e-3):
        raise GeometryError(
            f"{folder}: {ordered[k].path.name} and {ordered[k + 1].path.name} lie at the same "
            f"place ({places[k]:.3f} mm); wanted one slice a place. Two reconstructions or phases "
            "share the series; keep one in the folder."
        )
    gap = float(np.median(gaps))
    if np.abs(gaps - gap).max() > max(0.01 * gap, 0.01):
        warnings.warn(
            f"{folder}: the gaps between slices run from {gaps.min():.3f} to {gaps.max():.3f} mm "
            "(slices are missing?). Slices are read in order; their spacing is taken as unknown.",
            stacklevel=4,
        )
        gap = math.nan
    return ordered, gap


def _grid(h: Header) -> str:
    rounded = [round(d, 3) for d in h.direction[:6]]
    return f"{h.size[1]} x {h.size[0]}, {h.spacing[0]:.4g} mm, direction {rounded}"


def _is_imageless(path: Path) -> bool:
    """Whether the SOP class in the file's preamble is one without CT-like pixels."""
    with path.open("rb") as file:
        head = file.read(1024)
    at = head.find(b"\x02\x00\x02\x00UI")
    if at < 0:
        return False
    length = int.from_bytes(head[at + 6 : at + 8], "little")
    uid = head[at + 8 : at + 8 + length].rstrip(b"\0 ").decode("ascii", "replace")
    return uid.startswith(
        (
            "1.2.840.10008.5.1.4.1.1.481.",  # radiotherapy: structure set, plan, dose
            "1.2.840.10008.5.1.4.1.1.66",  # registration, segmentation
            "1.2.840.10008.5.1.4.1.1.88.",  # reports
            "1.2.840.10008.5.1.4.1.1.11.",  # presentation states
            "1.2.840.10008.5.1.4.1.1.104.",  # encapsulated documents
            "1.2.840.10008.1.3.10",  # DICOMDIR
        )
    )


def _what_is_there(folder: Path, files: Sequence[Path]) -> str:
    below = sorted(
        p.name
        for p in folder.iterdir()
        if p.is_dir() and any(f.is_file() and is_dicom(f) for f in p.iterdir())
    )
    if below:
        names = ", ".join(below[:5]) + (", ..." if len(below) > 5 else "")
        return f"holds no DICOM image itself, but its folders do: {names}. Pass one of them."
    names = ", ".join(p.name for p in files[:5]) + (", ..." if len(files) > 5 else "")
    return f"holds no DICOM image (found {names or 'no files'}); wanted the files of one CT series."


def _positive(*texts: str) -> float:
    for text in texts:
        try:
            value = abs(float(text))
        except ValueError:
            continue
        if value > 0:
            return value
    return math.nan
