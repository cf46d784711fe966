"""The grid of an image without its values: where each slice lies, and whose DICOM series it is.

A `Volume` has one origin and one gap. Real series may miss slices or come from a tilted gantry, so
here every slice has an origin of its own, and outlines and levels are placed by those.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from muscletransfer.data.dicom.facts import Facts, Frame
from muscletransfer.data.dicom.header import is_dicom, read_header
from muscletransfer.data.dicom.series import slice_files
from muscletransfer.data.dicom.series_list import is_series_list, read_list
from muscletransfer.data.dicom.stack import are_even, stack, usual_gap
from muscletransfer.data.io.plain import is_plain
from muscletransfer.data.io.volume import (
    VOLUME_SUFFIXES,
    check_exists,
    from_two_axes,
    itk_name,
    quiet,
    reason,
)
from muscletransfer.data.types import IDENTITY, Array, Volume
from muscletransfer.errors import GeometryError, ImageReadError

__all__ = ["ImageGrid", "grid_of", "read_grid"]


@dataclass(frozen=True, eq=False)
class ImageGrid:
    """Where the voxels of an image lie.

    Args:
        shape: ``(Z, Y, X)``.
        origins: ``(Z, 3)``: ``(x, y, z)`` in mm (LPS) of the first voxel's centre of each slice;
            ``nan`` where unknown.
        spacing: In-plane ``(sy, sx)`` in mm; ``nan`` where unknown.
        direction: Nine cosines, as in `Volume`.
        path: The file or folder, for messages.
        series: DICOM series UID; empty for other files, as the next two.
        frame_of_reference: DICOM frame of reference UID.
        instances: SOP instance UID of each slice.

    Example:
        >>> grid = grid_of(Volume(np.zeros((3, 4, 4)), spacing=(5.0, 0.8, 0.8)))
        >>> grid.heights_mm.tolist(), grid.gap_mm, grid.tilt_degrees
        ([0.0, 5.0, 10.0], 5.0, 0.0)
    """

    shape: tuple[int, int, int]
    origins: Array
    spacing: tuple[float, float]
    direction: tuple[float, ...]
    path: str = "the image"
    series: str = ""
    frame_of_reference: str = ""
    instances: tuple[str, ...] = ()

    @property
    def axes(self) -> Array:
        """``(3, 3)``: unit vectors along columns, rows and slices, as rows of the array."""
        return np.array(self.direction, dtype=float).reshape(3, 3).T

    @property
    def places_mm(self) -> Array:
        """``(Z,)``: position of each slice along the direction of slices."""
        return np.asarray(self.origins @ self.axes[2])

    @property
    def gap_mm(self) -> float:
        """The usual distance between slices; ``nan`` for one slice or when unknown."""
        if self.shape[0] < 2:
            return math.nan
        return usual_gap(np.abs(np.diff(self.places_mm)))

    @property
    def is_even(self) -> bool:
        """Whether all gaps are the usual one, as far as the positions can tell."""
        return are_even(np.abs(np.diff(self.places_mm)))

    @property
    def is_regular(self) -> bool:
        """Whether one origin and one gap say where all slices lie: none missing, none shifted."""
        along = (self.places_mm - self.places_mm[0])[:, None] * self.axes[2]
        shifts = np.diff(self.origins - along, axis=0)
        return self.is_even and bool(
            (np.linalg.norm(shifts, axis=1) <= max(0.01 * self.gap_mm, 0.05)).all()
        )

    @property
    def centres(self) -> Array:
        """``(Z, 3)``: the middle of each slice in mm."""
        sy, sx = self.spacing
        columns, rows, _ = self.axes
        half_x, half_y = (self.shape[2] - 1) / 2 * sx, (self.shape[1] - 1) / 2 * sy
        return np.asarray(self.origins + columns * half_x + rows * half_y)

    @property
    def heights_mm(self) -> Array:
        """``(Z,)``: how far towards the head the middle of each slice lies (z of LPS)."""
        return np.asarray(self.centres[:, 2])

    @property
    def tilt_degrees(self) -> float:
        """Angle between the plane of the slices and a transverse plane of the patient."""
        columns, rows, _ = self.axes
        normal = np.cross(columns, rows)
        cosine = abs(float(normal[2])) / max(float(np.linalg.norm(normal)), 1e-12)
        return math.degrees(math.acos(min(1.0, cosine)))

    @property
    def volume(self) -> Volume:
        """The grid as a `Volume` whose values take no memory and mean nothing."""
        gap = self.gap_mm if self.shape[0] > 1 and self.is_even else math.nan
        array = np.broadcast_to(np.zeros((), np.int16), self.shape)
        x, y, z = (float(v) for v in self.origins[0])
        return Volume(array, (gap, *self.spacing), self.direction, (x, y, z), self.path)

    def one_slice(self, index: int) -> ImageGrid:
        """Return the grid of one slice."""
        return ImageGrid(
            (1, *self.shape[1:]),
            self.origins[index : index + 1],
            self.spacing,
            self.direction,
            self.path,
            self.series,
            self.frame_of_reference,
            self.instances[index : index + 1],
        )

    def check_axial(self) -> None:
        """Raise `GeometryError` unless the slices are stored along the patient's axis."""
        if not self.volume.is_axial:
            rounded = [round(c, 3) for c in self.direction]
            raise GeometryError(
                f"{self.path} is not stored as axial slices (direction {rounded}); wanted rows, "
                "columns and slices along y, x and z. Reorient image and mask, for instance with "
                "SimpleITK.DICOMOrient(image, 'LPS')."
            )


def grid_of(volume: Volume) -> ImageGrid:
    """Return the grid of an image in memory; one with an unknown gap has unknown origins but one.

    Args:
        volume: The image.
    """
    steps = np.arange(volume.num_slices, dtype=float)[:, None] * volume.spacing[0]
    steps[0] = 0.0  # also where the gap is nan: the first slice is where the file says
    along = np.array(volume.direction, dtype=float).reshape(3, 3)[:, 2]
    return ImageGrid(
        volume.shape,
        np.array(volume.origin, dtype=float) + steps * along,
        (volume.spacing[1], volume.spacing[2]),
        volume.direction,
        volume.path or "the image",
    )


def read_grid(path: str | Path, *, series: str | None = None) -> ImageGrid:
    """Read the grid of an image from its headers, never its pixels.

    Args:
        path: DICOM file, folder or series list, NIfTI, NRRD or MHA.
        series: Series UID, for a folder that holds several.

    Returns:
        The grid. Slices that are missing or shifted against each other are where their files say.

    Raises:
        ImageReadError: Missing, damaged, of another format, or a plain image, which has no grid.
        GeometryError: The files of a series do not stack.
    """
    path = Path(path)
    check_exists(path)
    if is_plain(path):
        raise ImageReadError(
            f"{path}: is a plain image, which has no grid in mm; wanted DICOM, NIfTI, NRRD or MHA."
        )
    if path.is_dir() or is_series_list(path):
        return _of_files(path, series)
    if not path.name.lower().endswith(VOLUME_SUFFIXES) and is_dicom(path):
        return _of_frames(path)
    return _of_header(path)


def _of_files(path: Path, series: str | None) -> ImageGrid:
    with warnings.catch_warnings():
        # Uneven gaps and tilted gantries are what this module is for.
        warnings.simplefilter("ignore")
        files = read_list(path).files if is_series_list(path) else slice_files(path, series)
    if len(files) == 1:
        return _of_frames(files[0])
    facts = [read_header(file).facts for file in files]
    return _grid(path, facts[0], [f.frames[0] for f in facts], tuple(f.sop_uid for f in facts))


def _of_frames(path: Path) -> ImageGrid:
    facts = read_header(path).facts
    frames = list(facts.frames)
    if len(frames) > 1 and all(len(f.position) == 3 for f in frames):
        names = [f"frame {k + 1}" for k in range(len(frames))]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            order, _ = stack(frames, names, str(path))
        frames = [frames[k] for k in order]
    return _grid(path, facts, frames, (facts.sop_uid,) * len(frames))


def _grid(path: Path, facts: Facts, frames: list[Frame], instances: tuple[str, ...]) -> ImageGrid:
    first = frames[0]
    nowhere = (math.nan,) * 3
    known = len(first.orientation) == 6
    if known:
        row, column, normal = first.orientation[:3], first.orientation[3:], first.normal
        direction = tuple(v for axes in zip(row, column, normal, strict=True) for v in axes)
    else:
        direction = IDENTITY
    sy, sx = first.spacing if len(first.spacing) == 2 else (math.nan, math.nan)
    return ImageGrid(
        (len(frames), facts.rows, facts.columns),
        np.array([f.position if len(f.position) == 3 and known else nowhere for f in frames]),
        (sy, sx),
        direction,
        str(path),
        facts.series,
        facts.frame_of_reference,
        instances,
    )


def _of_header(path: Path) -> ImageGrid:
    reader = sitk.ImageFileReader()
    reader.SetFileName(itk_name(path))
    try:
        with quiet():
            reader.ReadImageInformation()
    except RuntimeError as error:
        raise ImageReadError(
            f"{path}: cannot be read ({reason(error)}); wanted DICOM, NIfTI, NRRD or MHA."
        ) from error
    size, spacing = reader.GetSize(), reader.GetSpacing()
    direction, origin = reader.GetDirection(), reader.GetOrigin()
    if len(size) == 4 and size[3] == 1:  # one time point, as `read_volume` takes it
        direction = tuple(v for k, v in enumerate(direction[:11]) if k % 4 != 3)
        size, spacing, origin = size[:3], spacing[:3], origin[:3]
    elif len(size) == 2:
        spacing, origin, direction = from_two_axes(spacing, origin, direction)
        size = (*size, 1)
    if len(size) != 3:
        raise ImageReadError(f"{path}: has {len(size)} dimensions, size {size}; wanted a volume.")
    array = np.broadcast_to(np.zeros((), np.int16), (size[2], size[1], size[0]))
    return grid_of(
        Volume(
            array,
            (spacing[2], spacing[1], spacing[0]),
            tuple(direction),
            (origin[0], origin[1], origin[2]),
            str(path),
        )
    )
