"""A lumbar vertebra with its canal; the size and the processes are the level's."""

from __future__ import annotations

import numpy as np

from muscletransfer.data.synthetic.frame import SIDES
from muscletransfer.data.synthetic.scene import Scene, rigid
from muscletransfer.data.synthetic.shapes import (
    Array,
    area,
    blob,
    closed_spline,
    inset,
    strip,
    wobble,
)
from muscletransfer.data.synthetic.tissues import TISSUES

__all__ = ["draw_bone", "draw_canal", "draw_vertebra"]

_BODY_LEFT = [
    (0.0, -17.5), (9.0, -17.0), (17.0, -13.5), (22.0, -6.0), (23.0, 3.0), (21.5, 10.0),
    (15.0, 15.0), (7.0, 14.0),
]  # fmt: skip


def draw_bone(
    scene: Scene, outlines: list[Array], thickness: float, cortical: float = 1.0, solid: float = 1.0
) -> None:
    """Connected bones with a common cortical shell and trabecular marrow.

    Args:
        scene: The slice.
        outlines: Closed curves that overlap where the bones are connected.
        thickness: Of the cortex in mm.
        cortical: Relative density of the cortex.
        solid: Opacity; thin processes fill the slice thickness only in part.
    """
    bone = TISSUES["bone"]
    hu, canvas = scene.hu, scene.canvas
    cortex = scene.textured(hu.cortical * cortical, 60.0, 50.0)
    canvas.paint(outlines, cortex, tissue=bone, opacity=solid)
    marrows = [inset(outline, thickness) for outline in outlines]
    kept = [m for m, o in zip(marrows, outlines, strict=True) if area(m) * area(o) > 0]
    marrow = scene.textured(hu.trabecular, 36.0, 20.0)
    canvas.paint([m for m in kept if abs(area(m)) > 12.0], marrow, tissue=bone, opacity=solid)


def draw_canal(scene: Scene, centre_y: float) -> None:
    """Vertebral canal: epidural fat, thecal sac and nerve roots."""
    rng, s, canvas = scene.rng, scene.frame.scale, scene.canvas
    width = 12.0 * s * rng.normal(1.0, 0.06)
    depth = 8.6 * s * rng.normal(1.0, 0.07)
    triangle = [
        (0.0, -0.95 * depth), (0.62 * width, -0.92 * depth), (width, -0.2 * depth),
        (0.62 * width, 0.6 * depth), (0.0, 1.12 * depth), (-0.62 * width, 0.6 * depth),
        (-width, -0.2 * depth), (-0.62 * width, -0.92 * depth),
    ]  # fmt: skip
    canal = closed_spline(np.add(triangle, (0.0, centre_y)), 120)
    canvas.paint(canal, -75.0)
    sac = blob(0.0, centre_y - 0.8 * s, 0.76 * width, rng, other=0.78 * depth, rough=0.03)
    canvas.paint(sac, scene.textured(scene.hu.thecal, 3.0))
    for x, y in rng.uniform(-0.45, 0.45, size=(7, 2)):
        root = blob(x * width, centre_y + (0.1 + 0.6 * abs(y)) * depth, 1.0, rng)
        canvas.paint(root, scene.hu.thecal + 16.0, keep_labels=True)


def draw_vertebra(scene: Scene) -> None:
    """Draw the vertebra at the height of its pedicles or of its facet joints.

    Both are called one level by a radiographer: with pedicles and transverse processes, or a
    little lower with the facet joints, the lamina and the root of the spinous process.
    """
    rng, canvas, build = scene.rng, scene.canvas, scene.frame.build
    s = scene.frame.scale * build.vertebra
    bone = TISSUES["bone"]
    shell = rng.uniform(0.7, 1.25) * s
    nearest, farthest = build.transverse
    pedicles = bool(rng.random() < 0.68)
    centre_y = 22.5 * s
    # Arch first, so that the canal and the body lie over its roots.
    tip = rng.uniform(66.0, 73.0) * s
    spinous = np.array([(0.0, 33.0 * s), (0.3, 46.0 * s), (-0.3, 57.0 * s), (0.0, tip)])
    spinous[:, 0] += rng.normal(0.0, 0.7, size=4)
    if pedicles and rng.random() < 0.45:
        spinous = spinous[2:]  # between lamina and tip the process leaves the slice
    blade = strip(spinous, np.array([8.0, 6.0, 6.5, 9.5])[-len(spinous) :] * s)
    process = wobble(closed_spline(blade, 90), rng, 0.35)
    arch: list[Array] = [process]
    for side in SIDES:
        if pedicles:
            reach, tilt, thick = rng.uniform((nearest, -1.0, 2.4), (farthest, 8.0, 4.2))
            middle = [(14.0, 23.0), (23.0, 22.0), (31.0, 23.5 + 0.3 * tilt), (reach, 24.0 + tilt)]
            width = np.array([12.0, 9.0, 2.0 * thick, 1.7 * thick]) * s
            wing = strip(rigid(middle, side, s, rng, 0.8), width)
            transverse = wobble(closed_spline(wing, 120), rng, 0.45, (4, 12))
            draw_bone(scene, [transverse], shell, 0.8, float(rng.uniform(0.55, 0.95)))
            pedicle = [
                (13.0, 9.0), (20.5, 9.5), (21.0, 18.0), (21.0, 29.0), (14.0, 32.0), (13.0, 19.0),
            ]  # fmt: skip
            lamina = [
                (14.0, 26.0), (21.0, 29.0), (13.0, 38.0), (2.0, 43.0), (-1.0, 36.0), (8.0, 32.0),
            ]  # fmt: skip
            arch += [closed_spline(rigid(p, side, s, rng, 0.5), 120) for p in (pedicle, lamina)]
        else:
            superior = [(16.0, 22.0), (23.0, 24.0), (25.0, 33.0), (20.0, 38.0), (16.5, 32.0)]
            inferior = [
                (9.0, 33.0), (14.5, 31.0), (18.0, 38.5), (14.0, 45.0), (2.0, 44.0), (2.0, 37.5),
            ]  # fmt: skip
            arch.append(closed_spline(rigid(inferior, side, s, rng, 0.5), 120))
            facet = closed_spline(rigid(superior, side, s, rng, 0.5), 120)
            draw_bone(scene, [facet], shell * 1.15)
    draw_bone(scene, arch, shell)
    draw_canal(scene, centre_y)
    half = np.array(_BODY_LEFT) * s * rng.normal(1.0, 0.025)
    points = np.vstack([half, half[:0:-1] * (-1.0, 1.0)])
    points = points * rng.normal(1.0, 0.04, size=2) + rng.normal(0.0, 0.5, size=points.shape)
    if not pedicles:
        points = points * (1.04, 1.02)
    body = wobble(closed_spline(points, 240), rng, 0.35, (4, 12))
    draw_bone(scene, [body], shell)
    if pedicles:
        # Marrow runs through the pedicles: no cortex between them and the body.
        for side in SIDES:
            root = strip(rigid([(15.5, 6.0), (16.6, 13.0), (16.6, 22.0)], side, s, rng), 5.6 * s)
            canvas.paint(root, scene.textured(scene.hu.trabecular, 30.0, 20.0), tissue=bone)
    # The basivertebral vein is a dark notch at the back of the body.
    vein = strip(np.array([(0.0, 3.0 * s), (0.0, 14.5 * s)]), np.array([1.0, 5.0]) * s)
    canvas.paint(vein, scene.hu.trabecular * 0.62, tissue=bone, opacity=float(rng.uniform(0, 0.9)))
