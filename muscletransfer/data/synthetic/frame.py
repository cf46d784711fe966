"""The frame of a trunk: skin, outer surface of the muscle wall, abdominal cavity.

The origin is the centre of the vertebral body. Outlines are built for one side and mirrored, each
side with draws of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from muscletransfer.data.synthetic.builds import BUILDS, Build
from muscletransfer.data.synthetic.habitus import Habitus
from muscletransfer.data.synthetic.shapes import (
    Array,
    arc_length,
    closed_spline,
    mirrored,
    normals,
    smoothstep,
    superellipse,
    wobble,
)

__all__ = ["SIDES", "Frame", "build_frame"]

#: Sides of the patient: +1 is left (on the right of the screen).
SIDES = (1, -1)


@dataclass(frozen=True)
class Wall:
    """One side of the abdominal wall, in coordinates of the left side.

    Attributes:
        curve: ``(N, 2)`` outer surface from the linea alba to the border of the erector spinae.
        s: ``(N,)`` length along it from the midline in mm.
        rectus: Start, end (mm along the curve) and greatest thickness of the rectus.
        lateral: Start, end and greatest thickness of the three flat muscles together.
        wave: ``(N,)`` slow relative variation of the thickness.
        inner_end: How much of the curve bounds the cavity, as a share of its length.
    """

    curve: Array
    s: Array
    rectus: tuple[float, float, float]
    lateral: tuple[float, float, float]
    wave: Array
    inner_end: float = 1.0

    def lateral_depth(self) -> Array:
        """Thickness of the lateral wall along the curve in mm; 0 outside its extent."""
        start, end, thickness = self.lateral
        v = (self.s - start) / (end - start)
        profile = np.sqrt(smoothstep(v / 0.22) * smoothstep((1.0 - v) / 0.24))
        return np.asarray(thickness * profile * (1.0 + self.wave))

    def rectus_depth(self) -> Array:
        """Thickness of the rectus along the curve in mm; 0 outside its extent."""
        start, end, thickness = self.rectus
        v = np.clip((self.s - start) / (end - start), 0.0, 1.0)
        # Fuller on the medial side, thinning out towards the semilunar line.
        profile = np.sqrt(smoothstep(v / 0.16)) * np.sqrt(smoothstep((1.0 - v) / 0.45))
        return np.asarray(thickness * profile * (1.0 + 0.6 * self.wave))

    def inner(self) -> Array:
        """Surface of the abdominal cavity under the wall."""
        fascia = 1.6 * smoothstep((self.lateral[1] + 14.0 - self.s) / 14.0)
        depth = np.maximum(self.lateral_depth(), self.rectus_depth())
        # Preperitoneal fat behind the linea alba.
        middle = 0.75 * self.rectus[2] * smoothstep((self.rectus[0] + 12.0 - self.s) / 8.0)
        depth = np.maximum(depth, middle) + fascia
        surface = self.curve + depth[:, None] * normals(self.curve, closed=False)
        return np.asarray(surface[self.s <= self.inner_end * self.s[-1]])


@dataclass(frozen=True)
class Frame:
    """Outlines and sizes that every organ is placed by.

    Attributes:
        build: Proportions of the level.
        scale: Linear size of the skeleton relative to a man of 1.75 m.
        bulk: Muscle cross-section relative to that man's.
        skin: Closed outline of the skin.
        walls: The wall of each side, by side (+1 left, -1 right).
        stretch: ``(2,)`` relative width and depth of the back muscles.
        outer: Closed outline of the muscle wall and the back muscles.
        cavity: Closed outline of the abdominal cavity with the retroperitoneum.
        half_width: Half the width of the cavity in mm.
        front: y of the front of the cavity in mm (negative).
    """

    build: Build
    scale: float
    bulk: float
    skin: Array
    walls: dict[int, Wall]
    stretch: Array
    outer: Array
    cavity: Array
    half_width: float
    front: float


def _sizes(patient: Habitus, rng: np.random.Generator) -> dict[str, float]:
    """Half axes of the trunk and thickness of the fat under the skin, in mm."""
    male, bmi = patient.male, patient.bmi
    waist = (24.0 * bmi + 300.0 if male else 22.5 * bmi + 280.0) + rng.normal(0.0, 22.0)
    waist *= patient.frame / (1.0 if male else 0.93)
    half_depth = 0.97 * waist / (2.0 * np.pi * np.sqrt((patient.shape_ratio**2 + 1.0) / 2.0))
    share = 1.0 - 1.1 * (patient.visceral - (0.52 if male else 0.36))
    mean_fat = (17.0 + 1.45 * (bmi - 26.0) if male else 25.0 + 1.9 * (bmi - 26.0)) * share
    mean_fat = max(mean_fat, 4.0)
    front, side, back = np.maximum(
        mean_fat * np.array([0.95 if male else 1.05, 0.72, 1.0]) * rng.normal(1.0, 0.1, size=3),
        [3.5, 3.0, 6.0],
    )
    return {
        "a": half_depth * patient.shape_ratio,
        "b": half_depth,
        "front": front,
        "side": side,
        "back": back,
        "front_box": float(rng.uniform(2.15, 2.5)),
        "back_box": float(rng.uniform(2.3, 2.9)),
    }


def _half_skin(size: dict[str, float], top: float, middle: float, bottom: float) -> Array:
    """Skin of the left half from the front to the back midline."""
    turn = np.linspace(0.0, np.pi / 2.0, 40)
    front = superellipse((0.0, middle), (size["a"], middle - top), size["front_box"], turn)
    back = superellipse(
        (0.0, middle), (size["a"], bottom - middle), size["back_box"], turn + np.pi / 2.0
    )
    return np.vstack([front, back[1:]])


def _half_outer(
    width: float, top: float, middle: float, back: Array, boxiness: float
) -> tuple[Array, int]:
    """Outer muscle surface of the left half, and how many of its points are the free wall."""
    turn = np.linspace(0.0, np.pi / 2.0, 14)
    front = superellipse((0.0, middle), (width, middle - top), boxiness, turn)
    x_end, y_end = back[0]
    inner = 0.62 * x_end
    reach = (1.0 - ((x_end - inner) / (width - inner)) ** 2) ** 0.5
    side = superellipse(
        (inner, middle), (width - inner, (y_end - 2.0 - middle) / reach), 2.0, turn + np.pi / 2.0
    )
    side = side[1:][side[1:, 0] > x_end + 8.0]
    points = np.vstack([front, side, back])
    return points, len(front) + len(side)


def build_frame(
    patient: Habitus,
    rng: np.random.Generator,
    build: Build | None = None,
    own: np.random.Generator | None = None,
) -> Frame:
    """Lay out the trunk of a patient at a vertebral level.

    Args:
        patient: Body size, fat and muscle.
        rng: Source of what is the patient's at every level: girth and thickness of the fat.
        build: Proportions of the level; those of the third lumbar vertebra without it.
        own: Source of what varies from level to level; ``rng`` without it.

    Returns:
        The outlines, before pose and the individual warp.

    Example:
        >>> from muscletransfer.data.synthetic.habitus import sample_habitus
        >>> rng = np.random.default_rng(0)
        >>> frame = build_frame(sample_habitus(rng), rng)
        >>> frame.front < 0 < frame.half_width
        True
    """
    build = BUILDS["L3"] if build is None else build
    scale = patient.frame
    bulk = patient.muscle * (1.0 if patient.male else 0.84)
    size = _sizes(patient, rng)
    rng = rng if own is None else own
    for name, factor in zip(
        ("a", "b", "front", "side", "back"), (*build.girth, *build.fat), strict=True
    ):
        size[name] *= factor
    grow = float(np.sqrt(bulk))
    bottom = (max(y for _, y in build.back) - 1.5) * scale * (0.6 + 0.4 * grow) + size["back"]
    top = bottom - 2.0 * size["b"]
    middle = top + 0.56 * (bottom - top) - 6.0
    width = size["a"] - size["side"]
    if build.skeleton_width is not None:
        width = build.skeleton_width * scale * (0.8 + 0.2 * grow)
        size["a"] = max(size["a"], width + max(size["side"], 5.0))
    boxiness = float(rng.uniform(2.2, 2.5))
    turn = float(rng.normal(0.0, 0.02))
    walls: dict[int, Wall] = {}
    halves: dict[int, Array] = {}
    inner: dict[int, Array] = {}
    distension = np.clip(1.0 - 0.012 * (patient.bmi - 26.0), 0.8, 1.1)
    gap = max(rng.normal(4.0, 1.5) + 0.35 * max(patient.bmi - 27.0, 0.0), 2.0) * scale
    stretch = np.array([rng.uniform(0.88, 1.02), rng.uniform(0.96, 1.06)]) * build.stretch
    for side in SIDES:
        back = np.array(build.back) * scale
        back = (0.25 + 0.75 * grow) * (back - (5.0, 45.0)) * stretch + (5.0, 45.0)
        points, free = _half_outer(
            width * (1.0 + side * turn), top + size["front"], middle, back, boxiness
        )
        halves[side] = points
        closed = np.vstack([points, mirrored(points, -1)[:0:-1]])
        outline = closed_spline(closed, 720)
        end = int(np.argmin(np.hypot(*(outline[:360] - points[free]).T)))
        curve = outline[: end + 1]
        s = arc_length(curve)
        phases = rng.uniform(0.0, 2.0 * np.pi, size=3)
        wave = sum(
            0.06 * np.sin(2.0 * np.pi * s / length + phase)
            for length, phase in zip((150.0, 90.0, 55.0), phases, strict=True)
        )
        reach = gap + (66.0 if patient.male else 60.0) * scale * rng.normal(1.0, 0.05)
        walls[side] = Wall(
            curve=curve,
            s=s,
            rectus=(
                gap,
                reach,
                build.rectus * 11.0 * bulk * scale * distension * rng.normal(1.0, 0.07),
            ),
            lateral=(
                reach + rng.uniform(-2.0, 6.0),
                build.lateral_end * s[-1] - rng.uniform(2.0, 10.0),
                build.lateral * 24.0 * bulk * scale * distension * rng.normal(1.0, 0.05),
            ),
            wave=np.asarray(wave),
            inner_end=build.inner_end,
        )
        inner[side] = walls[side].inner()
    outer = closed_spline(np.vstack([halves[1], mirrored(halves[-1], -1)[:0:-1]]), 720)
    floor = [*build.floor, *((-x, y) for x, y in build.floor[-2::-1])]
    cavity = np.vstack([inner[1], np.array(floor) * scale, mirrored(inner[-1], -1)[::-1]])
    half_skin = _half_skin(size, top, middle, bottom)
    skin = np.vstack([half_skin, mirrored(half_skin, -1)[-2:0:-1]])
    furrow = rng.uniform(3.0, 8.0) * np.exp(-((skin[:, 0] / 13.0) ** 2)) * (skin[:, 1] > 0)
    skin = wobble(closed_spline(skin - np.stack([0 * furrow, furrow], 1), 720), rng, 1.3, (4, 12))
    return Frame(
        build=build,
        scale=scale,
        bulk=bulk,
        skin=skin,
        walls=walls,
        stretch=stretch,
        outer=outer,
        cavity=cavity,
        half_width=float(max(np.ptp(inner[1][:, 0]), np.ptp(inner[-1][:, 0]))),
        front=float(inner[1][0, 1]),
    )
