"""Pixels of a DICOM file in HU: read straight where uncompressed, by GDCM where not.

Uncompressed pixels are an array at a known place; reading them so takes a fifth of GDCM's time, and
frames of a multi-frame file can be read alone, each with the rescale of its own.
"""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from muscletransfer.data.dicom.elements import PIXEL_DATA, DicomDamage
from muscletransfer.data.dicom.facts import Facts
from muscletransfer.data.dicom.rle import check_runs
from muscletransfer.data.io.volume import read_file
from muscletransfer.data.types import Array, narrowest
from muscletransfer.errors import ImageReadError

__all__ = ["check_pixels", "each_frame", "pixels_end", "read_frames"]

_ITEM, _SEQUENCE_END = (0xFFFE, 0xE000), (0xFFFE, 0xE0DD)
_COMPRESSED = "1.2.840.10008.1.2.4."
_RLE = "1.2.840.10008.1.2.5"
_PLAIN = {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"}


def check_pixels(facts: Facts) -> None:
    """Check that the pixels promised by the header are there, without reading them.

    Args:
        facts: The header.

    Raises:
        DicomDamage: No pixels, fewer or more than promised, or fields that contradict each other.
        OSError: The file cannot be read.
    """
    raw = facts.raw
    if not raw.pixel_tag:
        raise DicomDamage("holds no pixels (a structure set, a report?)")
    if facts.rows < 1 or facts.columns < 1:
        raise DicomDamage(f"promises {facts.rows} rows and {facts.columns} columns")
    _check_bits(facts)
    if raw.inflated:
        return
    if raw.pixel_length < 0:
        if not raw.syntax.startswith(_COMPRESSED) and raw.syntax != _RLE:
            raise DicomDamage(f"has compressed pixels under the transfer syntax {raw.syntax!r}")
        _fragments_end(facts)
        return
    if raw.syntax not in _PLAIN:
        raise DicomDamage(f"has plain pixels under the transfer syntax {raw.syntax!r}")
    size = facts.path.stat().st_size
    wanted = facts.pixel_bytes
    if raw.pixel_length not in (wanted, wanted + 1):
        raise DicomDamage(
            f"holds {raw.pixel_length} bytes of pixels, and {len(facts.frames)} frames of "
            f"{facts.rows} x {facts.columns} with {facts.bits_allocated} bits are {wanted}"
        )
    if raw.pixel_at + wanted > size:
        raise DicomDamage(
            f"is cut short: {size - raw.pixel_at} of {wanted} bytes of pixels are there"
        )


def read_frames(facts: Facts, chosen: Sequence[int]) -> Array:
    """Read frames, with slope and intercept applied.

    Args:
        facts: The header, already checked by `check_pixels`.
        chosen: Which frames, in the order wanted.

    Returns:
        ``(len(chosen), rows, columns)``, int16 where the values fit, else int32 or float32. A file
        without a rescale gives its stored values.

    Raises:
        ImageReadError: The pixels cannot be decoded, or are colour.
    """
    if not _is_direct(facts):
        return _through_gdcm(facts)[list(chosen)]
    raw = facts.raw
    out: list[Array] = []
    kind = np.dtype(f"{raw.order}{'i' if facts.signed else 'u'}{facts.bits_allocated // 8}")
    pixels = facts.rows * facts.columns
    with facts.path.open("rb") as file:
        for k in chosen:
            file.seek(raw.pixel_at + k * pixels * kind.itemsize)
            stored = np.fromfile(file, kind, pixels)
            if stored.size < pixels:
                raise ImageReadError(f"{facts.path}: is cut short. Copy it again.")
            frame = facts.frames[k]
            out.append(_rescaled(_used_bits(stored, facts), frame.slope, frame.intercept))
    whole = np.stack(out) if len(out) > 1 else out[0][None]
    return whole.reshape(len(chosen), facts.rows, facts.columns)


def each_frame(facts: Facts, chosen: Sequence[int]) -> Iterator[Array]:
    """Give frames one by one: each is read alone where it can be, else all are decoded once.

    Args:
        facts: As in `read_frames`.
        chosen: Which frames, in the order wanted.

    Returns:
        ``(1, rows, columns)`` a frame.

    Raises:
        ImageReadError: As in `read_frames`.
    """
    if _is_direct(facts):
        return (read_frames(facts, [k]) for k in chosen)
    return (frame[None] for frame in read_frames(facts, chosen))


def _is_direct(facts: Facts) -> bool:
    """Whether frames lie uncompressed at known places of the file."""
    return (
        facts.raw.syntax in _PLAIN
        and facts.raw.pixel_tag == PIXEL_DATA
        and facts.samples == 1
        and facts.bits_allocated in (8, 16, 32)
        and facts.photometric.startswith("MONOCHROME")
    )


def _used_bits(stored: Array, facts: Facts) -> Array:
    """Keep the bits that hold the pixel (others may hold overlays) and its sign."""
    unused = facts.bits_allocated - facts.bits_stored
    if unused == 0:
        return stored.astype(stored.dtype.newbyteorder("="), copy=False)
    native = stored.astype(stored.dtype.newbyteorder("="))
    left = facts.bits_allocated - 1 - facts.high_bit
    return (native << left) >> unused  # arithmetic for signed types: the sign spreads


def _rescaled(stored: Array, slope: float, intercept: float) -> Array:
    if np.isnan(slope) or np.isnan(intercept):
        return narrowest(stored)
    if slope.is_integer() and intercept.is_integer() and abs(slope) < 1e6 > abs(intercept) / 1e6:
        low, high = int(stored.min()), int(stored.max())
        ends = sorted((low * int(slope) + int(intercept), high * int(slope) + int(intercept)))
        if all(-32768 <= v <= 32767 for v in (low, high, *ends)) and abs(slope) < 32768:
            values = stored.astype(np.int16, copy=False)
            if slope != 1.0:
                values = values * np.int16(slope)
            if intercept == 0.0:
                return values
            # Wrapping sums give the right end, which fits, whatever the intercept.
            return values + np.array(int(intercept) & 0xFFFF, np.uint16).view(np.int16)
    return narrowest(stored.astype(np.float64) * slope + intercept)


def _through_gdcm(facts: Facts) -> Array:
    """Decode all frames; GDCM applies one rescale to all of them."""
    rescales = {(f.slope, f.intercept) for f in facts.frames}
    if len(rescales) > 1:
        raise ImageReadError(
            f"{facts.path}: is compressed and its frames have {len(rescales)} different rescales, "
            "which no decoder here applies one by one. Decompress it (dcmdjpeg, gdcmconv --raw)."
        )
    if facts.raw.syntax == _RLE and not facts.raw.inflated:
        planes = facts.samples * facts.bits_allocated // 8
        try:
            check_runs(facts.path, facts.raw.pixel_at, facts.rows * facts.columns, planes)
        except DicomDamage as error:
            raise ImageReadError(f"{facts.path}: is damaged: it {error}. Copy it again.") from error
    image = _decoded(facts)
    array = sitk.GetArrayFromImage(image)
    if image.GetNumberOfComponentsPerPixel() != 1:
        raise ImageReadError(
            f"{facts.path}: has {image.GetNumberOfComponentsPerPixel()} values a voxel (colour or "
            "vectors); wanted one."
        )
    array = array.reshape(-1, *array.shape[-2:])
    if array.shape != (len(facts.frames), facts.rows, facts.columns):
        raise ImageReadError(
            f"{facts.path}: its pixels are {array.shape}, its header says "
            f"{(len(facts.frames), facts.rows, facts.columns)}; the file is damaged. Copy it again."
        )
    return narrowest(array)


def _decoded(facts: Facts) -> sitk.Image:
    """Read the file by GDCM, MONOCHROME1 as if it were MONOCHROME2.

    ITK turns the values of MONOCHROME1 round, by a greatest value that it takes from the header or
    from the compressed stream; HU would be wrong. MONOCHROME1 says that low values are shown
    bright, and nothing about what they mean.
    """
    path = facts.path
    if facts.photometric != "MONOCHROME1":
        return read_file(path, "GDCMImageIO")
    if facts.raw.inflated:
        raise ImageReadError(
            f"{path}: is deflated and MONOCHROME1, which is not read here. Export it as explicit "
            "little endian."
        )
    data = path.read_bytes()
    at = facts.raw.pixel_at
    head = data[:at].replace(b"MONOCHROME1", b"MONOCHROME2")
    with tempfile.NamedTemporaryFile(suffix=".dcm") as copy:
        copy.write(head + data[at:])
        copy.flush()
        try:
            return read_file(Path(copy.name), "GDCMImageIO")
        except ImageReadError as error:
            raise ImageReadError(str(error).replace(copy.name, str(path))) from error


def _check_bits(facts: Facts) -> None:
    fits = facts.raw.pixel_tag != PIXEL_DATA or (
        facts.bits_allocated in (1, 8, 16, 32)
        and 0 < facts.bits_stored <= facts.bits_allocated
        and facts.bits_stored - 1 <= facts.high_bit < facts.bits_allocated
    )
    if not fits:
        raise DicomDamage(
            f"says {facts.bits_stored} bits stored of {facts.bits_allocated} up to bit "
            f"{facts.high_bit}, which cannot be"
        )


def pixels_end(facts: Facts) -> int:
    """Return where in its file the pixel element ends, before elements that may follow.

    Args:
        facts: The header of a file that is not deflated.

    Raises:
        DicomDamage: The compressed pixels have no end.
        OSError: The file cannot be read.
    """
    raw = facts.raw
    return _fragments_end(facts) if raw.pixel_length < 0 else raw.pixel_at + raw.pixel_length


def _fragments_end(facts: Facts) -> int:
    """Walk the fragments of encapsulated pixels to their end (PS3.5 annex A.4)."""
    size = facts.path.stat().st_size
    at, fragments = facts.raw.pixel_at, 0
    with facts.path.open("rb") as file:
        while True:
            file.seek(at)
            head = file.read(8)
            if len(head) < 8:
                raise DicomDamage("is cut short in its compressed pixels")
            group, element, length = struct.unpack("<HHI", head)
            if (group, element) == _SEQUENCE_END:
                break
            if (group, element) != _ITEM:
                raise DicomDamage(f"has no fragment of compressed pixels at byte {at}")
            at += 8 + length
            fragments += 1
            if at > size:
                raise DicomDamage("is cut short in its compressed pixels")
    if fragments < 2:  # the first holds offsets
        raise DicomDamage("has no fragment of compressed pixels")
    return at
