"""RLE-compressed pixels: whether their runs make as many bytes as there are pixels."""

from __future__ import annotations

import struct
from pathlib import Path

from muscletransfer.data.dicom.elements import DicomDamage

__all__ = ["check_runs"]

_SEQUENCE_END = (0xFFFE, 0xE0DD)
_HEADER = struct.Struct("<16I")


def check_runs(path: Path, pixel_at: int, pixels: int, planes: int) -> None:
    """Count what the runs of every frame unpack to (PS3.5 annex G); GDCM does not mind too few.

    Args:
        path: The file.
        pixel_at: Where its encapsulated pixels start.
        pixels: Pixels of a frame.
        planes: Bytes of a pixel: each is a segment of its own.

    Raises:
        DicomDamage: A frame has other segments, or a segment another length.
    """
    with path.open("rb") as file:
        file.seek(pixel_at)
        data = file.read()
    at, number = 0, -1  # the first item holds offsets and no frame
    while at + 8 <= len(data):
        group, element, length = struct.unpack_from("<HHI", data, at)
        if (group, element) == _SEQUENCE_END:
            return
        if number >= 0:
            _check_frame(data[at + 8 : at + 8 + length], pixels, planes, number)
        number += 1
        at += 8 + length


def _check_frame(frame: bytes, pixels: int, planes: int, number: int) -> None:
    if len(frame) < _HEADER.size:
        raise DicomDamage(f"has an RLE frame of {len(frame)} bytes")
    count, *starts = _HEADER.unpack_from(frame)
    if count != planes:
        raise DicomDamage(f"has {count} RLE segments in frame {number + 1} and not {planes}")
    ends = [*starts[1:count], len(frame)]
    for start, end in zip(starts[:count], ends, strict=True):
        if not _HEADER.size <= start <= end <= len(frame):
            raise DicomDamage(f"has an RLE segment outside frame {number + 1}")
        found = _unpacked(frame[start:end], pixels)
        if found != pixels:
            raise DicomDamage(
                f"holds {found} of {pixels} bytes in an RLE segment of frame {number + 1}"
            )


def _unpacked(segment: bytes, enough: int) -> int:
    """Return how many bytes a segment unpacks to, up to ``enough`` (an even end is padded)."""
    at, total, size = 0, 0, len(segment)
    while at < size and total < enough:
        code = segment[at]
        if code < 128:
            if at + 1 + code >= size:
                return total + max(0, size - at - 1)
            total += code + 1
            at += code + 2
        elif code > 128:
            if at + 1 >= size:
                return total
            total += 257 - code
            at += 2
        else:
            at += 1
    return total
