"""What decides how a DICOM file is read, and which files are DICOM images at all."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from muscletransfer.data.dicom.elements import DicomDamage, looks_like_dicom
from muscletransfer.data.dicom.facts import Facts, read_facts
from muscletransfer.data.dicom.hu import why_not_hu
from muscletransfer.data.dicom.pixels import check_pixels
from muscletransfer.data.io.volume import READABLE, check_exists
from muscletransfer.data.types import IDENTITY
from muscletransfer.errors import ImageReadError

__all__ = ["Header", "is_dicom", "is_imageless", "read_header"]


@dataclass(frozen=True)
class Header:
    """What decides how a DICOM file is read; empty text or ``nan`` where a tag is absent."""

    facts: Facts

    @property
    def path(self) -> Path:
        """The file."""
        return self.facts.path

    @property
    def series(self) -> str:
        """Series UID."""
        return self.facts.series

    @property
    def description(self) -> str:
        """Series description."""
        return self.facts.description

    @property
    def modality(self) -> str:
        """``"CT"``, ``"PT"``, ..."""
        return self.facts.modality

    @property
    def is_ct_in_hu(self) -> bool:
        """Whether nothing in the file speaks against its values being HU of a CT."""
        return self.modality in ("CT", "") and why_not_hu(self.facts) is None

    @property
    def thickness(self) -> float:
        """Slice thickness (or else the gap that the file names) in mm."""
        for value in (self.facts.frames[0].thickness, abs(self.facts.gap)):
            if value > 0:
                return value
        return math.nan

    @property
    def has_position(self) -> bool:
        """Whether every frame says where it lies."""
        return all(len(f.position) == 3 and len(f.orientation) == 6 for f in self.facts.frames)

    @property
    def size(self) -> tuple[int, ...]:
        """Columns, rows, frames."""
        return self.facts.columns, self.facts.rows, len(self.facts.frames)

    @property
    def spacing(self) -> tuple[float, ...]:
        """``(sy, sx)`` in mm."""
        found = self.facts.frames[0].spacing
        ok = len(found) == 2 and min(found) > 0
        return found if ok else (math.nan, math.nan)

    @property
    def origin(self) -> tuple[float, ...]:
        """Position of the first frame; zeros where it is not known."""
        found = self.facts.frames[0].position
        return found if len(found) == 3 else (0.0, 0.0, 0.0)

    @property
    def direction(self) -> tuple[float, ...]:
        """Nine direction cosines as in `Volume`; those of axial slices where they are not known."""
        frame = self.facts.frames[0]
        if len(frame.orientation) != 6:
            return IDENTITY
        row, column, normal = frame.orientation[:3], frame.orientation[3:], frame.normal
        return tuple(v for axes in zip(row, column, normal, strict=True) for v in axes)

    @property
    def along_normal(self) -> float:
        """Position of the first frame along the normal of its plane, in mm."""
        return self.facts.frames[0].place


def is_dicom(path: Path) -> bool:
    """Whether a file starts as DICOM does, or is named like DICOM."""
    with path.open("rb") as file:
        head = file.read(132)
    return looks_like_dicom(head) or path.suffix.lower() in (".dcm", ".ima", ".dicom")


def read_header(path: Path) -> Header:
    """Read the tags of one file, not its pixels, and check that the pixels are there.

    Raises:
        ImageReadError: The file is no whole DICOM image.
    """
    check_exists(path)
    try:
        facts = read_facts(path)
        check_pixels(facts)
    except (DicomDamage, OSError) as error:
        raise ImageReadError(
            f"{path}: cannot be read as a DICOM image: it {error}; wanted {READABLE}. The file may "
            "be cut short, damaged, or hold no pixels (a structure set, a report)."
        ) from error
    return Header(facts)


def is_imageless(path: Path) -> bool:
    """Whether the SOP class in the file's preamble is one without CT-like pixels."""
    with path.open("rb") as file:
        head = file.read(1024)
    at = head.find(b"\x02\x00\x02\x00UI")
    if at < 0:
        return False
    length = int.from_bytes(head[at + 6 : at + 8], "little")
    uid = head[at + 8 : at + 8 + length].rstrip(b"\0 ").decode("ascii", "replace")
    return uid.startswith(
        (
            "1.2.840.10008.5.1.4.1.1.481.",  # radiotherapy: structure set, plan, dose
            "1.2.840.10008.5.1.4.1.1.66",  # registration, segmentation
            "1.2.840.10008.5.1.4.1.1.88.",  # reports
            "1.2.840.10008.5.1.4.1.1.11.",  # presentation states
            "1.2.840.10008.5.1.4.1.1.104.",  # encapsulated documents
            "1.2.840.10008.1.3.10",  # DICOMDIR
        )
    )
