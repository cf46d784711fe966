"""Arms that could not be raised: they lie beside the trunk."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from muscletransfer.data.synthetic.frame import SIDES, Frame
from muscletransfer.data.synthetic.scanner import Scanner
from muscletransfer.data.synthetic.scene import Scene
from muscletransfer.data.synthetic.shapes import Array, blob, inset

__all__ = ["draw_arms", "view_with_arms"]

# The largest field that a scanner reconstructs, in mm.
_WIDEST = 500.0
_ARM_MM = 40.0


def view_with_arms(scanner: Scanner, frame: Frame) -> Scanner:
    """Widen the field of view to hold the arms, as far as the scanner can."""
    wanted = float(np.ptp(frame.skin[:, 0])) + 4.4 * _ARM_MM * frame.scale + 20.0
    return replace(
        scanner, field_of_view=max(scanner.field_of_view, float(round(min(wanted, _WIDEST))))
    )


def draw_arms(scene: Scene, rng: np.random.Generator) -> None:
    """Draw both arms, cut above the elbow (humerus) or below it (radius and ulna).

    Args:
        scene: The slice with the trunk drawn; labels stay as they are.
        rng: Source of randomness.
    """
    frame = scene.frame
    s = frame.scale
    forearm = bool(rng.random() < 0.6)
    fat = 3.0 + 0.28 * max(scene.patient.bmi - 18.0, 0.0)
    for side in SIDES:
        radius = _ARM_MM * s * (0.82 if forearm else 1.0) * rng.uniform(0.9, 1.05)
        y = float(rng.uniform(12.0, 42.0)) * s
        edge = frame.skin[np.argmin(np.abs(frame.skin[:, 1] - y) + 1e3 * (frame.skin[:, 0] < 0))]
        x = float(edge[0]) + radius + rng.uniform(1.0, 6.0)
        _arm(scene, side * x, y, radius, fat, rng, forearm)


def _arm(
    scene: Scene,
    x: float,
    y: float,
    radius: float,
    fat: float,
    rng: np.random.Generator,
    forearm: bool,
) -> None:
    canvas, hu, s = scene.canvas, scene.hu, scene.frame.scale
    skin = blob(x, y, radius, rng, other=0.9 * radius, turn=rng.normal(0.0, 0.4), rough=0.03)
    canvas.paint(skin, hu.skin, keep_labels=True)
    canvas.paint(inset(skin, 1.6), hu.fat, keep_labels=True)
    muscle: Array = inset(skin, 1.6 + min(fat, 0.3 * radius))
    canvas.paint(muscle, scene.textured(hu.muscle, 5.0, 8.0), keep_labels=True)
    septum = blob(x, y, 0.55 * radius, rng, other=1.2)
    canvas.paint(septum, hu.fat, keep_labels=True, opacity=0.6)
    bones = [(0.0, 0.0, 11.0)]
    if forearm:
        gap = float(rng.uniform(11.0, 14.0))
        bones = [(-gap, rng.normal(0.0, 4.0), 7.5), (gap, rng.normal(0.0, 4.0), 6.5)]
    for dx, dy, size in bones:
        bone = blob(x + dx * s, y + dy * s, size * s, rng, other=0.9 * size * s, rough=0.04)
        canvas.paint(bone, 1.35 * hu.cortical, keep_labels=True)
        canvas.paint(inset(bone, 3.2 * s), -20.0, keep_labels=True)  # fatty marrow
    for turn in rng.uniform(0.0, 2.0 * np.pi, size=3):
        vessel = blob(x + 0.5 * radius * np.cos(turn), y + 0.5 * radius * np.sin(turn), 1.6, rng)
        canvas.paint(vessel, hu.vein, keep_labels=True)
