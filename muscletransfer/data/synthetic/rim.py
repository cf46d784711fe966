"""Organs that rest against the inside of the trunk, laid out along its rim."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.ndimage import gaussian_filter1d

from muscletransfer.data.synthetic.packing import inside
from muscletransfer.data.synthetic.scene import Obstacle, Scene
from muscletransfer.data.synthetic.shapes import Array, arc_length, normals, wobble

__all__ = ["Rim", "fill_with_discs"]


class Rim:
    """The border of the cavity, from the spine round one side, the front and the other side.

    Places along it are numbers from -1 (midline of the back by way of the patient's right) over 0
    (midline of the front) to 1 (midline of the back by way of the left).

    Args:
        scene: The slice.
    """

    def __init__(self, scene: Scene) -> None:
        cavity = scene.frame.cavity
        # The cavity starts in front and runs down the left side to the midline of the back.
        middle = len(scene.frame.walls[1].inner()) + len(scene.frame.build.floor) - 1
        halves = []
        for half in (cavity[: middle + 1], np.vstack([cavity[middle:], cavity[:1]])[::-1]):
            length = arc_length(half)
            even = np.linspace(0.0, length[-1], 300)
            halves.append(np.stack([np.interp(even, length, half[:, k]) for k in (0, 1)], axis=1))
        line = np.vstack([halves[1][:0:-1], halves[0]])
        self._line = gaussian_filter1d(line, 9.0, axis=0, mode="nearest")
        self._normals = normals(self._line, closed=False)
        self._places = np.linspace(-1.0, 1.0, len(self._line))
        self._scene = scene

    def points(self, places: Array, depth: float | Array = 0.0) -> Array:
        """Points at places along the rim, ``depth`` mm inwards."""
        on_line = np.stack([np.interp(places, self._places, v) for v in self._line.T], axis=1)
        inwards = np.stack([np.interp(places, self._places, v) for v in self._normals.T], axis=1)
        return np.asarray(on_line + np.broadcast_to(depth, places.shape)[:, None] * inwards)

    def organ(
        self, start: float, end: float, border: Sequence[tuple[float, float]], gap: float = 0.8
    ) -> Array:
        """Closed outline of an organ between the rim and a free border.

        Args:
            start: First place along the rim.
            end: Last place, larger than the first.
            border: Points of the free border in mm, from the end back to the start.
            gap: Fat between wall and organ in mm.
        """
        outer = self.points(np.linspace(start, end, 160), gap)
        knots = np.vstack([outer[-1:], np.asarray(border, dtype=np.float64), outer[:1]])
        free = CubicSpline(arc_length(knots), knots)(np.linspace(0.0, arc_length(knots)[-1], 90))
        return wobble(np.vstack([outer, free[1:-1]]), self._scene.rng, 0.8, (3, 14))

    def crescent(self, start: float, end: float, thickness: float, gap: float = 0.8) -> Array:
        """Closed outline of a lens against the rim.

        Args:
            start: First place along the rim.
            end: Last place.
            thickness: Greatest thickness in mm.
            gap: Fat between wall and organ in mm.
        """
        share = np.linspace(0.0, 1.0, 90)
        places = start + share * (end - start)
        depth = thickness * np.sqrt(np.clip(4.0 * share * (1.0 - share), 0.0, 1.0))
        outline = np.vstack([self.points(places, gap), self.points(places, gap + depth)[::-1]])
        return wobble(outline, self._scene.rng, 0.7, (3, 12))


def fill_with_discs(outline: Array, step: float = 17.0) -> list[Obstacle]:
    """Discs that cover a closed outline, for the bowel to keep clear of."""
    low, high = outline.min(axis=0), outline.max(axis=0)
    x, y = np.meshgrid(np.arange(low[0], high[0], step), np.arange(low[1], high[1], step))
    points = np.stack([x.ravel(), y.ravel()], axis=1)
    return [(float(px), float(py), 0.62 * step) for px, py in points[inside(points, outline)]]
