"""What SAROS says of itself: regions, folds, patients, terms."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from muscletransfer.data.archives.prepared import DataSetFacts, class_names
from muscletransfer.errors import ManifestError, close_matches

__all__ = ["FOLDS", "SAROS_REGIONS", "read_info", "saros_facts"]

# Values of body-regions.nii.gz: training/util.py of UMEssen/saros-dataset.
_NAMES = (
    "subcutaneous_tissue", "muscle", "abdominal_cavity", "thoracic_cavity", "bone",
    "parotid_glands", "pericardium", "breast_implant", "mediastinum", "brain", "spinal_cord",
    "thyroid_glands", "submandibular_glands",
)  # fmt: skip
SAROS_REGIONS = {name: value for value, name in enumerate(_NAMES, 1)}
FOLDS = {f"fold-{k}": str(k) for k in range(1, 6)} | {"test": "test"}
_PATIENT_COLUMNS = ("patient_id", "tcia_patient_id", "PatientID", "subject_id", "tcia_subject_id")


def read_info(
    root: Path, given: str | Path | None, patient_column: str | None
) -> tuple[dict[str, str], dict[str, str]]:
    """Read the spreadsheet.

    Args:
        root: Folder of the cases; the spreadsheet lies in it or beside it.
        given: The spreadsheet, where the caller names it.
        patient_column: Column that says whose case it is, where the caller names it.

    Returns:
        Split of every case, and patient of every case (the name of his or her first case); none
        where no column says.

    Raises:
        ManifestError: It is missing or damaged, or lacks a column or a fold.
    """
    path, header, records = _find_info(root, given)
    column = patient_column or next((c for c in _PATIENT_COLUMNS if c in header), None)
    if column is not None and column not in header:
        near = close_matches(column, header)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ManifestError(f"{path}: no column {column!r}.{hint} Found {', '.join(header)}.")
    splits: dict[str, str] = {}
    patients: dict[str, str] = {}
    first: dict[str, str] = {}
    for line, record in enumerate(records, 2):
        case, split = record["id"].strip(), record["split"].strip()
        if split not in FOLDS:
            raise ManifestError(
                f"{path} row {line}: split is {split!r}; wanted one of {', '.join(FOLDS)}."
            )
        splits[case] = split
        if column is not None:
            patients[case] = first.setdefault(record[column].strip() or case, case)
    return splits, patients


def _find_info(
    root: Path, given: str | Path | None
) -> tuple[Path, list[str], list[dict[str, str]]]:
    candidates = (
        [Path(given)]
        if given is not None
        else [*sorted(root.glob("*.csv")), *sorted(root.parent.glob("*.csv"))]
    )
    for path in candidates:
        try:
            with path.open(encoding="utf-8-sig", newline="") as file:
                reader = csv.DictReader(file)
                header = list(reader.fieldnames or [])
                if {"id", "split"} <= set(header):
                    return path, header, [{k: v or "" for k, v in r.items()} for r in reader]
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            if given is not None:
                raise ManifestError(
                    f"{path}: cannot be read ({error}); wanted SAROS's 'Segmentation Info'."
                ) from error
    if given is not None:
        raise ManifestError(f"{given}: has no columns id and split; wanted SAROS's spreadsheet.")
    raise ManifestError(
        f"{root}: no CSV with the columns id and split, in it or beside it; wanted SAROS's "
        "spreadsheet 'Segmentation Info', which holds its five folds and test set. Download it "
        "from doi.org/10.25737/SZ96-ZG60, or name it with info= (--info)."
    )


def saros_facts(
    named: Mapping[str | int, int], patients: Mapping[str, str], slices: str, torso_only: bool
) -> DataSetFacts:
    """Return the facts for the sidecar."""
    notes = [
        "Every fifth slice is annotated. A mask holds 255 where nobody looked; loss and scores "
        "leave those pixels out.",
        "case_609, case_623 and case_816 have abnormal CT values, such as -3000 HU (publishers' "
        "README).",
        f"Slices: {slices}. Arms, legs and head are {'left out' if torso_only else 'in'}.",
    ]
    if not patients:
        notes.append(
            "The spreadsheet names no patient that this program knows, so each CT counts as a "
            "patient. Some patients have two CT (900 CT of 882 patients): pass patient_column= if "
            "it has such a column under another name."
        )
    return DataSetFacts(
        name="SAROS",
        licence="the CT keep the licence of their TCIA collection (CC BY 3.0, CC BY 4.0, CC BY-NC "
        "3.0, or restricted access); see the data set's page for the segmentations",
        citation="Koitka et al., SAROS: A dataset for whole-body region and organ segmentation in "
        "CT imaging, Sci Data 2024;11:483",
        doi="10.25737/SZ96-ZG60",
        classes=class_names(named),
        columns={
            "fold": "1 to 5, or test; for LowDataModule(fold_column='fold')",
            "subset": "folds or test; LowDataModule(where={'subset': 'folds'}) leaves the test out",
            "split": "as published",
            "case": "folder of the case",
        },
        notes=notes,
        verified=[
            "folders case_NNN with image.nii.gz, body-regions.nii.gz, body-parts.nii.gz",
            "values of both segmentations",
            "CSV columns id and split, with fold-1 to fold-5 and test",
            "images are resampled to 5 mm, segmentations lie on that grid",
        ],
        inferred=["that 255 marks whole slices", "the column that names the patient", "licences"],
    )
