"""One call for every kind of outline: label map, folder of structures, RTSTRUCT, DICOM-SEG."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from muscletransfer.data.io.grids import ImageGrid, grid_of, read_grid
from muscletransfer.data.io.volume import check_exists
from muscletransfer.data.outlines.dicom_objects import dicom_kind
from muscletransfer.data.outlines.label_maps import read_structure_files, read_values
from muscletransfer.data.outlines.names import Structures, class_table
from muscletransfer.data.outlines.regrid import onto_grid
from muscletransfer.data.outlines.rtstruct import draw_rois, read_structure_set
from muscletransfer.data.outlines.segmentation import draw_segments
from muscletransfer.data.types import MaskImage, Volume
from muscletransfer.errors import DataError, SettingError

__all__ = ["read_outlines"]


def read_outlines(
    path: str | Path,
    image: str | Path | Volume | ImageGrid,
    structures: Structures,
    *,
    names: Mapping[str, int] | None = None,
    resample: bool = False,
    other_series: bool = False,
    unmarked: int = 255,
) -> MaskImage:
    """Read outlines of any kind as class indices on the grid of their image.

    .. versionadded:: 0.1

    Args:
        path: A label map (NIfTI, NRRD, MHA), a folder with one such file a structure, a DICOM
            RTSTRUCT or a DICOM-SEG.
        image: The image they were drawn on: a file or DICOM folder (best: the series can be
            checked), or what `read_ct` or `read_grid` returned.
        structures: Names (or values, or shell patterns of names) to keep: one becomes class 1,
            several 1, 2, ... in order, or a mapping to classes, where several may share one.
        names: Names of the values of a label map that does not carry any. Without, values up to 117
            are taken as TotalSegmentator's (version 2), with a warning; names=TOTALSEGMENTATOR from
            `muscletransfer.data.outlines` says that they are.
        resample: Take the nearest voxel of a mask on another grid. Contours are never resampled.
        other_series: Accept DICOM outlines drawn on another series of the same frame of reference.
        unmarked: Value of slices that the outlines say nothing about: 255 (not annotated) or 0.

    Returns:
        Classes ``(Z, Y, X)``: 0 background, 255 not annotated.

    Raises:
        UnknownNameError: A name that is not there, with close matches.
        GeometryError: Outlines of another series, or on another grid.
        ImageReadError: A missing or damaged file.
        DataError: No such value, nothing that can be outlines, or vertebrae in another order than
            TotalSegmentator's table says, or values above it.
        MissingDependencyError: The ``dicom`` extra is needed and not installed.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> from muscletransfer.data import CTImage, write_mask
        >>> ct = CTImage(np.full((2, 3, 3), -5, np.int16), spacing=(5.0, 1.0, 1.0))
        >>> file = Path(tempfile.mkdtemp()) / "labels.nrrd"
        >>> _ = write_mask(np.arange(18).reshape(2, 3, 3) % 3, file, ct)
        >>> read_outlines(file, ct, {"psoas": 1}, names={"psoas": 2}).labels[0].tolist()
        [[0, 0, 1], [0, 0, 1], [0, 0, 1]]
    """
    path = Path(path)
    if unmarked not in (0, 255):
        raise SettingError(f"unmarked is {unmarked!r}; wanted 255 (not annotated) or 0.")
    check_exists(path)
    table = class_table(structures)
    grid = image_grid(image)
    if path.is_dir():
        mask = read_structure_files(path, table)
        return onto_grid(mask, grid, resample=resample, outside=unmarked)
    kind = dicom_kind(path)
    if kind == "rtstruct":
        if resample:
            raise SettingError(
                "resample=True was asked for contours, which have no voxels; leave it out. They "
                "are drawn on the slices that they lie on."
            )
        found = read_structure_set(path)
        return draw_rois(found, grid, table, other_series=other_series, unmarked=unmarked)
    if kind == "segmentation":
        return draw_segments(
            path, grid, table, other_series=other_series, resample=resample, unmarked=unmarked
        )
    mask = read_values(path, table, names)
    return onto_grid(mask, grid, resample=resample, outside=unmarked)


def image_grid(image: str | Path | Volume | ImageGrid) -> ImageGrid:
    """Return the grid of an image given in any form.

    Raises:
        DataError: It is something else.
    """
    if isinstance(image, ImageGrid):
        return image
    if isinstance(image, Volume):
        return grid_of(image)
    if isinstance(image, (str, Path)):
        return read_grid(image)
    raise DataError(
        f"the image is a {type(image).__name__}; wanted a path, or what read_ct returned."
    )
