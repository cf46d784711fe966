"""Aorta, vena cava and the smaller vessels and ureters beside them."""

from __future__ import annotations

import numpy as np

from muscletransfer.data.synthetic.frame import SIDES
from muscletransfer.data.synthetic.scene import Obstacle, Scene
from muscletransfer.data.synthetic.shapes import Array, blob, inset, strip
from muscletransfer.data.synthetic.tissues import TISSUES

__all__ = ["draw_iliacs", "draw_vessels"]


def draw_vessels(scene: Scene, *, mesenteric_pair: bool = True) -> list[Obstacle]:
    """Draw the great vessels in front of the spine; return what bowel has to avoid.

    Args:
        scene: The slice.
        mesenteric_pair: Whether the superior mesenteric vessels and the ureters are at this level.

    Returns:
        Discs over aorta, vena cava, vertebral body and mesenteric vessels, in that order.
    """
    rng, s, canvas, hu = scene.rng, scene.frame.scale, scene.canvas, scene.hu
    vessel = TISSUES["vessel"]
    front = -17.5 * s
    age, male = scene.patient.age, scene.patient.male
    radius = (8.0 + 0.045 * (age - 50.0) + (1.0 if male else 0.0)) * rng.normal(1.0, 0.08)
    x, y = rng.uniform(3.0, 14.0) * s, front - radius - rng.uniform(1.5, 5.0)
    cava_x, cava_r = -rng.uniform(14.0, 22.0) * s, rng.uniform(9.5, 14.0) * s
    flat = rng.uniform(0.4, 0.9)
    cava_y = front + 3.0 - cava_r * flat - rng.uniform(0.5, 3.0)
    cava = blob(
        cava_x, cava_y, cava_r, rng, other=cava_r * flat, turn=rng.normal(0.25, 0.15), rough=0.06
    )
    canvas.paint(cava, scene.textured(hu.vein, 3.0), tissue=vessel)
    aorta = blob(x, y, radius, rng, other=radius * rng.uniform(0.9, 1.0), rough=0.03)
    # The wall stands out of unenhanced blood only where it is calcified.
    canvas.paint(inset(aorta, -1.2), 45.0, tissue=vessel)
    canvas.paint(aorta, scene.textured(hu.artery, 3.0), tissue=vessel)
    _calcify(scene, aorta)
    mesenteric: list[Obstacle] = []
    pair = ((5.0, 15.0, 3.4, hu.artery), (-9.0, 17.0, 5.6, hu.vein)) if mesenteric_pair else ()
    for dx, gap, size, value in pair:
        place = (
            x + dx + rng.normal(0.0, 2.5),
            y - radius - gap * s * rng.uniform(0.8, 1.15),
            size * s * rng.normal(1.0, 0.1),
        )
        canvas.paint(blob(*place, rng, rough=0.05), value, tissue=vessel)
        mesenteric.append((place[0], place[1], place[2] + 2.5))
    lesser = [(x + radius * 0.5, y - radius - 2.5, 1.6, hu.artery)]
    for side in SIDES:
        if not mesenteric_pair:
            continue
        urine = hu.urine if scene.patient.phase == "delayed" else 20.0
        lesser.append((side * 44.0 * s, -24.0 * s + rng.normal(0, 2.0), 2.1, urine))
        lesser.append((side * 52.0 * s, -21.0 * s + rng.normal(0, 2.0), 1.5, hu.vein))
        for place in rng.normal((side * 24.0 * s, -20.0 * s), (4.0, 3.0), size=(2, 2)):
            lesser.append((place[0], place[1], rng.uniform(1.0, 2.0), 30.0))  # nodes, lumbar veins
    for px, py, size, value in lesser:
        canvas.paint(blob(px, py, size, rng), value, keep_labels=True)
    return [
        (x, y, radius + 2.5),
        (cava_x, cava_y, 0.5 * cava_r * (1.0 + flat) + 2.0),
        (0.0, 2.0, 24.0 * s),
        *mesenteric,
    ]


def draw_iliacs(scene: Scene, apart: float, behind: float) -> list[Obstacle]:
    """Draw the iliac vessels below the bifurcation; return what bowel has to avoid.

    Args:
        scene: The slice.
        apart: Distance of the arteries from the midline in mm.
        behind: y of the veins in mm; the arteries lie in front of them.

    Returns:
        Discs over the vessels and the vertebra.
    """
    rng, s, canvas, hu = scene.rng, scene.frame.scale, scene.canvas, scene.hu
    obstacles: list[Obstacle] = [(0.0, 2.0, 24.0 * s)]
    for side in SIDES:
        x, y = side * apart * s + rng.normal(0.0, 2.0), behind * s + rng.normal(0.0, 1.5)
        vein = 6.5 * s * rng.normal(1.0, 0.1)
        artery = (5.2 + 0.02 * (scene.patient.age - 50.0)) * rng.normal(1.0, 0.08)
        place = (x - 3.0 * side, y, vein)
        flat = blob(*place, rng, other=0.75 * vein, turn=0.4 * side)
        canvas.paint(flat, scene.textured(hu.vein, 3.0), tissue=TISSUES["vessel"])
        front = (x + 2.0 * side, y - vein - 0.7 * artery, artery)
        tube = blob(*front, rng, rough=0.03)
        canvas.paint(inset(tube, -1.0), 45.0, tissue=TISSUES["vessel"])
        canvas.paint(tube, scene.textured(hu.artery, 3.0), tissue=TISSUES["vessel"])
        _calcify(scene, tube)
        obstacles += [(place[0], place[1], vein + 2.0), (front[0], front[1], artery + 2.0)]
    return obstacles


def _calcify(scene: Scene, aorta: Array) -> None:
    """Plaques of an ageing aorta."""
    rng = scene.rng
    burden = float(np.clip((scene.patient.age - 52.0) / 35.0, 0.0, 1.0))
    for _ in range(int(rng.random() * 7 * burden)):
        start = int(rng.integers(len(aorta)))
        plaque = np.roll(inset(aorta, 0.3), -start, axis=0)[: int(rng.integers(4, 15))]
        plate = strip(plaque, 0.6 + 1.5 * np.sin(np.linspace(0.2, 3.0, len(plaque))))
        scene.canvas.paint(plate, float(rng.uniform(350, 950)), tissue=TISSUES["vessel"])
