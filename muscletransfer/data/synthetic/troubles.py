"""Troubles of everyday scans: their names, and where each enters the making of an image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from muscletransfer.data.synthetic.arms import draw_arms, view_with_arms
from muscletransfer.data.synthetic.canvas import Canvas, Float32
from muscletransfer.data.synthetic.frame import Frame
from muscletransfer.data.synthetic.metal import draw_metal
from muscletransfer.data.synthetic.motion import move_during_scan
from muscletransfer.data.synthetic.scanner import Scanner
from muscletransfer.data.synthetic.scene import Scene
from muscletransfer.data.synthetic.streaks import arm_streaks, metal_streaks
from muscletransfer.data.synthetic.truncation import truncate
from muscletransfer.errors import UnknownNameError, close_matches

__all__ = ["TROUBLES", "check_troubles", "trouble_body", "trouble_image", "trouble_scanner"]

#: ``arms``: both arms beside the trunk, with streaks between them. ``metal``: pedicle screws and
#: rods, with dark bands and bright streaks. ``motion``: breathing, with double contours.
#: ``truncated``: the body runs out of the scan field and is brighter at its edge; the outline ends
#: there.
#:
#: .. versionadded:: 0.1
TROUBLES: tuple[str, ...] = ("arms", "metal", "motion", "truncated")


def check_troubles(names: Sequence[str]) -> tuple[str, ...]:
    """Return known troubles, sorted and without repeats, or raise.

    Raises:
        UnknownNameError: A name is not a trouble.
    """
    wanted = (names,) if isinstance(names, str) else names
    for name in wanted:
        if name not in TROUBLES:
            near = close_matches(name, TROUBLES)
            hint = f"; did you mean {near[0]!r}?" if near else ";"
            raise UnknownNameError(
                f"trouble {name!r} is unknown{hint} wanted some of {', '.join(TROUBLES)}"
            )
    return tuple(sorted(set(wanted)))


def trouble_scanner(kinds: tuple[str, ...], scanner: Scanner, frame: Frame) -> Scanner:
    """Settings that the radiographer changes because of a trouble (a wider view for arms)."""
    return view_with_arms(scanner, frame) if "arms" in kinds else scanner


def trouble_body(kinds: tuple[str, ...], scene: Scene, rng: np.random.Generator) -> None:
    """Change the painted body before it is scanned."""
    if "arms" in kinds:
        draw_arms(scene, rng)
    if "metal" in kinds:
        draw_metal(scene, rng)
    if "motion" in kinds:
        scene.canvas.hu = move_during_scan(scene.canvas.hu, scene.canvas.grid, scene.frame, rng)


def trouble_image(
    kinds: tuple[str, ...],
    image: Float32,
    canvas: Canvas,
    frame: Frame,
    rng: np.random.Generator,
) -> Float32:
    """Change the image that the scanner made; a truncated field also ends the labels."""
    if "arms" in kinds:
        image = image + arm_streaks(canvas.hu, canvas.grid, rng)
    if "metal" in kinds:
        image = image + metal_streaks(canvas.hu, canvas.grid, rng)
    if "truncated" in kinds:
        image = truncate(image, canvas, frame, rng)
    return image
