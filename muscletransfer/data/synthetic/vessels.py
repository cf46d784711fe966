"""Aorta, vena cava and the smaller vessels and ureters beside them."""

from __future__ import annotations

import numpy as np

from muscletransfer.data.synthetic.frame import SIDES
from muscletransfer.data.synthetic.scene import Obstacle, Scene
from muscletransfer.data.synthetic.shapes import Array, blob, inset, strip
from muscletransfer.data.synthetic.tissues import TISSUES

__all__ = ["draw_vessels"]


def draw_vessels(scene: Scene) -> list[Obstacle]:
    """Draw the great vessels in front of the spine; return what bowel has to avoid."""
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
    for dx, gap, size, value in ((5.0, 15.0, 3.4, hu.artery), (-9.0, 17.0, 5.6, hu.vein)):
        place = (
            x + dx + rng.normal(0.0, 2.5),
            y - radius - gap * s * rng.uniform(0.8, 1.15),
            size * s * rng.normal(1.0, 0.1),
        )
        canvas.paint(blob(*place, rng, rough=0.05), value, tissue=vessel)
        mesenteric.append((place[0], place[1], place[2] + 2.5))
    lesser = [(x + radius * 0.5, y - radius - 2.5, 1.6, hu.artery)]
    for side in SIDES:
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


def _calcify(scene: Scene, aorta: Array) -> None:
    """Plaques of an ageing aorta."""
    rng = scene.rng
    burden = float(np.clip((scene.patient.age - 52.0) / 35.0, 0.0, 1.0))
    for _ in range(int(rng.random() * 7 * burden)):
        start = int(rng.integers(len(aorta)))
        plaque = np.roll(inset(aorta, 0.3), -start, axis=0)[: int(rng.integers(4, 15))]
        plate = strip(plaque, 0.6 + 1.5 * np.sin(np.linspace(0.2, 3.0, len(plaque))))
        scene.canvas.paint(plate, float(rng.uniform(350, 950)), tissue=TISSUES["vessel"])
