"""Which files of a series are axial CT slices in HU, and why the others are not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from muscletransfer.data.indexing.records import Problem, SliceFile

__all__ = ["choose_files", "gather"]

_CT = "1.2.840.10008.5.1.4.1.1.2"  # CT Image Storage; with .1 enhanced, .2 converted
_CT_CLASSES = {_CT, f"{_CT}.1", f"{_CT}.2", ""}
_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_LOCALISER = {"LOCALIZER", "SCOUT", "TOPOGRAM"}
_PICTURE = {"SCREEN SAVE", "SCREENSAVE", "DOSE_INFO", "REFORMATTED_PICTURE"}
_AXIAL_COSINE = float(np.cos(np.radians(40.0)))  # as `Volume.is_axial`
_NOTHING = "Nothing to do."


def choose_files(files: Sequence[SliceFile]) -> tuple[list[SliceFile], list[Problem]]:
    """Keep the files that are axial CT slices in HU.

    Args:
        files: Of one series, sorted by path.

    Returns:
        Those, and a problem for each reason that left others out.
    """
    kept: list[SliceFile] = []
    left: dict[tuple[str, str], list[SliceFile]] = {}
    for file in files:
        why = _why_not(file)
        if why is None:
            kept.append(file)
        else:
            left.setdefault(why, []).append(file)
    return kept, [gather(group, *why) for why, group in left.items()]


def gather(
    files: Sequence[SliceFile], reason: str, way_out: str, outcome: str = "left out"
) -> Problem:
    """Make one problem of several files."""
    return Problem(files[0].path, reason, way_out, outcome, len(files))


def _why_not(file: SliceFile) -> tuple[str, str] | None:
    look, traits = file.look, file.traits
    if traits.modality != "CT":
        name = traits.modality or "not given"
        return f"its modality is {name}, not CT", _NOTHING
    if traits.sop_class.startswith(_CAPTURE):
        return "is a secondary capture (a picture of a screen), not a CT slice", _NOTHING
    if traits.sop_class not in _CT_CLASSES:
        return f"is of SOP class {traits.sop_class}, not a CT image", _NOTHING
    if _LOCALISER & set(traits.image_type):
        return "is a localiser (scout)", _NOTHING
    if _PICTURE & set(traits.image_type):
        return "is a picture of a screen or a dose sheet", _NOTHING
    if look.samples != 1 or not look.photometric.startswith("MONOCHROME"):
        return f"holds colour ({look.photometric or 'no kind'}), not CT values", _NOTHING
    if look.bits_stored <= 8:
        return (
            f"holds {look.bits_stored}-bit grey values, a picture and not CT values",
            "Export the original series.",
        )
    if traits.burned_in:
        return (
            "says that text is burned into its pixels, perhaps a name",
            "Export the series without annotations.",
        )
    return _wrong_place(file) or _wrong_values(file)


def _wrong_place(file: SliceFile) -> tuple[str, str] | None:
    look, traits = file.look, file.traits
    if traits.frames_problem:
        return traits.frames_problem, "Export the axial slices as single files."
    if len(file.position) != 3 or len(look.orientation) != 6:
        return (
            "has no position or orientation, so nothing says that it is axial or where it lies",
            "Export it with its geometry; a slice known to be axial can be listed by hand.",
        )
    cosines = np.array(look.orientation).reshape(2, 3)
    norms = np.linalg.norm(cosines, axis=1)
    if abs(norms - 1).max() > 0.01 or abs(cosines[0] @ cosines[1]) > 0.01:
        return (
            f"has the orientation {look.orientation}, which is none: damaged",
            "Copy or export the file again.",
        )
    if abs(cosines[0, 0]) < _AXIAL_COSINE or abs(cosines[1, 1]) < _AXIAL_COSINE:
        return f"is {_plane(cosines)}, not axial", _NOTHING
    spacing = look.pixel_spacing
    if len(spacing) != 2 or min(spacing) <= 0:
        return (
            "has no pixel spacing, so nothing in it can be measured in mm",
            "Export it with PixelSpacing; where it is known, list the slice by hand with "
            "spacing_x_mm and spacing_y_mm.",
        )
    if not 0.05 <= min(spacing) <= max(spacing) <= 10 or max(spacing) > 3 * min(spacing):
        return f"has the pixel spacing {spacing} mm, which no CT has", "Export the file again."
    return None


def _wrong_values(file: SliceFile) -> tuple[str, str] | None:
    return file.traits.not_hu


def _plane(cosines: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> str:
    normal = np.abs(np.cross(cosines[0], cosines[1]))
    if normal.max() < _AXIAL_COSINE:
        return "oblique"
    if int(normal.argmax()) == 2:
        return "axial but turned by a quarter in its plane"
    return ("sagittal", "coronal")[int(normal.argmax())]
