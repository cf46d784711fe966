"""One row of a manifest: its fields, and the checks of each value."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from muscletransfer.errors import ManifestError, close_matches

__all__ = ["ALIASES", "COLUMNS", "ManifestRow", "parse_row", "patient_names", "slice_key"]

COLUMNS = (
    "patient_id",
    "image",
    "mask",
    "slice_index",
    "label",
    "height_m",
    "sex",
    "bmi",
    "spacing_x_mm",
    "spacing_y_mm",
)
ALIASES = "aliases"  # other names of the patient, with spaces between: written by `index_images`
_SEX = {"m": "M", "male": "M", "f": "F", "female": "F"}


@dataclass(frozen=True)
class ManifestRow:
    """One case.

    .. versionadded:: 0.1

    Args:
        patient_id: Whose slice it is; what splits go by.
        image: The image file or DICOM folder; made absolute.
        mask: The mask file, or ``None``; made absolute.
        slice_index: Which slice of a volume, from 0, or ``None`` for a single slice.
        label: Class for classification, as text.
        height_m: Height in metres; only the skeletal muscle index needs it.
        sex: ``"M"``, ``"F"`` or ``None``.
        bmi: Body mass index in kg/m2.
        spacing: ``(sy, sx)`` in mm of a plain image, or ``None``.
        extra: All other columns, as text.
        manifest: The CSV it stands in, for messages.
        line: Its line there; the header is line 1.

    Example:
        >>> row = ManifestRow("P1", Path("ct.nii.gz"), slice_index=42, height_m=1.75, line=2)
        >>> row.patient_id, row.slice_index, row.mask
        ('P1', 42, None)
    """

    patient_id: str
    image: Path
    mask: Path | None = None
    slice_index: int | None = None
    label: str | None = None
    height_m: float | None = None
    sex: str | None = None
    bmi: float | None = None
    spacing: tuple[float, float] | None = None
    extra: Mapping[str, str] = field(default_factory=dict, hash=False)
    manifest: Path = Path("manifest")
    line: int = 0

    def __post_init__(self) -> None:
        # Folding '..' gives each file one name, so that rows of one file are seen as such.
        for name in ("image", "mask"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, Path(os.path.abspath(value)))

    @property
    def where(self) -> str:
        """File and row, to begin an error message; the file alone for a row of no CSV (-1)."""
        return f"{self.manifest} row {self.line}" if self.line >= 0 else str(self.manifest)

    def to_record(self, root: Path | None = None) -> dict[str, str]:
        """Return the row as CSV texts; paths under ``root`` become relative to it."""
        sy, sx = self.spacing if self.spacing is not None else (None, None)
        values = {
            "patient_id": self.patient_id,
            "image": _relative(self.image, root),
            "mask": None if self.mask is None else _relative(self.mask, root),
            "slice_index": self.slice_index,
            "label": self.label,
            "height_m": self.height_m,
            "sex": self.sex,
            "bmi": self.bmi,
            "spacing_x_mm": sx,
            "spacing_y_mm": sy,
        }
        return {k: "" if v is None else str(v) for k, v in values.items()} | dict(self.extra)


def patient_names(row: ManifestRow) -> frozenset[str]:
    """Return all names of a row's patient: its id, and those that other indexes may give it.

    Example:
        >>> sorted(patient_names(ManifestRow("P1", Path("ct.nii.gz"), extra={"aliases": "P2 P3"})))
        ['P1', 'P2', 'P3']
    """
    return frozenset((row.patient_id, *row.extra.get(ALIASES, "").split()))


def slice_key(row: ManifestRow) -> tuple[Path, int | None]:
    """Return the image and slice of a row, the same for rows of one slice.

    A plain image has one slice, so that 0 says no more than nothing; of a volume nothing may mean
    all slices.
    """
    if row.slice_index == 0:
        from muscletransfer.data.io.plain import is_plain  # here: it brings SimpleITK with it

        if is_plain(row.image):
            return row.image, None
    return row.image, row.slice_index


def parse_row(
    manifest: Path,
    line: int,
    record: Mapping[str, str],
    mask_column: str = "mask",
    need_mask: bool = False,
    hints: bool = True,
) -> ManifestRow:
    """Check one row's texts and turn them into a `ManifestRow`.

    Args:
        manifest: The CSV.
        line: The row's line there.
        record: Column to text.
        mask_column: Column with the mask.
        need_mask: Whether it must have one.
        hints: Look for names like that of a missing file.

    Raises:
        ManifestError: Naming file, row, column, the value found and what was wanted.
    """
    at = f"{manifest} row {line}"
    if not record["patient_id"]:
        raise ManifestError(
            f"{at}: patient_id is empty; wanted an id. Splits are by patient, so every row needs "
            "one (the file name will do when each image is another patient)."
        )
    if not record["image"]:
        raise ManifestError(f"{at}: image is empty; wanted the path of a file or DICOM folder.")
    mask = record.get(mask_column, "")
    if need_mask and not mask:
        raise ManifestError(
            f"{at}: {mask_column} is empty; wanted the path of a mask, as every row needs one "
            "here. Fill it in or remove the row."
        )
    used = {*COLUMNS, mask_column}
    sex = record.get("sex", "")
    if sex and sex.lower() not in _SEX:
        raise ManifestError(f"{at}: sex is {sex!r}; wanted M, F or nothing.")
    return ManifestRow(
        patient_id=record["patient_id"],
        image=_existing(manifest, at, "image", record["image"], hints),
        mask=_existing(manifest, at, mask_column, mask, hints) if mask else None,
        slice_index=_slice_index(at, record.get("slice_index", "")),
        label=record.get("label") or None,
        height_m=_height(at, record.get("height_m", "")),
        sex=_SEX.get(sex.lower()),
        bmi=_number(at, "bmi", record.get("bmi", ""), 5, 150, "kg/m2"),
        spacing=_spacing(at, record),
        extra={k: v for k, v in record.items() if k not in used},
        manifest=manifest,
        line=line,
    )


def _existing(manifest: Path, at: str, column: str, text: str, hints: bool) -> Path:
    path = Path(os.path.abspath(manifest.parent / text))
    if path.exists():
        return path
    hint = ""
    if not path.parent.is_dir():
        hint = f" Its folder {str(path.parent)!r} does not exist either."
    elif hints:
        near = close_matches(path.name, [p.name for p in path.parent.iterdir()])
        if near:
            hint = f" Did you mean {' or '.join(near)}?"
    raise ManifestError(
        f"{at}: {column} {text!r} does not exist (looked for {str(path)!r}); wanted a path "
        f"relative to the manifest's folder, or an absolute one.{hint}"
    )


def _slice_index(at: str, text: str) -> int | None:
    if not text:
        return None
    wanted = "wanted a whole number from 0, or nothing for a file of one slice"
    try:
        value = float(text)  # spreadsheets write 12 as 12.0 when other rows are empty
    except ValueError:
        value = math.nan
    if not value.is_integer() or value < 0:
        raise ManifestError(f"{at}: slice_index is {text!r}; {wanted}.")
    return int(value)


def _height(at: str, text: str) -> float | None:
    value = _number(at, "height_m", text, 0, math.inf, "metres")
    if value is not None and 100 <= value <= 250:
        raise ManifestError(
            f"{at}: height_m is {text!r}, which looks like centimetres; wanted metres, such as "
            f"{value / 100:.2f}."
        )
    if value is not None and not 0.4 <= value <= 2.6:
        raise ManifestError(f"{at}: height_m is {text!r}; wanted metres from 0.4 to 2.6.")
    return value


def _spacing(at: str, record: Mapping[str, str]) -> tuple[float, float] | None:
    x, y = (
        _number(at, name, record.get(name, ""), 0, 1000, "mm above 0")
        for name in ("spacing_x_mm", "spacing_y_mm")
    )
    if x is None and y is None:
        return None
    if x is None or y is None:
        raise ManifestError(
            f"{at}: only one of spacing_x_mm and spacing_y_mm is given; wanted both or neither."
        )
    return y, x


def _number(at: str, name: str, text: str, low: float, high: float, unit: str) -> float | None:
    if not text:
        return None
    hint = " Write a decimal point, not a comma." if "," in text else ""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not low < value <= high or math.isinf(value):
        raise ManifestError(f"{at}: {name} is {text!r}; wanted a number in {unit}.{hint}")
    return value


def _relative(path: Path, root: Path | None) -> str:
    if root is not None and path.is_relative_to(root.absolute()):
        return path.relative_to(root.absolute()).as_posix()
    return str(path)
