"""Slices by their place in mm, and their neighbours."""

from __future__ import annotations

import math

import numpy as np

from muscletransfer.data.io.grids import ImageGrid
from muscletransfer.errors import GeometryError, SettingError

__all__ = ["at_position", "tilt_notes", "with_neighbours"]

_WARN_TILT, _REFUSE_TILT = 5.0, 20.0


def tilt_notes(grid: ImageGrid) -> list[str]:
    """Return what to say of tilted slices.

    Raises:
        GeometryError: They are tilted too far to stand for one level.
    """
    tilt = grid.tilt_degrees
    if tilt > _REFUSE_TILT:
        raise GeometryError(
            f"{grid.path}: its slices are tilted by {tilt:.1f} degrees against the patient's axis; "
            f"wanted at most {_REFUSE_TILT:g}: areas on them are too large by "
            f"{1 / math.cos(math.radians(tilt)) - 1:.0%}, and no slice is axial at one level. Use "
            "an axial reconstruction."
        )
    if tilt <= _WARN_TILT:
        return []
    return [
        f"slices are tilted by {tilt:.1f} degrees, so areas on them are too large by up to "
        f"{1 / math.cos(math.radians(tilt)) - 1:.1%}"
    ]


def at_position(grid: ImageGrid, position: float | tuple[float, float, float]) -> int:
    """Return the slice at a height, or through a point ``(x, y, z)``, in mm.

    Raises:
        GeometryError: No slice is there, or their places are unknown.
        SettingError: A position that is neither, or not finite.
    """
    if isinstance(position, (int, float, np.number)):
        places, wanted = grid.heights_mm, float(position)
        what = f"height {wanted:g} mm"
        cosine = abs(float(grid.axes[2][2]))
    else:
        if len(position) != 3:
            raise SettingError(
                f"position_mm is {position!r}; wanted a height in mm, or a point (x, y, z)."
            )
        places, cosine = grid.places_mm, 1.0
        wanted = float(np.array(position, dtype=float) @ grid.axes[2])
        what = f"point {tuple(float(v) for v in position)}"
    if not math.isfinite(wanted):
        raise SettingError(f"position_mm is {position!r}; wanted finite numbers, in mm.")
    if not np.isfinite(places).all():
        raise GeometryError(
            f"{grid.path}: the place of its slices is unknown; wanted a file that says it, or a "
            "slice_index."
        )
    index = int(np.argmin(np.abs(places - wanted)))
    away, gap = abs(float(places[index]) - wanted), grid.gap_mm
    reach = gap * cosine if not math.isnan(gap) else 1.0
    if away > 0.5 * reach + 1e-6:
        low, high = float(places.min()), float(places.max())
        why = (
            f"slices are missing there (the nearest lies {away:.2f} mm off)"
            if low <= wanted <= high
            else f"its slices lie from {low:.2f} to {high:.2f} mm"
        )
        raise GeometryError(
            f"{grid.path}: {what} was asked for, and {why}; wanted a position on a slice. Check "
            "the sign: z grows towards the head."
        )
    return index


def with_neighbours(grid: ImageGrid, index: int, count: int) -> tuple[tuple[int, ...], list[str]]:
    """Return a slice with up to ``count`` neighbours on either side, and what is missing of them.

    From the feet to the head, whatever the order of the file; never across missing slices.
    """
    if not count:
        return (index,), []
    heights = grid.heights_mm
    known = bool(np.isfinite(heights).all())
    order = [int(k) for k in (np.argsort(heights) if known else np.arange(len(heights)))]
    at = order.index(index)
    chosen, notes = [index], []
    for step in (-1, 1):
        for k in range(1, count + 1):
            place = at + step * k
            if not 0 <= place < len(order):
                notes.append(
                    f"only {k - 1} of {count} neighbours towards the "
                    f"{'feet' if step < 0 else 'head'}: the image ends there"
                )
                break
            if known and abs(heights[order[place]] - heights[order[place - step]]) > (
                1.5 * grid.gap_mm
            ):
                notes.append(
                    f"only {k - 1} of {count} neighbours towards the "
                    f"{'feet' if step < 0 else 'head'}: slices are missing there"
                )
                break
            chosen.append(order[place])
    place_of = {k: n for n, k in enumerate(order)}
    return tuple(sorted(chosen, key=place_of.__getitem__)), notes
