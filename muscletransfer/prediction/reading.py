"""One case from its file: the slice as the file has it, and as the network takes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from muscletransfer.data.dicom.header import is_dicom
from muscletransfer.data.dicom.series import slice_files
from muscletransfer.data.dicom.series_list import is_series_list, read_list
from muscletransfer.data.io import read_ct, read_image, read_volume
from muscletransfer.data.io.plain import is_plain
from muscletransfer.data.preprocessing import PreprocessingSpec
from muscletransfer.data.types import Array, SliceGeometry, Volume
from muscletransfer.errors import DataError, GeometryError, ManifestError
from muscletransfer.prediction.cases import PredictionCase

__all__ = ["ReadCase", "read_case"]


@dataclass(frozen=True, eq=False)
class ReadCase:
    """A slice in memory.

    Args:
        case: Where it comes from.
        pixels: (H, W) as the file has them: HU for CT.
        spacing: (sy, sx) in mm, or ``None`` when unknown.
        stored: int16 on the network grid; see `PreprocessingSpec.apply`.
        geometry: The way between the two grids.
        slice: The slice with its place in space, shape (1, H, W); ``None`` for a plain image.
        grid: The whole image's grid, without pixels of its own, or the slice's alone where uneven
            gaps have no grid; ``None`` for a plain image.
        index: Which slice of the image it is.
        place: Which slice of ``grid`` it is: ``index``, or 0 where the grid is of that slice alone.
        source: The DICOM file of the slice; ``None`` for other formats.
    """

    case: PredictionCase
    pixels: Array
    spacing: tuple[float, float] | None
    stored: Array
    geometry: SliceGeometry
    slice: Volume | None
    grid: Volume | None
    index: int
    place: int
    source: Path | None


def read_case(case: PredictionCase, preprocessing: PreprocessingSpec) -> ReadCase:
    """Read a case and bring it to the network grid.

    Args:
        case: The case.
        preprocessing: How the network wants images.

    Returns:
        The slice.

    Raises:
        DataError: The file cannot be read or is no CT, its slice is not chosen or not there, or
            the preprocessing needs a spacing that nobody knows.
    """
    if is_plain(case.image) and preprocessing.hu_window is None:
        pixels = read_image(case.image)
        stored, geometry = preprocessing.apply(pixels, case.spacing)
        return ReadCase(case, pixels, case.spacing, stored, geometry, None, None, 0, 0, None)
    is_ct = preprocessing.hu_window is not None
    part, grid, index, source = _read(case, is_ct)
    place = index if grid.num_slices > 1 else 0
    if is_ct and not part.is_axial:
        rounded = [round(cosine, 3) for cosine in part.direction]
        raise GeometryError(
            f"{case.image} is not stored as axial slices (direction {rounded}); wanted rows, "
            "columns and slices along y, x and z. Reorient it, for instance with "
            "SimpleITK.DICOMOrient(image, 'LPS')."
        )
    spacing = _spacing(case, part)
    flip = part.flips if part.is_axial else (False, False)
    stored, geometry = preprocessing.apply(part.array[0], spacing, flip)
    return ReadCase(
        case, part.array[0], spacing, stored, geometry, part, grid, index, place, source
    )


def _read(case: PredictionCase, is_ct: bool) -> tuple[Volume, Volume, int, Path | None]:
    """Return the slice, the grid of its image, its number in it, and its DICOM file."""
    read, image = (read_ct if is_ct else read_volume), case.image
    files = _files(case)
    if len(files) > 1:
        index = _chosen(case, len(files))
        part = read(image, index, series=case.series)
        first = part if index == 0 else read(files[0])
        shape, origin = (len(files), *part.shape[1:]), first.origin
        source: Path | None = files[index]
    else:
        volume = read(image, series=case.series)
        index = _chosen(case, volume.num_slices)
        if index and np.isnan(volume.spacing[0]):  # where it lies, only its own frame says
            part = read(image, index, series=case.series)
        else:
            part = volume.one_slice(index)
            part = type(part)(
                part.array.copy(), part.spacing, part.direction, part.origin, part.path
            )
        shape, origin = volume.shape, volume.origin
        source = files[0] if volume.num_slices == 1 and is_dicom(files[0]) else None
    if np.isnan(part.spacing[0]):  # uneven gaps: no regular grid holds them all
        shape, origin = part.shape, part.origin
    return part, _without_pixels(part, shape, origin), index, source


def _files(case: PredictionCase) -> Sequence[Path]:
    """Return the files of an image in the order of its slices; one where it is a file."""
    if is_series_list(case.image):
        return read_list(case.image).files
    return slice_files(case.image, case.series) if case.image.is_dir() else [case.image]


def _chosen(case: PredictionCase, count: int) -> int:
    if count == 1:
        return 0
    if case.slice_index is None:
        raise DataError(
            f"{case.image}: has {count} slices, and none was chosen; wanted one from 0 to "
            f"{count - 1}. Pass --slice-index (slice_index=), or a manifest with a slice_index "
            "column."
        )
    if case.slice_index >= count:
        raise DataError(
            f"{case.image}: has slices 0 to {count - 1}; slice {case.slice_index} was asked for."
        )
    return case.slice_index


def _without_pixels(
    like: Volume, shape: tuple[int, ...], origin: tuple[float, float, float]
) -> Volume:
    nothing = np.broadcast_to(np.zeros((), np.uint8), shape)
    return Volume(nothing, like.spacing, like.direction, origin, like.path)


def _spacing(case: PredictionCase, part: Volume) -> tuple[float, float] | None:
    own = part.slice_spacing
    if own is None or case.spacing is None:
        return own or case.spacing
    if not np.allclose(own, case.spacing, rtol=0.01):
        raise ManifestError(
            f"{case.image}: the manifest says spacing_y_mm, spacing_x_mm are {case.spacing}, the "
            f"file {own}; wanted the same, or leave the columns empty."
        )
    return own
