"""One axial slice of a volume: by index, by position, or from a vertebra's label."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from muscletransfer.data.io.grids import ImageGrid, grid_of
from muscletransfer.data.levels.labels import labelled_middle, read_vertebra_labels
from muscletransfer.data.levels.positions import at_position, tilt_notes, with_neighbours
from muscletransfer.data.levels.vertebra import MidVertebra
from muscletransfer.data.outlines.reading import image_grid
from muscletransfer.data.outlines.regrid import onto_grid
from muscletransfer.data.types import MaskImage, Volume
from muscletransfer.errors import DataError, GeometryError, SettingError

__all__ = ["Level", "find_level"]


@dataclass(frozen=True)
class Level:
    """An axial slice and its neighbours.

    .. versionadded:: 0.1

    Args:
        slice_index: The slice, from 0 in the order of `read_ct`.
        slices: It and its neighbours, from the feet to the head.
        height_mm: How far towards the head the middle of the slice lies (z of LPS); ``nan`` where
            the file does not say.
        how: What decided: ``"slice index"``, ``"position"``, or the vertebra's name.
        warnings: What a person should know.

    Example:
        >>> level = Level(slice_index=42, slices=(41, 42, 43), height_mm=-85.0, how="vertebrae_L3")
        >>> level.slice_index in level.slices
        True
    """

    slice_index: int
    slices: tuple[int, ...]
    height_mm: float
    how: str
    warnings: tuple[str, ...] = ()


def find_level(
    image: str | Path | Volume | ImageGrid,
    *,
    slice_index: int | None = None,
    position_mm: float | tuple[float, float, float] | None = None,
    labels: str | Path | MaskImage | None = None,
    vertebra: str | int = "vertebrae_L3",
    names: Mapping[str, int] | None = None,
    neighbours: int = 0,
    other_grid: bool = False,
) -> Level:
    """Find the slice of a volume that a study looks at, L3 by default.

    Exactly one of ``slice_index``, ``position_mm`` and ``labels`` decides. Volumes may be stored
    feet first or head first and flipped on any axis, and may miss slices: places are taken from the
    file, never from the order.

    .. versionadded:: 0.1

    Args:
        image: The volume: a file, a DICOM folder, or what `read_ct` or `read_grid` returned. Paths
            are best: slices that are missing or shifted are then where their files say.
        slice_index: The slice, in the order of `read_ct`.
        position_mm: How far towards the head the middle of the slice lies (z of LPS, as in DICOM's
            image position), or a point ``(x, y, z)`` on it.
        labels: A label map of vertebrae, one of the vertebra alone, or TotalSegmentator's folder
            ``segmentations``; the slice through the middle of the vertebral body is taken.
        vertebra: Its name or value there.
        names: Names of the values of a label map that does not carry any; see `read_outlines`.
        neighbours: How many slices on either side to name too.
        other_grid: Accept labels on another grid than the image's; the middle of the vertebra is
            carried over by its position in mm, and nothing is resampled.

    Returns:
        The slice. Its warnings (vertebra cut off, slices missing there, tilted slices, fewer
        neighbours) are also given as Python warnings.

    Raises:
        EmptyMaskError: The vertebra is not in the labels.
        UnknownNameError: No label of that name, with close matches.
        GeometryError: Slices that are not axial or tilted by more than 20 degrees, a position
            outside the volume or where slices are missing, or labels on another grid.
        DataError: No such slice, or value; names that cannot be guessed.
        SettingError: None, or more than one, of the three is given, or a position is not finite.

    Example:
        >>> volume = Volume(np.zeros((10, 4, 4)), (5.0, 1.0, 1.0), origin=(0.0, 0.0, -20.0))
        >>> find_level(volume, position_mm=-4.0, neighbours=1)
        Level(slice_index=3, slices=(2, 3, 4), height_mm=-5.0, how='position', warnings=())
    """
    given = [v is not None for v in (slice_index, position_mm, labels)]
    if sum(given) != 1:
        raise SettingError(
            f"{sum(given)} of slice_index, position_mm and labels are given; wanted one, which "
            "says where the level is."
        )
    if (
        isinstance(neighbours, bool)
        or not isinstance(neighbours, (int, np.integer))
        or neighbours < 0
    ):
        raise SettingError(f"neighbours is {neighbours!r}; wanted a whole number from 0.")
    grid = image_grid(image)
    grid.check_axial()
    notes = tilt_notes(grid)
    if slice_index is not None:
        index, how = _checked_index(grid, slice_index), "slice index"
    elif position_mm is not None:
        index, how = at_position(grid, position_mm), "position"
    else:
        assert labels is not None
        vertebra = int(vertebra) if isinstance(vertebra, (int, np.integer)) else vertebra
        found = _vertebra(labels, vertebra, names, grid, other_grid)
        notes.extend(found.warnings)
        index, how = _nearest(grid, found, other_grid, notes), str(vertebra)
    slices, missing = with_neighbours(grid, index, int(neighbours))
    notes.extend(missing)
    for note in notes:
        warnings.warn(f"{grid.path}: {note}.", stacklevel=2)
    return Level(index, slices, float(grid.heights_mm[index]), how, tuple(notes))


def _checked_index(grid: ImageGrid, index: int) -> int:
    if (
        isinstance(index, bool)
        or not isinstance(index, (int, np.integer))
        or not 0 <= index < grid.shape[0]
    ):
        raise DataError(
            f"{grid.path}: has slices 0 to {grid.shape[0] - 1}; slice {index!r} was asked for."
        )
    return int(index)


def _vertebra(
    labels: str | Path | MaskImage,
    vertebra: str | int,
    names: Mapping[str, int] | None,
    grid: ImageGrid,
    other_grid: bool,
) -> MidVertebra:
    mask, value, known = read_vertebra_labels(labels, vertebra, names)
    if not other_grid:
        mask = onto_grid(mask, grid, outside=0)
        return labelled_middle(mask, value, known, vertebra, grid)
    return labelled_middle(mask, value, known, vertebra, grid_of(mask))


def _nearest(grid: ImageGrid, found: MidVertebra, other_grid: bool, notes: list[str]) -> int:
    places = grid.places_mm
    if not np.isfinite(places).all():
        notes.append(
            "the place of its slices is unknown, so the middle was counted in slices; where some "
            "are missing it is off"
        )
        return int(found.place_mm)
    wanted = float(np.array(found.point_mm) @ grid.axes[2]) if other_grid else found.place_mm
    index = int(np.argmin(np.abs(places - wanted)))
    away, gap = abs(float(places[index]) - wanted), grid.gap_mm
    if away > 0.5 * gap + 1e-6:
        low, high = float(places.min()), float(places.max())
        if other_grid and not low - gap <= wanted <= high + gap:
            raise GeometryError(
                f"{grid.path}: the middle of the vertebra lies at {wanted:.1f} mm along its "
                f"slices, which run from {low:.1f} to {high:.1f} mm; wanted labels of this image."
            )
        notes.append(
            f"slices are missing at the middle of the vertebra; the nearest lies {away:.1f} mm off"
        )
    return index
