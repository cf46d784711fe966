"""The upper abdomen at T12 and L1: liver, spleen, stomach, pancreas, lung bases, ribs."""

from __future__ import annotations

import numpy as np

from muscletransfer.data.synthetic.bowel import draw_bowel, fill_lumen, lumen_of
from muscletransfer.data.synthetic.frame import SIDES
from muscletransfer.data.synthetic.kidneys import draw_kidneys
from muscletransfer.data.synthetic.levels import Level
from muscletransfer.data.synthetic.muscles import draw_back_muscles, draw_wall, muscle_texture
from muscletransfer.data.synthetic.packing import inside
from muscletransfer.data.synthetic.rim import Rim, fill_with_discs
from muscletransfer.data.synthetic.scene import Obstacle, Scene, rigid
from muscletransfer.data.synthetic.shapes import Array, blob, closed_spline, strip, wobble
from muscletransfer.data.synthetic.spine import draw_bone, draw_vertebra
from muscletransfer.data.synthetic.tissues import TISSUES
from muscletransfer.data.synthetic.trunk import draw_rib, draw_shell
from muscletransfer.data.synthetic.vessels import draw_vessels

__all__ = ["draw_upper"]

# Places of the ribs along the wall and the length of their cuts in mm.
_RIBS = {
    "T12": ((0.36, 30.0), (0.5, 26.0), (0.64, 22.0), (0.78, 18.0), (0.92, 14.0)),
    "L1": ((0.56, 30.0), (0.72, 22.0), (0.88, 15.0)),
}


def draw_upper(scene: Scene, level: Level) -> None:
    """Paint everything at T12 or L1, from the skin inwards.

    Args:
        scene: The slice, empty.
        level: ``"T12"`` or ``"L1"``.
    """
    rng, s, chest = scene.rng, scene.frame.scale, level == "T12"
    draw_shell(scene)
    draw_wall(scene)
    draw_back_muscles(scene)
    _ribs(scene, level)
    rim = Rim(scene)
    obstacles = _stomach(scene, chest) + _liver(scene, rim, chest) + _spleen(scene, rim, chest)
    if chest:
        _lungs(scene, rim)
    draw_vertebra(scene)
    vessels = draw_vessels(scene, mesenteric_pair=not chest)
    _crura(scene, vessels[0])
    _adrenals(scene)
    obstacles += vessels
    if not chest:
        obstacles += _pancreas(scene)
    sizes, behind = ((-14.0, 20.0), 16.0) if chest else ((17.0, 31.0), 8.0)
    obstacles += draw_kidneys(scene, sizes, behind * s)
    if not chest or rng.random() < 0.6:
        draw_bowel(scene, obstacles, amount=0.12 if chest else 0.35, sides=(1.0,))


def _ribs(scene: Scene, level: Level) -> None:
    rng, s = scene.rng, scene.frame.scale
    for side in SIDES:
        slip = rng.normal(0.0, 0.02)
        for place, length in _RIBS[level]:
            at, cut = place + slip + rng.normal(0.0, 0.01), length * rng.uniform(0.75, 1.3)
            draw_rib(scene, side, float(at), float(cut) * s)
        at = 0.2 + rng.normal(0.0, 0.02)
        if level == "T12":
            draw_rib(scene, side, float(at), 26.0 * s, cartilage=True)
            head = rigid([(20.0, 6.0), (29.0, 15.0), (41.0, 27.0), (54.0, 38.0)], side, s, rng, 0.8)
            bone = closed_spline(strip(head, np.array([9.0, 7.0, 7.0, 5.0]) * s), 80)
            draw_bone(scene, [wobble(bone, rng, 0.3)], 1.1 * s, 0.85)


def _liver(scene: Scene, rim: Rim, chest: bool) -> list[Obstacle]:
    """Liver with its veins; at L1 the right lobe and the gall bladder."""
    rng, canvas, hu, s = scene.rng, scene.canvas, scene.hu, scene.frame.scale
    w, front = scene.frame.half_width, scene.frame.front
    if chest:
        border = [(0.3 * w, 0.66 * front), (0.04 * w, 0.52 * front), (-27 * s, -50 * s)]
        border += [(-40.0 * s, -22.0 * s), (-46.0 * s, 12.0 * s)]
        start, end = -0.86 + rng.normal(0.0, 0.015), 0.2 + rng.normal(0.0, 0.04)
    else:
        border = [(-0.22 * w, 0.72 * front), (-0.42 * w, 0.5 * front), (-56.0 * s, -26.0 * s)]
        border += [(-66.0 * s, 8.0 * s)]
        start, end = -0.8 + rng.normal(0.0, 0.02), -0.14 + rng.normal(0.0, 0.04)
    places = np.array(border) + rng.normal(0.0, 3.0, size=(len(border), 2))
    outline = rim.organ(float(start), float(end), [(float(x), float(y)) for x, y in places])
    canvas.paint(outline, scene.textured(hu.liver, 3.0, 4.0), tissue=TISSUES["liver_spleen"])
    _branches(scene, outline)
    if not chest and rng.random() < 0.7:
        x, y = -0.5 * w + rng.normal(0.0, 5.0), 0.62 * front + rng.normal(0.0, 4.0)
        size = rng.uniform(10.0, 16.0) * s
        canvas.paint(blob(x, y, size + 1.2, rng, other=1.3 * size), hu.bowel_wall)
        canvas.paint(blob(x, y, size, rng, other=1.3 * size - 1.0), scene.textured(11.0, 3.0))
    return fill_with_discs(outline)


def _branches(scene: Scene, organ: Array) -> None:
    """Portal and hepatic veins that taper towards the surface of an organ."""
    rng, canvas = scene.rng, scene.canvas
    low, high = organ.min(axis=0), organ.max(axis=0)
    starts = rng.uniform(low, high, size=(40, 2))
    starts = starts[inside(starts, organ)][:9]
    hilum = organ.mean(axis=0) + np.array([18.0, 0.0])
    t = np.linspace(0.0, 1.0, 16)[:, None]
    inner = organ.mean(axis=0) + 0.93 * (organ - organ.mean(axis=0))
    strips = []
    for start in starts:
        bend = rng.normal(0.0, 7.0, size=2) * np.sin(np.pi * t)
        path = hilum + t * (start - hilum) + bend
        path = path[inside(path, inner)]
        if len(path) > 3:
            strips.append(strip(path, np.linspace(rng.uniform(3.0, 7.5), 1.2, len(path))))
    contrast = scene.textured(scene.hu.vein, 3.0)
    canvas.paint(strips, contrast, keep_labels=True, opacity=0.7)


def _spleen(scene: Scene, rim: Rim, chest: bool) -> list[Obstacle]:
    rng, s = scene.rng, scene.frame.scale
    start, end, thickness = (0.44, 0.72, 44.0) if chest else (0.52, 0.7, 27.0)
    start, end = start + rng.normal(0.0, 0.02), end + rng.normal(0.0, 0.015)
    outline = rim.crescent(start, end, thickness * rng.uniform(0.75, 1.15) * s, gap=1.0)
    pulp = scene.textured(scene.hu.spleen, 3.0, 4.0)
    scene.canvas.paint(outline, pulp, tissue=TISSUES["liver_spleen"])
    return fill_with_discs(outline, 13.0)


def _stomach(scene: Scene, chest: bool) -> list[Obstacle]:
    """Body of the stomach at T12, its antrum across the midline at L1."""
    rng, canvas, hu, s = scene.rng, scene.canvas, scene.hu, scene.frame.scale
    w, front = scene.frame.half_width, scene.frame.front
    if chest:
        x, y = 0.4 * w, 0.5 * front
        across, along, turn = 0.36 * w, 0.3 * abs(front), 0.35
    else:
        x, y = 0.24 * w, 0.74 * front
        across, along, turn = 0.38 * w, 0.17 * abs(front), -0.15
    x, y = x + rng.normal(0.0, 4.0), y + rng.normal(0.0, 3.0)
    across, along = across * rng.uniform(0.8, 1.1), along * rng.uniform(0.8, 1.1)
    outline = blob(x, y, across, rng, other=along, turn=turn + rng.normal(0.0, 0.12), rough=0.07)
    wall = scene.textured(hu.bowel_wall, 6.0, 4.0)
    canvas.paint(outline, wall, tissue=TISSUES["bowel"])
    t = scene.textures
    meal = scene.textured(hu.fluid + rng.uniform(0.0, 30.0), 6.0, 4.0)
    meal += np.clip(0.9 * t.medium + 0.5 * t.fine - 0.8, 0.0, 1.0) * np.float32(-60.0)
    folds = wobble(lumen_of(outline, float(rng.uniform(3.0, 5.5))), rng, 0.9, (6, 20))
    fill_lumen(scene, [folds], meal, float(rng.uniform(0.1, 0.55)))
    return [*fill_with_discs(outline), (x, y, 0.6 * along + 4.0 * s)]


def _pancreas(scene: Scene) -> list[Obstacle]:
    """Pancreas from the head to the tail, with the splenic vein behind it."""
    rng, canvas, hu, s = scene.rng, scene.canvas, scene.hu, scene.frame.scale
    knots = [(-28.0, -50.0), (-12.0, -60.0), (12.0, -66.0), (36.0, -54.0), (62.0, -32.0)]
    path = rigid(knots, 1, s, rng, 2.5)
    line = closed_spline(np.vstack([path, path[-2:0:-1]]), 120)[:61]
    widths = np.interp(np.linspace(0, 4, 61), np.arange(5), [24.0, 17.0, 13.0, 15.0, 17.0]) * s
    vein = strip(line[18:52] + (0.0, 0.42) * widths[18:52, None], 7.0 * s)
    gland = wobble(strip(line, widths * rng.uniform(0.75, 1.05)), rng, 1.0, (8, 26))
    lobules = 0.7 * hu.bowel_wall + 14.0 - 10.0 * scene.patient.visceral
    canvas.paint(gland, scene.textured(lobules, 12.0, 14.0))
    canvas.paint(vein, scene.textured(hu.vein, 3.0), tissue=TISSUES["vessel"])
    return [(float(x), float(y), 10.0 * s) for x, y in line[::8]]


def _crura(scene: Scene, aorta: Obstacle) -> None:
    """Crura of the diaphragm on both sides of the aorta; the right one is thicker."""
    rng, s = scene.rng, scene.frame.scale
    x, y, radius = aorta
    muscle = muscle_texture(scene, 0.0, 0.2)
    for side in SIDES:
        thick = (7.0 if side > 0 else 9.5) * s * rng.uniform(0.8, 1.2)
        reach = radius + 0.35 * thick
        knots = [(side * 20.0 * s, 2.0), (side * 19.0 * s, -12.0 * s), (x + side * reach, y)]
        knots += [(x + side * 0.45 * reach, y - reach)]
        path = np.array(knots) + rng.normal(0.0, 0.8, size=(4, 2))
        line = closed_spline(np.vstack([path, path[-2:0:-1]]), 80)[:41]
        scene.canvas.paint(strip(line, thick * np.linspace(1.0, 0.45, 41)), muscle)


def _adrenals(scene: Scene) -> None:
    """Thin limbs behind the vena cava and beside the left crus."""
    rng, s, hu = scene.rng, scene.frame.scale, scene.hu
    density = 0.6 * hu.bowel_wall + 10.0
    for side in SIDES:
        root = np.array([side * 34.0, -26.0]) * s + rng.normal(0.0, 2.0, size=2)
        for dx, dy in ((7.0, 17.0), (-3.0, 18.0)):
            tip = root + np.array([side * dx, dy]) * s * rng.uniform(0.7, 1.2)
            path = root + np.linspace(0.0, 1.0, 8)[:, None] * (tip - root)
            scene.canvas.paint(strip(path, np.linspace(5.0, 2.5, 8) * s), density)


def _lungs(scene: Scene, rim: Rim) -> None:
    """Lung bases in the recess behind liver and spleen, under the diaphragm."""
    rng, canvas, s = scene.rng, scene.canvas, scene.frame.scale
    diaphragm = muscle_texture(scene, 0.0, 0.3)
    for side in SIDES:
        ends = np.array([rng.uniform(0.56, 0.66), rng.uniform(0.95, 0.98)])
        thickness = float(rng.uniform(9.0, 24.0)) * s
        start, end = np.sort(side * ends)
        outline = rim.crescent(float(start), float(end), thickness, 0.4)
        around = outline.mean(axis=0) + (outline - outline.mean(axis=0)) * 1.04
        canvas.paint(around, diaphragm)
        lung = scene.textured(float(rng.uniform(-870.0, -780.0)), 18.0, 22.0)
        canvas.paint(outline, lung)
        spots = rng.uniform(outline.min(axis=0), outline.max(axis=0), size=(26, 2))
        core = outline.mean(axis=0) + 0.9 * (outline - outline.mean(axis=0))
        vessels = [
            blob(x, y, float(rng.uniform(0.5, 1.6)), rng) for x, y in spots[inside(spots, core)]
        ]
        canvas.paint(vessels, 20.0, keep_labels=True, opacity=0.75)
