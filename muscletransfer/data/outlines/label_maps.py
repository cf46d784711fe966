"""Label maps of other tools: one file with many values, or a folder with a file a structure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from muscletransfer.data.io import read_mask
from muscletransfer.data.outlines.names import TOTALSEGMENTATOR, label_names, matching, stem
from muscletransfer.data.types import Array, MaskImage
from muscletransfer.errors import DataError, GeometryError, ImageReadError, UnknownNameError

__all__ = ["read_structure_files", "read_values", "value_names"]

_ENDINGS = (".nii.gz", ".nii", ".nrrd", ".mha")
NOT_ANNOTATED = 255


def value_names(
    path: Path, labels: Array, names: Mapping[str, int] | None = None
) -> dict[str, int]:
    """Return what the values of a label map are called.

    Args:
        path: The file.
        labels: Its values.
        names: A table of the caller's own, which goes before all others.

    Returns:
        Names to values: the caller's; the file's own; the file name for a file of 0 and one other
        value; TotalSegmentator's table for values that it knows.
    """
    if names is not None:
        return dict(names)
    found = label_names(path)
    if found:
        return found
    values = [int(v) for v in np.unique(labels) if v not in (0, NOT_ANNOTATED)]
    if len(values) <= 1:
        return {stem(path): values[0] if values else 1}
    if values and max(values) <= len(TOTALSEGMENTATOR):
        return dict(TOTALSEGMENTATOR)
    return {}


def read_values(
    path: Path, table: Mapping[str | int, int], names: Mapping[str, int] | None = None
) -> MaskImage:
    """Read a label map and number the structures anew.

    Args:
        path: NIfTI, NRRD or MHA.
        table: Which name or value becomes which class; see `class_table`.
        names: Names of the values, where the file does not carry them.

    Returns:
        Classes on the file's own grid; 255 (not annotated) is kept.

    Raises:
        UnknownNameError: A name that no value has, with close matches.
        DataError: A value that does not occur, with those that do.
    """
    mask = read_mask(path)
    known = value_names(path, mask.labels, names)
    result = np.where(mask.labels == NOT_ANNOTATED, NOT_ANNOTATED, 0).astype(np.uint8)
    present = set(np.unique(mask.labels).tolist())
    for wanted, target in table.items():
        if isinstance(wanted, str) and not known:
            raise UnknownNameError(
                f"{path}: its values have no names, so {wanted!r} means nothing; wanted values, "
                f"one of {_shown(present)}, or names={{{wanted!r}: value}}."
            )
        values = (
            [wanted]
            if isinstance(wanted, int)
            else [known[n] for n in matching(wanted, known, str(path))]
        )
        if isinstance(wanted, int) and wanted not in present:
            raise DataError(
                f"{path}: no voxel has the value {wanted}; wanted one of {_shown(present)}."
            )
        result[np.isin(mask.labels, values)] = target
    return MaskImage(result, mask.spacing, mask.direction, mask.origin, str(path))


def read_structure_files(folder: Path, table: Mapping[str | int, int]) -> MaskImage:
    """Read files of one structure each, such as TotalSegmentator writes, into one label map.

    Args:
        folder: ``segmentations/`` with ``iliopsoas_left.nii.gz``, ...
        table: Which file name becomes which class; see `class_table`. Where two overlap, the later
            one of the table stands.

    Returns:
        Classes on the grid that all of them share.

    Raises:
        UnknownNameError: No file of that name, with close matches.
        GeometryError: Files on several grids.
        ImageReadError: A folder without such files, or a damaged one.
    """
    files = structure_files(folder)
    merged: MaskImage | None = None
    for wanted, target in table.items():
        if not isinstance(wanted, str):
            raise DataError(
                f"{folder}: holds a file a structure, and {wanted!r} is a value; wanted a name, "
                f"such as {sorted(files)[0]!r}."
            )
        for name in matching(wanted, sorted(files), str(folder)):
            part = read_mask(files[name])
            if merged is None:
                empty = np.zeros(part.shape, np.uint8)
                merged = MaskImage(empty, part.spacing, part.direction, part.origin, str(folder))
            elif part.shape != merged.shape or not np.allclose(
                (*part.origin, *part.spacing, *part.direction),
                (*merged.origin, *merged.spacing, *merged.direction),
                atol=1e-3,
            ):
                raise GeometryError(
                    f"{files[name]} has another grid than the other structures in {folder} (shape "
                    f"{part.shape} and {merged.shape}); wanted files of one run of one image."
                )
            merged.labels[(part.labels != 0) & (part.labels != NOT_ANNOTATED)] = target
    assert merged is not None  # a table has at least one name, and each name at least one file
    return merged


def structure_files(folder: Path) -> dict[str, Path]:
    """Return the structure files of a folder by name.

    Raises:
        ImageReadError: There are none.
    """
    found = {
        stem(p): p
        for p in sorted(folder.iterdir())
        if p.name.lower().endswith(_ENDINGS) and not p.name.startswith(".")
    }
    if not found:
        raise ImageReadError(
            f"{folder}: holds no label maps; wanted one file a structure, such as "
            "iliopsoas_left.nii.gz."
        )
    return found


def _shown(values: set[int]) -> str:
    listed = sorted(values)
    return ", ".join(map(str, listed[:15])) + (", ..." if len(listed) > 15 else "")
