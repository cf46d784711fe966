"""Many slices from few volumes, and photographs cut to a square."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import SimpleITK as sitk

from muscletransfer.data.io import read_volume
from muscletransfer.data.io_dicom import is_dicom, list_series, read_header
from muscletransfer.data.io_plain import is_plain
from muscletransfer.data.io_volume import VOLUME_SUFFIXES, quiet
from muscletransfer.data.manifest import Manifest
from muscletransfer.data.manifest_rows import ManifestRow
from muscletransfer.data.preprocessing import PreprocessingSpec
from muscletransfer.data.series_list import is_series_list, read_list
from muscletransfer.data.types import Array, SliceGeometry
from muscletransfer.errors import SettingError

__all__ = ["CoverSpec", "SliceChoice", "count_slices", "expand_slices", "photograph_spec"]

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
        reader.SetFileName(str(path))
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


@dataclass(frozen=True)
class CoverSpec(PreprocessingSpec):
    """Preprocessing that fills the network grid and cuts off what is over, around the centre.

    For photographs: their shape means nothing, and black bars would be a feature to learn.

    Example:
        >>> spec = CoverSpec(size=64, hu_window=None)
        >>> spec.geometry((100, 200)).scale, spec.geometry((100, 200)).offset
        ((0.64, 0.64), (0.0, -32.0))
    """

    def geometry(
        self,
        shape: tuple[int, int],
        spacing: tuple[float, float] | None = None,
        flip: tuple[bool, bool] = (False, False),
    ) -> SliceGeometry:
        """Return how an image of this shape lies on the grid; see `PreprocessingSpec.geometry`."""
        h, w = self.shape
        k = max(h / shape[0], w / shape[1])
        offset = (
            float(math.floor((h - shape[0] * k) / 2 + 0.5)),
            float(math.floor((w - shape[1] * k) / 2 + 0.5)),
        )
        native = (int(shape[0]), int(shape[1]))
        return SliceGeometry(native, spacing, (h, w), (k, k), offset, flip)

    def storage_dict(self) -> dict[str, Any]:
        """Return what decides the stored arrays, the cutting included."""
        return {**super().storage_dict(), "fit": "cover"}

    def seen(self, geometry: SliceGeometry) -> Array:
        """Return True everywhere: what is cut off is meant to be."""
        return np.ones(geometry.native_shape, bool)


def photograph_spec(spec: PreprocessingSpec) -> CoverSpec:
    """Return the spec for photographs that goes with a spec for slices.

    Same size, channels, mean and deviation; no window, spacing or percentiles.

    Example:
        >>> photograph_spec(PreprocessingSpec(size=64, channels=3)).hu_window is None
        True
    """
    return CoverSpec(
        size=spec.size, hu_window=None, channels=spec.channels, mean=spec.mean, std=spec.std
    )
