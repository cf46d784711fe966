"""Many slices from few volumes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal, TypeAlias

import SimpleITK as sitk

from muscletransfer.data.dicom.header import is_dicom, read_header
from muscletransfer.data.dicom.series import list_series
from muscletransfer.data.dicom.series_list import is_series_list, read_list
from muscletransfer.data.io import read_volume
from muscletransfer.data.io.plain import is_plain
from muscletransfer.data.io.volume import VOLUME_SUFFIXES, itk_name, quiet
from muscletransfer.data.manifest.rows import ManifestRow
from muscletransfer.data.manifest.table import Manifest
from muscletransfer.errors import SettingError

__all__ = ["SliceChoice", "count_slices", "expand_slices"]

SliceChoice: TypeAlias = Literal["listed", "all"] | int


def expand_slices(manifest: Manifest, slices: SliceChoice) -> Manifest:
    """Take many slices of each volume where a manifest names one, or none.

    Args:
        manifest: The rows as written.
        slices: ``"listed"`` for the rows as they are, ``"all"`` for every slice of each volume,
            or ``k`` for every k-th slice.

    Returns:
        One row a slice. A mask is kept where it has as many slices as its volume; labels are
        kept only with ``"listed"``, since they belong to the slice that was named.

    Raises:
        SettingError: ``slices`` is something else.
        ImageReadError: A volume cannot be read.

    Example:
        >>> rows = (ManifestRow("A", Path("a.png"), slice_index=0),)
        >>> len(expand_slices(Manifest(rows), "all"))
        1
    """
    if slices == "listed":
        return manifest
    step = 1 if slices == "all" else slices
    if not isinstance(step, int) or step < 1:
        raise SettingError(
            f"slices is {slices!r}; wanted 'listed', 'all', or every how many (1 or more)."
        )
    first: dict[Path, ManifestRow] = {}
    for row in manifest.rows:
        first.setdefault(row.image, row)
    rows: list[ManifestRow] = []
    for row in first.values():
        count = count_slices(row.image)
        if count == 1:
            rows.append(row)
            continue
        mask = row.mask if row.mask is not None and count_slices(row.mask) == count else None
        rows.extend(
            replace(row, slice_index=index, mask=mask, label=None)
            for index in range((step - 1) // 2, count, step)
        )
    return Manifest(tuple(rows), manifest.path)


def count_slices(path: Path) -> int:
    """Return how many slices an image has, from its header where the format allows.

    Args:
        path: A file or a DICOM folder.

    Returns:
        The number, at least 1.

    Raises:
        ImageReadError: The image cannot be read.
    """
    if is_plain(path):
        return 1
    if path.is_dir():
        series = list_series(path)
        if len(series) == 1:
            return sum(len(h.facts.frames) for h in next(iter(series.values())))
    elif is_series_list(path):
        return len(read_list(path).files)
    elif path.name.lower().endswith(VOLUME_SUFFIXES):
        reader = sitk.ImageFileReader()
        reader.SetFileName(itk_name(path))
        try:
            with quiet():
                reader.ReadImageInformation()
            size = reader.GetSize()
            return int(size[2]) if len(size) > 2 else 1
        except RuntimeError:
            pass  # read_volume below says what is wrong with the file
    elif is_dicom(path):
        return len(read_header(path).facts.frames)
    return read_volume(path).num_slices
