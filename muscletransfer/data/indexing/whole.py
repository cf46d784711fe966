"""Whether a NIfTI, NRRD or MHA file is whole: header sound, voxels there, checksums right.

ITK fills up what is missing from some files, ignores what is too much, and does not look at the
checksum of packed voxels; where a file was damaged it then gives numbers and no error.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, TypeAlias

from muscletransfer.errors import DataError

__all__ = ["check_whole"]

_BITS = {2: 8, 4: 16, 8: 32, 16: 32, 64: 64, 256: 8, 512: 16, 768: 32, 1024: 64, 1280: 64}
_BYTES = {
    "char": 1, "uchar": 1, "signed char": 1, "unsigned char": 1, "int8": 1, "uint8": 1,
    "short": 2, "ushort": 2, "unsigned short": 2, "int16": 2, "uint16": 2,
    "int": 4, "uint": 4, "unsigned int": 4, "int32": 4, "uint32": 4, "float": 4,
    "long long": 8, "int64": 8, "uint64": 8, "double": 8,
    "met_char": 1, "met_uchar": 1, "met_short": 2, "met_ushort": 2, "met_int": 4, "met_uint": 4,
    "met_float": 4, "met_double": 8, "met_long": 8, "met_ulong": 8,
}  # fmt: skip
_ELSEWHERE = ("data file", "datafile", "line skip", "byte skip")
_SLOPES = (1e-6, 1e6)
_PIECE = 1 << 20
_Length: TypeAlias = Callable[[dict[str, str]], "tuple[int, bool] | None"]
_LONGEST_HEADER = 1 << 20


def check_whole(path: Path) -> None:
    """Raise unless the file is whole.

    Args:
        path: NIfTI, NRRD or MHA; voxels in a file of their own are only looked for by the reader.

    Raises:
        DataError: What is wrong with it, without the path.
    """
    name = path.name.lower()
    try:
        if name.endswith((".nii", ".nii.gz")):
            _check_nifti(path)
        elif name.endswith(".nrrd"):
            _check_text_header(path, b"\n\n", ":", _nrrd_length)
        elif name.endswith(".mha"):
            _check_text_header(path, b"LOCAL\n", "=", _mha_length)
    except EOFError as error:
        raise DataError(f"is cut short ({error})") from error
    except (zlib.error, struct.error, gzip.BadGzipFile, ValueError) as error:
        raise DataError(f"is damaged ({error})") from error


def _check_nifti(path: Path) -> None:
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        source: BinaryIO = gzip.GzipFile(fileobj=file) if packed else file  # type: ignore[assignment]
        head = source.read(348)
        order = "<" if struct.unpack_from("<i", head)[0] == 348 else ">"
        if struct.unpack_from(f"{order}i", head)[0] != 348:
            raise DataError("has no NIfTI-1 header; wanted one of 348 bytes")
        if head[344:348] != b"n+1\0":
            raise DataError("does not end its header with 'n+1', as a NIfTI file of one part does")
        dims = struct.unpack_from(f"{order}8h", head, 40)
        kind, bits = struct.unpack_from(f"{order}2h", head, 70)
        (start,) = struct.unpack_from(f"{order}f", head, 108)
        if not 1 <= dims[0] <= 7 or min(dims[1 : 1 + dims[0]]) < 1:
            raise DataError(f"promises the dimensions {dims[: 1 + max(0, min(dims[0], 7))]}")
        if _BITS.get(kind, bits) != bits:
            raise DataError(f"says {bits} bits a voxel for type {kind}, which has {_BITS[kind]}")
        if not start >= 352 or not start.is_integer():
            raise DataError(f"puts its voxels at byte {start:g}, inside its header")
        slope, intercept = struct.unpack_from(f"{order}2f", head, 112)
        sound = slope == 0 or _SLOPES[0] < abs(slope) < _SLOPES[1]  # 0 stands for no rescale
        if not (sound and abs(intercept) < _SLOPES[1]):
            raise DataError(f"has the slope {slope} and the intercept {intercept}")
        wanted = int(start) + math.prod(dims[1 : 1 + dims[0]]) * bits // 8
        _check_length(len(head) + sum(map(len, _pieces(source))), wanted)


def _check_text_header(path: Path, mark: bytes, split: str, length: _Length) -> None:
    with path.open("rb") as file:
        head = file.read(_LONGEST_HEADER)
        end = head.replace(b"\r\n", b"\n").find(mark)
        if end < 0 or b"\r\n" in head[:end]:
            return  # voxels elsewhere, or a header of a kind that is left to the reader
        end += len(mark)
        fields: dict[str, str] = {}
        for line in head[:end].decode("latin-1").splitlines():
            key, found, value = line.partition(split)
            if found and not line.startswith("#"):
                if key.strip().lower() in fields:
                    raise DataError(f"has the field {key.strip()!r} twice in its header")
                fields[key.strip().lower()] = value.lstrip("=").strip()
        measured = length(fields)
        if measured is None:
            return
        wanted, packed = measured
        file.seek(end)
        found_bytes = _unpacked(file) if packed else sum(map(len, _pieces(file)))
        _check_length(found_bytes, wanted)


def _nrrd_length(fields: dict[str, str]) -> tuple[int, bool] | None:
    encoding = fields.get("encoding", "")
    if encoding not in ("raw", "gzip", "gz") or any(k.startswith(_ELSEWHERE) for k in fields):
        return None
    return _length(fields.get("sizes", ""), fields.get("type", "").lower(), 1), encoding != "raw"


def _mha_length(fields: dict[str, str]) -> tuple[int, bool] | None:
    if fields.get("headersize", "0") not in ("0", "-1"):
        return None
    channels = int(fields.get("elementnumberofchannels", "1"))
    packed = fields.get("compresseddata", "false").lower() == "true"
    kind = fields.get("elementtype", "").lower()
    return _length(fields.get("dimsize", ""), kind, channels), packed


def _length(sizes: str, kind: str, channels: int) -> int:
    if kind not in _BYTES:
        raise DataError(f"has values of the type {kind!r}, which is none of its format")
    numbers = [int(v) for v in sizes.split()]
    if not numbers or min(numbers) < 1:
        raise DataError(f"promises the dimensions {sizes!r}")
    return math.prod(numbers) * _BYTES[kind] * channels


def _check_length(found: int, wanted: int) -> None:
    if found != wanted:
        less = "is cut short" if found < wanted else "holds more than it should"
        raise DataError(f"{less}: {found} bytes, its header promises {wanted}")


def _pieces(source: BinaryIO) -> Iterator[bytes]:
    while piece := source.read(_PIECE):
        yield piece


def _unpacked(source: BinaryIO) -> int:
    """Return how many bytes a gzip or zlib stream holds; its checksum is checked at its end."""
    unpacker = zlib.decompressobj(47)
    total = 0
    for piece in _pieces(source):
        total += len(unpacker.decompress(piece))
    if not unpacker.eof:
        raise DataError("is cut short in its packed voxels")
    return total + len(unpacker.flush())
