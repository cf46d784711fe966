"""One manifest row on both grids: read, checked against its mask, preprocessed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from muscletransfer.data.dicom.series_list import is_series_list
from muscletransfer.data.io import read_ct, read_image, read_mask, read_volume
from muscletransfer.data.io.grids import ImageGrid, read_grid
from muscletransfer.data.io.masks import check_same_grid, is_same_grid
from muscletransfer.data.io.plain import is_plain
from muscletransfer.data.manifest.rows import ManifestRow
from muscletransfer.data.preprocessing import PreprocessingSpec
from muscletransfer.data.preprocessing.intensities import to_grey
from muscletransfer.data.types import Array, MaskImage, SliceGeometry, Volume
from muscletransfer.errors import DataError, EmptyMaskError, GeometryError, ManifestError

__all__ = ["IGNORE", "Case", "Failure", "read_group"]

IGNORE = 255


@dataclass(frozen=True, eq=False)
class Case:
    """What a cache keeps of a row; ``cropped`` is the share of foreground off the network grid."""

    index: int
    image: Array
    native: Array
    geometry: SliceGeometry
    mask: Array | None = None
    native_mask: Array | None = None
    cropped: float = 0.0


@dataclass(frozen=True)
class Failure:
    """A row that cannot be used, and why."""

    index: int
    kind: type[DataError]
    message: str


def read_group(
    group: list[tuple[int, ManifestRow]],
    preprocessing: PreprocessingSpec,
    need_masks: bool,
    allow_empty: bool,
    pad_label: int,
) -> Iterator[Case | Failure]:
    """Read rows of one image file, opening the file and each mask file once.

    Args:
        group: Row numbers and rows that share an image.
        preprocessing: The network grid.
        need_masks: Read the masks.
        allow_empty: Accept masks without foreground.
        pad_label: Class outside the slice on the network grid.

    Yields:
        A case or a failure for each row, in order.
    """
    # A series list gives each slice by itself; of other volumes all slices are read at once.
    whole = len(group) > 1 and not is_series_list(group[0][1].image)
    reader = _Reader(preprocessing, whole)
    for index, row in group:
        try:
            yield _case(index, row, reader, need_masks, allow_empty, pad_label)
        except DataError as error:
            text = str(error)
            message = text if text.startswith(row.where) else f"{row.where}: {text}"
            yield Failure(index, type(error), message)


def _case(
    index: int,
    row: ManifestRow,
    reader: _Reader,
    need_mask: bool,
    allow_empty: bool,
    pad_label: int,
) -> Case:
    spec = reader.preprocessing
    if is_plain(row.image) and spec.hu_window is None:
        pixels, spacing, flip, volume = reader.plain(row), row.spacing, (False, False), None
    else:
        volume = reader.volume(row)
        pixels, spacing = volume.array[0], _spacing(row, volume)
        flip = volume.flips if volume.is_axial else (False, False)
    image, geometry = spec.apply(pixels, spacing, flip)
    native = to_grey(pixels)
    if not need_mask:
        return Case(index, image, native, geometry)
    native_mask = reader.mask(row, volume, geometry.native_shape)
    _check_mask(row, native_mask, allow_empty)
    mask = spec.apply_mask(native_mask, geometry, pad_label)
    foreground = _foreground(native_mask)
    total = int(foreground.sum())
    cropped = 1.0 - int((foreground & spec.seen(geometry)).sum()) / total if total else 0.0
    if total and not allow_empty and not _foreground(mask).any():
        raise EmptyMaskError(
            f"the mask {row.mask} has {total} foreground pixels, none of which is left on the "
            f"{geometry.size[0]} x {geometry.size[1]} network grid ({cropped:.0%} lie outside it). "
            "Raise preprocessing size or spacing, or check that mask and image belong together."
        )
    return Case(index, image, native, geometry, mask, native_mask, cropped)


class _Reader:
    """Files of one group, each opened once."""

    def __init__(self, preprocessing: PreprocessingSpec, whole: bool) -> None:
        self.preprocessing = preprocessing
        self.whole = whole
        self._volume: Volume | None = None
        self._masks: dict[str, MaskImage] = {}
        self._grids: dict[Path, ImageGrid] = {}

    def _slice_of(self, mask: MaskImage, row: ManifestRow, image: Volume) -> MaskImage:
        """Return the row's slice of a mask of the whole image.

        Where slices are missing or the gantry is tilted the mask's file, which holds one origin and
        one gap, cannot say where its slices lie: there the whole grids are compared, by their first
        slice, and the slice is where the image's is.
        """
        found = mask.slice(row.slice_index or 0)
        if not any(map(math.isnan, image.origin)) and is_same_grid(found, image):
            return found
        if row.image not in self._grids:
            self._grids[row.image] = read_grid(row.image)
        grid = self._grids[row.image]
        if grid.is_regular:
            return found
        whole = grid.volume
        check_same_grid(mask, replace(whole, spacing=(math.nan, *whole.spacing[1:])))
        return replace(found, origin=image.origin)

    def plain(self, row: ManifestRow) -> Array:
        if row.slice_index not in (None, 0):
            raise ManifestError(
                f"slice_index is {row.slice_index}, but {row.image} is a plain image of one slice; "
                "wanted nothing."
            )
        return read_image(row.image)

    def volume(self, row: ManifestRow) -> Volume:
        """Return the row's slice, shape ``(1, H, W)``."""
        read = read_volume if self.preprocessing.hu_window is None else read_ct
        if not self.whole and row.slice_index is not None:
            volume = read(row.image, row.slice_index)
        else:
            if self._volume is None:
                self._volume = read(row.image)
            volume = self._volume
            if row.slice_index is None and volume.num_slices > 1:
                raise ManifestError(
                    f"{row.image} has {volume.num_slices} slices and slice_index is empty; wanted "
                    f"one from 0 to {volume.num_slices - 1} (for pretext images slices='all' takes "
                    "every one)."
                )
            index = row.slice_index or 0
            if index >= volume.num_slices:
                raise ManifestError(
                    f"slice_index is {index}, but {row.image} has slices 0 to "
                    f"{volume.num_slices - 1}."
                )
            volume = volume.one_slice(index)
        if self.preprocessing.hu_window is not None and not volume.is_axial:
            rounded = [round(c, 3) for c in volume.direction]
            raise GeometryError(
                f"{row.image} is not stored as axial slices (direction {rounded}); wanted rows, "
                "columns and slices along y, x and z. Reorient image and mask, for instance with "
                "SimpleITK.DICOMOrient(image, 'LPS')."
            )
        return volume

    def mask(self, row: ManifestRow, image: Volume | None, shape: tuple[int, int]) -> Array:
        """Return the row's mask ``(H, W)``, checked against its slice."""
        key = str(row.mask)
        if key not in self._masks:
            self._masks[key] = read_mask(key)
        mask = self._masks[key]
        if mask.num_slices > 1:
            if image is None or row.slice_index is None:
                raise GeometryError(
                    f"the mask {key} has {mask.num_slices} slices, its image one; wanted as many. "
                    "Give slice_index, or save the one slice."
                )
            if row.slice_index >= mask.num_slices:
                raise GeometryError(
                    f"the mask {key} has slices 0 to {mask.num_slices - 1}, and slice_index is "
                    f"{row.slice_index}; wanted the image's own grid."
                )
            mask = self._slice_of(mask, row, image)
        if image is None or is_plain(row.mask or row.image):
            if mask.shape[1:] != shape:
                raise GeometryError(
                    f"the mask {key} has shape {mask.shape[1:]}, its image {row.image} {shape}; "
                    "wanted the same."
                )
        else:
            check_same_grid(mask, image)
        if mask.labels.dtype != np.uint8:
            raise DataError(
                f"the mask {key} holds values up to {mask.labels.max()}; wanted class indices 0 "
                "to 254 (255 is not annotated). Map the classes to fewer."
            )
        labels: Array = mask.labels[0]
        return labels


def _spacing(row: ManifestRow, volume: Volume) -> tuple[float, float] | None:
    own = volume.slice_spacing
    if own is None or row.spacing is None:
        return own or row.spacing
    if not np.allclose(own, row.spacing, rtol=0.01):
        raise ManifestError(
            f"spacing_y_mm, spacing_x_mm are {row.spacing}, but {row.image} itself says {own}; "
            "wanted the same, or leave the columns empty."
        )
    return own


def _check_mask(row: ManifestRow, mask: Array, allow_empty: bool) -> None:
    if not allow_empty and not _foreground(mask).any():
        raise EmptyMaskError(
            f"the mask {row.mask} has no foreground (values {np.unique(mask).tolist()}); wanted an "
            "outline. Check the file and slice_index, or remove the row."
        )


def _foreground(mask: Array) -> Array:
    return np.asarray((mask != 0) & (mask != IGNORE))
