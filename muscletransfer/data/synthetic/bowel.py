"""Small bowel and colon: packed loops with walls, contents, gas above fluid, and stool."""

from __future__ import annotations

import numpy as np

from muscletransfer.data.synthetic.canvas import Float32
from muscletransfer.data.synthetic.organs import Obstacle
from muscletransfer.data.synthetic.scene import Scene
from muscletransfer.data.synthetic.shapes import Array, blob, inset, strip, wobble
from muscletransfer.data.synthetic.tissues import TISSUES

__all__ = ["draw_bowel"]


def _inside(points: Array, polygon: Array) -> np.ndarray:
    """Even-odd test of points against a closed polygon."""
    x, y = points[:, :1], points[:, 1:]
    x0, y0 = polygon.T
    x1, y1 = np.roll(polygon, -1, axis=0).T
    crosses = (y0 > y) != (y1 > y)
    at = (x1 - x0) * (y - y0) / np.where(y1 == y0, 1e-9, y1 - y0) + x0
    return np.asarray((crosses & (x < at)).sum(axis=1) % 2 == 1)


def _pack(rng: np.random.Generator, fixed: list[Obstacle], radii: Array, region: Array) -> Array:
    """Place discs into a region, clear of fixed discs and of each other; returns (x, y, r)."""
    placed = np.array(fixed, dtype=np.float64).reshape(-1, 3)
    start = len(placed)
    low, high = region.min(axis=0), region.max(axis=0)
    for radius in radii:
        candidates = rng.uniform(low, high, size=(60, 2))
        candidates = candidates[_inside(candidates, region)]
        if len(candidates) == 0:
            continue
        edge = np.hypot(
            candidates[:, :1] - region[None, ::6, 0], candidates[:, 1:] - region[None, ::6, 1]
        ).min(axis=1)
        apart = (
            np.hypot(candidates[:, :1] - placed[:, 0], candidates[:, 1:] - placed[:, 1])
            - placed[:, 2]
        ).min(axis=1)
        room = np.minimum(edge, apart)
        best = int(np.argmin(np.abs(room - radius * 0.95)))
        if room[best] > 0.72 * radius:
            placed = np.vstack([placed, [*candidates[best], min(radius, 1.08 * room[best])]])
    return placed[start:]


def _gas(scene: Scene, lumen: Array, level: float, contents: float | Float32) -> None:
    """Fill a lumen: gas above a horizontal level, contents below it."""
    canvas = scene.canvas
    covered = canvas.cover(lumen)
    if covered is None:
        return
    window, cover = covered
    y = canvas.grid.y[window[0]]
    above = np.clip((level - y) / canvas.grid.spacing + 0.5, 0.0, 1.0).astype(np.float32)
    canvas.lay(window, cover, contents)
    canvas.lay(window, cover * above[:, None], -940.0)


def _loop(scene: Scene, outline: Array, wall: float) -> None:
    """One loop of small bowel."""
    rng, hu = scene.rng, scene.hu
    tissue = TISSUES["bowel"]
    scene.canvas.paint(outline, scene.textured(hu.bowel_wall, 4.0), tissue=tissue)
    kind = rng.random()
    if kind < 0.22:  # collapsed
        return
    lumen = inset(outline, wall)
    contents = scene.textured(hu.fluid + rng.uniform(-4.0, 26.0), 5.0, 5.0)
    if scene.frame.front and rng.random() < 0.3:
        contents = scene.textured(float(rng.uniform(150.0, 380.0)), 12.0, 25.0)
    top, bottom = scene.canvas.warp(lumen)[:, 1].min(), scene.canvas.warp(lumen)[:, 1].max()
    share = rng.uniform(0.15, 0.8) if rng.random() < 0.22 else -1.0
    _gas(scene, lumen, float(top + share * (bottom - top)), contents)


def _colon(scene: Scene, x: float, y: float, radius: float, other: float) -> None:
    """One cross-section of the colon with stool, gas or nothing in it."""
    rng, canvas, hu = scene.rng, scene.canvas, scene.hu
    tissue = TISSUES["bowel"]
    outline = wobble(blob(x, y, radius, rng, other=other, rough=0.07), rng, 0.05 * radius, (3, 6))
    canvas.paint(outline, scene.textured(hu.bowel_wall - 5.0, 4.0), tissue=tissue)
    lumen = inset(outline, rng.uniform(1.6, 3.2))
    if radius < 9.0:
        return
    t = scene.textures
    mottle = 0.75 * t.medium + 0.65 * t.fine
    bubbles = np.clip((mottle - np.float32(rng.uniform(0.5, 1.3))) * 2.0, 0.0, 1.0)
    stool = scene.textured(float(rng.uniform(5.0, 55.0)), 14.0, 18.0)
    stool += bubbles * (np.float32(-750.0) - stool)
    top, bottom = canvas.warp(lumen)[:, 1].min(), canvas.warp(lumen)[:, 1].max()
    share = rng.uniform(0.1, 0.95) if rng.random() < 0.5 else -1.0
    _gas(scene, lumen, float(top + share * (bottom - top)), stool)


def draw_bowel(scene: Scene, obstacles: list[Obstacle]) -> None:
    """Draw ascending and descending colon and pack the small bowel between the obstacles."""
    rng, s, frame = scene.rng, scene.frame.scale, scene.frame
    blocked = list(obstacles)
    for side, low, high in ((-1, 17.0, 30.0), (1, 9.0, 21.0)):
        radius = rng.uniform(low, high) * s
        x = side * (frame.half_width - radius - rng.uniform(4.0, 14.0))
        y = -26.0 * s + rng.normal(0.0, 7.0)
        other = radius * rng.uniform(0.9, 1.35)
        _colon(scene, x, y, radius, other)
        blocked.append((x, y, 0.5 * (radius + other) + 3.0))
    region = frame.cavity[frame.cavity[:, 1] < 6.0]
    fullness = float(
        np.clip(1.0 - 0.9 * scene.patient.visceral - 0.012 * (scene.patient.bmi - 26.0), 0.2, 0.9)
    )
    number = int(16 + 44 * fullness)
    loops = _pack(rng, blocked, np.sort(rng.uniform(7.0, 17.0, size=number))[::-1] * s, region)
    for x, y, radius in loops:
        turn, stretch = rng.uniform(0.0, np.pi), rng.uniform(1.0, 1.22)
        outline = blob(x, y, radius * stretch, rng, other=radius / stretch, turn=turn, rough=0.06)
        _loop(scene, outline, float(rng.uniform(1.4, 2.8)))
    _mesentery(scene, region)


def _mesentery(scene: Scene, region: Array) -> None:
    """Small vessels and strands in the visceral fat."""
    rng, canvas = scene.rng, scene.canvas
    fat = (canvas.tissues == TISSUES["visceral_fat"]).astype(np.float32)
    low, high = region.min(axis=0), region.max(axis=0)
    dots, lines = [], []
    for x, y in rng.uniform(low, high, size=(40, 2)):
        dots.append(blob(x, y, rng.uniform(0.8, 2.1), rng))
    for _ in range(24):
        start = rng.uniform(low, high)
        angle = rng.uniform(0.0, 2.0 * np.pi)
        t = np.linspace(0.0, 1.0, 10)[:, None]
        bend = angle + rng.normal(0.0, 0.8) * t
        path = start + rng.uniform(8.0, 30.0) * t * np.hstack([np.cos(bend), np.sin(bend)])
        lines.append(strip(path, np.linspace(1.8, 0.6, 10)))
    canvas.paint(dots, scene.hu.vein, keep_labels=True, opacity=fat * np.float32(0.8))
    canvas.paint(lines, 10.0, keep_labels=True, opacity=fat * np.float32(0.5))
