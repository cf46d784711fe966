"""A series list: the files of one DICOM series, in order, wherever they lie.

An export may spread a series over folders, mix several in one, or hold files twice. A small JSON
file (``.series.json``) names the files of one series from the first slice to the last, so that a
manifest row names one thing, one slice can be read without opening the others, and files that come
to the folders later change nothing.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from muscletransfer.data.files import digest, digest_files, write_text_atomic
from muscletransfer.errors import ImageReadError

__all__ = [
    "SUFFIX",
    "SeriesList",
    "image_digest",
    "is_series_list",
    "list_text",
    "read_list",
    "write_list",
]

SUFFIX = ".series.json"
_WANTED = "wanted a series list as written by 'muscletransfer data index'; run it again"
_FORMAT = "muscletransfer DICOM series 1"
_DETACHED, _EITHER = (".mhd", ".nhdr"), (".mha", ".nrrd")  # voxels elsewhere: by rule, or perhaps
_META_VOXELS = re.compile(rb"ElementDataFile\s*=[ \t]*(.+?)\s*$", re.IGNORECASE)
_NRRD_VOXELS = re.compile(rb"data ?file:[ \t]*(.+?)\s*$", re.IGNORECASE)
_LONGEST_HEADER = 1 << 20


@dataclass(frozen=True)
class SeriesList:
    """What a series list holds.

    Args:
        files: The slices' files along their normal.
        places_mm: Where each lies along it, rising from the first to the last.
        gap_mm: Between slices; ``nan`` where gaps are uneven or slices shifted (tilted gantry).
    """

    files: tuple[Path, ...]
    places_mm: tuple[float, ...]
    gap_mm: float


def is_series_list(path: Path) -> bool:
    """Whether the name ends like a series list.

    Example:
        >>> is_series_list(Path("P0001_S01.series.json"))
        True
    """
    return path.name.lower().endswith(SUFFIX)


def write_list(path: Path, series: SeriesList) -> Path:
    """Write a series list, whole or not at all; files beside or under its folder's parent relative.

    Args:
        path: Where to; ends in ``.series.json``.
        series: What to write.

    Returns:
        The path written.
    """
    return write_text_atomic(path, list_text(path, series))


def list_text(path: Path, series: SeriesList) -> str:
    """Return what `write_list` writes."""
    root = Path(os.path.abspath(path.parent))
    names = [_relative(Path(os.path.abspath(file)), root) for file in series.files]
    gap = None if math.isnan(series.gap_mm) else series.gap_mm
    plain = {
        "format": _FORMAT,
        "gap_mm": gap,
        "places_mm": [round(p, 4) for p in series.places_mm],
        "files": names,
    }
    return json.dumps(plain, indent=0, ensure_ascii=False) + "\n"


def read_list(path: Path) -> SeriesList:
    """Read a series list; the files it names are not opened.

    Raises:
        ImageReadError: It is damaged, or of another format.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise ImageReadError(f"{path}: cannot be read ({error.strerror}); {_WANTED}.") from error
    return _parsed(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=64)  # slices of a series are read one by one, and a list may name a thousand
def _parsed(path: Path, changed: int, size: int) -> SeriesList:
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ImageReadError(f"{path}: cannot be read ({error}); {_WANTED}.") from error
    if not isinstance(plain, dict) or plain.get("format") != _FORMAT:
        raise ImageReadError(f"{path}: is of another format; {_WANTED}.")
    files, places, gap = plain.get("files", []), plain.get("places_mm", []), plain.get("gap_mm")
    if not _all(files, str) or not _all(places, (int, float)) or len(files) != len(places):
        raise ImageReadError(f"{path}: its files and places do not match; {_WANTED}.")
    for k, (a, b) in enumerate(itertools.pairwise(places)):
        if not a < b:  # slices counted in another order than the volume's are other slices
            raise ImageReadError(
                f"{path}: slice {k + 1} lies at {b:g} mm, not above slice {k} at {a:g}; wanted the "
                "files from the first slice along the normal to the last, with places_mm rising. "
                "Sort both, or run 'muscletransfer data index'."
            )
    root = Path(os.path.abspath(path.parent))
    return SeriesList(
        tuple(Path(os.path.normpath(root / name)) for name in files),
        tuple(map(float, places)),
        math.nan if gap is None else float(gap),
    )


def image_digest(path: Path, memo_dir: Path | None = None) -> str:
    """Return the SHA-256 of what an image holds: a file, a folder, or the files of a series list.

    Args:
        path: An image as a manifest names it.
        memo_dir: Where digests are remembered; see `digest`.

    Returns:
        64 hexadecimal digits, the same wherever the files lie and whatever their names.

    Raises:
        OSError: A file cannot be read.
        ImageReadError: A damaged series list.
    """
    if is_series_list(path):
        return digest_files(read_list(path).files, memo_dir)
    name = path.name.lower()
    voxels = _voxel_files(path) if name.endswith(_DETACHED + _EITHER) else []
    if voxels or name.endswith(_DETACHED):
        return digest_files([path, *voxels], memo_dir)
    return digest(path, memo_dir)


def _voxel_files(header: Path) -> list[Path]:
    """Return the files that a header names instead of holding the voxels itself."""
    found = _named_voxels(header)
    if found is None or found.upper() == b"LOCAL":
        return []
    name = os.fsdecode(found)
    if name.upper().startswith("LIST") or "%" in name:  # a file a slice: all that lie beside it
        return sorted(p for p in header.parent.iterdir() if p.is_file() and p != header)
    return [path for path in [header.parent / name] if path.is_file()]


def _named_voxels(path: Path) -> bytes | None:
    """Return what a header says of its voxels, without looking into voxels that follow it."""
    nrrd = path.name.lower().endswith((".nrrd", ".nhdr"))
    pattern, left = _NRRD_VOXELS if nrrd else _META_VOXELS, _LONGEST_HEADER
    with path.open("rb") as file:
        while left > 0 and (line := file.readline(left)):
            left -= len(line)
            found = pattern.match(line)
            if found:  # in MetaImage the last line of the header
                return found[1]
            if nrrd and not line.strip():
                return None
    return None


def _relative(file: Path, root: Path) -> str:
    # Up to the manifest's folder and down: what moves together stays together.
    if file.is_relative_to(root.parent):
        return Path(os.path.relpath(file, root)).as_posix()
    return str(file)


def _all(value: object, kind: type | tuple[type, ...]) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(v, kind) for v in value)
