"""What a builder of a cache does: read slices, write them, give back a few numbers.

Each process or thread writes its own slices to disk, those of the network grid to their places in
one file, native ones to the end of a file of its own, so that none waits for another. Slices of the
network grid go through the system's page cache, for training reads them next; native ones do not.
"""

from __future__ import annotations

import json
import os
import threading
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from muscletransfer.data.cache.blocks import BlockFile
from muscletransfer.data.cache.cases import Case, Failure, read_group
from muscletransfer.data.cache.checksum import checksum
from muscletransfer.data.manifest.rows import ManifestRow
from muscletransfer.data.preprocessing import PreprocessingSpec
from muscletransfer.data.types import Array, SliceGeometry

__all__ = ["COLUMNS", "Task", "Written", "grid_file", "write_group"]

COLUMNS = ("geometry", "kind", "part", "offset", "mask_offset", "image_sum", "native_sum",
           "mask_sum", "native_mask_sum")  # fmt: skip


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
        self.task = task
        self.part = f"native-{os.getpid()}-{threading.get_ident()}"

    def __enter__(self) -> _Files:
        folder = self.task.folder
        with ExitStack() as stack:
            self.images = stack.enter_context(_GridFile(folder / "images.npy"))
            self.native = stack.enter_context(BlockFile(folder / f"{self.part}.bin"))
            if self.task.need_masks:
                self.masks = stack.enter_context(_GridFile(folder / "masks.npy"))
                name = f"{self.part}-masks.bin"
                self.native_masks = stack.enter_context(BlockFile(folder / name))
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *error: Any) -> None:
        self.stack.__exit__(*error)

    def put(self, case: Case) -> Written:
        """Write one case."""
        image = np.ascontiguousarray(case.image, np.int16)
        numbers = {"image_sum": self.images.put(case.index, image)}
        numbers["offset"], numbers["native_sum"] = _append(self.native, case.native)
        classes: tuple[int, ...] = ()
        if case.mask is not None and case.native_mask is not None:
            mask = np.ascontiguousarray(case.mask, np.uint8)
            numbers["mask_sum"] = self.masks.put(case.index, mask)
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


class _GridFile:
    """A file of `grid_file`, open for writing."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            np.lib.format.read_magic(file)
            np.lib.format.read_array_header_1_0(file)
            self._start = file.tell()
        self._file = path.open("r+b", buffering=0)

    def __enter__(self) -> _GridFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def put(self, index: int, array: Array) -> int:
        """Write a slice to its place and return its checksum."""
        self._file.seek(self._start + index * array.nbytes)
        data = array.data.cast("B")
        while len(data):
            data = data[self._file.write(data) :]
        return checksum(array)


def _append(file: BlockFile, array: Array) -> tuple[int, int]:
    data = np.ascontiguousarray(array)
    return file.append(data.data), checksum(data)
