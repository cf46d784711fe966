"""DICOM segmentation objects (DICOM-SEG) as class indices on the grid of their CT."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from muscletransfer.data.io.grids import ImageGrid
from muscletransfer.data.outlines.dicom_objects import check_series, need, open_object, parsing
from muscletransfer.data.outlines.names import Pairs, apart, values_of
from muscletransfer.data.outlines.regrid import onto_grid
from muscletransfer.data.types import Array, MaskImage
from muscletransfer.errors import DataError, ImageReadError

__all__ = ["draw_segments", "segment_names"]

_NOT_ANNOTATED = 255


def segment_names(path: str | Path) -> dict[str, int]:
    """Return the segments of a DICOM-SEG file, by label, with their numbers.

    Segments that share a label are told apart as ``Psoas`` and ``Psoas (2)``; `read_outlines` takes
    both where ``Psoas`` is asked for.

    .. versionadded:: 0.1

    Raises:
        ImageReadError: It is damaged, or no segmentation.
        MissingDependencyError: pydicom is not installed.

    Example:
        >>> segment_names("nowhere.dcm")
        Traceback (most recent call last):
        muscletransfer.errors.ImageReadError: ...nowhere.dcm...
    """
    return apart(_segments(Path(path)))


def _segments(path: Path) -> Pairs:
    data = open_object(path, pixels=False)
    with parsing(path, "a DICOM-SEG file"):
        if data.get("Modality") != "SEG":
            raise ImageReadError(
                f"{path}: its modality is {data.get('Modality', '')!r}; wanted SEG."
            )
        return [(str(s.SegmentLabel), int(s.SegmentNumber)) for s in data.SegmentSequence]


def draw_segments(
    path: str | Path,
    grid: ImageGrid,
    table: Mapping[str | int, int],
    *,
    other_series: bool = False,
    resample: bool = False,
    unmarked: int = _NOT_ANNOTATED,
) -> MaskImage:
    """Read segments onto the grid of their CT.

    Args:
        path: The DICOM-SEG file.
        grid: The CT's.
        table: Segment label or number to class; see `class_table`. Where two overlap, the later one
            of the table stands.
        other_series: Accept another series of the same frame of reference.
        resample: Take the nearest voxel of a segmentation on another grid.
        unmarked: Value of slices without any of these segments: 255 (not annotated; files leave out
            empty frames) or 0.

    Returns:
        Classes ``(Z, Y, X)``. A fractional segmentation counts from one half on.

    Raises:
        UnknownNameError: No segment of that label, with close matches.
        GeometryError: Drawn on another series, or on another grid.
        ImageReadError: Damaged, or no segmentation.
        MissingDependencyError: highdicom is not installed.
    """
    path = Path(path)
    numbers = _numbers(path, _segments(path), table)
    highdicom = need("highdicom.seg")
    with parsing(path, "a segmentation with regular frames of one orientation"):
        segmentation = highdicom.segread(path)
        _check_whole(path, segmentation)
        mask = _read(segmentation, numbers, str(path))
        frames = frozenset({str(segmentation.get("FrameOfReferenceUID", ""))} - {""})
        series = frozenset(
            str(r.SeriesInstanceUID) for r in segmentation.get("ReferencedSeriesSequence", [])
        )
    for note in check_series(path, grid, series, frames, other_series):
        warnings.warn(f"{path}: {note}.", stacklevel=2)
    found = onto_grid(mask, grid, resample=resample)
    found.labels[~(found.labels != 0).any(axis=(1, 2))] = unmarked
    return found


def _check_whole(path: Path, segmentation: Any) -> None:
    """Raise for pixels that end early: pydicom hands out what there is, and frames read as empty.

    Compressed frames are checked by their decoders.
    """
    if segmentation.file_meta.TransferSyntaxUID.is_encapsulated:
        return
    frames = int(segmentation.get("NumberOfFrames", 1))
    bits = segmentation.Rows * segmentation.Columns * frames * segmentation.BitsAllocated
    found, wanted = len(segmentation.PixelData), -(-bits // 8)
    if found < wanted:
        raise ImageReadError(
            f"{path}: is cut short: {found} bytes of pixels, its header promises {wanted}. Copy it "
            "again."
        )


def _numbers(path: Path, segments: Pairs, table: Mapping[str | int, int]) -> dict[int, int]:
    """Return segment number to class, in the order in which they are drawn."""
    numbers: dict[int, int] = {}
    for wanted, target in table.items():
        if isinstance(wanted, int):
            if wanted not in {number for _, number in segments}:
                raise DataError(
                    f"{path}: segment number {wanted} was asked for; it has "
                    f"{', '.join(f'{number} {label!r}' for label, number in segments)}."
                )
            chosen = [wanted]
        else:
            chosen = values_of(wanted, segments, str(path), "segment")
        for number in chosen:
            numbers.pop(number, None)  # a key that is there would keep its place
            numbers[number] = target
    return numbers


def _read(segmentation: Any, numbers: Mapping[int, int], path: str) -> MaskImage:
    volume = segmentation.get_volume(
        segment_numbers=list(numbers), allow_missing_positions=True, rescale_fractional=True
    )
    array: Array = np.asarray(volume.array)  # (slices, rows, columns, segments)
    labels = np.zeros(array.shape[:3], np.uint8)
    for k, target in enumerate(numbers.values()):
        labels[array[..., k] >= 0.5] = target
    affine = np.asarray(volume.affine, dtype=float)
    steps = affine[:3, 2::-1]  # columns, rows, slices
    lengths = np.linalg.norm(steps, axis=0)
    x, y, z = (float(v) for v in affine[:3, 3])
    sx, sy, sz = (float(v) for v in lengths)
    direction = tuple(float(v) for v in (steps / lengths).ravel())
    return MaskImage(labels, (sz, sy, sx), direction, (x, y, z), path)
