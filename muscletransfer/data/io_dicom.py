"""DICOM: one file, or the files of one series sorted along the normal of its slices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from muscletransfer.data.dicom_elements import DicomDamage, looks_like_dicom
from muscletransfer.data.dicom_facts import Facts, read_facts
from muscletransfer.data.dicom_pixels import check_pixels, read_frames
from muscletransfer.data.dicom_stack import same_plane, stack
from muscletransfer.data.io_volume import READABLE, check_exists
from muscletransfer.data.types import IDENTITY, Volume
from muscletransfer.errors import GeometryError, ImageReadError

__all__ = [
    "Header",
    "is_dicom",
    "is_imageless",
    "list_series",
    "read_dicom_file",
    "read_header",
    "read_series",
    "read_stack",
    "slice_files",
    "sort_stack",
]


@dataclass(frozen=True)
class Header:
    """What decides how a DICOM file is read; empty text or ``nan`` where a tag is absent."""

    facts: Facts

    @property
    def path(self) -> Path:
        """The file."""
        return self.facts.path

    @property
    def series(self) -> str:
        """Series UID."""
        return self.facts.series

    @property
    def description(self) -> str:
        """Series description."""
        return self.facts.description

    @property
    def modality(self) -> str:
        """``"CT"``, ``"PT"``, ..."""
        return self.facts.modality

    @property
    def has_rescale(self) -> bool:
        """Whether every frame has a slope and an intercept."""
        return not any(math.isnan(f.slope) or math.isnan(f.intercept) for f in self.facts.frames)

    @property
    def thickness(self) -> float:
        """Slice thickness (or else the gap that the file names) in mm."""
        for value in (self.facts.frames[0].thickness, abs(self.facts.gap)):
            if value > 0:
                return value
        return math.nan

    @property
    def has_position(self) -> bool:
        """Whether every frame says where it lies."""
        return all(len(f.position) == 3 and len(f.orientation) == 6 for f in self.facts.frames)

    @property
    def size(self) -> tuple[int, ...]:
        """Columns, rows, frames."""
        return self.facts.columns, self.facts.rows, len(self.facts.frames)

    @property
    def spacing(self) -> tuple[float, ...]:
        """``(sy, sx)`` in mm."""
        found = self.facts.frames[0].spacing
        ok = len(found) == 2 and min(found) > 0
        return found if ok else (math.nan, math.nan)

    @property
    def origin(self) -> tuple[float, ...]:
        """Position of the first frame; zeros where it is not known."""
        found = self.facts.frames[0].position
        return found if len(found) == 3 else (0.0, 0.0, 0.0)

    @property
    def direction(self) -> tuple[float, ...]:
        """Nine direction cosines as in `Volume`; those of axial slices where they are not known."""
        frame = self.facts.frames[0]
        if len(frame.orientation) != 6:
            return IDENTITY
        row, column, normal = frame.orientation[:3], frame.orientation[3:], frame.normal
        return tuple(v for axes in zip(row, column, normal, strict=True) for v in axes)

    @property
    def along_normal(self) -> float:
        """Position of the first frame along the normal of its plane, in mm."""
        return self.facts.frames[0].place


def is_dicom(path: Path) -> bool:
    """Whether a file starts as DICOM does, or is named like DICOM."""
    with path.open("rb") as file:
        head = file.read(132)
    return looks_like_dicom(head) or path.suffix.lower() in (".dcm", ".ima", ".dicom")


def read_header(path: Path) -> Header:
    """Read the tags of one file, not its pixels, and check that the pixels are there.

    Raises:
        ImageReadError: The file is no whole DICOM image.
    """
    check_exists(path)
    try:
        facts = read_facts(path)
        check_pixels(facts)
    except (DicomDamage, OSError) as error:
        raise ImageReadError(
            f"{path}: cannot be read as a DICOM image: it {error}; wanted {READABLE}. The file may "
            "be cut short, damaged, or hold no pixels (a structure set, a report)."
        ) from error
    return Header(facts)


def read_dicom_file(path: Path, header: Header, slice_index: int | None = None) -> Volume:
    """Read one file, the frames of a multi-frame file sorted along their normal.

    The slice spacing of a single frame is its slice thickness, or ``nan``.

    Args:
        path: The file.
        header: What `read_header` returned for it.
        slice_index: Read only this frame, counted in the sorted order.

    Raises:
        ImageReadError: Pixels that cannot be decoded, colour, or no such frame.
        GeometryError: Frames that do not stack.
    """
    facts = header.facts
    order, gap, count = list(range(len(facts.frames))), header.thickness, len(facts.frames)
    if count > 1:
        gap = math.nan
        if header.has_position:
            first = facts.frames[0]
            if not all(same_plane(first, f) for f in facts.frames):
                raise GeometryError(
                    f"{path}: its {count} frames have several orientations or pixel spacings; "
                    "wanted one stack of slices a file. Export the axial slices alone."
                )
            names = [f"frame {k + 1}" for k in range(count)]
            order, gap = stack(facts.frames, names, str(path), 4)
    if slice_index is not None:
        if not 0 <= slice_index < count:
            raise ImageReadError(
                f"{path}: has slices 0 to {count - 1}; slice {slice_index} was asked for."
            )
        order = order[slice_index : slice_index + 1]
    array = read_frames(facts, order)
    position = facts.frames[order[0]].position
    x, y, z = position if len(position) == 3 else (0.0, 0.0, 0.0)
    sy, sx = header.spacing
    return Volume(array, (gap, sy, sx), header.direction, (x, y, z), str(path))


def list_series(folder: Path) -> dict[str, list[Header]]:
    """Return the image series of a folder (not its subfolders), by series UID.

    Files that are not DICOM, and DICOM objects without pixels, are passed over.

    Raises:
        ImageReadError: A DICOM file is damaged, or no image is found.
    """
    series: dict[str, list[Header]] = {}
    files = sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith("."))
    for path in files:
        if path.name.upper() == "DICOMDIR" or not is_dicom(path) or is_imageless(path):
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
        return read_dicom_file(headers[0].path, headers[0], slice_index), headers[0]
    headers, gap = sort_stack(folder, headers)
    return read_stack(folder, headers, gap, slice_index)


def read_stack(
    where: Path, headers: Sequence[Header], gap: float, slice_index: int | None
) -> tuple[Volume, Header]:
    """Read files that are already in order.

    Args:
        where: The folder or list they stand in, for messages.
        headers: Of each file, along the normal.
        gap: mm between slices, or ``nan``.
        slice_index: Read only this slice.

    Returns:
        As `read_series`.

    Raises:
        ImageReadError: No such slice, or a damaged file.
    """
    if slice_index is not None:
        if not 0 <= slice_index < len(headers):
            raise ImageReadError(
                f"{where}: has slices 0 to {len(headers) - 1}; slice {slice_index} was asked for."
            )
        headers = headers[slice_index : slice_index + 1]
    slices = [read_dicom_file(h.path, h) for h in headers]
    _, sy, sx = slices[0].spacing
    volume = Volume(
        slices[0].array if len(slices) == 1 else np.concatenate([s.array for s in slices]),
        (gap, sy, sx),
        slices[0].direction,
        slices[0].origin,
        str(where),
    )
    return volume, next((h for h in headers if not h.has_rescale), headers[0])


def slice_files(folder: Path, series: str | None) -> list[Path]:
    """Return the files of one series in the order of its slices, as `read_series` counts them.

    Raises:
        ImageReadError: Several series and none chosen, or no such series.
        GeometryError: Files of one series that do not stack.
    """
    headers = _choose(folder, list_series(folder), series)
    return [h.path for h in (sort_stack(folder, headers)[0] if len(headers) > 1 else headers)]


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


def sort_stack(where: Path, headers: Sequence[Header]) -> tuple[list[Header], float]:
    """Return the headers along the normal and the gap between slices.

    Raises:
        GeometryError: Files without a position, of several grids, or two at one place.
    """
    first = headers[0]
    for h in headers:
        if not h.has_position:
            raise GeometryError(
                f"{h.path}: has no position or orientation tag, so its place among the "
                f"{len(headers)} slices is unknown. Read the files one by one."
            )
        if (
            h.size != first.size
            or h.size[2] != 1
            or not same_plane(h.facts.frames[0], first.facts.frames[0])
        ):
            raise GeometryError(
                f"{where}: {h.path.name} ({_grid(h)}) and {first.path.name} ({_grid(first)}) are "
                "of one series but do not stack. Move one of them (a localiser?) elsewhere, or let "
                "'muscletransfer data index' sort them out."
            )
    order, gap = stack(
        [h.facts.frames[0] for h in headers], [h.path.name for h in headers], str(where), 5
    )
    return [headers[k] for k in order], gap


def _grid(h: Header) -> str:
    rounded = [round(d, 3) for d in h.facts.frames[0].orientation]
    frames = f"{h.size[2]} frames of " if h.size[2] > 1 else ""
    return f"{frames}{h.size[1]} x {h.size[0]}, {h.spacing[0]:.4g} mm, orientation {rounded}"


def is_imageless(path: Path) -> bool:
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
