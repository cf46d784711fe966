"""Ten simulated observers who outline muscle, each with habits and a hand of their own.

An observer's outline is the reference outline moved along its normals: by a constant (bias), by an
amount drawn anew for each case, and by a smooth random field (the hand). Habits then change the
anatomy that is included. They stand for no real person; bias and spread are chosen so that pairs of
observers agree about as well as trained people do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from muscletransfer.data.synthetic.canvas import Float32, Grid
from muscletransfer.data.synthetic.fields import random_field
from muscletransfer.data.synthetic.tissues import GROUPS
from muscletransfer.errors import DataError, EmptyMaskError

__all__ = ["OBSERVERS", "Habit", "Observer", "signed_distance", "simulate_observer"]

Habit: TypeAlias = Literal[
    "none", "bridges_gaps", "skips_thin", "short_quadratus", "skips_rectus_edge"
]


@dataclass(frozen=True)
class Observer:
    """How one simulated observer outlines.

    .. versionadded:: 0.1

    Attributes:
        name: Such as ``"O01"``.
        bias_mm: Mean displacement of the outline; positive is outwards.
        spread_mm: Standard deviation of the smooth displacement along an outline.
        case_spread_mm: Standard deviation of the displacement from case to case.
        correlation_mm: Length over which the displacement is correlated.
        habit: ``"none"``; ``"bridges_gaps"`` includes the fat between neighbouring muscles and the
            linea alba; ``"skips_thin"`` leaves out the thin ends of the oblique wall;
            ``"short_quadratus"`` leaves out the lateral part of the quadratus lumborum;
            ``"skips_rectus_edge"`` cuts the medial edge of the rectus.
        omission: Probability that a small piece is missed in a case.

    Example:
        >>> generous = Observer("O99", 2.0, 0.3, 0.1, 12.0)
        >>> generous.bias_mm, generous.habit
        (2.0, 'none')
    """

    name: str
    bias_mm: float
    spread_mm: float
    case_spread_mm: float
    correlation_mm: float
    habit: Habit = "none"
    omission: float = 0.1


#: The ten observers, from careful to hasty.
#:
#: .. versionadded:: 0.1
OBSERVERS: tuple[Observer, ...] = (
    Observer("O01", 0.00, 0.30, 0.08, 14.0, "none", 0.02),
    Observer("O02", 0.25, 0.35, 0.10, 12.0, "none", 0.05),
    Observer("O03", -0.25, 0.35, 0.10, 12.0, "none", 0.05),
    Observer("O04", 0.10, 0.45, 0.12, 16.0, "bridges_gaps", 0.08),
    Observer("O05", -0.10, 0.40, 0.12, 10.0, "skips_thin", 0.08),
    Observer("O06", 0.40, 0.45, 0.12, 18.0, "none", 0.10),
    Observer("O07", -0.40, 0.45, 0.15, 15.0, "none", 0.10),
    Observer("O08", 0.15, 0.50, 0.15, 12.0, "short_quadratus", 0.15),
    Observer("O09", -0.20, 0.55, 0.15, 20.0, "skips_rectus_edge", 0.15),
    Observer("O10", 0.50, 0.60, 0.20, 16.0, "bridges_gaps", 0.20),
)


# Outlines are moved on pixels of about this size at least.
_FINE_MM = 0.75


def signed_distance(mask: npt.ArrayLike, spacing: tuple[float, float]) -> Float32:
    """Distance to the outline in mm, negative inside.

    The outline runs midway between the centres of neighbouring pixels. Where rows and columns have
    unlike spacing, distances along the larger one come out too large by half of the difference.

    Args:
        mask: ``(H, W)``, foreground is not 0.
        spacing: Row and column spacing in mm.

    Returns:
        ``(H, W)`` float32.

    Example:
        >>> signed_distance([[0, 1, 1]], (1.0, 1.0)).tolist()
        [[0.5, -0.5, -1.5]]
    """
    inside = np.asarray(mask) > 0
    outward = ndimage.distance_transform_edt(~inside, sampling=spacing)
    inward = ndimage.distance_transform_edt(inside, sampling=spacing)
    half = 0.5 * min(spacing)
    return np.where(inside, half - inward, outward - half).astype(np.float32)


def simulate_observer(
    mask: npt.ArrayLike,
    spacing: tuple[float, float],
    observer: Observer,
    seed: int | np.random.SeedSequence,
    *,
    groups: npt.ArrayLike | None = None,
) -> npt.NDArray[np.uint8]:
    """Outline a case as an observer would.

    .. versionadded:: 0.1

    Args:
        mask: ``(H, W)`` reference outline, foreground is not 0.
        spacing: Row and column spacing in mm.
        observer: Who outlines, see :data:`OBSERVERS`.
        seed: Of this case; the observer's name is mixed in, so observers differ with one seed.
        groups: ``(H, W)`` codes of :data:`GROUPS`; habits that concern one muscle need it and are
            left out without it.

    Returns:
        ``(H, W)`` uint8, 1 inside the outline.

    Raises:
        EmptyMaskError: The reference has no foreground.
        DataError: The shapes differ.

    Example:
        >>> from muscletransfer.data.synthetic import OBSERVERS, phantom_slice
        >>> case = phantom_slice(0, size=96)
        >>> drawn = simulate_observer(case.mask, case.spacing, OBSERVERS[5], seed=1)
        >>> bool(drawn.sum() > case.mask.sum())  # this one outlines generously
        True
    """
    reference = np.asarray(mask) > 0
    if reference.ndim != 2 or not reference.any():
        raise EmptyMaskError(
            f"the reference mask of shape {reference.shape} has {int(reference.sum())} foreground "
            "pixels; an observer needs a 2-D mask with a muscle to outline"
        )
    names = None if groups is None else np.asarray(groups)
    if names is not None and names.shape != reference.shape:
        raise DataError(
            f"groups has shape {names.shape} and the mask {reference.shape}; pass both of one slice"
        )
    sequence = seed if isinstance(seed, np.random.SeedSequence) else np.random.SeedSequence(seed)
    key = (*sequence.spawn_key, *observer.name.encode())
    rng = np.random.default_rng(np.random.SeedSequence(sequence.entropy, spawn_key=key))
    window = _window(reference, spacing)
    fine = max(round(max(spacing) / _FINE_MM), 1)
    step = (spacing[0] / fine, spacing[1] / fine)
    outline = _refined(reference[window], fine)
    if names is not None:
        names = names[window].repeat(fine, axis=0).repeat(fine, axis=1)
    outline = _habit(outline, step, observer, rng, names)
    distance = signed_distance(outline, step)
    shift = observer.bias_mm + rng.normal(0.0, observer.case_spread_mm)
    rows, columns = distance.shape
    grid = Grid(max(rows, columns), max(step), -0.5 * columns * step[1], -0.5 * rows * step[0])
    hand = random_field(rng, grid, observer.correlation_mm)[:rows, :columns]
    drawn = distance <= shift + observer.spread_mm * hand
    drawn = _omit(drawn, step, observer, rng)
    result = np.zeros(reference.shape, dtype=np.uint8)
    blocks = drawn.reshape(rows // fine, fine, columns // fine, fine)
    result[window] = blocks.mean(axis=(1, 3)) >= 0.5
    return result


def _refined(mask: npt.NDArray[np.bool_], factor: int) -> npt.NDArray[np.bool_]:
    """Mask on smaller pixels with a smooth edge, so that displacements below a pixel count."""
    if factor == 1:
        return mask
    soft = ndimage.zoom(mask.astype(np.float32), factor, order=1, mode="nearest", grid_mode=True)
    return np.asarray(soft >= 0.5)


def _window(mask: npt.NDArray[np.bool_], spacing: tuple[float, float]) -> tuple[slice, slice]:
    """Rows and columns of the foreground with a margin, since the rest stays empty."""
    bounds = []
    for axis, step in enumerate(spacing):
        used = np.flatnonzero(mask.any(axis=1 - axis))
        margin = int(np.ceil(12.0 / step))
        bounds.append(slice(max(int(used[0]) - margin, 0), int(used[-1]) + 1 + margin))
    return bounds[0], bounds[1]


def _habit(
    mask: npt.NDArray[np.bool_],
    spacing: tuple[float, float],
    observer: Observer,
    rng: np.random.Generator,
    groups: npt.NDArray[np.uint8] | None,
) -> npt.NDArray[np.bool_]:
    """Change which anatomy is included."""
    if observer.habit not in get_args(Habit):
        raise DataError(
            f"observer {observer.name} has the habit {observer.habit!r}; "
            f"wanted one of {', '.join(get_args(Habit))}"
        )
    if observer.habit == "bridges_gaps":
        reach = rng.uniform(1.6, 2.6)
        grown = signed_distance(mask, spacing) <= reach
        return np.asarray(mask | (signed_distance(grown, spacing) <= -reach))
    if observer.habit == "skips_thin":
        reach = rng.uniform(1.2, 1.9)
        core = signed_distance(mask, spacing) <= -reach
        if core.any():
            return np.asarray(mask & (signed_distance(core, spacing) <= reach + 0.6))
    if groups is not None and observer.habit == "short_quadratus":
        keep = rng.uniform(0.45, 0.75)
        return mask & ~_beyond(groups, "quadratus_lumborum", keep, lateral=True)
    if groups is not None and observer.habit == "skips_rectus_edge":
        keep = rng.uniform(0.75, 0.9)
        return mask & ~_beyond(groups, "rectus_abdominis", keep, lateral=False)
    return mask


def _beyond(
    groups: npt.NDArray[np.uint8], muscle: str, keep: float, *, lateral: bool
) -> npt.NDArray[np.bool_]:
    """Part of a muscle beyond a share ``keep`` of its width, on its lateral or medial side."""
    away = np.zeros(groups.shape, dtype=bool)
    for side, sign in (("left", 1), ("right", -1)):
        part = groups == GROUPS[f"{muscle}_{side}"]
        columns = np.flatnonzero(part.any(axis=0))
        if columns.size == 0:
            continue
        outward = sign if lateral else -sign
        start = columns[0] if outward > 0 else columns[-1]
        limit = start + outward * keep * (columns[-1] - columns[0])
        away |= part & (outward * (np.arange(groups.shape[1]) - limit) > 0)[None, :]
    return away


def _omit(
    drawn: npt.NDArray[np.bool_],
    spacing: tuple[float, float],
    observer: Observer,
    rng: np.random.Generator,
) -> npt.NDArray[np.bool_]:
    """Miss a small piece of muscle once in a while."""
    missed, row, column, radius = rng.random(4)
    if missed >= observer.omission or not drawn.any():
        return drawn
    rows, columns = np.nonzero(drawn)
    at = int(row * rows.size)
    y = (np.arange(drawn.shape[0]) - rows[at])[:, None] * spacing[0]
    x = (np.arange(drawn.shape[1]) - columns[at])[None, :] * spacing[1]
    size = 4.0 + 6.0 * radius
    ellipse = (x / size) ** 2 + (y / (size * (0.6 + 0.8 * column))) ** 2 < 1.0
    return np.asarray(drawn & ~ellipse)
