"""Spinal hardware: pedicle screws and rods."""

from __future__ import annotations

import numpy as np

from muscletransfer.data.synthetic.frame import SIDES
from muscletransfer.data.synthetic.scene import Scene, rigid
from muscletransfer.data.synthetic.shapes import blob, strip

__all__ = ["METAL_HU", "draw_metal"]

#: HU of titanium before the scale of the image cuts it off.
METAL_HU = 8000.0


def draw_metal(scene: Scene, rng: np.random.Generator) -> None:
    """Draw a screw through each pedicle and the rods that join them to the next level.

    Metal is nobody's muscle or organ: it takes the labels away where it lies.

    Args:
        scene: The slice with the trunk drawn.
        rng: Source of randomness.
    """
    canvas, s = scene.canvas, scene.frame.scale
    screws = bool(rng.random() < 0.75)  # else the slice cuts their heads alone
    for side in SIDES:
        head = np.array([24.0 + rng.normal(0.0, 1.5), 45.0 + rng.normal(0.0, 1.5)])
        tip = np.array([9.0 + rng.normal(0.0, 1.5), -2.0 + rng.normal(0.0, 4.0)])
        place = rigid(np.array([head]), side, s, rng)[0]
        rod = blob(place[0] + side * 3.0 * s, place[1] + 4.0 * s, 3.0 * s, rng, rough=0.01)
        tulip = blob(place[0], place[1] + 2.0 * s, 6.0 * s, rng, other=5.0 * s, rough=0.02)
        parts = [tulip, rod]
        if screws:
            parts.append(strip(rigid(np.array([head, tip]), side, s, rng), 5.6 * s))
        canvas.paint(parts, METAL_HU)
