"""The files of a cache: written slice by slice, told whole or damaged at a glance, checked in full.

``images.npy`` and ``masks.npy`` on the network grid, ``native.bin`` and ``native_masks.bin`` as the
files have them, ``cases.npy`` with a row a slice (which geometry and type, where its native arrays
start, checksums), and ``index.json``, written last, with the size and a sample of each file.
"""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from muscletransfer.data.cases import Case
from muscletransfer.data.files import fsync_folder
from muscletransfer.data.types import Array

__all__ = ["COLUMNS", "FORMAT", "INDEX", "StoreWriter", "problem_of", "read_index"]

FORMAT = 2
INDEX = "index.json"  # written last: a folder without it is no cache
COLUMNS = ("geometry", "kind", "offset", "mask_offset", "image_sum", "native_sum", "mask_sum",
           "native_mask_sum")  # fmt: skip
_SAMPLES, _SAMPLE_BYTES = 64, 4096


class StoreWriter:
    """Writes a cache's files in any order of its cases.

    Plain writes, not memory maps: pages of a map count as the process's own until they are let go.

    Args:
        folder: Where to write.
        count: How many cases.
        shape: ``(h, w)``, or ``(h, w, 3)``, of the network grid.
        need_masks: Whether cases have masks.
    """

    def __init__(self, folder: Path, count: int, shape: Sequence[int], need_masks: bool) -> None:
        self.folder, self.need_masks = folder, need_masks
        self.table = np.full((count, len(COLUMNS)), -1, np.int64)
        self.classes: set[int] = set()
        self.cropped: dict[int, float] = {}
        self._geometries: dict[str, int] = {}
        self._kinds: dict[str, int] = {}
        self._images = _Grid(folder / "images.npy", (count, *shape), np.dtype(np.int16))
        self._native = (folder / "native.bin").open("wb")
        if need_masks:
            self._masks = _Grid(folder / "masks.npy", (count, *shape[:2]), np.dtype(np.uint8))
            self._native_masks = (folder / "native_masks.bin").open("wb")

    def add(self, case: Case) -> None:
        """Write one case."""
        row = dict.fromkeys(COLUMNS, -1)
        geometry = json.dumps(case.geometry.to_dict(), sort_keys=True)
        row["geometry"] = self._geometries.setdefault(geometry, len(self._geometries))
        row["kind"] = self._kinds.setdefault(case.native.dtype.name, len(self._kinds))
        row["image_sum"] = self._images.put(case.index, case.image)
        row["offset"], row["native_sum"] = _append(self._native, case.native)
        if case.mask is not None and case.native_mask is not None:
            row["mask_sum"] = self._masks.put(case.index, case.mask)
            row["mask_offset"], row["native_mask_sum"] = _append(
                self._native_masks, case.native_mask
            )
            self.classes.update(np.unique(case.native_mask).tolist())
            if case.cropped > 0:
                self.cropped[case.index] = case.cropped
        self.table[case.index] = list(row.values())

    def finish(self, manifest_hash: str) -> None:
        """Close the files and write the index."""
        self.close()
        np.save(self.folder / "cases.npy", self.table)
        body = {
            "format": FORMAT,
            "manifest_hash": manifest_hash,
            "has_masks": self.need_masks,
            "classes": sorted(self.classes),
            "geometries": [json.loads(text) for text in self._geometries],
            "kinds": list(self._kinds),
            "files": {p.name: _look(p) for p in sorted(self.folder.iterdir())},
        }
        index = {"checksum": _sum(body), "body": body}
        (self.folder / INDEX).write_text(json.dumps(index), encoding="utf-8")
        fsync_folder(self.folder)

    def close(self) -> None:
        """Close the files."""
        self._images.file.close()
        self._native.close()
        if self.need_masks:
            self._masks.file.close()
            self._native_masks.close()


class _Grid:
    """A ``.npy`` file of equal slices, written in any order."""

    def __init__(self, path: Path, shape: tuple[int, ...], kind: np.dtype[Any]) -> None:
        self.kind, self.shape = kind, shape[1:]
        self.file = path.open("wb")
        header = {
            "descr": np.lib.format.dtype_to_descr(kind),
            "fortran_order": False,
            "shape": shape,
        }
        np.lib.format.write_array_header_1_0(self.file, header)
        self.start = self.file.tell()
        self.size = int(np.prod(self.shape)) * kind.itemsize
        self.file.truncate(self.start + shape[0] * self.size)

    def put(self, index: int, array: Array) -> int:
        data = np.ascontiguousarray(array, dtype=self.kind)
        self.file.seek(self.start + index * self.size)
        self.file.write(data.data)
        return zlib.crc32(data.data)


def read_index(directory: Path) -> dict[str, Any]:
    """Return the body of the index of a whole cache."""
    index = json.loads((directory / INDEX).read_text(encoding="utf-8"))
    body: dict[str, Any] = index["body"]
    return body


def problem_of(directory: Path) -> str | None:
    """Say what keeps a folder from being a whole cache, or return ``None``.

    The index is checked in full; of the other files the size and a sample of 64 places spread over
    each. That costs milliseconds whatever the size, and sees what crashes and full disks leave.
    """
    if not directory.is_dir():
        return "does not exist"
    try:
        index = json.loads((directory / INDEX).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return f"has no {INDEX}"
    except ValueError:
        return f"has a damaged {INDEX}"
    body = index.get("body") if isinstance(index, dict) else None
    if not isinstance(body, dict) or body.get("format") != FORMAT:
        return "is of another format"
    if index.get("checksum") != _sum(body):
        return f"has a damaged {INDEX}"
    for name, wanted in body["files"].items():
        file = directory / name
        if not file.is_file():
            return f"lacks {name}"
        size = file.stat().st_size
        if size != wanted["bytes"]:
            return f"{name} has {size} bytes and should have {wanted['bytes']}"
        if _look(file) != wanted:
            return f"{name} holds something else than was written"
    return None


def _append(file: Any, array: Array) -> tuple[int, int]:
    # Every array starts at a multiple of 8, so that any type can be viewed in place.
    file.write(b"\0" * (-file.tell() % 8))
    offset = int(file.tell())
    data = np.ascontiguousarray(array)
    file.write(data.data)
    return offset, zlib.crc32(data.data)


def _look(path: Path) -> dict[str, Any]:
    """Return the size of a file and a digest of places spread over it."""
    size = path.stat().st_size
    digest = hashlib.sha256()
    last = max(0, size - _SAMPLE_BYTES)
    places = (
        range(0, size, _SAMPLE_BYTES)
        if size <= _SAMPLES * _SAMPLE_BYTES
        else (last * k // (_SAMPLES - 1) for k in range(_SAMPLES))
    )
    with path.open("rb", buffering=0) as file:
        for place in places:
            file.seek(place)
            digest.update(os.read(file.fileno(), _SAMPLE_BYTES))
    return {"bytes": size, "sample": digest.hexdigest()}


def _sum(body: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
