"""Reading the series that a series list names."""

from __future__ import annotations

from pathlib import Path

from muscletransfer.data.dicom.header import Header, read_header
from muscletransfer.data.dicom.series import read_stack, sort_stack
from muscletransfer.data.dicom.series_list import SeriesList, read_list
from muscletransfer.data.types import Volume
from muscletransfer.errors import ImageReadError

__all__ = ["read_listed"]

_MOVED_MM = 0.01


def read_listed(path: Path, slice_index: int | None) -> tuple[Volume, Header]:
    """Read the series that a list names, or one slice of it.

    Args:
        path: The list.
        slice_index: Which slice, from 0; None for all.

    Returns:
        As `read_series`; one slice opens one file.

    Raises:
        ImageReadError: A file has gone, is damaged, or lies elsewhere than when it was listed.
        GeometryError: The files no longer stack.
    """
    series = read_list(path)
    if slice_index is not None:
        if not 0 <= slice_index < len(series.files):
            raise ImageReadError(
                f"{path}: has slices 0 to {len(series.files) - 1}; slice {slice_index} was asked "
                "for."
            )
        header = _checked(path, series, slice_index)
        return read_stack(path, [header], series.gap_mm, None)
    headers = [_checked(path, series, k) for k in range(len(series.files))]
    if len(headers) > 1:
        headers, gap = sort_stack(path, headers)
    else:
        gap = series.gap_mm
    return read_stack(path, headers, gap, None)


def _checked(path: Path, series: SeriesList, index: int) -> Header:
    header = read_header(series.files[index])
    place = header.along_normal
    if not abs(place - series.places_mm[index]) <= _MOVED_MM:
        raise ImageReadError(
            f"{header.path}: lies at {place:.3f} mm along its normal, and {path} says "
            f"{series.places_mm[index]:.3f}; the file has changed since it was listed. Run "
            "'muscletransfer data index' again."
        )
    return header
