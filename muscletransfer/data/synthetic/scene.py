"""What every drawing function needs: canvas, patient, frame, HU and streams of randomness."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from muscletransfer.data.synthetic.canvas import Canvas, Float32
from muscletransfer.data.synthetic.fields import random_field
from muscletransfer.data.synthetic.frame import Frame
from muscletransfer.data.synthetic.habitus import Habitus
from muscletransfer.data.synthetic.shapes import Array, mirrored
from muscletransfer.data.synthetic.tissues import Hounsfield

__all__ = ["Obstacle", "Scene", "Textures", "make_textures", "rigid"]


#: A disc that bowel keeps away from: x, y and radius in mm.
Obstacle: TypeAlias = tuple[float, float, float]


@dataclass(frozen=True)
class Textures:
    """Full-size random fields of unit variance, shared by all organs of a slice.

    Attributes:
        fine: Details of about 3 mm.
        medium: Details of about 8 mm.
        coarse: Details of about 30 mm.
    """

    fine: Float32
    medium: Float32
    coarse: Float32


def make_textures(canvas: Canvas, rng: np.random.Generator) -> Textures:
    """Draw the shared random fields of a slice."""
    return Textures(
        fine=random_field(rng, canvas.grid, 1.7),
        medium=random_field(rng, canvas.grid, 4.5),
        coarse=random_field(rng, canvas.grid, 16.0),
    )


@dataclass(frozen=True)
class Scene:
    """A slice in the making.

    Attributes:
        canvas: Where to paint.
        patient: Whose slice.
        frame: Outlines of the trunk.
        hu: Attenuation of each material.
        rng: Stream of randomness for shapes.
        textures: Shared random fields.
    """

    canvas: Canvas
    patient: Habitus
    frame: Frame
    hu: Hounsfield
    rng: np.random.Generator
    textures: Textures

    def textured(self, mean: float, fine: float = 0.0, medium: float = 0.0) -> Float32:
        """A material with a mean and the standard deviations of its texture, in HU."""
        value = np.full(self.canvas.hu.shape, mean, dtype=np.float32)
        if fine:
            value += np.float32(fine) * self.textures.fine
        if medium:
            value += np.float32(medium) * self.textures.medium
        return value


def rigid(
    points: list[tuple[float, float]] | Array,
    side: int,
    scale: float,
    rng: np.random.Generator,
    jitter: float = 0.0,
) -> Array:
    """Template points of the left side, scaled, jittered one by one (mm) and put on a side."""
    placed = np.asarray(points, dtype=np.float64) * scale
    if jitter:
        placed = placed + rng.normal(0.0, jitter, size=placed.shape)
    return mirrored(placed, side)
