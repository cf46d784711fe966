"""The tables of a cohort: a manifest, its observers, its pretext slices and what was drawn."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from muscletransfer.data.synthetic.slices import PhantomSlice

__all__ = ["CohortRows", "patient_row", "write_tables"]

_MANIFEST = (
    "patient_id", "image", "mask", "slice_index", "height_m", "sex", "bmi", "mask_groups",
    "troubles",
)  # fmt: skip
_OBSERVED = ("patient_id", "image", "mask", "slice_index", "observer")
_PRETEXT = ("patient_id", "image", "mask", "slice_index", "label")


@dataclass(frozen=True)
class CohortRows:
    """Rows of one patient.

    Attributes:
        manifest: Of ``manifest.csv``.
        observed: Of ``observers.csv``, one an observer.
        pretext: Of ``pretext.csv``, one a slice of another level.
        patient: Of ``patients.csv``.
    """

    manifest: dict[str, Any]
    observed: list[dict[str, Any]]
    pretext: list[dict[str, Any]]
    patient: dict[str, Any]


def patient_row(patient_id: str, phantom: PhantomSlice) -> dict[str, Any]:
    """Return all parameters of a patient, flat.

    Args:
        patient_id: Its name in the tables.
        phantom: Its slice.
    """
    parts = {**asdict(phantom.patient), **asdict(phantom.scanner)}
    plain = {k: round(v, 4) if isinstance(v, float) else v for k, v in parts.items()}
    return {"patient_id": patient_id, **plain, "troubles": " ".join(phantom.troubles)}


def write_tables(root: Path, rows: Sequence[CohortRows]) -> None:
    """Write the tables of a cohort; one without rows is left out.

    Args:
        root: The folder.
        rows: Of each patient, in order.
    """
    tables: list[tuple[str, Sequence[str], list[dict[str, Any]]]] = [
        ("manifest.csv", _MANIFEST, [r.manifest for r in rows]),
        ("observers.csv", _OBSERVED, [o for r in rows for o in r.observed]),
        ("pretext.csv", _PRETEXT, [p for r in rows for p in r.pretext]),
        ("patients.csv", list(rows[0].patient), [r.patient for r in rows]),
    ]
    for name, columns, content in tables:
        if not content:
            continue
        with (root / name).open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(content)
