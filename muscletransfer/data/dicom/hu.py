"""Whether the values of a DICOM file are Hounsfield units, by its header."""

from __future__ import annotations

import math

from muscletransfer.data.dicom.facts import Facts

__all__ = ["why_not_hu"]

_HU_TYPES = ("HU", "HU_MOD", "US", "")  # PS3.3 C.11.1.1.2; "US" (unspecified) is common in old CT


def why_not_hu(facts: Facts) -> tuple[str, str] | None:
    """Say why slope and intercept of a CT file do not give HU, and the way out, or return ``None``.

    Args:
        facts: The header.

    Returns:
        What was found and what to do about it, without the file's name.
    """
    if facts.has_lut:
        return (
            "turns stored values to HU by a table (modality LUT), which is not applied here",
            "Export it with rescale slope and intercept.",
        )
    for frame in facts.frames:
        if math.isnan(frame.slope) or math.isnan(frame.intercept):
            return (
                "has no rescale slope and intercept, so its values are not known to be HU",
                "Export it with them.",
            )
        if frame.slope <= 0:
            return (
                f"has the rescale slope {frame.slope:g}, which gives no HU",
                "Export it again; wanted a slope above 0.",
            )
    if facts.rescale_type not in _HU_TYPES:
        return (
            f"has values of type {facts.rescale_type!r} (not HU: an effective atomic number, a "
            "density, ...)",
            "Export the reconstruction in HU.",
        )
    return None
