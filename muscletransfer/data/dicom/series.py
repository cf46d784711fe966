"""DICOM: one file, or the files of one series sorted along the normal of its slices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from muscletransfer.data.dicom.header import Header, is_dicom, is_imageless, read_header
from muscletransfer.data.dicom.pixels import read_frames
from muscletransfer.data.dicom.stack import same_plane, stack
from muscletransfer.data.types import Volume
from muscletransfer.errors import GeometryError, ImageReadError

__all__ = [
    "list_series",
    "read_dicom_file",
    "read_series",
    "read_stack",
    "slice_files",
    "sort_stack",
]


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
        The volume (one slice when ``slice_index`` is given) and the header of its first file, or of
        the first that is no CT in HU where the files differ.

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
    return volume, next((h for h in headers if not h.is_ct_in_hu), headers[0])


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
