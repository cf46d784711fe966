"""What a DICOM image file says of itself: whose it is, of which series, on which grid."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from pathlib import Path

from muscletransfer.data.dicom.elements import DicomDamage, Elements, RawFile, read_elements

__all__ = ["Facts", "Frame", "Person", "read_facts"]

_SHARED, _PER_FRAME = 0x52009229, 0x52009230
_MEASURES, _PLACE, _PLANE = 0x00289110, 0x00209113, 0x00209116
_TRANSFORM, _FRAME_TYPE, _CONTENT = 0x00289145, 0x00189329, 0x00209111
_WANTED = frozenset(
    {
        0x00020010, 0x00080005, 0x00080008, 0x00080016, 0x00080018, 0x00080060, 0x0008103E,
        0x00089007, 0x00100010, 0x00100020, 0x00100021, 0x00100030, 0x00100040, 0x00101020,
        0x00101030, 0x00180050, 0x00180060, 0x00180088, 0x00181120, 0x00181210, 0x00185100,
        0x0020000D, 0x0020000E, 0x00200012, 0x00200032, 0x00200037, 0x00200052, 0x00200100,
        0x00209056, 0x00209128, 0x00209156, 0x00280002, 0x00280004, 0x00280008, 0x00280010,
        0x00280011, 0x00280030, 0x00280100, 0x00280101, 0x00280102, 0x00280103, 0x00280301,
        0x00280120, 0x00281052, 0x00281053, 0x00281054, 0x00283000,
        _SHARED, _PER_FRAME, _MEASURES, _PLACE, _PLANE, _TRANSFORM, _FRAME_TYPE, _CONTENT,
    }
)  # fmt: skip
_UTF8 = "ISO_IR 192"
_MAX_FRAMES = 100_000


@dataclass(frozen=True, slots=True)
class Person:
    """Who a file says was scanned, as written; kept in memory and never written to a manifest."""

    patient_id: str
    name: str
    birth_date: str
    sex: str


@dataclass(frozen=True, slots=True)
class Frame:
    """One slice of a file; ``nan`` or empty where a tag is absent.

    Args:
        position: ``(x, y, z)`` in mm of the first pixel's centre.
        orientation: Direction cosines along a row and along a column.
        spacing: ``(sy, sx)`` in mm.
        thickness: In mm.
        slope: Of the rescale to HU.
        intercept: Of the rescale to HU.
        kind: What sets frames or files of one place apart: acquisition, phase, stack.
    """

    position: tuple[float, ...]
    orientation: tuple[float, ...]
    spacing: tuple[float, ...]
    thickness: float
    slope: float
    intercept: float
    kind: tuple[str, ...]

    @property
    def normal(self) -> tuple[float, float, float]:
        """Unit normal of the slice's plane; ``nan`` without an orientation."""
        if len(self.orientation) != 6:
            return (math.nan,) * 3
        a, b, c, d, e, f = self.orientation
        return b * f - c * e, c * d - a * f, a * e - b * d

    @property
    def place(self) -> float:
        """Position along the normal in mm; ``nan`` when unknown."""
        if len(self.position) != 3:
            return math.nan
        return sum(p * n for p, n in zip(self.position, self.normal, strict=True))


@dataclass(frozen=True, slots=True)
class Facts:
    """The header of one image file; texts are empty and numbers 0 or ``nan`` where a tag is absent.

    ``pixel_length`` is -1 for encapsulated (compressed) pixels, and ``pixel_tag`` 0 for none.
    """

    path: Path
    raw: RawFile
    sop_class: str
    sop_uid: str
    study: str
    series: str
    modality: str
    image_type: tuple[str, ...]
    description: str
    person: Person
    height: float
    weight: float
    kernel: str
    kvp: float
    tilt: float
    patient_position: str
    frame_of_reference: str
    burned_in: str
    rows: int
    columns: int
    samples: int
    photometric: str
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool
    rescale_type: str
    has_lut: bool
    padding: float  # stored value of pixels that were not measured
    gap: float
    frames: tuple[Frame, ...]

    @property
    def pixel_bytes(self) -> int:
        """Bytes that uncompressed pixels of this size take."""
        count = self.rows * self.columns * self.samples * len(self.frames)
        return count * self.bits_allocated // 8


def read_facts(path: Path) -> Facts:
    """Read the header of one file, never its pixels.

    Args:
        path: A DICOM file.

    Raises:
        DicomDamage: The header is damaged or cut short, or a number in it is none.
        OSError: The file cannot be read.
    """
    raw = read_elements(path, _WANTED)
    top = _Tags(raw.values, raw.order)
    return Facts(
        path=path,
        raw=raw,
        sop_class=top.text(0x00080016),
        sop_uid=top.text(0x00080018),
        study=top.text(0x0020000D),
        series=top.text(0x0020000E),
        modality=top.text(0x00080060),
        image_type=tuple(top.text(0x00080008).upper().split("\\")),
        description=top.text(0x0008103E),
        person=Person(
            top.text(0x00100020), top.text(0x00100010), top.text(0x00100030), top.text(0x00100040)
        ),
        height=top.lenient(0x00101020),
        weight=top.lenient(0x00101030),
        kernel=top.text(0x00181210),
        kvp=top.lenient(0x00180060),
        tilt=top.lenient(0x00181120),
        patient_position=top.text(0x00185100),
        frame_of_reference=top.text(0x00200052),
        burned_in=top.text(0x00280301).upper(),
        rows=top.whole(0x00280010),
        columns=top.whole(0x00280011),
        samples=top.whole(0x00280002, 1),
        photometric=top.text(0x00280004),
        bits_allocated=top.whole(0x00280100),
        bits_stored=top.whole(0x00280101),
        high_bit=top.whole(0x00280102),
        signed=_signed(top),
        rescale_type=top.text(0x00281054).upper(),
        has_lut=0x00283000 in raw.values,
        padding=top.stored(0x00280120),
        gap=top.lenient(0x00180088),
        frames=_frames(top),
    )


def _signed(top: _Tags) -> bool:
    value = top.whole(0x00280103)
    if value > 1:
        raise DicomDamage(f"has the pixel representation {value}, where 0 and 1 are known")
    return value == 1


def _frames(top: _Tags) -> tuple[Frame, ...]:
    per_frame = top.items(_PER_FRAME)
    shared = top.items(_SHARED)
    base = shared[0] if shared else _Tags({}, top.order)
    promised = top.numbers(0x00280008)
    count = int(promised[0]) if promised else max(1, len(per_frame))
    if not 1 <= count <= _MAX_FRAMES or (per_frame and count != len(per_frame)):
        raise DicomDamage(f"promises {count} frames and describes {len(per_frame)}")
    if not per_frame:
        # Old multi-frame objects (secondary captures, ...) do not say where each frame lies.
        return (_frame(base, base, top),) * count
    return tuple(_frame(own, base, top) for own in per_frame)


def _frame(own: _Tags, base: _Tags, top: _Tags) -> Frame:
    def numbers(sequence: int, tag: int) -> tuple[float, ...]:
        for level in (own, base):
            inside = level.items(sequence)
            if inside and tag in inside[0].values:
                return inside[0].numbers(tag)
        return top.numbers(tag)

    def one(sequence: int, tag: int) -> float:
        found = numbers(sequence, tag)
        return found[0] if len(found) == 1 else math.nan

    content = own.items(_CONTENT)
    where = content[0] if content else own
    kind = (
        top.text(0x00200012),  # acquisition
        top.text(0x00200100),  # phase in time
        str(where.whole(0x00209128)),
        where.text(0x00209056),  # stack
    )
    return Frame(
        position=numbers(_PLACE, 0x00200032),
        orientation=numbers(_PLANE, 0x00200037),
        spacing=numbers(_MEASURES, 0x00280030),
        thickness=one(_MEASURES, 0x00180050),
        slope=one(_TRANSFORM, 0x00281053),
        intercept=one(_TRANSFORM, 0x00281052),
        kind=kind,
    )


class _Tags:
    """Elements by tag, as texts and numbers."""

    def __init__(self, values: Elements, order: str) -> None:
        self.values, self.order = values, order

    def text(self, tag: int) -> str:
        value = self.values.get(tag, b"")
        if not isinstance(value, bytes):
            return ""
        stripped = value.strip(b"\0 ")
        if stripped.isascii():
            return stripped.decode("ascii")
        charset = self.values.get(0x00080005, b"")
        utf8 = isinstance(charset, bytes) and _UTF8.encode() in charset
        return stripped.decode("utf-8" if utf8 else "latin-1", "replace")

    def numbers(self, tag: int) -> tuple[float, ...]:
        text = self.text(tag)
        if not text:
            return ()
        try:
            found = tuple(map(float, text.split("\\")))
        except ValueError:
            found = (math.nan,)
        if not all(map(math.isfinite, found)):
            raise DicomDamage(
                f"element ({tag >> 16:04x},{tag & 0xFFFF:04x}) holds {text[:40]!r}, which is no "
                "number"
            )
        return found

    def lenient(self, tag: int) -> float:
        """Return a number that nothing depends on: ``nan`` for whatever is none."""
        try:
            found = self.numbers(tag)
        except DicomDamage:
            return math.nan
        return found[0] if len(found) == 1 else math.nan

    def whole(self, tag: int, absent: int = 0) -> int:
        value = self.values.get(tag)
        if not isinstance(value, bytes) or len(value) not in (2, 4):
            return absent
        kind = "H" if len(value) == 2 else "I"
        return int(struct.unpack(f"{self.order}{kind}", value)[0])

    def stored(self, tag: int) -> float:
        """Return a value as pixels are stored, with a sign where they have one, or ``nan``."""
        value = self.values.get(tag)
        if not isinstance(value, bytes) or len(value) != 2:
            return math.nan
        signed = self.whole(0x00280103) == 1
        return float(struct.unpack(f"{self.order}{'h' if signed else 'H'}", value)[0])

    def items(self, tag: int) -> list[_Tags]:
        value = self.values.get(tag)
        return [_Tags(v, self.order) for v in value] if isinstance(value, list) else []
