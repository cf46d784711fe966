"""One manifest row as the arrays that are measured: HU, label map, outlines of body and cavity."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from muscletransfer.data.io import read_ct, read_mask
from muscletransfer.data.io.masks import check_same_grid
from muscletransfer.data.io.plain import is_plain
from muscletransfer.data.manifest.rows import ManifestRow
from muscletransfer.data.types import Array, CTImage
from muscletransfer.errors import DataError, GeometryError, ManifestError

__all__ = ["MeasuredCase", "read_case"]


@dataclass(frozen=True, eq=False)
class MeasuredCase:
    """What is measured in a case, all on one grid.

    Args:
        hu: ``(Z, H, W)`` in HU; one slice is ``Z = 1``.
        labels: Class indices of the same shape.
        spacing: ``(sz, sy, sx)`` in mm; ``sz`` may be NaN for one slice.
        body: Outline of the body, or ``None``.
        cavity: Outline of the abdominal cavity, or ``None``.
    """

    hu: Array
    labels: Array
    spacing: tuple[float, float, float]
    body: Array | None = None
    cavity: Array | None = None


def read_case(row: ManifestRow, body_column: str, cavity_column: str) -> MeasuredCase:
    """Read everything that is measured in a row.

    Args:
        row: The case; its ``slice_index`` takes that slice of image and masks, none takes all.
        body_column: Column with the mask file of the body's outline; it may be missing or empty.
        cavity_column: The same for the abdominal cavity.

    Returns:
        The arrays.

    Raises:
        ManifestError: No mask, or only one of the two outlines.
        ImageReadError: A file is missing, damaged or no CT.
        GeometryError: A mask on another grid, slices that are not axial, no spacing.
    """
    if row.mask is None:
        raise ManifestError("no mask; wanted one to measure in.")
    image = read_ct(row.image, row.slice_index)
    if not image.is_axial:
        raise GeometryError(
            f"{row.image} is not stored as axial slices; wanted rows, columns and slices along y, "
            "x and z. Reorient image and mask, as with SimpleITK.DICOMOrient(image, 'LPS')."
        )
    outlines = {name: row.extra.get(name, "") for name in (body_column, cavity_column)}
    given = [name for name, text in outlines.items() if text]
    if len(given) == 1:
        raise ManifestError(
            f"column {given[0]!r} has an outline and "
            f"{(set(outlines) - set(given)).pop()!r} has none; wanted both, to tell subcutaneous "
            "from visceral fat, or neither."
        )
    root = row.manifest.parent
    body, cavity = (
        _labels(Path(os.path.abspath(root / outlines[name])), image, row) if given else None
        for name in (body_column, cavity_column)
    )
    return MeasuredCase(image.hu, _labels(row.mask, image, row), image.spacing, body, cavity)


def _labels(path: Path, image: CTImage, row: ManifestRow) -> Array:
    mask = read_mask(path)
    if row.slice_index is not None and mask.num_slices > 1:
        if row.slice_index >= mask.num_slices:
            raise DataError(
                f"the mask {path} has slices 0 to {mask.num_slices - 1}, and slice_index is "
                f"{row.slice_index}; wanted the image's own grid."
            )
        mask = mask.slice(row.slice_index)
    if mask.shape != image.shape:
        raise GeometryError(
            f"the mask {path} has shape {mask.shape}, its image {image.shape}; wanted one grid."
        )
    if not is_plain(path):
        check_same_grid(mask, image)
    return mask.labels
