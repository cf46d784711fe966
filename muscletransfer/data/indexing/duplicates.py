"""Files that are there twice: one is kept, and two that contradict each other are named."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from muscletransfer.data.dicom.elements import DicomDamage
from muscletransfer.data.dicom.facts import read_facts
from muscletransfer.data.dicom.pixels import pixels_end, read_frames
from muscletransfer.data.indexing.choosing import gather
from muscletransfer.data.indexing.records import Problem, SliceFile
from muscletransfer.errors import DataError

__all__ = ["drop_duplicates"]


def drop_duplicates(files: Sequence[SliceFile], problems: list[Problem]) -> list[SliceFile]:
    """Keep one of files that hold the same slice.

    Files are suspected when they share a SOP instance UID, or place, grid and phase; they are the
    same slice when their pixels are, byte for byte.

    Args:
        files: Of one series, sorted by path.
        problems: Gets a line for each copy, and for each pair that shares an instance UID and
            differs: of those neither is kept, since nothing tells which one is right.

    Returns:
        The files to go on with, in the same order.
    """
    groups: dict[object, list[SliceFile]] = {}
    for file in files:
        groups.setdefault(file.sop or file.path, []).append(file)
    kept: list[SliceFile] = []
    for group in groups.values():
        kept.extend(_one_of(group, problems, same_uid=True) if len(group) > 1 else group)
    places: dict[object, list[SliceFile]] = {}
    for file in kept:
        place = (tuple(round(p, 3) for p in file.position), file.look, file.kind)
        places.setdefault(place, []).append(file)
    dropped: set[str] = set()
    for group in places.values():
        if len(group) > 1 and group[0].traits.frames == 1:
            alike = {file.path for file in _one_of(group, problems, same_uid=False)}
            dropped |= {file.path for file in group} - alike
    return [file for file in kept if file.path not in dropped]


def _one_of(group: list[SliceFile], problems: list[Problem], *, same_uid: bool) -> list[SliceFile]:
    first: dict[tuple[object, ...], SliceFile] = {}
    for file in group:
        key = (file.look, file.position, _pixels(file))
        before = first.setdefault(key, file)
        if before is not file:
            problems.append(
                gather(
                    [file],
                    f"holds the same slice as {before.path}",
                    "Nothing to do: one of them is used.",
                    "duplicate",
                )
            )
    different = list(first.values())
    if same_uid and len(different) > 1:
        problems.append(
            gather(
                different,
                f"has the SOP instance UID of {different[1].path} and other content",
                "One of them was changed or is damaged; remove the wrong one.",
            )
        )
        return []
    return different


def _pixels(file: SliceFile) -> bytes:
    """Digest of the pixel element, which edits of the header, or of a trailer, leave as it is."""
    path = Path(file.path)
    digest = hashlib.sha256()
    try:
        facts = read_facts(path)
        if facts.raw.inflated:  # packed together with the header
            digest.update(read_frames(facts, range(len(facts.frames))).tobytes())
            return digest.digest()
        left = pixels_end(facts) - facts.raw.pixel_at
        with path.open("rb") as source:
            source.seek(facts.raw.pixel_at)
            while part := source.read(min(left, 1 << 20)):
                digest.update(part)
                left -= len(part)
    except (DicomDamage, DataError, OSError):  # changed since it was scanned: no copy of anything
        return file.path.encode()
    return digest.digest()
