"""The abdomen at L2, L3 and L4."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from muscletransfer.data.synthetic.bowel import draw_bowel
from muscletransfer.data.synthetic.frame import SIDES
from muscletransfer.data.synthetic.kidneys import draw_kidneys
from muscletransfer.data.synthetic.levels import Level
from muscletransfer.data.synthetic.muscles import draw_back_muscles, draw_wall, muscle_texture
from muscletransfer.data.synthetic.scene import Obstacle, Scene
from muscletransfer.data.synthetic.shapes import band, blob, mirrored, strip
from muscletransfer.data.synthetic.solid import draw_solid_tip
from muscletransfer.data.synthetic.spine import draw_bone, draw_vertebra
from muscletransfer.data.synthetic.tissues import TISSUES
from muscletransfer.data.synthetic.trunk import draw_fascia, draw_rib, draw_shell
from muscletransfer.data.synthetic.vessels import draw_iliacs, draw_vessels

__all__ = ["LUMBAR", "draw_lumbar"]


@dataclass(frozen=True)
class _Organs:
    """What is at a level.

    Attributes:
        rib: Probability of a rib on each side.
        liver: Probability of the liver.
        liver_size: Least and greatest thickness in mm.
        spleen: Probability of the spleen.
        kidneys: Range of the radius in mm, or ``None``.
        head: Whether duodenum and pancreatic head lie beside the vena cava.
        bifurcated: Whether the aorta has divided.
        crests: Whether the iliac crests begin.
    """

    rib: float
    liver: float
    liver_size: tuple[float, float]
    spleen: float
    kidneys: tuple[float, float] | None
    head: bool = False
    bifurcated: bool = False
    crests: bool = False


#: The levels that this module draws.
LUMBAR: dict[Level, _Organs] = {
    "L2": _Organs(0.85, 0.97, (26.0, 52.0), 0.3, (21.0, 33.0), head=True),
    "L3": _Organs(0.3, 0.35, (9.0, 35.0), 0.06, (2.0, 31.0)),
    "L4": _Organs(0.0, 0.03, (6.0, 14.0), 0.0, None, bifurcated=True, crests=True),
}


def draw_lumbar(scene: Scene, level: Level) -> None:
    """Paint everything at a lumbar level, from the skin inwards.

    Args:
        scene: The slice, empty.
        level: A key of :data:`LUMBAR`.
    """
    rng, organs = scene.rng, LUMBAR[level]
    draw_shell(scene)
    draw_wall(scene)
    draw_back_muscles(scene)
    draw_fascia(scene)
    for side in SIDES:
        chance, place, length = rng.random(), rng.uniform(0.72, 0.86), rng.uniform(9.0, 24.0)
        if chance < organs.rib:
            draw_rib(scene, side, place, length)
        if organs.crests:
            _crest(scene, side)
    draw_vertebra(scene)
    obstacles: list[Obstacle] = []
    if organs.bifurcated:
        obstacles += draw_iliacs(scene, float(rng.uniform(9.0, 17.0)), -24.0)
    else:
        obstacles += draw_vessels(scene)
    if organs.kidneys is not None:
        obstacles += draw_kidneys(scene, organs.kidneys)
    else:
        obstacles += [(side * 48.0 * scene.frame.scale, -3.0, 27.0) for side in SIDES]
    if organs.head:
        obstacles += _head(scene)
    liver, spleen, size = rng.random(3)
    least, greatest = organs.liver_size
    if liver < organs.liver:
        extent = (float(rng.uniform(0.42, 0.55)), float(rng.uniform(0.75, 0.86)))
        thickness = least + (greatest - least) * size
        obstacles += draw_solid_tip(scene, -1, extent, thickness, scene.hu.liver)
    if spleen < organs.spleen:
        obstacles += draw_solid_tip(scene, 1, (0.6, 0.8), 8.0 + 14.0 * size, scene.hu.spleen)
    draw_bowel(scene, obstacles)


def _head(scene: Scene) -> list[Obstacle]:
    """Pancreatic head with the duodenum on its right, and the left renal vein."""
    rng, canvas, hu, s = scene.rng, scene.canvas, scene.hu, scene.frame.scale
    x, y = -20.0 * s + rng.normal(0.0, 3.0), -52.0 * s + rng.normal(0.0, 3.0)
    lobules = scene.textured(0.55 * hu.bowel_wall + 18.0, 10.0, 14.0)
    canvas.paint(blob(x, y, 15.0 * s, rng, other=11.0 * s, turn=0.5, rough=0.12), lobules)
    canvas.paint(blob(x + 4.0, y + 4.0, 2.4, rng), 8.0, keep_labels=True)  # common bile duct
    wall = blob(x - 22.0 * s, y + 6.0, 9.5 * s, rng, other=14.0 * s, turn=0.3)
    canvas.paint(wall, scene.textured(hu.bowel_wall, 6.0), tissue=TISSUES["bowel"])
    inner = blob(x - 22.0 * s, y + 6.0, 6.8 * s, rng, other=11.0 * s, turn=0.3)
    canvas.paint(inner, scene.textured(hu.fluid + 8.0, 10.0, 8.0), tissue=TISSUES["bowel"])
    if rng.random() < 0.6:
        t = np.linspace(0.0, 1.0, 20)
        path = np.stack([(54.0 - 68.0 * t) * s, -18.0 - 30.0 * np.sin(2.6 * t) * s], axis=1)
        vein = strip(path, np.linspace(8.0, 6.0, 20) * s)
        canvas.paint(vein, scene.textured(hu.vein, 3.0), tissue=TISSUES["vessel"])
    return [(x, y, 15.0 * s), (x - 22.0 * s, y + 6.0, 14.0 * s)]


def _crest(scene: Scene, side: int) -> None:
    """Top of the iliac wing between the gluteus medius outside and the iliacus inside."""
    rng, canvas, hu, s = scene.rng, scene.canvas, scene.hu, scene.frame.scale
    wall = scene.frame.walls[side]
    length = rng.uniform(34.0, 72.0) * s
    keep = np.abs(wall.s - rng.uniform(0.85, 0.9) * wall.s[-1]) < 0.5 * length
    curve = wall.curve[keep]
    t = np.linspace(-1.0, 1.0, len(curve))
    taper = np.sqrt(np.clip(1.0 - t**2, 0.0, 1.0))
    depth = np.full(len(curve), 13.0 * s)
    muscle = muscle_texture(scene, 0.0, 0.8)
    layer = band(curve, depth - 9.0 * s * taper, depth + 10.0 * s * taper)
    canvas.paint(mirrored(layer, side), muscle)
    half = 0.5 * rng.uniform(9.0, 12.0) * s * (0.35 + 0.65 * taper)
    bone = mirrored(band(curve, depth - half, depth + half), side)
    draw_bone(scene, [bone], float(rng.uniform(1.5, 2.2)) * s)
    canvas.paint(bone, hu.cortical, keep_labels=True, opacity=0.06)
