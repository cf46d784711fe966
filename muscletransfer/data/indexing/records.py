"""What a scan of the files keeps of each: small records, with what many files share stored once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from muscletransfer.data.dicom.facts import Person

__all__ = ["Look", "Problem", "Rejected", "SliceFile", "Traits", "VolumeFile"]


class Look(NamedTuple):
    """What all slices of a stack must have alike; the names go into messages."""

    rows: int
    columns: int
    pixel_spacing: tuple[float, ...]
    orientation: tuple[float, ...]
    samples: int
    photometric: str
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool
    rescale_slope: float
    rescale_intercept: float


class Traits(NamedTuple):
    """What decides whether a file is of an axial CT series, and what a manifest keeps of it."""

    modality: str
    sop_class: str
    image_type: tuple[str, ...]
    burned_in: bool
    not_hu: tuple[str, str] | None
    kernel: str
    kvp: float
    thickness: float
    height: float
    weight: float
    frames: int
    frames_gap: float  # mm between the frames of a multi-frame file, nan where uneven or unknown
    frames_note: str  # what is odd about them
    frames_problem: str  # why they do not stack


@dataclass(frozen=True, slots=True)
class SliceFile:
    """One DICOM image file.

    Args:
        path: The file.
        sop: First 16 bytes of the SHA-256 of its SOP instance UID; empty without one.
        series: Series UID.
        study: Study UID.
        person: Whose it says it is.
        look: What slices of a stack share.
        traits: What else is known.
        position: Of its first frame in mm; empty when unknown.
        place: Of its first frame along its own normal in mm, from the orientation as the file
            writes it, where ``look`` has it rounded; ``nan`` when unknown.
        kind: What sets files of one place apart; see `Frame`.
    """

    path: str
    sop: bytes
    series: str
    study: str
    person: Person
    look: Look
    traits: Traits
    position: tuple[float, ...]
    place: float
    kind: tuple[str, ...]

    def shared(self, known: dict[object, object]) -> SliceFile:
        """Return the record with parts that other records have too stored once."""

        def one(value: Any) -> Any:
            return known.setdefault((type(value), value), value)

        return SliceFile(
            self.path,
            self.sop,
            one(self.series),
            one(self.study),
            one(self.person),
            one(self.look),
            one(self.traits),
            self.position,
            self.place,
            one(self.kind),
        )


@dataclass(frozen=True, slots=True)
class VolumeFile:
    """One NIfTI, NRRD or MHA file that holds axial CT.

    Args:
        path: The file.
        shape: ``(slices, rows, columns)``.
        gap: mm between slices; ``nan`` when unknown.
        check: What a person should look at, or empty.
    """

    path: str
    shape: tuple[int, int, int]
    gap: float
    check: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """A file that cannot be used on its own account."""

    path: str
    reason: str
    way_out: str


@dataclass(frozen=True, slots=True)
class Problem:
    """One line of ``problems.csv``.

    .. versionadded:: 0.1

    Args:
        file: The file, or the first of several.
        reason: What was found.
        way_out: What to do about it.
        outcome: ``"left out"``, ``"duplicate"``, or ``"check"`` for what is in the manifest all the
            same.
        files: How many files it is about.

    Example:
        >>> Problem("scan/1.dcm", "a localiser", "Nothing to do.").outcome
        'left out'
    """

    file: str
    reason: str
    way_out: str
    outcome: str = "left out"
    files: int = 1
