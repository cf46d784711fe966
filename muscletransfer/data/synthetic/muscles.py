"""Muscles of the trunk at L3: abdominal wall, psoas, quadratus lumborum, erector spinae.

The outline of a group is what an expert would trace: the compartment without the macroscopic fat
between muscles. Thin streaks of fat inside a muscle stay within the outline, as IMAT does.
"""

from __future__ import annotations

import numpy as np

from muscletransfer.data.synthetic.canvas import Float32
from muscletransfer.data.synthetic.frame import SIDES, Wall
from muscletransfer.data.synthetic.scene import Scene, rigid
from muscletransfer.data.synthetic.shapes import (
    Array,
    arc_length,
    band,
    closed_spline,
    mirrored,
    smoothstep,
    strip,
    wobble,
)
from muscletransfer.data.synthetic.tissues import GROUPS

__all__ = ["draw_back_muscles", "draw_wall", "muscle_texture", "psoas_outline"]

_PSOAS = [
    (25.0, -11.0), (31.0, -19.0), (42.0, -19.0), (51.0, -9.0), (54.0, 5.0), (49.0, 18.0),
    (39.0, 24.0), (30.0, 20.0), (26.0, 10.0),
]  # fmt: skip
_QUADRATUS = [
    (44.0, 29.0), (47.0, 22.5), (56.0, 20.5), (68.0, 23.0), (80.0, 30.0), (89.0, 41.0),
    (88.0, 48.5), (79.0, 46.0), (68.0, 40.5), (56.0, 35.0),
]  # fmt: skip
_ERECTOR = [
    (5.5, 46.0), (13.0, 41.5), (22.0, 40.0), (34.0, 33.0), (48.0, 36.5), (62.0, 42.0), (76.0, 48.0),
    (83.0, 58.0), (80.0, 70.0), (63.0, 81.0), (43.0, 86.0), (22.0, 85.0), (9.0, 78.0), (4.5, 66.0),
]  # fmt: skip


def _code(name: str, side: int) -> int:
    return GROUPS[f"{name}_{'left' if side > 0 else 'right'}"]


def muscle_texture(scene: Scene, offset: float = 0.0, share: float = 1.0) -> Float32:
    """HU of a muscle: fibre bundles and the fat between them.

    Args:
        scene: The slice.
        offset: HU added to the patient's muscle.
        share: How strongly this muscle takes part in the patient's fat infiltration.
    """
    infiltration = scene.patient.fat_infiltration * share
    t = scene.textures
    value = scene.textured(scene.hu.muscle + offset, 3.0, 4.0)
    # Soft threshold of a smooth field: patches of fat that grow with the infiltration.
    patch = 0.8 * t.medium + 0.5 * t.fine + 0.5 * t.coarse - np.float32(2.35 - 1.55 * infiltration)
    alpha = np.clip(patch * 1.2, 0.0, 0.3 + 0.5 * infiltration)
    value += alpha * (np.float32(scene.hu.fat) - value)
    return np.asarray(value, dtype=np.float32)


def _grown(
    points: list[tuple[float, float]] | Array, anchor: tuple[float, float], grow: float | Array
) -> Array:
    """Template that swells or shrinks about the point where the muscle is fixed to bone."""
    return (np.array(points) - anchor) * grow + anchor


def _streaks(
    scene: Scene, inside: Array, origin: tuple[float, float], number: int, spread: float = 0.35
) -> list[Array]:
    """Thin tapering lines of fat that run away from ``origin`` through a muscle."""
    rng = scene.rng
    low, high = inside.min(axis=0), inside.max(axis=0)
    streaks = []
    for _ in range(number):
        start = rng.uniform(low, high)
        away = start - origin
        angle = np.arctan2(away[1], away[0]) + rng.normal(0.0, spread)
        length = rng.uniform(5.0, 17.0)
        t = np.linspace(0.0, 1.0, 9)
        bend = rng.normal(0.0, 0.5) * t + rng.normal(0.0, 0.12) * np.sin(7.0 * t)
        steps = np.stack([np.cos(angle + bend), np.sin(angle + bend)], axis=1) * length / 9.0
        width = rng.uniform(0.6, 1.7) * np.sin(np.pi * (0.08 + 0.9 * t))
        streaks.append(strip(start + np.cumsum(steps, axis=0), width))
    return streaks


def draw_back_muscles(scene: Scene) -> None:
    """Draw psoas, quadratus lumborum and erector spinae of both sides (before the vertebra)."""
    rng, s, canvas, build = scene.rng, scene.frame.scale, scene.canvas, scene.frame.build
    grow = float(np.sqrt(scene.frame.bulk))
    fat = scene.patient.fat_infiltration
    psoas_hu = muscle_texture(scene, 4.0, 0.35)
    back_hu = muscle_texture(scene, 0.0, 1.0)
    quadratus_hu = muscle_texture(scene, 1.0, 0.75)
    flat = rng.normal(0.0, 1.0)
    for side in SIDES:
        own = grow * rng.normal(1.0, 0.03)
        back = (0.25 + 0.75 * own) * scene.frame.stretch
        erector = _grown(_ERECTOR, (5.0, 45.0), back)
        outline = wobble(closed_spline(rigid(erector, side, s, rng, 0.8), 260), rng, 0.5, (3, 14))
        canvas.paint(outline, back_hu, group=_code("erector_spinae", side))
        _erector_fat(scene, outline, side, back)
        if build.quadratus:
            outline = _quadratus(scene, side, own, back)
            canvas.paint(outline, quadratus_hu, group=_code("quadratus_lumborum", side))
        if build.psoas is None:
            continue
        shape = psoas_outline(scene, side, own, flat)
        canvas.paint(shape, psoas_hu, group=_code("psoas", side))
        lines = _streaks(scene, shape, (side * 45.0, -60.0), int(2 + 8 * fat), 0.8)
        canvas.paint(lines, scene.hu.fat, keep_labels=True, opacity=0.5)


def _quadratus(scene: Scene, side: int, own: float, back: Array) -> Array:
    """Outline of a quadratus lumborum; it rests on the erector spinae and thins towards it."""
    rng, size = scene.rng, scene.frame.build.quadratus
    points = _grown(_QUADRATUS, (5.0, 45.0), back)
    along = points @ (0.88, 0.47)
    front = np.array([0, 1, 1, 1, 1, 1, 0, 0, 0, 0]) * (own * rng.normal(1.0, 0.12) - 1.0)
    points += np.outer(
        front * 13.0 * np.sin(np.clip((along - 48.0) / 55.0, 0.1, 0.9) * np.pi), (0.47, -0.88)
    )
    points = _grown(points, (52.0, 30.0), size)
    smooth = closed_spline(rigid(points, side, scene.frame.scale, rng, 0.8), 160)
    return wobble(smooth, rng, 0.5, (2, 9))


def psoas_outline(scene: Scene, side: int, own: float, flat: float) -> Array:
    """Outline of a psoas beside the vertebral body."""
    rng = scene.rng
    size, dx, dy = scene.frame.build.psoas or (1.0, 0.0, 0.0)
    points = _grown(_PSOAS, (25.0, 4.0), size * own**1.5 * rng.normal(1.0, 0.04))
    points += (dx, dy + 2.5 * flat)
    smooth = closed_spline(rigid(points, side, scene.frame.scale, rng, 0.7), 200)
    return wobble(smooth, rng, 0.5, (2, 9))


def _erector_fat(scene: Scene, outline: Array, side: int, grow: Array) -> None:
    """Fat between multifidus, longissimus and iliocostalis, and streaks within them."""
    rng, s, canvas = scene.rng, scene.frame.scale, scene.canvas
    fat = scene.patient.fat_infiltration
    number = int(14 + 60 * fat)
    inside = canvas.groups == _code("erector_spinae", side)
    mask = inside.astype(np.float32)
    for opacity, count in ((0.85, number // 3), (0.45, number - number // 3)):
        lines = _streaks(scene, outline, (side * 18.0 * s, 20.0 * s), count)
        canvas.paint(lines, scene.hu.fat, keep_labels=True, opacity=mask * np.float32(opacity))
    multifidus = _grown([(21.0, 38.0), (23.0, 52.0), (20.0, 66.0), (15.0, 84.0)], (5, 45), grow)
    longissimus = _grown([(47.0, 35.0), (51.0, 50.0), (50.0, 66.0), (56.0, 84.0)], (5, 45), grow)
    widths = np.array([4.2, 1.5, 0.9, 1.6]) * (0.35 + 1.5 * fat)
    for septum, size in ((multifidus, 1.0), (longissimus, 0.75)):
        line = rigid(septum, side, s, rng, 1.4)
        smooth = closed_spline(np.vstack([line, line[-2:0:-1]]), 60)[:31]
        width = np.interp(np.linspace(0, 3, 31), np.arange(4), widths * size)
        width = np.maximum(width * (1.0 + 0.35 * rng.normal(size=31)), 0.2)
        canvas.paint(strip(smooth, width), scene.hu.fat, opacity=0.95)


def draw_wall(scene: Scene) -> None:
    """Draw the rectus abdominis and the three flat muscles of both sides with their sheaths."""
    canvas = scene.canvas
    wall_hu = muscle_texture(scene, -2.0, 0.7)
    rectus_hu = muscle_texture(scene, -1.0, 0.9)
    for side in SIDES:
        wall = scene.frame.walls[side]
        # The linea alba lies a little deeper than the front of the two bellies.
        sink = 0.4 * wall.rectus[2] * smoothstep((wall.rectus[0] + 7.0 - wall.s) / 8.0)
        thick = 1.3 + 0.9 * smoothstep((wall.rectus[0] + 3.0 - wall.s) / 6.0)
        sheath = mirrored(band(wall.curve, sink, sink + thick), side)
        canvas.paint(sheath, scene.hu.fascia + 10.0, opacity=0.85)
        _rectus(scene, wall, side, rectus_hu)
        _lateral(scene, wall, side, wall_hu)


def _rectus(scene: Scene, wall: Wall, side: int, hu: Float32) -> None:
    depth = wall.rectus_depth()
    keep = depth > 0.3
    # The medial edge is round: it leaves the front surface as it thins.
    front = 0.6 + 0.42 * (wall.rectus[2] - depth) * (wall.s < 0.5 * sum(wall.rectus[:2]))
    outline = band(wall.curve[keep], np.minimum(front, depth)[keep], depth[keep] + 0.4)
    scene.canvas.paint(mirrored(outline, side), hu, group=_code("rectus_abdominis", side))


def _lateral(scene: Scene, wall: Wall, side: int, hu: Float32) -> None:
    """External oblique, internal oblique and transversus with fat between them."""
    rng, canvas = scene.rng, scene.canvas
    depth = wall.lateral_depth()
    start, end, _ = wall.lateral
    v = (wall.s - start) / (end - start)
    fat = 0.35 + 0.9 * scene.patient.fat_infiltration + 0.02 * max(scene.patient.bmi - 24.0, 0.0)
    gaps = fat * rng.uniform(0.6, 1.5, size=2)
    # Where the layers meet, as shares of the whole depth; they cross-fade along the wall.
    slow = np.sin(2.0 * np.pi * v * rng.uniform(0.6, 1.2) + rng.uniform(0, 6.3))
    first = 0.33 + 0.05 * slow
    second = 0.78 + 0.04 * np.cos(2.0 * np.pi * v + rng.uniform(0, 6.3))
    group = _code("lateral_wall", side)
    extents = ((-0.02, 0.90), (0.05, 0.97), (-0.05, 1.02))
    edges = (
        (0.0 * depth + 0.5, first * depth - gaps[0] / 2),
        (first * depth + gaps[0] / 2, second * depth - gaps[1] / 2),
        (second * depth + gaps[1] / 2, depth + 0.3),
    )
    for (low, high), (outer, inner) in zip(extents, edges, strict=True):
        taper = smoothstep((v - low) / 0.12) * smoothstep((high - v) / 0.16)
        middle = 0.5 * (outer + inner)
        half = 0.5 * np.maximum(inner - outer, 0.0) * taper
        keep = half > 0.2
        if keep.sum() < 8:
            continue
        curve = wall.curve[keep]
        outline = band(curve, (middle - half)[keep], (middle + half)[keep])
        canvas.paint(mirrored(outline, side), hu, group=group)
    length = arc_length(wall.curve)[-1]
    lines = []
    for _ in range(int(4 + 22 * scene.patient.fat_infiltration)):
        centre, reach = rng.uniform(start, end), rng.uniform(4.0, 12.0)
        keep = np.abs(wall.s - centre) < min(reach, length)
        t = (wall.s[keep] - centre) / reach
        middle = rng.uniform(0.2, 0.9) * depth[keep]
        half = rng.uniform(0.2, 0.5) * (1.0 - t**2)
        lines.append(mirrored(band(wall.curve[keep], middle - half, middle + half), side))
    canvas.paint(lines, scene.hu.fat, keep_labels=True, opacity=0.6)
