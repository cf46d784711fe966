"""From a case number back to its files: a name for outputs, and the image to write masks onto."""

from __future__ import annotations

import re
from collections import Counter

from muscletransfer.data.io import read_ct, read_volume
from muscletransfer.data.io.plain import is_plain
from muscletransfer.data.manifest.rows import ManifestRow
from muscletransfer.data.manifest.table import Manifest
from muscletransfer.data.types import Volume

__all__ = ["case_names", "reference_volume"]


def case_names(manifest: Manifest) -> list[str]:
    """Return a name a case that can be a file name, each once.

    The patient id; with ``_slice003`` where slices are counted, and ``_row7`` (the line of the
    manifest) where that is not enough to tell two cases apart. They name patients: for files
    beside the user's own data, never for logs or checkpoints.

    Example:
        >>> from pathlib import Path
        >>> rows = [ManifestRow("A/1", Path("a"), slice_index=3), ManifestRow("B", Path("b"))]
        >>> case_names(Manifest(tuple(rows)))
        ['A_1_slice003', 'B']
    """
    names = [_name(row) for row in manifest.rows]
    folded = Counter(name.lower() for name in names)  # some file systems ignore case
    return [
        name if folded[name.lower()] == 1 else f"{name}_row{row.line or number}"
        for number, (name, row) in enumerate(zip(names, manifest.rows, strict=True))
    ]


def _name(row: ManifestRow) -> str:
    name = re.sub(r"[^\w.-]+", "_", row.patient_id).strip(".") or "case"
    return name if row.slice_index is None else f"{name}_slice{row.slice_index:03d}"


def reference_volume(row: ManifestRow, is_ct: bool) -> Volume | None:
    """Read the image of a row again, with the geometry that a mask of it must have.

    Args:
        row: The case.
        is_ct: Whether its values are HU.

    Returns:
        The slice, shape ``(1, H, W)``; None for a plain image, which has no geometry.

    Raises:
        ImageReadError: The file has gone or changed.
    """
    if is_plain(row.image):
        return None
    read = read_ct if is_ct else read_volume
    return read(row.image, row.slice_index)
