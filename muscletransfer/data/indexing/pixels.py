"""Decoding slices of chosen series: can they be read, and are they HU?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from muscletransfer.data.dicom.header import read_header
from muscletransfer.data.dicom.pixels import each_frame
from muscletransfer.data.indexing.plausible import Histogram
from muscletransfer.errors import DataError

__all__ = ["PixelReport", "check_pixels_of"]


@dataclass(frozen=True)
class PixelReport:
    """What decoding a series showed.

    Args:
        broken: Files that cannot be decoded, and why.
        why_not: Why the values are no HU, and the way out.
        check: What a person should look at, or empty.
    """

    broken: tuple[tuple[str, str], ...] = ()
    why_not: tuple[str, str] | None = None
    check: str = ""


def check_pixels_of(job: tuple[Sequence[str], bool]) -> PixelReport:
    """Decode the middle slice of a series, or all of them, one at a time.

    Args:
        job: Files in order, and whether all are wanted. When the middle one cannot be decoded, all
            are tried.

    Returns:
        What was found.
    """
    files, every = job
    histogram, broken = Histogram(), []
    for path in files if every else [files[len(files) // 2]]:
        try:
            facts = read_header(Path(path)).facts
            count = len(facts.frames)
            chosen = list(range(count)) if every else [count // 2]
            for k, values in zip(chosen, each_frame(facts, chosen), strict=True):
                frame = facts.frames[k]
                padding = facts.padding * frame.slope + frame.intercept
                histogram.add(values, padding)
        except DataError as error:
            broken.append((path, str(error).removeprefix(f"{path}: ")))
    if broken and not every and len(files) > 1:
        return check_pixels_of((files, True))
    if not histogram.count and histogram.finite:
        return PixelReport(tuple(broken))
    why_not = histogram.why_not()
    return PixelReport(tuple(broken), why_not, "" if why_not else histogram.doubt())
