"""Pose and the individual warp of a patient."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from muscletransfer.data.synthetic.frame import Frame
from muscletransfer.data.synthetic.scanner import Scanner
from muscletransfer.data.synthetic.shapes import Array

__all__ = ["sample_warp"]


def sample_warp(
    frame: Frame, scanner: Scanner, rng: np.random.Generator
) -> tuple[Callable[[Array], Array], Array]:
    """Draw how the patient lies and how the trunk departs from the template.

    A rotation about the long axis, a slight twist of the spine (scoliosis), and a smooth
    displacement of a few mm made of plane waves 130 to 320 mm long.

    Args:
        frame: Outlines of the patient.
        scanner: For the room in the field of view.
        rng: Source of randomness.

    Returns:
        The map from the patient's frame to the scanner's, and the offset of the field of view's
        centre from the patient's in mm.
    """
    roll = np.deg2rad(rng.normal(0.0, 2.4))
    twist = np.deg2rad(rng.normal(0.0, 2.5))
    length = rng.uniform(130.0, 320.0, size=5)
    heading = rng.uniform(0.0, 2.0 * np.pi, size=5)
    waves = np.stack([np.cos(heading), np.sin(heading)]) * (2.0 * np.pi / length)
    phases = rng.uniform(0.0, 2.0 * np.pi, size=(2, 5))
    amplitude = rng.normal(0.0, 1.3, size=(2, 5)) * (length / 220.0)
    slack = np.maximum(0.5 * (scanner.field_of_view - np.ptp(frame.skin, axis=0)) - 8.0, 0.0)
    shift = np.clip(rng.normal(0.0, (6.0, 9.0)), -slack, slack)
    middle = 0.5 * (frame.skin.min(axis=0) + frame.skin.max(axis=0))

    def warp(points: Array) -> Array:
        near = np.exp(-(points[:, 0] ** 2 + (points[:, 1] - 20.0) ** 2) / (2.0 * 60.0**2))
        angle = roll + twist * near
        arm = points - middle * (1.0 - near[:, None])
        cos, sin = np.cos(angle), np.sin(angle)
        turned = np.stack([cos * arm[:, 0] - sin * arm[:, 1], sin * arm[:, 0] + cos * arm[:, 1]], 1)
        moved = turned + middle * (1.0 - near[:, None])
        phase = points @ waves
        moved[:, 0] += np.sin(phase + phases[0]) @ amplitude[0]
        moved[:, 1] += np.sin(phase + phases[1]) @ amplitude[1]
        return np.asarray(moved)

    return warp, shift
