"""Solid organs that rest against the wall: the tip of the liver, the lower spleen."""

from __future__ import annotations

import numpy as np

from muscletransfer.data.synthetic.scene import Obstacle, Scene
from muscletransfer.data.synthetic.shapes import Array, blob, mirrored, smoothstep, wobble
from muscletransfer.data.synthetic.tissues import TISSUES

__all__ = ["draw_solid_tip"]


def draw_solid_tip(
    scene: Scene, side: int, extent: tuple[float, float], thickness: float, hu: float
) -> list[Obstacle]:
    """Draw a crescent of liver (right) or spleen (left) against the inside of the wall.

    Nothing but a thin line of fat parts it from the transversus, and unenhanced it is as dense as
    muscle.

    Args:
        scene: The slice.
        side: +1 left, -1 right.
        extent: Start and end along the wall, as shares of its length.
        thickness: Greatest thickness in mm.
        hu: Attenuation.

    Returns:
        Discs that cover it.
    """
    rng = scene.rng
    wall = scene.frame.walls[side]
    inner = wall.inner()
    v = (wall.s / wall.s[-1] - extent[0]) / (extent[1] - extent[0])
    keep = (v > 0.0) & (v < 1.0)
    line, v = inner[keep], v[keep]
    tangent = np.gradient(line, axis=0)
    direction = np.stack([-tangent[:, 1], tangent[:, 0]], axis=1)
    direction /= np.maximum(np.hypot(*direction.T), 1e-9)[:, None]
    depth = thickness * np.sqrt(smoothstep(v / 0.4) * smoothstep((1.0 - v) / 0.5))
    gap = np.full(len(line), rng.uniform(0.3, 1.2))
    outline: Array = np.vstack(
        [line + gap[:, None] * direction, (line + (gap + depth)[:, None] * direction)[::-1]]
    )
    outline = mirrored(wobble(outline, rng, 0.35, (2, 7)), side)
    texture = scene.textured(hu, 3.0, 4.0)
    scene.canvas.paint(outline, texture, tissue=TISSUES["liver_spleen"])
    middle = mirrored(line + (0.5 * depth + gap)[:, None] * direction, side)
    vessels = [
        blob(middle[k, 0], middle[k, 1], float(rng.uniform(0.8, 2.2)), rng)
        for k in rng.integers(len(middle) // 4, 3 * len(middle) // 4, size=4)
        if depth[k] > 10.0
    ]
    scene.canvas.paint(vessels, scene.hu.vein, keep_labels=True, opacity=0.6)
    return [
        (float(middle[k, 0]), float(middle[k, 1]), 0.5 * float(depth[k]) + 1.0)
        for k in range(0, len(middle), 9)
    ]
