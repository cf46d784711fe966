"""Kidneys, great vessels, liver tip and the strands in the fat around them."""

from __future__ import annotations

import numpy as np

from muscletransfer.data.synthetic.frame import SIDES
from muscletransfer.data.synthetic.scene import Scene
from muscletransfer.data.synthetic.shapes import Array, blob, inset, strip
from muscletransfer.data.synthetic.tissues import TISSUES

__all__ = ["Obstacle", "draw_kidneys", "draw_vessels"]

#: A disc that bowel keeps away from: x, y and radius in mm.
Obstacle = tuple[float, float, float]


def draw_vessels(scene: Scene) -> list[Obstacle]:
    """Draw aorta, vena cava and the mesenteric vessels; return what bowel has to avoid."""
    rng, s, canvas, hu = scene.rng, scene.frame.scale, scene.canvas, scene.hu
    vessel = TISSUES["vessel"]
    front = -17.5 * s
    age = scene.patient.age
    radius = (8.2 + 0.05 * (age - 50.0) + (0.9 if scene.patient.male else 0.0)) * rng.normal(
        1.0, 0.07
    )
    aorta_x, aorta_y = rng.uniform(3.0, 14.0) * s, front - radius - rng.uniform(1.5, 6.0)
    cava_x = -rng.uniform(14.0, 22.0) * s
    cava_r = rng.uniform(9.0, 13.0) * s
    cava_flat = rng.uniform(0.45, 0.95)
    cava_y = front + 3.0 - cava_r * cava_flat - rng.uniform(0.5, 3.0)
    cava = blob(cava_x, cava_y, cava_r, rng, other=cava_r * cava_flat, turn=0.3, rough=0.05)
    canvas.paint(cava, scene.textured(hu.vein, 3.0), tissue=vessel)
    aorta = blob(aorta_x, aorta_y, radius, rng, other=radius * rng.uniform(0.9, 1.0), rough=0.03)
    canvas.paint(aorta, scene.textured(hu.artery, 3.0), tissue=vessel)
    calcified = np.clip((age - 55.0) / 35.0, 0.0, 1.0)
    for _ in range(int(rng.random() * 6 * calcified)):
        start = int(rng.integers(len(aorta)))
        plaque = np.roll(inset(aorta, 0.4), -start, axis=0)[: int(rng.integers(4, 14))]
        plate = strip(plaque, np.linspace(0.8, 1.8, len(plaque)))
        canvas.paint(plate, float(rng.uniform(350.0, 900.0)), tissue=vessel)
    mesenteric = []
    for x, gap, size, value in ((6.0, 17.0, 3.6, hu.artery), (-7.0, 19.0, 5.4, hu.vein)):
        place = (
            aorta_x + x,
            aorta_y - radius - gap * s * rng.uniform(0.8, 1.1),
            size * rng.normal(1, 0.1),
        )
        canvas.paint(blob(*place, rng, rough=0.04), value, tissue=vessel)
        mesenteric.append((place[0], place[1], place[2] + 3.0))
    inferior = (aorta_x + 6.0, aorta_y - radius - 3.0)
    canvas.paint(blob(*inferior, 1.7, rng), hu.artery, keep_labels=True)
    for side in SIDES:
        ureter = blob(side * 42.0 * s, -24.0 * s + rng.normal(0, 2.0), 2.2, rng)
        bright = scene.patient.phase == "delayed"
        canvas.paint(ureter, hu.urine if bright else 22.0, keep_labels=True)
        gonadal = blob(side * 52.0 * s, -20.0 * s + rng.normal(0, 2.0), 1.6, rng)
        canvas.paint(gonadal, hu.vein, keep_labels=True)
    return [
        (aorta_x, aorta_y, radius + 3.0),
        (cava_x, cava_y, cava_r + 2.0),
        (0.0, 2.0, 24.0 * s),
        *mesenteric,
    ]


def draw_kidneys(scene: Scene) -> list[Obstacle]:
    """Draw the lower poles of the kidneys: cortex, medulla and sinus, where there are any."""
    obstacles: list[Obstacle] = []
    rng, s, canvas, hu = scene.rng, scene.frame.scale, scene.canvas, scene.hu
    kidney = TISSUES["kidney"]
    for side in SIDES:
        radius = rng.uniform(0.0, 31.0) * s
        obstacles.append((side * 40.0 * s, 2.0, 23.0 * s))
        x = min(72.0 * s + rng.normal(0.0, 4.0), scene.frame.half_width - radius - 5.0)
        y = -9.0 * s + rng.normal(0.0, 4.0) - 0.25 * radius
        if radius < 11.0:  # the pole ends above the slice
            continue
        outline = blob(side * x, y, 0.84 * radius, rng, other=radius, turn=side * 0.5, rough=0.045)
        canvas.paint(outline, scene.textured(hu.kidney_cortex, 3.0, 3.0), tissue=kidney)
        _inner_kidney(scene, side, (side * x, y), radius)
        fascia = blob(side * x, y, radius + 8.0, rng, other=1.1 * radius + 9.0, rough=0.03)
        canvas.paint(_outline_strip(fascia, 0.8), -45.0, keep_labels=True, opacity=0.5)
        obstacles.append((side * x, y, radius + 6.0))
    return obstacles


def _inner_kidney(scene: Scene, side: int, centre: tuple[float, float], radius: float) -> None:
    rng, canvas, hu = scene.rng, scene.canvas, scene.hu
    x, y = centre
    for angle in np.arange(0.0, 2.0 * np.pi, np.pi / 4.0) + rng.uniform(0.0, 0.7):
        px, py = x + 0.55 * radius * np.cos(angle), y + 0.62 * radius * np.sin(angle)
        pyramid = blob(px, py, 0.17 * radius, rng, other=0.22 * radius, turn=angle, rough=0.1)
        canvas.paint(pyramid, hu.kidney_medulla, tissue=TISSUES["kidney"], opacity=0.8)
    if radius < 19.0 * scene.frame.scale:
        return
    sinus = [blob(x, y, 0.34 * radius, rng, other=0.42 * radius, rough=0.16)]
    if rng.random() < 0.6:  # the sinus opens to the hilum, medially and to the front
        hilum = np.array([(x, y), (x - side * 0.7 * radius, y - 0.35 * radius)])
        hilum = np.vstack([hilum, hilum[1] - (side * 0.5 * radius, 0.2 * radius)])
        sinus.append(strip(hilum, np.array([0.45, 0.6, 0.8]) * radius))
    canvas.paint(sinus, scene.textured(hu.visceral_fat + 20.0, 8.0), tissue=TISSUES["visceral_fat"])
    pelvis = blob(x - side * 0.15 * radius, y, 0.16 * radius, rng, other=0.24 * radius)
    canvas.paint(pelvis, hu.urine, tissue=TISSUES["kidney"])


def _outline_strip(closed: Array, width: float) -> list[Array]:
    """Thin line along a closed curve, as two open strips."""
    half = len(closed) // 2
    return [strip(closed[: half + 1], width), strip(closed[half - 1 :], width)]
