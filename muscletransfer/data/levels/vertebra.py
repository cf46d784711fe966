"""The middle of a vertebral body in a label map of the whole vertebra."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from muscletransfer.data.io.grids import ImageGrid
from muscletransfer.data.types import Array
from muscletransfer.errors import EmptyMaskError

__all__ = ["MidVertebra", "mid_vertebra"]

_DROPPED = 0.1
_HALF = 0.5


@dataclass(frozen=True)
class MidVertebra:
    """Where the middle of a vertebral body lies.

    .. versionadded:: 0.1

    Args:
        place_mm: Along the direction of slices; an index where places are unknown.
        point_mm: ``(x, y, z)`` of the body's middle (LPS); ``nan`` where places are unknown.
        slices: First and last slice of the body.
        warnings: What a person should know: cut off, in pieces.

    Example:
        >>> import numpy as np
        >>> from muscletransfer.data.io.grids import grid_of
        >>> from muscletransfer.data.types import Volume
        >>> label = np.zeros((9, 20, 20), np.uint8)
        >>> label[2:7, 5:15, 5:15] = 1
        >>> found = mid_vertebra(label > 0, grid_of(Volume(label, spacing=(3.0, 1.0, 1.0))))
        >>> found.slices
        (2, 6)
    """

    place_mm: float
    point_mm: tuple[float, float, float]
    slices: tuple[int, int]
    warnings: tuple[str, ...]


def mid_vertebra(vertebra: Array, grid: ImageGrid, name: str = "the vertebra") -> MidVertebra:
    """Find the middle between the end plates of a vertebra.

    A label of the whole vertebra reaches lower than its body, by the spinous process (6 mm at L3 on
    the CT that this was tried on), so the middle of the label is not mid-vertebral. The body is
    what lies in front of the label's centre of gravity: pedicles, arch and processes lie behind.
    Its end plates are where its area in front passes half of its greatest.

    .. versionadded:: 0.1

    Args:
        vertebra: ``(Z, Y, X)``, True in the vertebra.
        grid: Where its voxels lie; slices must be axial.
        name: For messages.

    Returns:
        The middle, with warnings.

    Raises:
        EmptyMaskError: No voxel is True.
        GeometryError: The slices are not axial.

    Example:
        >>> from muscletransfer.data.io.grids import grid_of
        >>> from muscletransfer.data.types import Volume
        >>> label = np.zeros((12, 20, 20), bool)
        >>> label[4:9, 5:12, 5:15] = True  # the body
        >>> label[2:7, 12:18, 9:11] = True  # the spinous process behind and below it
        >>> grid = grid_of(Volume(label.astype(np.uint8), spacing=(3.0, 1.0, 1.0)))
        >>> mid_vertebra(label, grid).place_mm
        18.0
    """
    grid.check_axial()
    if not vertebra.any():
        raise EmptyMaskError(f"{name} is not in {grid.path}; wanted a label of it.")
    warnings: list[str] = []
    whole = _largest(vertebra)
    lost = 1.0 - float(whole.sum()) / float(vertebra.sum())
    if lost > _DROPPED:
        warnings.append(f"{name} is in pieces; the largest ({1 - lost:.0%} of it) was taken")
    present = np.flatnonzero(whole.any(axis=(1, 2)))
    where = np.argwhere(whole[present[0] : present[-1] + 1])
    middle_row = float(where[:, 1].mean())
    front = whole.copy()
    if grid.direction[4] > 0:  # rows run to the patient's back
        front[:, int(np.floor(middle_row)) + 1 :] = False
    else:
        front[:, : int(np.ceil(middle_row))] = False
    areas = front.sum(axis=(1, 2))
    body = np.flatnonzero(areas >= _HALF * areas.max())
    first, last = int(body[0]), int(body[-1])
    warnings.extend(_cut(name, whole, (first, last)))
    places = grid.places_mm
    known = bool(np.isfinite(places).all())
    place = float((places[first] + places[last]) / 2) if known else (first + last) / 2
    rows, columns = np.nonzero(front[first : last + 1].any(axis=0))
    point: tuple[float, ...] = (np.nan,) * 3
    if known:
        along_columns, along_rows, _ = grid.axes
        sy, sx = grid.spacing
        start = (grid.origins[first] + grid.origins[last]) / 2
        point = tuple(
            float(v)
            for v in start + along_columns * columns.mean() * sx + along_rows * rows.mean() * sy
        )
    return MidVertebra(place, (point[0], point[1], point[2]), (first, last), tuple(warnings))


def _largest(vertebra: Array) -> Array:
    # Of a whole CT the labels of parts take a gigabyte, of the vertebra's box next to nothing.
    box = _box(vertebra)
    parts, count = ndimage.label(vertebra[box], structure=np.ones((3, 3, 3)))
    if count == 1:
        return vertebra
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    found = np.zeros_like(vertebra)
    found[box] = parts == int(sizes.argmax())
    return found


def _box(vertebra: Array) -> tuple[slice, ...]:
    """Return where there is anything, axis by axis; something is."""
    planes: Array = np.asarray(vertebra.any(axis=0))
    inside = (vertebra.any(axis=(1, 2)), planes.any(axis=1), planes.any(axis=0))
    ends = (np.flatnonzero(axis)[[0, -1]] for axis in inside)
    return tuple(slice(int(first), int(last) + 1) for first, last in ends)


def _cut(name: str, whole: Array, body: tuple[int, int]) -> list[str]:
    found = []
    last = len(whole) - 1
    ends = [k for k, at in (("first", 0), ("last", last)) if whole[at].any()]
    if ends and last > 0:
        of_body = body[0] == 0 or body[1] == last
        what = "its body too, so its middle is a guess" if of_body else "its body is whole"
        found.append(f"{name} is cut off at the {' and '.join(ends)} slice of the image ({what})")
    sides = whole[:, 0].any() or whole[:, -1].any() or whole[..., 0].any() or whole[..., -1].any()
    if sides:
        found.append(f"{name} is cut off at the side of the image")
    return found
