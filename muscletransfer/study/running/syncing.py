"""Getting files onto the disk for good, so that a rename never outlives what it names."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

__all__ = ["sync_folder", "sync_tree"]

_AT_ONCE = 8


def sync_tree(folder: Path) -> None:
    """Bring every file below a folder, and the folders' lists of names, onto the disk.

    A disk or quota that filled up shows here at the latest.

    Raises:
        OSError: When a file could not be written in full.

    Example:
        >>> import tempfile
        >>> sync_tree(Path(tempfile.mkdtemp()))
    """
    files, folders = [], []
    for parent, _, names in os.walk(folder):
        folders.append(Path(parent))
        paths = [os.path.join(parent, name) for name in names]
        files += [path for path in paths if not os.path.islink(path)]
    # Asked for at once, the file system writes its journal once for several.
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for _ in pool.map(_sync_file, files):
            pass
    for one in folders:
        sync_folder(one)


def _sync_file(path: str) -> None:
    handle = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_folder(folder: Path) -> None:
    """Bring the list of names of one folder onto the disk, where the system can.

    Example:
        >>> import tempfile
        >>> sync_folder(Path(tempfile.mkdtemp()))
    """
    if os.name == "nt":  # folders cannot be opened there
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
