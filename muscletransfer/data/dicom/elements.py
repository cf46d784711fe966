"""The elements of a DICOM file up to its pixels: found by walking the bytes, not by decoding them.

A header has some two hundred elements, of which a reader of images wants forty. Passing over the
others by their length is several times faster than building an object for each, which is what
matters for a tree of ten thousand files (DICOM PS3.5 section 7, PS3.10 section 7).
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

__all__ = ["DicomDamage", "Elements", "NotDicom", "RawFile", "looks_like_dicom", "read_elements"]

Elements: TypeAlias = Mapping[int, "bytes | list[Elements]"]

PIXEL_DATA = 0x7FE00010
_PIXELS = frozenset({PIXEL_DATA, 0x7FE00008, 0x7FE00009})  # integers, floats, doubles
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_UNDEFINED = 0xFFFFFFFF
_SHORT = frozenset(
    b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split()
)  # 16-bit length
_LONG = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())  # 32-bit length
_IMPLICIT, _BIG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"
_DEFLATED = "1.2.840.10008.1.2.1.99"
_SYNTAX = 0x00020010
_FIRST_READ = 16_384
_MAX_INFLATED = 1 << 30
_MAX_DEPTH = 12


class DicomDamage(ValueError):  # noqa: N818 - says what is wrong with the bytes, inside the package
    """The bytes are no whole DICOM file; the text says what was found."""


class NotDicom(DicomDamage):
    """The file does not even start as DICOM does."""


class _More(Exception):  # noqa: N818 - a signal, caught where the buffer is read
    """The element lies behind what has been read so far."""


@dataclass(frozen=True, slots=True)
class RawFile:
    """What `read_elements` found.

    Args:
        values: Bytes of the wanted elements by tag (``0xggggeeee``), sequences as lists of items.
        syntax: Transfer syntax UID; that of implicit VR where a file has no meta header.
        order: ``"<"`` or ``">"``, of the elements and of pixels that are not encapsulated.
        pixel_tag: Tag of the pixel element, 0 when there is none.
        pixel_at: Where its value starts in the file.
        pixel_length: Bytes of its value; -1 when it is encapsulated (compressed).
        inflated: The whole data set was deflated, so ``pixel_at`` is no place in the file.
    """

    values: Elements
    syntax: str
    order: str
    pixel_tag: int
    pixel_at: int
    pixel_length: int
    inflated: bool = False


def looks_like_dicom(head: bytes) -> bool:
    """Whether the first 132 bytes or more of a file start as DICOM does.

    Part 10 files have ``DICM`` after a preamble of 128 bytes. Old exports lack both and start with
    an element of group 8 (or 2), in either encoding.

    Example:
        >>> looks_like_dicom(bytes(128) + b"DICM"), looks_like_dicom(b"plain text" * 20)
        (True, False)
    """
    if head[128:132] == b"DICM":
        return True
    if len(head) < 132 or head[:2] not in (b"\x08\x00", b"\x02\x00") or head[3] != 0:
        return False
    if head[4:6] in _SHORT or head[4:6] in _LONG:
        return True
    return int.from_bytes(head[4:8], "little") < 128  # implicit: group length, UIDs, types


def read_elements(path: Path, wanted: frozenset[int]) -> RawFile:
    """Walk a file up to its pixels and return the elements asked for.

    Args:
        path: A DICOM file, with or without preamble.
        wanted: Tags, also of elements inside wanted sequences.

    Returns:
        Their bytes and where the pixels are.

    Raises:
        DicomDamage: The bytes are no whole DICOM header, or an element wanted stands there twice.
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        data = file.read(_FIRST_READ)
        if not looks_like_dicom(data):
            raise NotDicom("does not start as DICOM does")
        while True:
            try:
                return _parse(data, size, wanted)
            except (_More, struct.error, IndexError):
                more = file.read(3 * len(data)) if len(data) < size else b""
                if not more:  # also of a file that somebody cuts while it is being read
                    raise DicomDamage("ends in the middle of its header (cut short?)") from None
                data += more


def _parse(data: bytes, size: int, wanted: frozenset[int]) -> RawFile:
    at = 132 if data[128:132] == b"DICM" else 0
    meta: dict[int, bytes | list[Elements]] = {}
    if data[at : at + 2] == b"\x02\x00":
        at = _Walk(data, size, "<", True, wanted | {_SYNTAX}).elements(at, size, meta, 0, stop=2)
    found = meta.get(_SYNTAX)
    if isinstance(found, bytes) and found:
        syntax = found.rstrip(b"\0 ").decode("ascii", "replace")
    else:
        syntax = "1.2.840.10008.1.2.1" if data[at + 4 : at + 6] in _SHORT | _LONG else _IMPLICIT
    inflated = syntax == _DEFLATED
    if inflated:
        if len(data) < size:
            raise _More
        data, at = _inflate(data[at:]), 0
        size = len(data)
    order = ">" if syntax == _BIG else "<"
    walk = _Walk(data, size, order, syntax != _IMPLICIT, wanted)
    values: dict[int, bytes | list[Elements]] = dict(meta)
    walk.elements(at, size, values, 0)
    return RawFile(values, syntax, order, walk.tag, walk.at, walk.length, inflated)


def _inflate(data: bytes) -> bytes:
    unpacker = zlib.decompressobj(-15)
    try:
        out = unpacker.decompress(data, _MAX_INFLATED)
    except zlib.error as error:
        raise DicomDamage(f"its deflated data set is damaged ({error})") from None
    if not unpacker.eof:
        raise DicomDamage("its deflated data set is cut short, or over 1 GiB")
    return out


class _Walk:
    """One encoding of elements, and where the pixels were met."""

    def __init__(
        self, data: bytes, size: int, order: str, explicit: bool, wanted: frozenset[int]
    ) -> None:
        self.data, self.size, self.explicit, self.wanted = data, size, explicit, wanted
        self.tag, self.at, self.length = 0, 0, 0
        self.order = order
        self.head = struct.Struct(f"{order}HH2sH" if explicit else f"{order}HHI").unpack_from
        self.long = struct.Struct(f"{order}I").unpack_from
        self.item = struct.Struct(f"{order}HHI").unpack_from

    def elements(
        self,
        at: int,
        end: int,
        into: dict[int, bytes | list[Elements]],
        depth: int,
        stop: int = 0,
    ) -> int:
        """Walk elements from ``at`` to ``end``, the end of an item, the pixels or a new group."""
        data, wanted, head, explicit = self.data, self.wanted, self.head, self.explicit
        while at < end:
            if explicit:
                group, element, vr, length = head(data, at)
                if stop and group != stop:
                    return at
                start = at + 8
                if vr in _LONG:
                    (length,) = self.long(data, start)
                    start += 4
                elif vr not in _SHORT and group != 0xFFFE and not vr.isupper() and vr != b"??":
                    raise DicomDamage(
                        f"has no valid type at byte {at} (damaged, or no DICOM behind that)"
                    )
            else:
                group, element, length = head(data, at)
                vr, start = b"", at + 8
            tag = group << 16 | element
            if group == 0xFFFE:
                if tag == _ITEM_END and depth:
                    return at + 8
                raise DicomDamage(f"has an item delimiter where none belongs, at byte {at}")
            if tag in _PIXELS and not depth:
                self.tag, self.at = tag, start
                self.length = -1 if length == _UNDEFINED else length
                return start
            if length == _UNDEFINED or (tag in wanted and (vr == b"SQ" or _is_sequence(tag))):
                items, at = self.sequence(start, length, vr == b"UN", tag in wanted, depth)
                if tag in wanted:
                    into[tag] = items
                continue
            at = start + length
            if at > end:
                raise DicomDamage(
                    f"element ({group:04x},{element:04x}) at byte {start} promises {length} bytes, "
                    f"of which {max(end - start, 0)} are there (cut short or damaged)"
                )
            if tag in wanted:
                if at > len(data):
                    raise _More
                if tag in into:
                    raise DicomDamage(f"element ({group:04x},{element:04x}) is there twice")
                into[tag] = data[start:at]
        return at

    def sequence(
        self, at: int, length: int, unknown: bool, keep: bool, depth: int
    ) -> tuple[list[Elements], int]:
        """Walk the items of a sequence; those of type UN are written with implicit types."""
        if depth >= _MAX_DEPTH:
            raise DicomDamage(f"nests sequences deeper than {_MAX_DEPTH}, at byte {at}")
        walk = self
        if unknown and self.explicit:
            walk = _Walk(self.data, self.size, self.order, False, self.wanted)
        if not keep:
            walk = _Walk(self.data, self.size, self.order, walk.explicit, frozenset())
        end = self.size if length == _UNDEFINED else at + length
        if end > self.size:
            raise DicomDamage(f"a sequence at byte {at} runs past the end of the file")
        items: list[Elements] = []
        while at < end:
            group, element, size = self.item(self.data, at)
            tag, at = group << 16 | element, at + 8
            if tag == _SEQUENCE_END:
                return items, at
            if tag != _ITEM:
                raise DicomDamage(f"a sequence holds something else than items, at byte {at - 8}")
            if size != _UNDEFINED and not keep:
                at += size
                continue
            item: dict[int, bytes | list[Elements]] = {}
            at = walk.elements(at, end if size == _UNDEFINED else at + size, item, depth + 1)
            if keep:
                items.append(item)
        return items, at


def _is_sequence(tag: int) -> bool:
    """Whether a tag of this package's is a sequence, for files that do not write types."""
    return tag >> 16 == 0x5200 or tag in _SEQUENCES


_SEQUENCES = frozenset(
    {0x00209113, 0x00209116, 0x00289110, 0x00289145, 0x00189329, 0x00209111, 0x00283000}
)
