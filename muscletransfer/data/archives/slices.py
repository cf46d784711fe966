"""Masks of single slices: small files that fit their slice of the volume voxel by voxel."""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np
from tqdm import tqdm

from muscletransfer.data.io import read_mask, write_mask
from muscletransfer.data.io.grids import ImageGrid
from muscletransfer.data.parallel import map_in_processes
from muscletransfer.data.types import Array, Volume
from muscletransfer.errors import DataError, ImageReadError, MuscleTransferError

__all__ = [
    "each_case",
    "has_foreground",
    "is_corrected",
    "remove_masks",
    "told_apart",
    "write_slice_mask",
]

_MASKS = "masks"
_OURS = re.compile(r".+_slice\d{4,}_[0-9a-f]{8}([0-9a-f]{8})\.nii\.gz")

Job = TypeVar("Job")
Result = TypeVar("Result")


def write_slice_mask(folder: Path, case: str, index: int, labels: Array, grid: ImageGrid) -> Path:
    """Write the mask of one slice.

    The name ends in digits of a hash of case and grid and of one of the classes: cases whose names
    are alike in ASCII have a file each, a manifest of before keeps its masks until it is replaced,
    and a file that somebody corrected is known as such, and kept.

    Args:
        folder: Of the data set; masks go to ``masks/``.
        case: Name of the case.
        index: Which slice of the volume.
        labels: ``(H, W)`` classes.
        grid: The volume's.

    Returns:
        The path written.

    Raises:
        DataError: It could not be written whole.

    Warns:
        UserWarning: The file is there and was corrected.
    """
    x, y, z = (float(v) for v in grid.origins[index])
    reference = Volume(
        np.broadcast_to(np.zeros((), np.int16), (1, *grid.shape[1:])),
        (grid.volume.spacing[0], *grid.spacing),
        grid.direction,
        (x, y, z),
        grid.path,
    )
    told = repr((case, index, reference.spacing, reference.origin, reference.direction))
    code = _digits(told.encode("utf-8", "backslashreplace")) + _digits(_content(labels))
    name = f"{re.sub(r'[^A-Za-z0-9_.-]+', '_', case)}_slice{index:04d}_{code}.nii.gz"
    path = folder / _MASKS / name
    if is_corrected(path):
        warnings.warn(
            f"{path}: was corrected since it was written, and stays so; remove it to have it anew.",
            stacklevel=2,
        )
        return path
    return write_mask(labels[None], path, reference)


def is_corrected(path: Path) -> bool:
    """Return whether a mask no longer holds the classes that `write_slice_mask` gave it."""
    named = _OURS.fullmatch(path.name)
    if named is None or not path.is_file():
        return False
    try:
        labels = read_mask(path).labels
    except DataError:  # damaged
        return False
    return _digits(_content(labels)) != named[1]


def _content(labels: Array) -> bytes:
    return labels.astype("<i4").tobytes()


def _digits(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:8]


def remove_masks(folder: Path, masks: Collection[Path]) -> None:
    """Remove masks of a data set, as far as `write_slice_mask` wrote them to its folder.

    Args:
        folder: Of the data set.
        masks: Paths that a manifest named.
    """
    for path in masks:
        if path.parent == folder / _MASKS and _OURS.fullmatch(path.name):
            path.unlink(missing_ok=True)


def has_foreground(labels: Array) -> bool:
    """Return whether anything is outlined; 255 (not annotated) is nothing."""
    return bool(((labels != 0) & (labels != 255)).any())


@contextmanager
def told_apart(collected: list[str]) -> Iterator[None]:
    """Collect warnings of ours as texts, so that a run over many cases lists them by case."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    collected.extend(str(w.message) for w in caught if issubclass(w.category, UserWarning))


def each_case(
    function: Callable[[Job], Result], jobs: Sequence[Job], workers: int, what: str, progress: bool
) -> list[Result]:
    """Apply a function to every case, in processes where asked for, with a progress bar."""
    found: list[Result] = []
    with tqdm(total=len(jobs), desc=what, unit="case", disable=not progress) as bar:
        for result in map_in_processes(function, jobs, workers):
            found.append(result)
            bar.update()
    return found


def case_folders(root: Path, is_case: Callable[[Path], bool], wanted: str) -> list[Path]:
    """Return the case folders of a data set: those in the root, or the root itself.

    Raises:
        ImageReadError: The root is no folder, or holds no case.
    """
    if not root.is_dir():
        raise ImageReadError(f"{root}: is no folder; wanted the data set's, {wanted}.")
    below = [p for p in sorted(root.iterdir()) if p.is_dir() and not p.name.startswith(".")]
    found = [p for p in below if is_case(p)]
    if not found and is_case(root):
        return [root]
    if not found:
        deeper = [p.name for p in below if any(is_case(c) for c in p.iterdir() if c.is_dir())]
        hint = f" Its folder {deeper[0]!r} does: pass that." if deeper else ""
        names = ", ".join(p.name for p in sorted(root.iterdir())[:6]) or "nothing"
        raise ImageReadError(f"{root}: holds no case (found {names}); wanted {wanted}.{hint}")
    return found


def reason(error: MuscleTransferError, path: Path) -> str:
    """Return an error's text without the path that a table of problems names anyway."""
    return str(error).removeprefix(f"{path}: ")


def check_output(root: Path, output: Path) -> None:
    """Raise `DataError` for an output folder that is the data set itself."""
    if output.resolve() == root.resolve():
        raise DataError(
            f"{output}: is the data set's own folder; wanted another to write to, so that what was "
            "downloaded stays as it is."
        )
