"""From the files of one series UID to stacks of slices, each of one grid, one slice a place."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from muscletransfer.data.dicom.facts import Frame
from muscletransfer.data.dicom.stack import SAME_PLACE_MM, Stacking
from muscletransfer.data.indexing.choosing import gather
from muscletransfer.data.indexing.duplicates import drop_duplicates
from muscletransfer.data.indexing.records import Look, Problem, SliceFile
from muscletransfer.data.indexing.scan import describe_oddity, describe_stack

__all__ = ["Stack", "make_stacks", "restack"]

_LEAST_SHARE = 0.1
_LEAST_SLICES = 3
_AGAIN = "Copy or export the file again; move it elsewhere if it is of another series."


@dataclass
class Stack:
    """Slices that are one volume.

    Args:
        files: Along the normal.
        places: Of each along its own normal, in mm.
        gap: mm between slices, 0 where there is no single one.
        slices: Number of slices (frames count).
        note: What is odd about the stack, or empty.
    """

    files: list[SliceFile]
    places: list[float]
    gap: float
    slices: int
    note: str = ""


def make_stacks(files: Sequence[SliceFile]) -> tuple[list[Stack], list[Problem]]:
    """Sort the axial slices of one series into stacks.

    Args:
        files: What `choose_files` kept of one series UID.

    Returns:
        Stacks, usually one, and the problems met on the way.
    """
    problems: list[Problem] = []
    kept = drop_duplicates(files, problems)
    stacks: list[Stack] = []
    for group in _by_grid(kept, problems):
        same = _same_values(group, problems)
        for part in _apart(same, problems):
            stack = restack(part, problems)
            if min(np.diff(stack.places), default=math.inf) >= SAME_PLACE_MM:
                stacks.append(stack)
                continue
            problems.append(
                gather(
                    part,
                    "its files have orientations so far apart that they name no order of its "
                    "slices",
                    _AGAIN,
                )
            )
    return stacks, problems


def _by_grid(files: Sequence[SliceFile], problems: list[Problem]) -> list[list[SliceFile]]:
    """Split by grid; what is too few to be a reconstruction of its own is left out as odd."""
    groups: dict[Any, list[SliceFile]] = {}
    for file in files:
        look = file.look
        key = (
            look.rows,
            look.columns,
            tuple(round(v, 4) for v in look.pixel_spacing),
            tuple(round(v, 2) for v in look.orientation),
            file.path if file.traits.frames > 1 else "",
        )
        groups.setdefault(key, []).append(file)
    # Rounding may part what differs in the last digit: join it again.
    joined: list[list[SliceFile]] = []
    for group in sorted(groups.values(), key=len, reverse=True):
        near = next((g for g in joined if _same_grid(g[0], group[0])), None)
        if near is None:
            joined.append(group)
        else:
            near.extend(group)
    return _without_odd(joined, problems, _grid_difference)


def _same_grid(a: SliceFile, b: SliceFile) -> bool:
    if a.traits.frames > 1 or b.traits.frames > 1:
        return False
    return (
        (a.look.rows, a.look.columns) == (b.look.rows, b.look.columns)
        and np.allclose(a.look.pixel_spacing, b.look.pixel_spacing, rtol=1e-4)
        and np.allclose(a.look.orientation, b.look.orientation, atol=1e-3)
    )


def _without_odd(
    groups: list[list[SliceFile]],
    problems: list[Problem],
    difference: Callable[[Look, Look], str],
) -> list[list[SliceFile]]:
    if len(groups) < 2 or any(g[0].traits.frames > 1 for g in groups):
        return groups
    most = len(groups[0])
    if most < 2 or len(groups[1]) == most < _LEAST_SLICES:
        # One says this and one says that: nothing tells which of them is right.
        everything = [file for group in groups for file in group]
        what = difference(groups[0][0].look, groups[1][0].look)
        problems.append(
            gather(everything, f"files of one series contradict each other: {what}", _AGAIN)
        )
        return []
    kept = [groups[0]]
    for group in groups[1:]:
        if len(group) >= max(_LEAST_SLICES, _LEAST_SHARE * most):
            kept.append(group)
        else:
            what = difference(group[0].look, groups[0][0].look)
            problems.append(
                gather(group, f"differs from {most} other files of its series: {what}", _AGAIN)
            )
    return kept


def _same_values(files: list[SliceFile], problems: list[Problem]) -> list[SliceFile]:
    """Leave out files whose numbers mean something else than those of nearly all others.

    A rescale of its own in every file is a way to store CT, in which some may be equal by chance;
    one that differs in a few files, where most have another, is damage. So is another layout of
    bits.
    """
    if not files:
        return []
    bits = Counter(_bits(f.look) for f in files)
    rescales = Counter((f.look.rescale_slope, f.look.rescale_intercept) for f in files)
    usual_bits, enough = bits.most_common(1)[0]
    usual_rescale, most = rescales.most_common(1)[0]
    kept: list[SliceFile] = []
    odd: list[SliceFile] = []
    for file in files:
        look = file.look
        rescale = (look.rescale_slope, look.rescale_intercept)
        few_bits = _bits(look) != usual_bits and bits[_bits(look)] < _LEAST_SHARE * enough + 2
        few = rescale != usual_rescale and rescales[rescale] < _LEAST_SHARE * most + 2
        few = few and 2 * most > len(files)
        (odd if few or few_bits else kept).append(file)
    if len(files) == 2 and (len(bits) > 1 or len(rescales) > 1):
        odd, kept = list(files), []  # nothing tells which of the two is right
    for file in odd:
        other = next(f for f in (*kept, *files) if f is not file)
        what = _value_difference(file.look, other.look)
        problems.append(gather([file], f"differs from other files of its series: {what}", _AGAIN))
    return kept


def _bits(look: Look) -> tuple[Any, ...]:
    return look.photometric, look.bits_allocated, look.bits_stored, look.high_bit, look.signed


def _apart(files: list[SliceFile], problems: list[Problem]) -> list[list[SliceFile]]:
    """Tell phases and reconstructions apart that share a series UID and lie at the same places."""
    if not files:
        return []
    stacking = _stacking(files)
    twins = stacking.twins
    if not twins:
        return [files]
    shattered: list[list[SliceFile]] = []
    for key in _WAYS_APART:
        parts: dict[Any, list[SliceFile]] = {}
        for file in files:
            parts.setdefault(key(file), []).append(file)
        if len(parts) > 1 and not any(_stacking(part).twins for part in parts.values()):
            if len(parts) <= 2 * stacking.most_at_one_place:
                return list(parts.values())
            # What counts slices, as acquisitions may, tells no phases apart.
            if not shattered or len(parts) < len(shattered):
                shattered = list(parts.values())
    if shattered:
        problems.append(
            gather(
                files,
                f"up to {stacking.most_at_one_place} of its slices lie at one place, and all that "
                f"tells them apart makes {len(shattered)} series of it",
                "Keep one file a place in the export, or give each phase its own series UID.",
                "check",
            )
        )
        return shattered
    a, b = twins[0]
    problems.append(
        gather(
            files,
            f"{len(twins)} pairs of its slices lie at one place, such as "
            f"{Path(files[a].path).name} and {Path(files[b].path).name}, and nothing tells "
            "phases or reconstructions apart",
            "Keep one reconstruction in the export, or give each its own series UID.",
        )
    )
    return []


_WAYS_APART: tuple[Callable[[SliceFile], Any], ...] = (
    lambda f: f.kind[0],  # acquisition
    lambda f: f.kind[1],  # phase in time
    lambda f: f.traits.kernel,
    lambda f: f.traits.thickness,
    lambda f: f.traits.kvp,
    lambda f: f.traits.image_type,
    lambda f: (f.look.rescale_slope, f.look.rescale_intercept),
)


def restack(files: list[SliceFile], problems: list[Problem]) -> Stack:
    """Put slices of one grid, one a place, in order; tell of gaps and shifts."""
    if files[0].traits.frames > 1:
        traits = files[0].traits
        stack = Stack(files, [0.0], traits.frames_gap, traits.frames, traits.frames_note)
    else:
        found = _stacking(files)
        note = describe_oddity(found)
        stack = Stack(
            [files[k] for k in found.order],
            [files[k].place for k in found.order],  # as reading the list works them out again
            describe_stack(found) if len(files) > 1 else files[0].traits.thickness,
            len(files),
            note,
        )
    if stack.note:
        problems.append(
            gather(
                stack.files,
                stack.note,
                "Slices are used one by one; export the series again if any should be there, and "
                "take no volume in mm3 from it.",
                "check",
            )
        )
    return stack


def _stacking(files: Sequence[SliceFile]) -> Stacking:
    nan = float("nan")
    orientation = files[0].look.orientation
    return Stacking(
        [Frame(f.position, orientation, f.look.pixel_spacing, nan, nan, nan, ()) for f in files]
    )


def _grid_difference(a: Look, b: Look) -> str:
    return _difference(a, b, ("rows", "columns", "pixel_spacing", "orientation"))


def _value_difference(a: Look, b: Look) -> str:
    fields = ("photometric", "bits_allocated", "bits_stored", "high_bit", "signed")
    return _difference(a, b, (*fields, "rescale_slope", "rescale_intercept"))


def _difference(a: Look, b: Look, fields: Sequence[str]) -> str:
    found = [
        f"{name.replace('_', ' ')} {getattr(a, name)} and not {getattr(b, name)}"
        for name in fields
        if getattr(a, name) != getattr(b, name)
    ]
    return ", ".join(found)
