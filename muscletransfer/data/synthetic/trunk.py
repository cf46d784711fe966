"""Skin, subcutaneous fat with its septa, and the fat that fills the trunk."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import CubicSpline

from muscletransfer.data.synthetic.frame import SIDES
from muscletransfer.data.synthetic.scene import Scene
from muscletransfer.data.synthetic.shapes import Array, blob, inset, mirrored, strip
from muscletransfer.data.synthetic.tissues import TISSUES

__all__ = ["draw_fascia", "draw_rib", "draw_shell"]


def draw_shell(scene: Scene) -> None:
    """Paint skin, subcutaneous fat, the fat between muscles and the visceral fat."""
    canvas, frame, hu, rng = scene.canvas, scene.frame, scene.hu, scene.rng
    canvas.paint(frame.skin, hu.skin)
    fat = scene.textured(hu.fat, 3.0, 3.0)
    under = inset(frame.skin, rng.uniform(1.5, 2.3))
    canvas.paint(under, fat, tissue=TISSUES["subcutaneous_fat"])
    _septa(scene)
    canvas.paint(frame.outer, fat)
    visceral = scene.textured(hu.visceral_fat, 3.0, 5.0)
    canvas.paint(frame.cavity, visceral, tissue=TISSUES["visceral_fat"])


def _septa(scene: Scene) -> None:
    """Superficial fascia, oblique septa and small veins in the subcutaneous fat."""
    canvas, frame, rng = scene.canvas, scene.frame, scene.rng
    fat = (canvas.tissues == TISSUES["subcutaneous_fat"]).astype(np.float32)
    skin, outer = frame.skin, frame.outer
    lines: list[Array] = []
    veins: list[Array] = []
    # Both outlines start at the front midline and have equally many points, so that the same index
    # lies at about the same angle.
    share = 0.45 + 0.12 * np.sin(np.linspace(0.0, 6.0 * np.pi, len(skin)) + rng.uniform(0, 6.3))
    scarpa = outer + share[:, None] * (skin - outer)
    for start in rng.integers(0, len(skin), size=14):
        piece = np.roll(scarpa, -int(start), axis=0)[: int(rng.integers(25, 90))]
        lines.append(strip(piece, 0.8 * np.sin(np.linspace(0.1, 3.0, len(piece)))))
    for index in rng.integers(0, len(skin), size=36):
        low, high = np.sort(rng.uniform(0.05, 0.95, size=2))
        across = np.roll(skin, -int(rng.integers(-14, 14)), axis=0)[index]
        t = np.linspace(low, high, 8)[:, None]
        path = outer[index] + t * (across - outer[index]) + rng.normal(0.0, 0.7, size=(8, 2))
        lines.append(strip(path, 0.6))
    for index in rng.integers(0, len(skin), size=16):
        place = outer[index] + rng.uniform(0.2, 0.8) * (skin[index] - outer[index])
        veins.append(blob(place[0], place[1], float(rng.uniform(0.6, 1.5)), rng))
    canvas.paint(lines, -50.0, keep_labels=True, opacity=fat * np.float32(0.55))
    canvas.paint(veins, 30.0, keep_labels=True, opacity=fat * np.float32(0.8))


def draw_fascia(scene: Scene) -> None:
    """Thoracolumbar fascia behind and before the quadratus lumborum, as thin lines."""
    canvas, frame, s = scene.canvas, scene.frame, scene.frame.scale
    lines = []
    for side in SIDES:
        wall = frame.walls[side]
        end = wall.curve[np.searchsorted(wall.s, wall.lateral[1]) - 1]
        tip = np.array([46.0 * s, 31.0 * s])
        behind = np.array([tip, 0.5 * (end + tip) + (1, 2), end])
        before = np.array([end, (78.0 * s, 28.0 * s), (50.0 * s, 20.0 * s)])
        for path in (behind, before):
            smooth = CubicSpline(np.arange(len(path)), path)(np.linspace(0, len(path) - 1, 30))
            lines.append(mirrored(strip(smooth, 0.8), side))
    canvas.paint(lines, scene.hu.fascia, keep_labels=True, opacity=0.5)


def draw_rib(
    scene: Scene, side: int, place: float, length: float, *, cartilage: bool = False
) -> None:
    """Draw the oblique cut of a rib within the wall.

    Args:
        scene: The slice.
        side: +1 left, -1 right.
        place: Where along the wall, as a share of its length.
        length: Length of the cut in mm.
        cartilage: Whether the cut is through the cartilage in front of the rib.
    """
    rng, canvas, hu = scene.rng, scene.canvas, scene.hu
    wall = scene.frame.walls[side]
    keep = np.abs(wall.s - place * wall.s[-1]) < 0.5 * length
    if keep.sum() < 6:
        return
    t = np.linspace(-1.0, 1.0, int(keep.sum()))
    direction = np.stack(
        [-np.gradient(wall.curve[keep][:, 1]), np.gradient(wall.curve[keep][:, 0])]
    )
    direction = (direction / np.hypot(*direction)).T
    depth = 0.42 * np.maximum(wall.lateral_depth()[keep], 7.0)
    line = wall.curve[keep] + depth[:, None] * direction
    width = rng.uniform(5.0, 7.5) * np.sqrt(np.clip(1.05 - t**2, 0.02, 1.0))
    bone = TISSUES["bone"]
    if cartilage:
        rind = scene.textured(125.0, 20.0, 15.0)
        canvas.paint(mirrored(strip(line, 1.4 * width), side), rind)
        return
    canvas.paint(mirrored(strip(line, width), side), 0.75 * hu.cortical, tissue=bone)
    marrow = mirrored(strip(line, np.maximum(width - 2.6, 0.1)), side)
    canvas.paint(marrow, scene.textured(hu.trabecular, 20.0, 20.0), tissue=bone)
