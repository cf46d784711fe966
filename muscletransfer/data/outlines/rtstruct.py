"""Outlines of a planning system (DICOM RTSTRUCT) as class indices on the grid of their CT."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from muscletransfer.data.io.grids import ImageGrid
from muscletransfer.data.outlines.dicom_objects import check_series, open_object, parsing
from muscletransfer.data.outlines.names import matching
from muscletransfer.data.outlines.polygons import combine
from muscletransfer.data.types import Array, MaskImage
from muscletransfer.errors import DataError, GeometryError, ImageReadError

__all__ = ["Contour", "Roi", "StructureSet", "draw_rois", "read_structure_set"]

_NOT_ANNOTATED = 255
_OFF_PLANE = 0.1  # of the gap between slices, and at least 0.05 mm
CLOSED = {"CLOSED_PLANAR": False, "CLOSEDPLANAR_XOR": True}


@dataclass(frozen=True, eq=False)
class Contour:
    """One contour: its DICOM kind, ``(N, 3)`` points in mm (LPS), and the image it names."""

    kind: str
    points: Array
    instance: str = ""


@dataclass(frozen=True, eq=False)
class Roi:
    """One region of interest: its name and its contours."""

    name: str
    contours: tuple[Contour, ...]


@dataclass(frozen=True, eq=False)
class StructureSet:
    """What an RTSTRUCT file holds.

    Args:
        path: The file.
        rois: Its regions, in file order.
        series: Series UIDs that it refers to.
        frames: Frame of reference UIDs that it refers to.
    """

    path: Path
    rois: tuple[Roi, ...]
    series: frozenset[str]
    frames: frozenset[str]


def read_structure_set(path: str | Path) -> StructureSet:
    """Read an RTSTRUCT file.

    .. versionadded:: 0.1

    Args:
        path: The file.

    Raises:
        ImageReadError: It is damaged, or no RTSTRUCT.
        MissingDependencyError: pydicom is not installed.

    Example:
        >>> import tempfile
        >>> from muscletransfer.data.archives.miniatures import write_miniature
        >>> export = write_miniature("planned", tempfile.mkdtemp() + "/export", patients=1, size=32)
        >>> plan = next(export.rglob("RS*"))
        >>> [roi.name for roi in read_structure_set(plan).rois]
        ['Muscle L3']
    """
    path = Path(path)
    data = open_object(path)
    with parsing(path, "an RTSTRUCT with whole contours"):
        if data.get("Modality") != "RTSTRUCT":
            raise ImageReadError(
                f"{path}: its modality is {data.get('Modality', '')!r}; wanted RTSTRUCT."
            )
        return _structure_set(path, data)


def draw_rois(
    structures: StructureSet,
    grid: ImageGrid,
    table: Mapping[str | int, int],
    *,
    other_series: bool = False,
    unmarked: int = _NOT_ANNOTATED,
) -> MaskImage:
    """Draw regions on the grid of their CT.

    Args:
        structures: What `read_structure_set` returned.
        grid: The CT's.
        table: ROI name (or number in file order, from 1) to class; see `class_table`. Where two
            overlap, the later one of the table stands.
        other_series: Accept another series of the same frame of reference.
        unmarked: Value of slices without any of these contours: 255, since nobody says that there
            is nothing to outline, or 0.

    Returns:
        Classes ``(Z, Y, X)``; a pixel is inside when its centre is.

    Raises:
        UnknownNameError: No ROI of that name, with close matches.
        GeometryError: Drawn on another series or frame of reference, or contours off the slices.
        DataError: ROIs without closed contours.
    """
    notes = check_series(structures.path, grid, structures.series, structures.frames, other_series)
    labels = np.zeros(grid.shape, np.uint8)
    marked = np.zeros(grid.shape[0], bool)
    overlapping = 0
    for wanted, target in table.items():
        for roi in _chosen(structures, wanted):
            for index, contours in _by_slice(structures, roi, grid).items():
                region, odd = _region(contours, grid.shape[1:])
                notes.extend(f"ROI {roi.name!r}, slice {index}: {text}" for text in odd)
                overlapping += int((region & ~np.isin(labels[index], (0, target))).sum())
                labels[index][region] = target
                marked[index] = True
    if overlapping:
        notes.append(f"{overlapping} pixels belong to two structures; the later one stands")
    if notes:
        text = "; ".join(notes[:5]) + (f"; and {len(notes) - 5} more" if notes[5:] else "")
        warnings.warn(f"{structures.path}: {text}.", stacklevel=2)
    labels[~marked] = unmarked
    volume = grid.volume
    path = str(structures.path)
    return MaskImage(labels, volume.spacing, volume.direction, volume.origin, path)


def _structure_set(path: Path, data: Any) -> StructureSet:
    names = {int(r.ROINumber): str(r.ROIName) for r in data.get("StructureSetROISequence", [])}
    frames = {
        str(r.ReferencedFrameOfReferenceUID)
        for r in data.get("StructureSetROISequence", [])
        if r.get("ReferencedFrameOfReferenceUID")
    }
    series: set[str] = set()
    for frame in data.get("ReferencedFrameOfReferenceSequence", []):
        if frame.get("FrameOfReferenceUID"):
            frames.add(str(frame.FrameOfReferenceUID))
        for study in frame.get("RTReferencedStudySequence", []):
            for item in study.get("RTReferencedSeriesSequence", []):
                series.add(str(item.SeriesInstanceUID))
    drawn: dict[int, tuple[Contour, ...]] = {}
    for item in data.get("ROIContourSequence", []):
        contours = tuple(_contour(c) for c in item.get("ContourSequence", []))
        drawn[int(item.ReferencedROINumber)] = contours
    rois = tuple(Roi(name, drawn.get(number, ())) for number, name in names.items())
    return StructureSet(path, rois, frozenset(series), frozenset(frames))


def _contour(item: Any) -> Contour:
    numbers = np.array([float(v) for v in item.ContourData])
    if not len(numbers) or len(numbers) % 3 or not np.isfinite(numbers).all():
        raise ValueError(f"a contour has {len(numbers)} coordinates")
    images = item.get("ContourImageSequence", [])
    instance = str(images[0].ReferencedSOPInstanceUID) if images else ""
    return Contour(str(item.ContourGeometricType), numbers.reshape(-1, 3), instance)


def _chosen(structures: StructureSet, wanted: str | int) -> list[Roi]:
    if isinstance(wanted, int):
        if not 1 <= wanted <= len(structures.rois):
            raise DataError(
                f"{structures.path}: ROI number {wanted} was asked for; it has "
                f"{len(structures.rois)}: {', '.join(r.name for r in structures.rois)}."
            )
        return [structures.rois[wanted - 1]]
    found = matching(wanted, [r.name for r in structures.rois], str(structures.path), "ROI")
    return [r for r in structures.rois if r.name in found]


def _by_slice(structures: StructureSet, roi: Roi, grid: ImageGrid) -> dict[int, list[Contour]]:
    """Return the closed contours of each slice, their points as columns and rows."""
    closed = [c for c in roi.contours if c.kind in CLOSED]
    if not closed:
        kinds = sorted({c.kind for c in roi.contours})
        raise DataError(
            f"{structures.path}: ROI {roi.name!r} has no closed contours (found "
            f"{', '.join(kinds) or 'none at all'}); wanted CLOSED_PLANAR. Outline it, or choose "
            "another ROI."
        )
    at = f"{structures.path}: ROI {roi.name!r}"
    if not np.isfinite(grid.origins).all() or not np.isfinite(grid.spacing).all():
        raise GeometryError(
            f"{at} cannot be drawn on {grid.path}: the place or pixel size of its slices is "
            "unknown; wanted a CT with positions."
        )
    columns, rows, _ = grid.axes
    normal = np.cross(columns, rows)
    places = grid.origins @ normal
    pixel, gap = min(grid.spacing), grid.gap_mm
    near = max(0.05, _OFF_PLANE * (pixel if np.isnan(gap) else gap))
    found: dict[int, list[Contour]] = defaultdict(list)
    for contour in closed:
        heights = contour.points @ normal
        if float(np.ptp(heights)) > near:
            raise GeometryError(
                f"{at} has a contour that runs from {heights.min():.2f} to {heights.max():.2f} mm "
                f"along the normal of the slices of {grid.path}; wanted contours in their plane. "
                "It was drawn on slices of another orientation."
            )
        height = float(heights.mean())
        index = int(np.argmin(np.abs(places - height)))
        if abs(places[index] - height) > near:
            raise GeometryError(
                f"{at} has a contour at {height:.2f} mm, and the nearest slice of {grid.path} lies "
                f"at {places[index]:.2f} mm; wanted contours on its slices. Pass the series it was "
                "drawn on, with all of its slices."
            )
        if contour.instance and grid.instances and contour.instance in grid.instances:
            named = grid.instances.index(contour.instance)
            if named != index and grid.instances.count(contour.instance) == 1:
                raise GeometryError(
                    f"{at} has a contour that names slice {named} of {grid.path} and lies on slice "
                    f"{index}; wanted both the same. The file contradicts itself: export it again."
                )
        away = contour.points - grid.origins[index]
        flat = np.column_stack([away @ columns / grid.spacing[1], away @ rows / grid.spacing[0]])
        found[index].append(Contour(contour.kind, flat, contour.instance))
    _check_beside(at, found, grid)
    return found


def _check_beside(at: str, found: Mapping[int, Sequence[Contour]], grid: ImageGrid) -> None:
    limit = np.array([grid.shape[2], grid.shape[1]])  # one pixel of rounding is let pass
    for index, contours in found.items():
        points = np.vstack([c.points for c in contours])
        off = float(((points < -1.0) | (points > limit)).any(axis=1).mean())
        if off:
            raise GeometryError(
                f"{at}: {off:.0%} of the points on slice {index} lie beside {grid.path}; wanted "
                "contours inside the image. Pass the series it was drawn on, uncropped."
            )


def _region(contours: Sequence[Contour], shape: tuple[int, int]) -> tuple[Array, list[str]]:
    exclusive = any(CLOSED[c.kind] for c in contours)
    return combine([c.points for c in contours], shape, exclusive)
