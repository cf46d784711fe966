"""The pelvis at S1: sacrum, iliac wings, buttocks, iliopsoas and iliac vessels."""

from __future__ import annotations

import numpy as np

from muscletransfer.data.synthetic.bowel import draw_bowel
from muscletransfer.data.synthetic.frame import SIDES
from muscletransfer.data.synthetic.muscles import draw_wall, muscle_texture, psoas_outline
from muscletransfer.data.synthetic.scene import Scene, rigid
from muscletransfer.data.synthetic.shapes import Array, blob, closed_spline, strip, wobble
from muscletransfer.data.synthetic.spine import draw_bone, draw_canal
from muscletransfer.data.synthetic.tissues import TISSUES
from muscletransfer.data.synthetic.trunk import draw_shell
from muscletransfer.data.synthetic.vessels import draw_iliacs

__all__ = ["draw_pelvis"]

_SACRUM = [
    (0.0, -16.0), (14.0, -15.5), (25.0, -9.0), (36.0, 0.0), (51.0, 7.0), (60.0, 15.0),
    (61.0, 28.0), (54.0, 38.0), (40.0, 42.0), (28.0, 38.0), (16.0, 41.0), (7.0, 45.0),
]  # fmt: skip
_WING = [(49.0, 66.0), (62.0, 50.0), (68.0, 32.0), (78.0, 12.0), (98.0, -16.0), (118.0, -42.0)]
_WING_WIDTH = [10.0, 17.0, 13.0, 9.0, 8.0, 14.0]
_ILIACUS = [
    (68.0, 16.0), (80.0, 4.0), (97.0, -20.0), (114.0, -45.0), (103.0, -50.0), (86.0, -34.0),
    (72.0, -14.0), (63.0, 4.0),
]  # fmt: skip
_MEDIUS = [
    (84.0, 26.0), (90.0, 8.0), (104.0, -12.0), (122.0, -38.0), (131.0, -32.0), (134.0, -8.0),
    (129.0, 18.0), (116.0, 40.0), (100.0, 46.0), (86.0, 40.0),
]  # fmt: skip
_MAXIMUS = [
    (52.0, 70.0), (66.0, 60.0), (78.0, 48.0), (92.0, 48.0), (112.0, 44.0), (116.0, 56.0),
    (104.0, 74.0), (82.0, 88.0), (58.0, 90.0), (46.0, 82.0),
]  # fmt: skip
_MULTIFIDUS = [
    (6.0, 52.0), (16.0, 47.0), (32.0, 46.0), (44.0, 52.0), (44.0, 64.0), (34.0, 74.0), (18.0, 78.0),
    (7.0, 72.0),
]  # fmt: skip


def draw_pelvis(scene: Scene) -> None:
    """Paint everything at S1, from the skin inwards.

    Args:
        scene: The slice, empty.
    """
    rng, s, canvas = scene.rng, scene.frame.scale, scene.canvas
    draw_shell(scene)
    draw_wall(scene)
    _buttocks(scene)
    hip_hu = muscle_texture(scene, 4.0, 0.4)
    for side in SIDES:
        canvas.paint(_muscle(scene, _ILIACUS, side), hip_hu)
        own = float(np.sqrt(scene.frame.bulk)) * rng.normal(1.0, 0.03)
        canvas.paint(psoas_outline(scene, side, own, 0.0), hip_hu)
        _wing(scene, side)
    _sacrum(scene)
    apart, behind = float(rng.uniform(26.0, 34.0)), float(rng.uniform(-24.0, -16.0))
    obstacles = draw_iliacs(scene, apart, behind)
    for side in SIDES:
        obstacles += [
            (side * 54.0 * s, -14.0 * s, 25.0 * s),
            (side * 88.0 * s, -20.0 * s, 16.0 * s),
        ]
    draw_bowel(scene, obstacles)


def _muscle(scene: Scene, points: list[tuple[float, float]], side: int) -> Array:
    """Outline of a muscle that swells about its middle with the patient's bulk."""
    rng = scene.rng
    template = np.array(points)
    middle = template.mean(axis=0)
    grow = float(scene.frame.bulk) ** 0.35 * rng.normal(1.0, 0.02)
    placed = rigid((template - middle) * grow + middle, side, scene.frame.scale, rng, 0.9)
    return wobble(closed_spline(placed, 200), rng, 0.6, (3, 12))


def _buttocks(scene: Scene) -> None:
    """Gluteus medius and maximus and the multifidus behind the sacrum, with fat in them."""
    rng, canvas, s = scene.rng, scene.canvas, scene.frame.scale
    fat = scene.patient.fat_infiltration
    muscle = muscle_texture(scene, 0.0, 1.0)
    loose = muscle_texture(scene, -4.0, 1.25)
    for side in SIDES:
        canvas.paint(_muscle(scene, _MEDIUS, side), muscle)
        canvas.paint(_muscle(scene, _MAXIMUS, side), muscle)
        canvas.paint(_muscle(scene, _MULTIFIDUS, side), loose)
        # The coarse bundles of the gluteus maximus run outwards and forwards, parted by fat.
        seams = []
        for shift in np.arange(-20.0, 24.0, 5.5):
            start = np.array([76.0 + 0.8 * shift, 82.0 - 0.55 * shift])
            path = start + np.linspace(-0.5, 0.5, 9)[:, None] * (13.0, -22.0)
            path += rng.normal(0.0, 0.5, size=path.shape)
            width = (0.3 + 2.2 * fat) * np.sin(np.linspace(0.15, 3.0, 9))
            seams.append(strip(rigid(path, side, s, rng), width))
        canvas.paint(seams, scene.hu.fat, keep_labels=True, opacity=0.6)


def _wing(scene: Scene, side: int) -> None:
    """Iliac wing from the sacroiliac joint to its front edge."""
    rng, s = scene.rng, scene.frame.scale
    path = rigid(_WING, side, s, rng, 0.8)
    line = closed_spline(np.vstack([path, path[-2:0:-1]]), 120)[:61]
    widths = np.interp(np.linspace(0, 5, 61), np.arange(6), _WING_WIDTH) * s
    widths *= np.sqrt(np.clip(1.0 - np.linspace(-1.0, 1.0, 61) ** 8, 0.05, 1.0))
    draw_bone(scene, [wobble(strip(line, widths), rng, 0.4, (4, 14))], 2.0 * s)


def _sacrum(scene: Scene) -> None:
    """First sacral segment with its wings, canal, foramina and median crest."""
    rng, canvas, s = scene.rng, scene.canvas, scene.frame.scale
    half = np.array(_SACRUM) * s * rng.normal(1.0, 0.025)
    points = np.vstack([half, half[:0:-1] * (-1.0, 1.0)])
    points += rng.normal(0.0, 0.7, size=points.shape)
    bone = wobble(closed_spline(points, 260), rng, 0.4, (4, 14))
    crest = strip(np.array([(0.0, 40.0), (0.0, 50.0), (0.0, 57.0)]) * s, np.array([10, 6, 7]) * s)
    draw_bone(scene, [bone, wobble(crest, rng, 0.3)], float(rng.uniform(1.0, 1.6)) * s)
    draw_canal(scene, 29.0 * s)
    for side in SIDES:
        x, y = side * rng.uniform(20.0, 24.0) * s, rng.uniform(13.0, 19.0) * s
        canvas.paint(blob(x, y, 6.0 * s, rng, other=4.2 * s, turn=0.5 * side), -60.0)
        root = blob(x, y, 3.0 * s, rng)
        canvas.paint(root, scene.hu.thecal + 16.0, keep_labels=True)
    disc = blob(0.0, -2.0 * s, 19.0 * s, rng, other=9.0 * s, rough=0.05)
    if rng.random() < 0.35:  # the slice grazes the disc above
        canvas.paint(disc, scene.textured(85.0, 8.0, 8.0), tissue=TISSUES["bone"], opacity=0.7)
