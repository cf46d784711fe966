"""Kidneys cut at their lower pole or at the hilum."""

from __future__ import annotations

import numpy as np

from muscletransfer.data.synthetic.frame import SIDES
from muscletransfer.data.synthetic.scene import Obstacle, Scene
from muscletransfer.data.synthetic.shapes import Array, blob, closed_spline, strip, wobble
from muscletransfer.data.synthetic.tissues import TISSUES

__all__ = ["draw_kidneys"]


def draw_kidneys(
    scene: Scene, sizes: tuple[float, float] = (2.0, 31.0), behind: float = 0.0
) -> list[Obstacle]:
    """Draw both kidneys; return what bowel has to avoid.

    Args:
        scene: The slice.
        sizes: Range of the radius in mm; under 11 the pole ends above the slice, above 20 the
            sinus is cut.
        behind: How much further back and nearer to the spine than at L3, in mm.

    Returns:
        Discs over kidneys and psoas muscles.
    """
    rng, s, frame = scene.rng, scene.frame.scale, scene.frame
    obstacles: list[Obstacle] = []
    for side in SIDES:
        radius = rng.uniform(*sizes) * s
        obstacles.append((side * 40.0 * s, 2.0, 22.0 * s))
        x = min((56.0 + 0.62 * radius) * s + rng.normal(0.0, 3.0), frame.half_width - radius - 4.0)
        y = -7.0 * s + rng.normal(0.0, 4.0) - 0.2 * radius
        if radius < 11.0:
            continue
        if behind:
            # The upper half lies in a bed of fat between spine, liver and spleen.
            x, y = x - 0.5 * behind, y + behind
            bed = blob(side * x, y, radius + rng.uniform(4.0, 9.0), rng, rough=0.05)
            fat = scene.textured(scene.hu.visceral_fat, 3.0, 5.0)
            scene.canvas.paint(bed, fat, tissue=TISSUES["visceral_fat"])
        _kidney(scene, side, x, y, radius)
        obstacles.append((side * x, y, radius + rng.uniform(1.0, 7.0)))
    return obstacles


def _kidney(scene: Scene, side: int, x: float, y: float, radius: float) -> None:
    """One kidney; the hilum looks to the midline and to the front."""
    rng, canvas, hu = scene.rng, scene.canvas, scene.hu
    kidney = TISSUES["kidney"]
    hilum = np.arctan2(-0.45, -side) + rng.normal(0.0, 0.25)
    turn = np.linspace(0.0, 2.0 * np.pi, 48, endpoint=False)
    open_hilum = radius > 20.0 * scene.frame.scale and rng.random() < 0.7
    dent = rng.uniform(0.18, 0.34) if open_hilum else rng.uniform(0.0, 0.06)
    off = np.angle(np.exp(1j * (turn - hilum)))
    length = radius * (1.0 + 0.09 * np.cos(2.0 * off + np.pi) - dent * np.exp(-((off / 0.45) ** 2)))
    centre = np.array([side * x, y])
    ring = centre + length[:, None] * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    outline = wobble(closed_spline(ring, 160), rng, 0.025 * radius, (3, 9))
    fascia = wobble(centre + (outline - centre) * (1.0 + 6.0 / radius), rng, 1.8, (2, 6))
    halves = [strip(fascia[:81], 0.8), strip(fascia[79:], 0.8)]
    canvas.paint(halves, -40.0, keep_labels=True, opacity=float(rng.uniform(0.2, 0.6)))
    canvas.paint(outline, scene.textured(hu.kidney_cortex, 4.0, 4.0), tissue=kidney)
    inwards = centre - 0.1 * radius * np.array([np.cos(hilum), np.sin(hilum)])
    for angle in hilum + np.linspace(0.8, 5.5, 6) + rng.normal(0.0, 0.12, size=6):
        place = inwards + 0.6 * radius * np.array([np.cos(angle), np.sin(angle)])
        size, flat = 0.27 * radius, 0.2 * radius
        pyramid = blob(place[0], place[1], size, rng, other=flat, turn=angle, rough=0.1)
        canvas.paint(pyramid, hu.kidney_medulla, tissue=kidney, opacity=0.65)
    if radius > 20.0 * scene.frame.scale:
        _sinus(scene, centre, hilum, radius, open_hilum)


def _winding(start: Array, toward: Array, length: float, rng: np.random.Generator) -> Array:
    """Line of 20 points that leaves the slice's plane here and there, as a vessel does."""
    t = np.linspace(0.0, 1.0, 20)[:, None]
    across = np.array([-toward[1], toward[0]])
    bend = rng.normal(0.0, 6.0) * t**2 + rng.normal(0.0, 2.0) * np.sin(7.0 * t + rng.uniform(0, 6))
    return np.asarray(start + rng.uniform(0.55, 1.0) * length * t * toward + bend * across)


def _sinus(scene: Scene, centre: Array, hilum: float, radius: float, opened: bool) -> None:
    """Fat, vessels and pelvis inside a kidney."""
    rng, canvas, hu = scene.rng, scene.canvas, scene.hu
    toward = np.array([np.cos(hilum), np.sin(hilum)])
    middle = centre + 0.12 * radius * toward
    size = radius * rng.uniform(0.26, 0.4)
    x, y = middle
    sinus = [blob(x, y, size, rng, other=1.25 * size, turn=hilum, rough=0.2)]
    if opened:
        path = middle + np.linspace(0.0, 1.0, 6)[:, None] * radius * toward
        sinus.append(strip(path, np.linspace(1.0, 0.55, 6) * size))
    fat = scene.textured(hu.visceral_fat + 25.0, 10.0, 10.0)
    canvas.paint(sinus, fat, tissue=TISSUES["visceral_fat"])
    pelvis = [blob(x, y, 0.4 * size, rng, other=0.75 * size, turn=hilum + 0.6, rough=0.2)]
    if opened:
        way_out = _winding(middle, toward, 1.05 * radius, rng)
        pelvis.append(strip(way_out, np.linspace(0.6, 0.2, 20) * size))
        for value, width in ((hu.vein, 4.5), (hu.artery, 3.0)):
            path = _winding(middle + rng.normal(0.0, 2.0, size=2), toward, 1.25 * radius, rng)
            widths = width * np.sin(np.linspace(0.25, 2.6, 20))
            canvas.paint(strip(path, widths), value, tissue=TISSUES["vessel"])
    canvas.paint(pelvis, hu.urine, tissue=TISSUES["kidney"])
