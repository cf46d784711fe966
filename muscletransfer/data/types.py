"""Containers that travel from reading to scoring: images, label maps and the grid they live on.

Arrays are indexed ``[slice, row, column]``, so a spacing is written ``(sz, sy, sx)`` in mm. Origin
and direction are SimpleITK's: world order ``(x, y, z)``, LPS (x to the patient's left, y to the
back, z to the head), direction row-major with the axes (column, row, slice) as its columns.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Self, TypeAlias, TypedDict

import numpy as np
import numpy.typing as npt

from muscletransfer.errors import DataError

if TYPE_CHECKING:
    import torch

__all__ = ["Array", "CTImage", "MaskImage", "Sample", "SliceGeometry", "Volume", "narrowest"]

Array: TypeAlias = npt.NDArray[Any]

IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
_AXIAL_COSINE = math.cos(math.radians(40.0))


@dataclass(frozen=True, eq=False)
class Volume:
    """An array of slices with its grid; the base of `CTImage` and `MaskImage`.

    Args:
        array: ``(Z, Y, X)``; one slice is ``Z = 1``.
        spacing: ``(sz, sy, sx)`` in mm; ``nan`` where the file does not say.
        direction: Nine direction cosines, row-major, as SimpleITK gives them.
        origin: ``(x, y, z)`` in mm of the centre of the first voxel.
        path: The file or folder it was read from, for messages; ``None`` when made in memory.

    Raises:
        DataError: The array is not three-dimensional, or a field has another length.
    """

    array: Array
    spacing: tuple[float, float, float] = (math.nan, math.nan, math.nan)
    direction: tuple[float, ...] = IDENTITY
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)
    path: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.array, np.ndarray):
            raise DataError(
                f"the array is a {type(self.array).__name__}; wanted a numpy array of shape "
                "(slices, rows, columns)."
            )
        if self.array.ndim != 3:
            raise DataError(
                f"{self.path or 'the array'} has {self.array.ndim} dimensions, shape "
                f"{self.array.shape}; wanted (slices, rows, columns). "
                "For one slice pass array[None]."
            )
        for name, value, length in (
            ("spacing", self.spacing, 3),
            ("direction", self.direction, 9),
            ("origin", self.origin, 3),
        ):
            if len(value) != length:
                raise DataError(f"{name} has {len(value)} numbers; wanted {length}.")
        if any(s <= 0 for s in self.spacing):
            raise DataError(f"spacing is {self.spacing}; wanted mm above 0, or nan for unknown.")

    @property
    def shape(self) -> tuple[int, int, int]:
        """``(Z, Y, X)``."""
        z, y, x = self.array.shape
        return z, y, x

    @property
    def num_slices(self) -> int:
        """Number of slices, ``Z``."""
        return int(self.array.shape[0])

    @property
    def slice_spacing(self) -> tuple[float, float] | None:
        """In-plane ``(sy, sx)`` in mm, or ``None`` when the file does not say."""
        _, sy, sx = self.spacing
        return None if math.isnan(sy) or math.isnan(sx) else (sy, sx)

    @property
    def is_axial(self) -> bool:
        """Whether rows, columns and slices run along y, x and z, within 40 degrees, either way.

        The allowance takes in tilted gantries and crooked patients, never a sagittal volume.
        """
        return all(abs(self.direction[4 * i]) >= _AXIAL_COSINE for i in range(3))

    @property
    def flips(self) -> tuple[bool, bool]:
        """``(flip_rows, flip_columns)`` that turn a slice to the radiological view.

        There, rows run to the patient's back and columns to the patient's left: the order in which
        a scanner writes DICOM. NIfTI files often run the other way on both axes. `SliceGeometry`
        carries the flips, so a network sees every patient the same way up while masks, scores and
        measures stay on the file's own grid.
        """
        return self.direction[4] < 0, self.direction[0] < 0

    def one_slice(self, index: int) -> Self:
        """Return one slice, shape ``(1, Y, X)``, at its own origin; a view, not a copy.

        Raises:
            DataError: There is no such slice.
        """
        if not -self.num_slices <= index < self.num_slices:
            raise DataError(
                f"{self.path or 'the image'} has slices 0 to {self.num_slices - 1}; "
                f"slice {index} was asked for."
            )
        index %= self.num_slices
        return type(self)(
            self.array[index : index + 1],
            self.spacing,
            self.direction,
            self._origin_of(index),
            self.path,
        )

    def _origin_of(self, index: int) -> tuple[float, float, float]:
        if index == 0:
            return self.origin
        step = self.spacing[0] * index  # nan stays nan: the place of the slice is then unknown
        x, y, z = (self.origin[row] + step * self.direction[3 * row + 2] for row in range(3))
        return x, y, z


class CTImage(Volume):
    """Slices in Hounsfield units with their grid.

    .. versionadded:: 0.1

    Example:
        >>> import numpy as np
        >>> ct = CTImage(np.full((2, 4, 6), -1000, np.int16), spacing=(5.0, 0.8, 0.8))
        >>> ct.shape, ct.num_slices, ct.slice_spacing
        ((2, 4, 6), 2, (0.8, 0.8))
        >>> ct.slice(1).origin
        (0.0, 0.0, 5.0)
    """

    @property
    def hu(self) -> Array:
        """``(Z, Y, X)`` in HU, int16 unless the file holds fractions (then float32)."""
        return self.array

    def slice(self, index: int) -> CTImage:
        """Return one slice as an image of shape ``(1, Y, X)`` at its own origin.

        Args:
            index: Which slice, from 0; negative counts from the end.

        Returns:
            A view, not a copy.

        Raises:
            DataError: There is no such slice.
        """
        return self.one_slice(index)


class MaskImage(Volume):
    """Class indices with their grid: 0 background, 255 not annotated.

    .. versionadded:: 0.1

    Example:
        >>> import numpy as np
        >>> MaskImage(np.eye(3, dtype=np.uint8)[None]).classes
        (0, 1)
    """

    @property
    def labels(self) -> Array:
        """``(Z, Y, X)`` integers, uint8 whenever they fit."""
        return self.array

    @property
    def classes(self) -> tuple[int, ...]:
        """The values that occur, ascending."""
        return tuple(int(v) for v in np.unique(self.array))

    def slice(self, index: int) -> MaskImage:
        """Return one slice as a mask of shape ``(1, Y, X)``; see `CTImage.slice`."""
        return self.one_slice(index)


@dataclass(frozen=True)
class SliceGeometry:
    """How a slice went from its native grid to the network grid; plain numbers only.

    With edges (not centres) as coordinates, so that pixel ``i`` covers ``i`` to ``i + 1``, a native
    coordinate ``u`` (after the flips) lies at ``u * scale + offset`` on the network grid.

    .. versionadded:: 0.1

    Args:
        native_shape: ``(H, W)`` of the slice in its file.
        spacing: ``(sy, sx)`` in mm, or ``None`` when unknown.
        size: ``(h, w)`` of the network grid.
        scale: ``(ky, kx)`` network pixels a native pixel.
        offset: ``(oy, ox)`` network pixels.
        flip: ``(rows, columns)`` reversed before scaling; see `Volume.flips`.

    Example:
        >>> g = SliceGeometry((512, 512), (0.8, 0.8), (256, 256), (0.5, 0.5), (0.0, 0.0))
        >>> SliceGeometry.from_dict(g.to_dict()) == g
        True
    """

    native_shape: tuple[int, int]
    spacing: tuple[float, float] | None
    size: tuple[int, int]
    scale: tuple[float, float]
    offset: tuple[float, float]
    flip: tuple[bool, bool] = field(default=(False, False))

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists and numbers, for JSON."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> SliceGeometry:
        """Rebuild from `to_dict`, also after JSON."""
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in data.items()})


class Sample(TypedDict, total=False):
    """One case as the data sets hand it out, before batching.

    ``image`` int16 ``(h, w)`` or ``(h, w, 3)`` on the network grid (HU, or scaled intensities; see
    `PreprocessingSpec`), ``mask`` uint8 ``(h, w)`` class indices, ``label`` class index, ``case``
    row number in the manifest, ``native_hu`` int16 ``(H, W)`` HU or raw pixel values,
    ``native_mask`` uint8 ``(H, W)``, ``geometry`` the way between the two grids.

    .. versionadded:: 0.1

    Example:
        >>> import torch
        >>> sample: Sample = {"image": torch.zeros(4, 4, dtype=torch.int16), "case": 0}
        >>> sorted(sample)
        ['case', 'image']
    """

    image: torch.Tensor
    mask: torch.Tensor
    label: int
    case: int
    native_hu: torch.Tensor
    native_mask: torch.Tensor
    geometry: SliceGeometry


def narrowest(array: Array) -> Array:
    """Return whole numbers as int16 (or int32, int64 where they must), fractions as float32."""
    if array.dtype == np.int16:
        return array
    if array.dtype.kind == "f" and not _is_whole(array):
        return array.astype(np.float32)
    if not array.size:
        return array.astype(np.int16)
    low, high = float(array.min()), float(array.max())
    for kind in (np.int16, np.int32):
        if low >= np.iinfo(kind).min and high <= np.iinfo(kind).max:
            return array.astype(kind)
    return array.astype(np.int64)


def _is_whole(array: Array) -> bool:
    limit = 2.0**31
    finite = bool(np.isfinite(array).all())
    return finite and bool((np.abs(array) < limit).all() and (array == np.rint(array)).all())
