"""Label maps of other tools: one file with many values, or a folder with a file a structure."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from muscletransfer.data.io import read_mask
from muscletransfer.data.outlines.names import (
    TOTALSEGMENTATOR,
    Pairs,
    matching,
    name_pairs,
    stem,
    values_of,
)
from muscletransfer.data.outlines.spine_order import check_spine, check_table
from muscletransfer.data.types import MaskImage
from muscletransfer.errors import DataError, GeometryError, ImageReadError, UnknownNameError

__all__ = ["read_structure", "read_structure_files", "read_values", "value_names"]

_ENDINGS = (".nii.gz", ".nii", ".nrrd", ".mha")
NOT_ANNOTATED = 255


def value_names(path: Path, mask: MaskImage, names: Mapping[str, int] | None = None) -> Pairs:
    """Return what the values of a label map are called.

    Args:
        path: The file.
        mask: What it holds.
        names: A table of the caller's own, which goes before all others.

    Returns:
        Names and values: the caller's; the file's own; the file name for a file of 0 and one other
        value; TotalSegmentator's table for values that it knows, with a warning.

    Raises:
        DataError: 255 is the only value beside 0, or TotalSegmentator's table is not that of the
            values: vertebrae lie in the wrong order, or it was given and ends below one of them.
    """
    if names is not None:
        if names == TOTALSEGMENTATOR:
            check_table(path, mask)
        return list(names.items())
    found = name_pairs(path)
    if found:
        return found
    present = [int(v) for v in np.unique(mask.labels)]
    values = [v for v in present if v not in (0, NOT_ANNOTATED)]
    if present == [0, NOT_ANNOTATED]:
        raise DataError(
            f"{path}: holds 0 and 255 and no other value, and 255 means not annotated, so there is "
            "no structure in it. If 255 is the structure, write it as 1, or ask for the value 255."
        )
    if len(values) <= 1:
        return [(stem(path), values[0] if values else 1)]
    if max(values) > len(TOTALSEGMENTATOR):
        return []
    check_spine(path, mask)
    table = list(TOTALSEGMENTATOR.items())
    name, value = table[values[0] - 1]
    warnings.warn(
        f"{path}: its values carry no names and were taken as TotalSegmentator's, version 2 "
        f"({value} is {name!r}). Pass names= if they mean something else, and otherwise "
        "names=TOTALSEGMENTATOR (from muscletransfer.data.outlines).",
        stacklevel=2,
    )
    return table


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
    by_name = any(isinstance(wanted, str) for wanted in table)
    known = value_names(path, mask, names) if by_name else []
    result = np.where(mask.labels == NOT_ANNOTATED, NOT_ANNOTATED, 0).astype(np.uint8)
    present = set(np.unique(mask.labels).tolist())
    for wanted, target in table.items():
        if isinstance(wanted, str) and not known:
            raise UnknownNameError(
                f"{path}: its values have no names, so {wanted!r} means nothing; wanted values, "
                f"one of {_shown(present)}, or names={{{wanted!r}: value}}."
            )
        values = [wanted] if isinstance(wanted, int) else values_of(wanted, known, str(path))
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
            part = read_structure(files[name])
            if merged is None:
                empty = np.zeros(part.shape, np.uint8)
                merged = MaskImage(empty, part.spacing, part.direction, part.origin, str(folder))
            elif part.shape != merged.shape or not np.allclose(
                (*part.origin, *part.spacing, *part.direction),
                (*merged.origin, *merged.spacing, *merged.direction),
                atol=1e-3,
                equal_nan=True,
            ):
                raise GeometryError(
                    f"{files[name]} has another grid than the other structures in {folder} (shape "
                    f"{part.shape} and {merged.shape}); wanted files of one run of one image."
                )
            merged.labels[(part.labels != 0) & (part.labels != NOT_ANNOTATED)] = target
    assert merged is not None  # a table has at least one name, and each name at least one file
    return merged


def read_structure(path: Path) -> MaskImage:
    """Read a file of one structure: in one of 0 and 255 alone, 255 is the structure.

    Elsewhere 255 means not annotated; a file of one structure has no reason to say that of all that
    is not background.
    """
    mask = read_mask(path)
    if np.unique(mask.labels).tolist() == [0, NOT_ANNOTATED]:
        mask.labels[mask.labels == NOT_ANNOTATED] = 1
    return mask


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
