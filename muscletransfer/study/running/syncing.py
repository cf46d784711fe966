"""Getting files onto the disk for good, so that a rename never outlives what it names."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["sync_folder", "sync_tree"]


def sync_tree(folder: Path) -> None:
    """Bring every file below a folder, and the folders' lists of names, onto the disk.

    A disk or quota that filled up shows here at the latest.

    Raises:
        OSError: When a file could not be written in full.

    Example:
        >>> import tempfile
        >>> sync_tree(Path(tempfile.mkdtemp()))
    """
    for parent, _, files in os.walk(folder):
        for name in files:
            path = os.path.join(parent, name)
            if os.path.islink(path):
                continue
            handle = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
        sync_folder(Path(parent))


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
