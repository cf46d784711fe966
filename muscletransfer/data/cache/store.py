"""The files of a cache, and whether they are whole.

``images.npy`` and ``masks.npy`` on the network grid; ``part0.bin`` and ``part0-masks.bin`` (and so
on, one a process or thread that built) with slices as their files have them; ``cases.npy`` with a
row a slice (geometry, type, part, where its native arrays start, checksums); and ``index.json``,
written last, with the size and a sample of each file.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from muscletransfer.data.cache.work import COLUMNS, Written, grid_file
from muscletransfer.data.files import fsync_folder

__all__ = ["FORMAT", "INDEX", "StoreWriter", "problem_of", "read_index"]

# Raised with what these files are, and with what reading, preprocessing or their checks make of an
# image: nothing else tells a cache that was built before from one of now.
FORMAT = 4
INDEX = "index.json"  # written last: a folder without it is no cache
_SAMPLES, _SAMPLE_BYTES = 64, 4096


class StoreWriter:
    """Makes the files of a cache, and its index from what the builders send back.

    Slices are written with plain writes, not through memory maps: pages of a map count as the
    process's own until they are let go, and memory would grow with the number of slices.

    Args:
        folder: Where to write.
        count: How many cases.
        shape: ``(h, w)``, or ``(h, w, 3)``, of the network grid.
        need_masks: Whether cases have masks.
    """

    def __init__(self, folder: Path, count: int, shape: tuple[int, ...], need_masks: bool) -> None:
        self.folder, self.need_masks = folder, need_masks
        self.table = np.full((count, len(COLUMNS)), -1, np.int64)
        self.classes: set[int] = set()
        self.cropped: dict[int, float] = {}
        self._numbers: dict[str, dict[str, int]] = {"geometry": {}, "kind": {}, "part": {}}
        grid_file(folder / "images.npy", (count, *shape), np.dtype(np.int16))
        if need_masks:
            grid_file(folder / "masks.npy", (count, *shape[:2]), np.dtype(np.uint8))

    def add(self, case: Written) -> None:
        """Note where one case went."""
        row = dict.fromkeys(COLUMNS, -1) | case.numbers
        for name, numbers in self._numbers.items():
            row[name] = numbers.setdefault(getattr(case, name), len(numbers))
        self.table[case.index] = [row[name] for name in COLUMNS]
        self.classes.update(case.classes)
        if case.cropped > 0:
            self.cropped[case.index] = case.cropped

    def finish(self, manifest_hash: str) -> None:
        """Name the files for good and write the index."""
        for name, number in self._numbers["part"].items():
            for ending in (".bin", "-masks.bin") if self.need_masks else (".bin",):
                (self.folder / f"{name}{ending}").rename(self.folder / f"part{number}{ending}")
        for left in self.folder.glob("native-*"):  # of a builder whose slices all failed
            left.unlink()
        np.save(self.folder / "cases.npy", self.table)
        body = {
            "format": FORMAT,
            "manifest_hash": manifest_hash,
            "has_masks": self.need_masks,
            "classes": sorted(self.classes),
            "geometries": [json.loads(text) for text in self._numbers["geometry"]],
            "kinds": list(self._numbers["kind"]),
            "parts": len(self._numbers["part"]),
            "files": {p.name: _look(p) for p in sorted(self.folder.iterdir())},
        }
        index = {"checksum": _sum(body), "body": body}
        (self.folder / INDEX).write_text(json.dumps(index), encoding="utf-8")
        fsync_folder(self.folder)


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
