"""What a thread that builds a cache does: read slices, write them, give back a few numbers.

Each thread writes its own slices to disk, those of the network grid to their places in one file,
native ones to the end of a file of its own, so that none waits for another.
"""

from __future__ import annotations

import json
import os
import threading
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from muscletransfer.data.cache.cases import Case, Failure, read_group
from muscletransfer.data.manifest.rows import ManifestRow
from muscletransfer.data.preprocessing import PreprocessingSpec
from muscletransfer.data.types import Array, SliceGeometry

__all__ = ["COLUMNS", "Task", "Written", "grid_file", "write_group"]

COLUMNS = ("geometry", "kind", "part", "offset", "mask_offset", "image_sum", "native_sum",
           "mask_sum", "native_mask_sum")  # fmt: skip
_ALIGNED = 8  # every native array starts at a multiple, so that any type can be viewed in place


@dataclass(frozen=True)
class Task:
    """What all groups of one build share.

    Args:
        folder: Where files are written.
        preprocessing: The network grid.
        need_masks: Read masks.
        allow_empty: Accept masks without foreground.
        pad_label: Class outside the slice on the network grid.
    """

    folder: Path
    preprocessing: PreprocessingSpec
    need_masks: bool
    allow_empty: bool
    pad_label: int


@dataclass(frozen=True)
class Written:
    """Where a slice went: texts and numbers for a row of the table.

    Args:
        index: Row of the manifest.
        geometry: As JSON.
        kind: Type of the native array.
        part: Name of the file with native arrays, without its ending.
        numbers: The other columns by name.
        classes: Mask values.
        cropped: Share of the foreground off the network grid.
    """

    index: int
    geometry: str
    kind: str
    part: str
    numbers: dict[str, int]
    classes: tuple[int, ...]
    cropped: float


def write_group(job: tuple[list[tuple[int, ManifestRow]], Task]) -> list[Written | Failure]:
    """Read and write rows of one image, one slice in memory at a time.

    Args:
        job: Row numbers with rows that share an image, and the task.

    Returns:
        For each where it went, or why it cannot be used.

    Raises:
        OSError: The files cannot be written.
    """
    group, task = job
    outcomes: list[Written | Failure] = []
    with _Files(task) as files:
        for outcome in read_group(
            group, task.preprocessing, task.need_masks, task.allow_empty, task.pad_label
        ):
            outcomes.append(files.put(outcome) if isinstance(outcome, Case) else outcome)
    return outcomes


class _Files:
    """The files of a build, opened for the slices of one group."""

    def __init__(self, task: Task) -> None:
        self.need_masks = task.need_masks
        self.part = f"native-{threading.get_ident()}"
        append = os.O_WRONLY | os.O_CREAT
        self.images, self.image_start = _open_grid(task.folder / "images.npy")
        self.native = os.open(task.folder / f"{self.part}.bin", append, 0o644)
        if self.need_masks:
            self.masks, self.mask_start = _open_grid(task.folder / "masks.npy")
            self.native_masks = os.open(task.folder / f"{self.part}-masks.bin", append, 0o644)

    def __enter__(self) -> _Files:
        return self

    def __exit__(self, *args: object) -> None:
        for handle in (self.images, self.native):
            os.close(handle)
        if self.need_masks:
            os.close(self.masks)
            os.close(self.native_masks)

    def put(self, case: Case) -> Written:
        """Write one case."""
        image = np.ascontiguousarray(case.image, np.int16)
        numbers = {"image_sum": _put(self.images, self.image_start, case.index, image)}
        numbers["offset"], numbers["native_sum"] = _append(self.native, case.native)
        classes: tuple[int, ...] = ()
        if case.mask is not None and case.native_mask is not None:
            mask = np.ascontiguousarray(case.mask, np.uint8)
            numbers["mask_sum"] = _put(self.masks, self.mask_start, case.index, mask)
            numbers["mask_offset"], numbers["native_mask_sum"] = _append(
                self.native_masks, case.native_mask
            )
            classes = tuple(np.unique(case.native_mask).tolist())
        return Written(
            case.index,
            _text(case.geometry),
            case.native.dtype.name,
            self.part,
            numbers,
            classes,
            case.cropped,
        )


@lru_cache(maxsize=16)  # slices of a volume have one geometry
def _text(geometry: SliceGeometry) -> str:
    return json.dumps(geometry.to_dict(), sort_keys=True)


def grid_file(path: Path, shape: tuple[int, ...], kind: np.dtype[Any]) -> None:
    """Make a ``.npy`` file of zeros, into which slices can be written in any order."""
    header = {"descr": np.lib.format.dtype_to_descr(kind), "fortran_order": False, "shape": shape}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        file.truncate(file.tell() + int(np.prod(shape)) * kind.itemsize)


def _open_grid(path: Path) -> tuple[int, int]:
    with path.open("rb") as file:
        np.lib.format.read_magic(file)
        np.lib.format.read_array_header_1_0(file)
        start = file.tell()
    return os.open(path, os.O_WRONLY), start


def _put(handle: int, start: int, index: int, array: Array) -> int:
    _write_all(handle, array, start + index * array.nbytes)
    return zlib.crc32(array.data)


def _append(handle: int, array: Array) -> tuple[int, int]:
    data = np.ascontiguousarray(array)
    offset = -(-os.fstat(handle).st_size // _ALIGNED) * _ALIGNED
    _write_all(handle, data, offset)
    return offset, zlib.crc32(data.data)


def _write_all(handle: int, array: Array, offset: int) -> None:
    data = array.data.cast("B")
    os.lseek(handle, offset, os.SEEK_SET)
    while len(data):
        data = data[os.write(handle, data) :]
