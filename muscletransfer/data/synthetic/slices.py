"""One phantom slice, in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from muscletransfer.data.synthetic.builds import BUILDS
from muscletransfer.data.synthetic.canvas import Canvas, Grid
from muscletransfer.data.synthetic.frame import build_frame
from muscletransfer.data.synthetic.habitus import Habitus, sample_habitus
from muscletransfer.data.synthetic.levels import Level, check_level
from muscletransfer.data.synthetic.lumbar import LUMBAR, draw_lumbar
from muscletransfer.data.synthetic.pelvis import draw_pelvis
from muscletransfer.data.synthetic.pose import sample_warp
from muscletransfer.data.synthetic.scanner import (
    Scanner,
    acquire,
    draw_table,
    sample_scanner,
)
from muscletransfer.data.synthetic.scene import Scene, make_textures
from muscletransfer.data.synthetic.streams import random_streams
from muscletransfer.data.synthetic.tissues import hounsfield
from muscletransfer.data.synthetic.troubles import (
    check_troubles,
    trouble_body,
    trouble_image,
    trouble_scanner,
)
from muscletransfer.data.synthetic.upper import draw_upper

__all__ = ["PhantomSlice", "phantom_slice"]


@dataclass(frozen=True)
class PhantomSlice:
    """A synthetic axial CT slice with its ground truth.

    .. versionadded:: 0.1

    Attributes:
        hu: ``(H, W)`` int16, Hounsfield units.
        mask: ``(H, W)`` uint8, 1 where an expert would outline skeletal muscle; all 0 at other
            levels than L3.
        groups: ``(H, W)`` uint8, named muscles, codes of ``GROUPS``; all 0 where the mask is.
        tissues: ``(H, W)`` uint8, organs and tissues other than muscle, codes of ``TISSUES``.
        spacing: Row and column spacing ``(sy, sx)`` in mm.
        origin: ``(x, y)`` of the centre of the first pixel in mm, LPS.
        patient: Whose slice.
        scanner: How it was scanned.
        level: Vertebral level.
        troubles: Troubles in the image, sorted.

    Example:
        >>> phantom = phantom_slice(0, size=64)
        >>> bool((phantom.mask > 0).any()), phantom.level, phantom.troubles
        (True, 'L3', ())
    """

    hu: npt.NDArray[np.int16]
    mask: npt.NDArray[np.uint8]
    groups: npt.NDArray[np.uint8]
    tissues: npt.NDArray[np.uint8]
    spacing: tuple[float, float]
    origin: tuple[float, float]
    patient: Habitus
    scanner: Scanner
    level: str
    troubles: tuple[str, ...]


def phantom_slice(
    seed: int | np.random.SeedSequence,
    *,
    size: int = 512,
    level: str = "L3",
    troubles: Sequence[str] = (),
    habitus: Habitus | None = None,
) -> PhantomSlice:
    """Draw a synthetic axial CT slice.

    The image is a drawing with the contrast, texture and noise of a CT slice. It is for tests,
    demonstrations and teaching, and stands for no real person or population.

    .. versionadded:: 0.1

    Args:
        seed: Everything follows from it; the same seed at another ``size`` is the same patient.
        size: Rows and columns. The field of view stays, so the spacing grows for small sizes.
        level: Vertebral level; only L3 has a muscle mask. Another level of a seed is the same
            patient, scanner and attenuation with shapes, pose, texture and noise of its own.
        troubles: Names in :data:`TROUBLES`.
        habitus: The patient; drawn from the seed when not given.

    Returns:
        The image and its ground truth.

    Example:
        >>> phantom = phantom_slice(0, size=64)
        >>> phantom.hu.shape, phantom.hu.dtype.name, sorted(set(phantom.mask.ravel().tolist()))
        ((64, 64), 'int16', [0, 1])
    """
    where, kinds = check_level(level), check_troubles(troubles)
    sequence = seed if isinstance(seed, np.random.SeedSequence) else np.random.SeedSequence(seed)
    streams = random_streams(sequence, where)
    patient = sample_habitus(streams["who"])
    patient = habitus or patient
    hu = hounsfield(patient, streams["hu"])
    # The scanner is set for the girth at L3, once for all levels.
    frame = build_frame(patient, streams["frame"])
    scanner = trouble_scanner(kinds, sample_scanner(frame, streams["scan"]), frame)
    if where != "L3":
        again = random_streams(sequence, where)["frame"]
        frame = build_frame(patient, again, BUILDS[where], streams["own_frame"])
    spacing = scanner.field_of_view / size
    warp, shift = sample_warp(frame, scanner, streams["pose"])
    centre = 0.5 * (frame.skin.min(axis=0) + frame.skin.max(axis=0)) + shift
    grid = Grid(
        size,
        spacing,
        round(float(centre[0]) - 0.5 * (size - 1) * spacing, 4),
        round(float(centre[1]) - 0.5 * (size - 1) * spacing, 4),
    )
    canvas = Canvas(grid, warp)
    textures = make_textures(canvas, streams["texture"])
    scene = Scene(canvas, patient, frame, hu, streams["shapes"], textures)
    canvas.warp = lambda points: points
    draw_table(canvas, frame, scanner)
    canvas.warp = warp
    _draw_trunk(scene, where)
    trouble_body(kinds, scene, streams["trouble"])
    image = acquire(canvas.hu, grid, frame, scanner, streams["noise"])
    image = trouble_image(kinds, image, canvas, frame, streams["trouble"])
    if where != "L3":
        canvas.groups[:] = 0
    return PhantomSlice(
        hu=np.clip(np.rint(image), -1024, 3071).astype(np.int16),
        mask=(canvas.groups > 0).astype(np.uint8),
        groups=canvas.groups,
        tissues=canvas.tissues,
        spacing=(spacing, spacing),
        origin=(grid.x0, grid.y0),
        patient=patient,
        scanner=scanner,
        level=where,
        troubles=kinds,
    )


def _draw_trunk(scene: Scene, level: Level) -> None:
    """Paint everything from the skin inwards."""
    if level in LUMBAR:
        draw_lumbar(scene, level)
    elif level == "S1":
        draw_pelvis(scene)
    else:
        draw_upper(scene, level)
