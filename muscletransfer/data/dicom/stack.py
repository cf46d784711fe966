"""The order of slices along their normal, and the gap between them."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

import numpy as np

from muscletransfer.data.dicom.facts import Frame
from muscletransfer.data.types import Array
from muscletransfer.errors import GeometryError

__all__ = ["Stacking", "are_even", "same_plane", "stack", "usual_gap"]

SAME_PLACE_MM = 1e-3
_ROUNDING_MM = 0.05


class Stacking:
    """How slices lie, worked out once from their positions.

    Args:
        frames: Slices of one orientation, with positions.

    Attributes:
        order: Indices of the slices along the normal.
        gaps: mm between neighbours in that order.
        shift: Greatest mm that a slice is off the line through the others, along its plane.
        tilt: Degrees between the normal and the line of the first pixels.
    """

    def __init__(self, frames: Sequence[Frame]) -> None:
        positions = np.array([f.position for f in frames], dtype=float)
        normal = np.array(frames[0].normal)
        places = positions @ normal
        self.order = [int(k) for k in np.argsort(places, kind="stable")]
        self.places: Array = places[self.order]
        self.gaps: Array = np.diff(self.places)
        steps = np.diff(positions[self.order], axis=0)
        along = steps @ normal
        across = steps - along[:, None] * normal
        self.shift = float(np.linalg.norm(across, axis=1).max()) if len(steps) else 0.0
        total = positions[self.order[-1]] - positions[self.order[0]]
        length = float(np.linalg.norm(total))
        cosine = abs(float(total @ normal)) / length if length > 0 else 1.0
        self.tilt = math.degrees(math.acos(min(1.0, cosine)))

    @property
    def gap(self) -> float:
        """The usual gap in mm; ``nan`` for one slice."""
        return usual_gap(self.gaps)

    @property
    def is_even(self) -> bool:
        """Whether all gaps are the usual one, as far as the positions can tell."""
        return are_even(self.gaps)

    @property
    def is_straight(self) -> bool:
        """Whether the slices lie straight above each other, as in a gantry that is not tilted."""
        return self.shift <= max(0.01 * abs(self.gap), 0.05) if len(self.gaps) else True

    @property
    def twins(self) -> list[tuple[int, int]]:
        """Pairs of slices at one place, as indices into the frames."""
        return [
            (self.order[k], self.order[k + 1])
            for k in np.flatnonzero(self.gaps < SAME_PLACE_MM).tolist()
        ]

    @property
    def most_at_one_place(self) -> int:
        """How many slices lie at the place that has most."""
        most = run = 1
        for gap in self.gaps:
            run = run + 1 if gap < SAME_PLACE_MM else 1
            most = max(most, run)
        return most


def usual_gap(gaps: Array) -> float:
    """Return the gap that stands for all: their mean where they are even, else their median.

    Files round positions. Of even gaps the mean alone puts the last slice where it lies; where a
    slice is missing it would be nobody's gap.

    Args:
        gaps: In mm.

    Returns:
        mm; ``nan`` where there is none.

    Example:
        >>> round(usual_gap(np.diff([0.0, 0.62, 1.25, 1.88, 2.5])), 4)
        0.625
        >>> usual_gap(np.array([5.0, 5.0, 10.0]))
        5.0
    """
    if not len(gaps):
        return math.nan
    return float(gaps.mean()) if are_even(gaps) else float(np.median(gaps))


def are_even(gaps: Array) -> bool:
    """Whether all gaps are one, to a hundredth of it or as far as rounded positions can tell.

    Some exports write positions with one decimal: each is then up to 0.05 mm off an even row,
    which neighbours 0.6 mm apart see as gaps of 0.6 and 0.7. A missing slice is at least a third
    of a gap off.

    Example:
        >>> are_even(np.diff([0.0, 0.6, 1.2, 1.9, 2.5])), are_even(np.diff([0.0, 0.6, 1.9, 2.5]))
        (True, False)
    """
    if not len(gaps):
        return True
    middle = float(np.median(gaps))
    # A little more, since two positions of two decimals differ by 0.01 and a rounding error.
    if np.abs(gaps - middle).max() <= max(0.01 * middle, 0.01) + 1e-6:
        return True
    places = np.concatenate([[0.0], np.cumsum(gaps)])
    numbers = np.arange(len(places)) - (len(places) - 1) / 2
    slope = float(numbers @ places) / float(numbers @ numbers)
    off = places - places.mean() - slope * numbers
    return bool(np.abs(off).max() <= min(_ROUNDING_MM, 0.1 * slope) + 1e-6)


def same_plane(a: Frame, b: Frame) -> bool:
    """Whether two slices have one orientation and pixel spacing."""
    return (
        len(a.orientation) == len(b.orientation)
        and len(a.spacing) == len(b.spacing)
        and np.allclose(a.orientation, b.orientation, atol=1e-3)
        and np.allclose(a.spacing, b.spacing, rtol=1e-4)
    )


def stack(
    frames: Sequence[Frame], names: Sequence[str], where: str, stacklevel: int = 3
) -> tuple[list[int], float]:
    """Return the slices' order along the normal and the gap between them.

    Args:
        frames: Slices of one orientation.
        names: What to call each in messages.
        where: The file or folder, to begin messages with.
        stacklevel: Whose line a warning names.

    Returns:
        Indices into ``frames``, and mm; ``nan``, with a warning, where gaps are uneven or slices
        are shifted against each other (a tilted gantry): no grid of right angles is theirs then.

    Raises:
        GeometryError: Two slices lie at one place.
    """
    found = Stacking(frames)
    for a, b in found.twins:
        raise GeometryError(
            f"{where}: {names[a]} and {names[b]} lie at the same place "
            f"({frames[a].place:.3f} mm); wanted one slice a place. Two reconstructions or phases "
            "share the series; keep one in the folder, or let 'muscletransfer data index' tell "
            "them apart."
        )
    if not found.is_even:
        warnings.warn(
            f"{where}: the gaps between slices run from {found.gaps.min():.3f} to "
            f"{found.gaps.max():.3f} mm (slices are missing?). Slices are read in order; their "
            "spacing is taken as unknown.",
            stacklevel=stacklevel + 1,
        )
        return found.order, math.nan
    if not found.is_straight:
        warnings.warn(
            f"{where}: each slice is shifted against the next by up to {found.shift:.3f} mm along "
            f"its plane (a gantry tilted by {found.tilt:.1f} degrees?). Each slice is right on its "
            "own; the spacing between them is taken as unknown, since no straight stack is theirs.",
            stacklevel=stacklevel + 1,
        )
        return found.order, math.nan
    return found.order, found.gap
