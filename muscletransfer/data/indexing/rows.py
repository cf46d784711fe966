"""Rows of the manifest: patients without a name, series with a number."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from muscletransfer.data.dicom.series_list import SUFFIX, SeriesList, list_text
from muscletransfer.data.indexing.grouping import Stack
from muscletransfer.data.indexing.records import SliceFile, VolumeFile
from muscletransfer.data.manifest.rows import ALIASES, ManifestRow

__all__ = ["Found", "make_rows"]

_HEIGHT, _BMI = (0.4, 2.6), (5.0, 150.0)


@dataclass
class Found:
    """A volume to be listed.

    Args:
        patient: Whose it is; a text that pseudonyms are made from.
        series: What sorts the volumes of one patient.
        stack: Slices of a DICOM series, or
        volume: a NIfTI, NRRD or MHA file.
        notes: What a person should know.
    """

    patient: str
    series: str
    stack: Stack | None = None
    volume: VolumeFile | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def first(self) -> str:
        """Path of its first file."""
        return self.volume.path if self.volume else self._stack.files[0].path

    @property
    def files(self) -> list[SliceFile]:
        """Its DICOM files in order; none for a volume."""
        return self.stack.files if self.stack else []

    @property
    def _stack(self) -> Stack:
        assert self.stack is not None  # one of the two is always given
        return self.stack


def make_rows(
    found: Sequence[Found],
    pseudonyms: dict[str, str],
    lists_folder: Path,
    aliases: Mapping[str, str] | None = None,
) -> tuple[list[ManifestRow], dict[Path, SeriesList]]:
    """Make one manifest row a volume, and the series lists they name.

    Args:
        found: Volumes.
        pseudonyms: By patient.
        lists_folder: Where series lists will be.
        aliases: Other names by patient; a column where anybody has any.

    Returns:
        Rows sorted by pseudonym and series, and the lists by path.
    """
    rows: list[ManifestRow] = []
    lists: dict[Path, SeriesList] = {}
    numbers: Counter[str] = Counter()
    bodies = _bodies(found)
    for item in sorted(found, key=lambda f: (pseudonyms[f.patient], f.series, f.first)):
        patient = pseudonyms[item.patient]
        numbers[patient] += 1
        series = f"S{numbers[patient]:02d}"
        image = Path(item.first)
        extra = {"series": series}
        if item.volume is not None:
            slices, height, width = item.volume.shape
            extra |= {"slices": str(slices), "rows": str(height), "columns": str(width)}
            extra |= {"gap_mm": _number(item.volume.gap), "thickness_mm": "", "kernel": ""}
            extra |= {"kvp": ""}
        else:
            stack = item.stack
            assert stack is not None
            if len(stack.files) > 1:
                files = tuple(Path(f.path) for f in stack.files)
                gap = stack.gap if stack.gap > 0 else float("nan")
                listed = SeriesList(files, tuple(stack.places), gap)
                # Named by content: a manifest of before keeps its lists until it is replaced.
                text = list_text(lists_folder / SUFFIX, listed)
                code = hashlib.sha256(text.encode()).hexdigest()[:8]
                image = lists_folder / f"{patient}_{series}_{code}{SUFFIX}"
                lists[image] = listed
            extra |= _technique(stack)
        if aliases:
            extra[ALIASES] = aliases.get(item.patient, "")
        extra["notes"] = "; ".join(item.notes)
        sex, metres, bmi = bodies[item.patient]
        rows.append(ManifestRow(patient, image, sex=sex, height_m=metres, bmi=bmi, extra=extra))
    return rows, lists


def _technique(stack: Stack) -> dict[str, str]:
    first = stack.files[0]
    return {
        "slices": str(stack.slices),
        "rows": str(first.look.rows),
        "columns": str(first.look.columns),
        "gap_mm": _number(stack.gap),
        "thickness_mm": _number(first.traits.thickness),
        "kernel": re.sub(r"[^\w.+-]+", "_", first.traits.kernel)[:32],
        "kvp": _number(first.traits.kvp),
    }


def _bodies(found: Sequence[Found]) -> dict[str, tuple[str | None, float | None, float | None]]:
    """Return sex, height and BMI of each patient, where all of its series agree and they can be."""
    files: dict[str, list[SliceFile]] = {}
    for item in found:
        files.setdefault(item.patient, []).extend(item.stack.files[:1] if item.stack else [])
    return {patient: _body(own) for patient, own in files.items()}


def _body(files: Sequence[SliceFile]) -> tuple[str | None, float | None, float | None]:
    sexes = {f.person.sex.upper()[:1] for f in files if f.person.sex}
    heights = {f.traits.height for f in files if _HEIGHT[0] <= f.traits.height <= _HEIGHT[1]}
    weights = {f.traits.weight for f in files if f.traits.weight > 0}
    sex = sexes.pop() if len(sexes) == 1 and sexes <= {"M", "F"} else None
    height = heights.pop() if len(heights) == 1 else None
    bmi = weights.pop() / height**2 if height and len(weights) == 1 else None
    return sex, height, round(bmi, 2) if bmi and _BMI[0] < bmi <= _BMI[1] else None


def _number(value: float) -> str:
    return f"{value:.6g}" if value > 0 else ""
