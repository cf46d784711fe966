"""One file in, one small record out: what runs in the worker processes of an index."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from muscletransfer.data.dicom.elements import DicomDamage, NotDicom
from muscletransfer.data.dicom.facts import Facts, read_facts
from muscletransfer.data.dicom.header import is_imageless
from muscletransfer.data.dicom.hu import why_not_hu
from muscletransfer.data.dicom.pixels import check_pixels
from muscletransfer.data.dicom.stack import Stacking, same_plane
from muscletransfer.data.indexing.records import Look, Rejected, SliceFile, Traits, VolumeFile
from muscletransfer.data.indexing.volumes import scan_volume
from muscletransfer.data.io.volume import PLAIN_SUFFIXES, VOLUME_SUFFIXES

__all__ = ["Scanned", "scan_files"]

Scanned: TypeAlias = SliceFile | VolumeFile | Rejected
Shared = TypeVar("Shared", bound=Hashable)

_COPY = "Copy or export the file again."
_NOTHING = "Nothing to do if no CT is missing."
_NAMED_DICOM = (".dcm", ".ima", ".dicom")
_PACKED = (".zip", ".tar", ".tgz", ".tar.gz", ".7z", ".rar", ".bz2", ".xz", ".zst")


def scan_files(job: tuple[Sequence[str], bool]) -> list[Scanned]:
    """Read the headers of some files.

    Args:
        job: Paths, and whether the values of NIfTI, NRRD and MHA files are looked at: nothing in
            their headers tells CT from a mask.

    Returns:
        A record for each, in order; files of a detached header (.raw) give none.
    """
    paths, values = job
    shared: dict[Any, Any] = {}
    found = (_scan(path, values, shared) for path in paths)
    return [record for record in found if record is not None]


def _scan(path: str, values: bool, shared: dict[Any, Any]) -> Scanned | None:
    lower = path.lower()
    try:
        if lower.endswith(VOLUME_SUFFIXES):
            return scan_volume(path, values)
        return _slice_file(read_facts(Path(path)), shared)
    except NotDicom:
        return _no_image(path, lower)
    except (DicomDamage, ValueError) as error:
        if is_imageless(Path(path)):
            return _imageless(path)
        return Rejected(path, f"is a damaged DICOM file: it {error}", _COPY)
    except OSError as error:
        return Rejected(path, f"cannot be read ({error.strerror})", "Change its rights.")


def _slice_file(facts: Facts, shared: dict[Any, Any]) -> SliceFile | Rejected:
    path = str(facts.path)
    if not facts.raw.pixel_tag and (is_imageless(facts.path) or not facts.rows):
        return _imageless(path, facts.modality)
    check_pixels(facts)
    first = facts.frames[0]
    # A localiser or a capture is left out for what it is, whatever its rescale says.
    not_hu = why_not_hu(facts) if facts.modality == "CT" else None
    look = Look(
        facts.rows,
        facts.columns,
        first.spacing,
        tuple(round(v, 4) + 0.0 for v in first.orientation),
        facts.samples,
        facts.photometric,
        facts.bits_allocated,
        facts.bits_stored,
        facts.high_bit,
        facts.signed,
        _plain(first.slope),
        _plain(first.intercept),
    )
    gap, note, problem = _frames(facts)
    traits = Traits(
        facts.modality,
        facts.sop_class,
        facts.image_type,
        facts.burned_in == "YES",
        not_hu,
        facts.kernel,
        _plain(facts.kvp),
        _plain(first.thickness),
        _plain(facts.height),
        _plain(facts.weight),
        len(facts.frames),
        gap,
        note,
        problem,
    )
    uid = facts.sop_uid
    return SliceFile(
        path,
        hashlib.sha256(uid.encode()).digest()[:16] if uid else b"",
        _one(shared, facts.series),
        _one(shared, facts.study),
        _one(shared, facts.person),
        _one(shared, look),
        _one(shared, traits),
        first.position,
        first.place,
        _one(shared, first.kind),
    )


def _frames(facts: Facts) -> tuple[float, str, str]:
    """Return gap, note and problem of the frames of a multi-frame file; zeros for one frame."""
    frames = facts.frames
    if len(frames) == 1:
        return 0.0, "", ""
    if not all(len(f.position) == 3 and len(f.orientation) == 6 for f in frames):
        return 0.0, "", "its frames do not say where they lie"
    if not all(same_plane(frames[0], f) for f in frames):
        return 0.0, "", "its frames have several orientations or pixel spacings"
    rescales = Counter((f.slope, f.intercept) for f in frames).most_common()
    most = rescales[0][1]
    if len(rescales) > 1 and 2 * most > len(frames) and rescales[1][1] < 0.1 * most + 2:
        return 0.0, "", f"{rescales[1][1]} of its frames have another rescale than the others"
    found = Stacking(frames)
    if found.twins:
        return 0.0, "", f"{len(found.twins)} pairs of its frames lie at one place"
    return describe_stack(found), describe_oddity(found), ""


def describe_stack(found: Stacking) -> float:
    """Return the gap in mm; 0 (``nan`` equals nothing) where there is no single one."""
    return found.gap if found.is_even and found.is_straight and len(found.gaps) else 0.0


def describe_oddity(found: Stacking) -> str:
    """Return what is odd about a stack: missing slices, uneven gaps, a tilted gantry."""
    if not found.is_even:
        least = float(found.gaps.min())
        multiples = found.gaps / least
        low, high = f"{least:.3g}", f"{found.gaps.max():.3g}"
        if abs(multiples - multiples.round()).max() < 0.05:
            missing = int(multiples.round().sum()) - len(found.gaps)
            seem = "slice seems" if missing == 1 else "slices seem"
            return f"{missing} {seem} to be missing (gaps from {low} to {high} mm)"
        return f"uneven gaps between slices ({low} to {high} mm)"
    if not found.is_straight:
        return f"slices are shifted against each other (gantry tilted by {found.tilt:.1f} degrees?)"
    return ""


def _no_image(path: str, lower: str) -> Rejected | None:
    file = Path(path)
    if file.stat().st_size == 0:
        return Rejected(path, "has 0 bytes", _COPY)
    if lower.endswith((".raw", ".zraw", ".raw.gz")):
        stem = path[: lower.rindex(".raw" if ".raw" in lower else ".zraw")]
        if any(Path(stem + ending).exists() for ending in (".mhd", ".nhdr")):
            return None
    if lower.endswith(_NAMED_DICOM):
        return Rejected(path, "is named like DICOM and does not start as DICOM does", _COPY)
    if lower.endswith(PLAIN_SUFFIXES):
        return Rejected(
            path,
            "is a plain picture, which holds no HU and no millimetres",
            "Nothing to do, or export the CT itself.",
        )
    if lower.endswith(_PACKED):
        return Rejected(path, "is a packed archive", "Unpack it and index the folder.")
    return Rejected(path, "is no medical image", _NOTHING)


def _imageless(path: str, modality: str = "") -> Rejected:
    kind = f"{modality} " if modality else ""
    return Rejected(
        path,
        f"is a {kind}DICOM object without CT pixels (outlines, a plan, a report, ...)",
        "Nothing to do; outlines are joined to their CT in a step of their own.",
    )


def _plain(value: float) -> float:
    """Return 0 for ``nan``: records of equal files must compare equal."""
    return 0.0 if math.isnan(value) else value


def _one(shared: dict[Any, Any], value: Shared) -> Shared:
    """Return one object for equal values, so that a chunk is pickled and kept small."""
    found: Shared = shared.setdefault((type(value), value), value)
    return found
